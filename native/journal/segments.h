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
  Segments(Env& env, std::string directory, uint64_t segment_bytes, uint64_t slots_max, uint64_t keep_free_bytes);

  struct Found {
    SegmentHeader header;
    std::shared_ptr<SegmentSlot> slot;
  };
  /**
   * Opens every slot file. Those with a valid header of `journal` are returned, ordered by number; blank ones are ready. One with
   * a damaged header is kCorrupt; with `salvage` it is removed and named in `removed`.
   */
  Result<std::vector<Found>> Load(const JournalId& journal, bool salvage, std::vector<std::string>& removed);

  /**
   * Creates one prewritten slot if fewer than `ready_want` are ready, and the limit and the room on disk allow (or `beyond_limit`).
   * A few slots are made whatever room there is: with these the log goes on, if slowly.
   */
  Result<bool> Prepare(size_t ready_want, bool beyond_limit);
  /** Makes a ready slot the home of segment `number`; false where none is ready or the limit is reached (unless `beyond_limit`). */
  bool Assign(uint64_t number, bool beyond_limit);
  void Adopt(uint64_t number, std::shared_ptr<SegmentSlot> slot);
  std::shared_ptr<SegmentSlot> Find(uint64_t number) const;
  /** The slots of all segments below `number` become ready. */
  void Recycle(uint64_t number);
  size_t live() const;
  size_t ready() const;
  /** Bytes of log that the slots can hold: all that are allowed, or those that are there while the disk has no room for more. */
  uint64_t window() const;
  uint64_t lowest() const;   // number of the lowest live segment; ~0 if none

 private:
  Result<std::shared_ptr<SegmentSlot>> OpenSlot(unsigned slot, bool create);

  Env& env_;
  const std::string directory_;
  const uint64_t segment_bytes_, slots_max_, keep_free_bytes_;
  mutable std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<SegmentSlot>> live_;
  std::deque<std::shared_ptr<SegmentSlot>> ready_;
  unsigned next_slot_ = 0;
  bool cramped_ = false;   // the last attempt to grow found no room
  std::mutex prepare_mutex_;
};

}  // namespace skerry
