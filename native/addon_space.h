#pragma once
// Who holds how much of the pool, for JavaScript: measures on a thread of its own, at half its speed, and keeps the last
// measurement to answer what is asked about it.
#include <napi.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "addon_access.h"
#include "gc/space.h"

namespace skerry::addon {

class SpaceMeter {
 public:
  /** space('measure'), space('groups', ids, groups, count), space('shared', id, count): src/engine/binding.ts. */
  Work Ask(Engine& engine, const Napi::CallbackInfo& info);
  void Cancel() { cancelled_.store(true); }

 private:
  Work Measure(Engine& engine);
  Result<std::shared_ptr<const SpaceReport>> Last();

  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::shared_ptr<const SpaceReport> last_;
};

}  // namespace skerry::addon
