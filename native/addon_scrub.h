#pragma once
// Looking for rot, for JavaScript: on a thread of its own, at half its speed.
#include <napi.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "addon_access.h"
#include "addon_runs.h"
#include "check/scrub.h"

namespace skerry::addon {

class ScrubRuns {
 public:
  explicit ScrubRuns(PoolRuns& runs) : runs_(runs) {}
  /** space('scrub', pool, roots): src/engine/binding.ts. */
  Work Begin(Engine& engine, const Napi::CallbackInfo& info);
  /** space('scrubbed', pool): how far the run of that pool is. */
  Work Progress(const Napi::CallbackInfo& info);
  /** Ends all that run, as soon as they look. */
  void Cancel() { cancelled_.store(true); }

 private:
  Result<ScrubReport> Run(Engine& engine, const std::string& pool_name, std::vector<TreeRoot> roots);

  PoolRuns& runs_;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::map<std::string, ScrubReport> running_;   // by pool
};

}  // namespace skerry::addon
