#pragma once
// Estimates for JavaScript, each a few tens of megabytes at most: begun, read on in short steps, ended.
#include <napi.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "addon_access.h"
#include "engine/estimate.h"

namespace skerry::addon {

class Estimator {
 public:
  /** estimate('begin', pool), estimate('read', id, path, offset), estimate('end', id): src/engine/binding.ts. */
  Work Ask(Env& env, Engine& engine, const Napi::CallbackInfo& info);

 private:
  struct Running {
    std::mutex mutex;
    const std::shared_ptr<Pool> pool;
    Estimate estimate;
    Running(Env& env, std::shared_ptr<Pool> of) : pool(std::move(of)), estimate(env, *pool) {}
  };
  Result<Finish> Begin(Env& env, Engine& engine, const std::string& pool_name);
  Result<Finish> Read(uint64_t id, const std::string& path, uint64_t offset);
  Result<Finish> End(uint64_t id);

  std::mutex mutex_;
  std::map<uint64_t, std::shared_ptr<Running>> running_;
  uint64_t next_ = 1;
};

}  // namespace skerry::addon
