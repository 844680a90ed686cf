#pragma once
// The files that hold the log: slots, each at any time the home of one segment number, or ready to become one.
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "layout.h"

namespace skerry {

struct SegmentSlot {
  unsigned slot = 0;
  std::shared_ptr<File> direct;     // written
  std::shared_ptr<File> buffered;   // read: the page cache keeps recent pages
  std::string path;
};

class Segments {
 public:
  Segments(Env& env, std::string directory, uint64_t segment_bytes, uint64_t slots_max);

  struct Found {
    SegmentHeader header;
    std::shared_ptr<SegmentSlot> slot;
  };
  /** Opens every slot file. Those with a valid header of `journal` are returned, ordered by number; blank ones are ready. A damaged header is kCorrupt, or with `salvage` a ready slot. */
  Result<std::vector<Found>> Load(const JournalId& journal, bool salvage);

  /** Creates one prewritten slot if fewer than `ready_want` are ready and the limit allows (or `beyond_limit`). */
  Result<bool> Prepare(size_t ready_want, bool beyond_limit);
  /** Makes a ready slot the home of segment `number`; false where none is ready or the limit is reached (unless `beyond_limit`). */
  bool Assign(uint64_t number, bool beyond_limit);
  void Adopt(uint64_t number, std::shared_ptr<SegmentSlot> slot);
  std::shared_ptr<SegmentSlot> Find(uint64_t number) const;
  /** The slots of all segments below `number` become ready. */
  void Recycle(uint64_t number);
  size_t live() const;
  size_t ready() const;
  uint64_t lowest() const;   // number of the lowest live segment; ~0 if none

 private:
  Result<std::shared_ptr<SegmentSlot>> OpenSlot(unsigned slot, bool create);

  Env& env_;
  const std::string directory_;
  const uint64_t segment_bytes_, slots_max_;
  mutable std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<SegmentSlot>> live_;
  std::deque<std::shared_ptr<SegmentSlot>> ready_;
  unsigned next_slot_ = 0;
  std::mutex prepare_mutex_;
};

}  // namespace skerry
