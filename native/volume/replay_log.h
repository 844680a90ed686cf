#pragma once
// The records that recovery found, kept until all are known: what a later rewind voids must never be applied.
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../journal/journal.h"

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

 private:
  struct Kept {
    RecordHeader header;
    Lsn record, payload;
    size_t sums, bytes;       // where they begin in the pools below
    uint32_t sum_count, byte_count;
    bool below_durable;
  };
  struct Rewind {
    Lsn at;
    uint64_t sequence;
  };
  bool Void(const Kept& kept) const;
  /** Copies of moved records to where they belong. */
  void Order();

  std::vector<Kept> records_;
  bool ordered_ = true;
  std::vector<uint64_t> sums_;
  std::vector<uint8_t> bytes_;
  std::unordered_map<ResourceId, std::vector<Rewind>> rewinds_;
  std::unordered_set<ResourceId> dropped_;   // their writes may be trimmed already, and are not wanted
};

}  // namespace skerry
