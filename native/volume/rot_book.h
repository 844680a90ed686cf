#pragma once
// What was found rotten when it was read: each place is told once, however often it is asked for.
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "../journal/record.h"

namespace skerry {

/** Of one pool. Thread-safe. */
class RotBook {
 public:
  /** `tell` is called from any thread and must not block. Before the first read. */
  void Listen(std::function<void(const std::string&)> tell) { tell_ = std::move(tell); }

  /** A read at `offset` (bytes) of `resource` ends with `why`, which names the place; `journalled`: that is in the journal. */
  void Tell(ResourceId resource, uint64_t offset, const std::string& why, bool journalled) {
    {
      std::lock_guard lock(mutex_);
      if (told_.size() >= kPlacesMax || !told_.insert(why).second) return;
      if (journalled) ++journalled_;
    }
    if (!tell_) return;
    tell_("ROTTEN: a read of resource " + std::to_string(resource) + " at offset " + std::to_string(offset) + " is an I/O error: " + why);
  }

  /** Places in the journal that were told; the packs count their own. */
  uint64_t journalled() const {
    std::lock_guard lock(mutex_);
    return journalled_;
  }

 private:
  static constexpr size_t kPlacesMax = 4096;   // whose disk is that bad has been told
  std::function<void(const std::string&)> tell_;
  mutable std::mutex mutex_;
  std::set<std::string> told_;
  uint64_t journalled_ = 0;
};

}  // namespace skerry
