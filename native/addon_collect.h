#pragma once
// Giving space back, for JavaScript: one run for each pool at a time, on a thread of its own.
#include <napi.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "addon_access.h"
#include "addon_runs.h"
#include "gc/collector.h"

namespace skerry::addon {

class CollectRuns {
 public:
  explicit CollectRuns(PoolRuns& runs) : runs_(runs) {}
  /** collect('run', pool, roots, {dryRun, liveMax, hurry}): src/engine/binding.ts. */
  Work Collect(Engine& engine, const Napi::CallbackInfo& info);
  /** collect('trims', pool, seconds): destages what was given back, where `seconds` is not 0, and waits so long for its roots. */
  Work Trims(Engine& engine, const Napi::CallbackInfo& info);
  /** collect('progress', pool): how far the run of that pool is. */
  Work Progress(const Napi::CallbackInfo& info);
  /** Ends all that run, as soon as they look. */
  void Cancel() { cancelled_.store(true); }

 private:
  Result<CollectReport> Run(Engine& engine, const std::string& pool_name, std::vector<TreeRoot> roots, const CollectOptions& options, bool hurry);

  PoolRuns& runs_;
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::map<std::string, CollectReport> running_;   // by pool
};

}  // namespace skerry::addon
