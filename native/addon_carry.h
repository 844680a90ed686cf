#pragma once
// Copying trees from pool to pool, and making trees of parts of others, for JavaScript: each under a number of the caller's choice, several at once, each on a thread of its
// own. What it held is held, once it has ended, until it is released: its root shall find its way into the catalog first.
#include <napi.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "addon_access.h"
#include "carry/carrier.h"
#include "carry/splicer.h"

namespace skerry::addon {

class CarryRuns {
 public:
  /** carry('carry', id, order): src/engine/binding.ts. */
  Work Carry(Engine& engine, const Napi::CallbackInfo& info);
  /** carry('splice', id, order). */
  Work Splice(Engine& engine, const Napi::CallbackInfo& info);
  /** carry('carried', id): how far it is. */
  Work Progress(const Napi::CallbackInfo& info);
  /** carry('keep', id): the last durable point, for the catalog. */
  Work Keep(const Napi::CallbackInfo& info);
  /** carry('release', id): ends it, and holds nothing of it any more. */
  Work Release(const Napi::CallbackInfo& info);
  /** Ends all that run, as soon as they look. */
  void Cancel();

 private:
  struct Run {
    std::atomic<bool> cancelled{false};
    bool runs = true;   // this and what follows: under mutex_
    CarryReport report;
    CarryPoint point, durable;
    /** What the catalog has or is about to have, and what it had before that. */
    CarryPoint kept, kept_before;
    std::vector<std::shared_ptr<const HeldRoot>> sources;
  };
  Result<std::shared_ptr<Run>> Enter(uint64_t id);
  /** As a Work: enters, does it, and tells what it came to. */
  Result<Finish> During(uint64_t id, const std::function<Status(Run&)>& work);
  template <typename Walker>
  Status Walk(Walker& walker, bool hurry, Run& run);
  std::shared_ptr<Run> Find(uint64_t id);

  std::mutex mutex_;
  bool over_ = false;
  std::map<uint64_t, std::shared_ptr<Run>> runs_;
};

}  // namespace skerry::addon
