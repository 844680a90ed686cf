#pragma once
// The records that recovery found, kept until all are known: what a later rewind voids must never be applied.
#include <string>
#include <unordered_set>
#include <vector>

#include "../journal/journal.h"
#include "rewinds.h"

namespace skerry {

class ReplayLog {
 public:
  void Add(const ReplayedRecord& record);
  /**
   * Records in the order in which they were first appended, each once, without those that a later rewind or drop of their volume
   * voids. A failing Status ends it.
   */
  Status ForEach(const std::function<Status(const ReplayedRecord&)>& visit);
  size_t size() const { return records_.size(); }
  const Rewinds& rewinds() const { return rewinds_; }

 private:
  struct Kept {
    RecordHeader header;
    Lsn record, payload;
    size_t sums, bytes;       // where they begin in the pools below
    uint32_t sum_count, byte_count;
    bool below_durable;
  };
  bool Void(const Kept& kept) const;
  /** Copies of moved records to where they belong. */
  void Order();

  std::vector<Kept> records_;
  bool ordered_ = true;
  std::vector<uint64_t> sums_;
  std::vector<uint8_t> bytes_;
  Rewinds rewinds_;
  std::unordered_set<ResourceId> dropped_;   // their writes may be trimmed already, and are not wanted
};

}  // namespace skerry
