#pragma once
// Where recoveries ended the logs of volumes early.
#include <unordered_map>
#include <vector>

#include "../journal/record.h"

namespace skerry {

class Rewinds {
 public:
  /** A rewind that stands at `at`, or stood there first: from `sequence` on the volume's records before it are void. */
  void Add(ResourceId resource, Lsn at, uint64_t sequence) { of_[resource].push_back({at, sequence}); }
  /** `record`: where the record stood first. */
  bool Void(ResourceId resource, Lsn record, uint64_t sequence) const {
    const auto found = of_.find(resource);
    if (found == of_.end()) return false;
    for (const Rewind& rewind : found->second) {
      if (record < rewind.at && sequence >= rewind.sequence) return true;
    }
    return false;
  }

 private:
  struct Rewind {
    Lsn at;
    uint64_t sequence;
  };
  std::unordered_map<ResourceId, std::vector<Rewind>> of_;
};

}  // namespace skerry
