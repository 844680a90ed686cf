#pragma once
// One run over a pool at a time, whatever it does: a scrub would read what a collection removes.
#include <mutex>
#include <set>
#include <string>

#include "env/status.h"

namespace skerry::addon {

/** Thread-safe. */
class PoolRuns {
 public:
  /** kTryAgain while another run goes over the pool. */
  Status Begin(const std::string& pool) {
    std::lock_guard lock(mutex_);
    if (busy_.insert(pool).second) return Status::Ok();
    return Status(Code::kTryAgain, "pool " + pool + " is being collected or scrubbed already");
  }
  void End(const std::string& pool) {
    std::lock_guard lock(mutex_);
    busy_.erase(pool);
  }

 private:
  std::mutex mutex_;
  std::set<std::string> busy_;
};

}  // namespace skerry::addon
