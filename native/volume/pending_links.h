#pragma once
// Who waits for whose root: a snapshot for its volume's destage, a clone for its snapshot. What a commit changes is found
// here, without asking those that wait for nothing.
#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

namespace skerry {

class PendingLinks {
 public:
  using Id = uint64_t;

  /** `of` is not 0. An earlier link of `id` is gone. */
  void Link(Id id, Id of) {
    Unlink(id);
    of_[id] = of;
    dependents_[of].insert(id);
  }

  void Unlink(Id id) {
    const auto found = of_.find(id);
    if (found == of_.end()) return;
    const auto siblings = dependents_.find(found->second);
    siblings->second.erase(id);
    if (siblings->second.empty()) dependents_.erase(siblings);
    of_.erase(found);
  }

  /** 0 where it waits for nothing. */
  Id Of(Id id) const {
    const auto found = of_.find(id);
    return found == of_.end() ? 0 : found->second;
  }

  /** Ids that wait for `of`, ascending. */
  std::vector<Id> Dependents(Id of) const {
    const auto found = dependents_.find(of);
    return found == dependents_.end() ? std::vector<Id>() : std::vector<Id>(found->second.begin(), found->second.end());
  }

  /** All that wait for `of`, and for these, and so on; each after what it waits for. */
  std::vector<Id> AllDependents(Id of) const {
    std::vector<Id> all = Dependents(of);
    for (size_t i = 0; i < all.size(); ++i) {
      const std::vector<Id> more = Dependents(all[i]);
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }

  bool empty() const { return of_.empty(); }

 private:
  std::unordered_map<Id, Id> of_;
  std::unordered_map<Id, std::set<Id>> dependents_;
};

}  // namespace skerry
