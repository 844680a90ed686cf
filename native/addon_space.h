#pragma once
// Who holds how much of each pool, for JavaScript: measures on a thread of its own, at half its speed, and keeps the last
// measurement to answer what is asked about it.
#include <napi.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "addon_access.h"
#include "addon_carry.h"
#include "addon_collect.h"
#include "addon_scrub.h"
#include "gc/space.h"

namespace skerry::addon {

class SpaceMeter {
 public:
  /** space('measure', pool), space('groups', pool, ids, groups, count), space('shared', pool, id, count), and what CollectRuns, ScrubRuns and CarryRuns do: src/engine/binding.ts. */
  Work Ask(Engine& engine, const Napi::CallbackInfo& info);
  void Cancel() {
    cancelled_.store(true);
    collects_.Cancel();
    scrubs_.Cancel();
    carries_.Cancel();
  }

 private:
  Work Measure(Engine& engine, std::string pool);
  Result<std::shared_ptr<const SpaceReport>> Last(const std::string& pool);

  PoolRuns runs_;
  CollectRuns collects_{runs_};
  ScrubRuns scrubs_{runs_};
  CarryRuns carries_;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const SpaceReport>> last_;   // by pool; those of pools that are gone go with the next
};

}  // namespace skerry::addon
