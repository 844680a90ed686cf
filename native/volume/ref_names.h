#pragma once
// Which packs of a pool the journal names: a start replays the records, and must find there what they say. Thread-safe.
#include <map>
#include <mutex>
#include <set>

#include "../journal/journal.h"

namespace skerry {

class RefNames {
 public:
  /** `end`: of a record that names the pack, or past it. */
  void Note(uint32_t pack, Lsn end) {
    std::lock_guard lock(mutex_);
    Lsn& last = last_[pack];
    last = std::max(last, end);
  }
  /** Packs that a record at or after `trimmed` may name; what lies before is forgotten. */
  std::set<uint32_t> From(Lsn trimmed) {
    std::lock_guard lock(mutex_);
    std::erase_if(last_, [trimmed](const auto& one) { return one.second <= trimmed; });
    std::set<uint32_t> packs;
    for (const auto& [pack, end] : last_) packs.insert(packs.end(), pack);
    return packs;
  }

 private:
  std::mutex mutex_;
  std::map<uint32_t, Lsn> last_;
};

}  // namespace skerry
