#pragma once
// The caches of records that are not on this host, one of each tier for all pools, as JavaScript configures and sees them.
#include <napi.h>

#include <memory>

#include "blocks/block_cache.h"
#include "blocks/local_cache.h"
#include "engine/engine.h"

namespace skerry::addon {

class RecordCaches {
 public:
  /** Begins to look for what earlier lives left. `options`: EngineOptions. `listener` is told where the disk fails. */
  RecordCaches(::skerry::Env& env, const Napi::Object& options, EngineListener& listener);

  /** Of a pool that rests on a backend; `spec`: its RemotePackSpec. */
  void Equip(PackStoreOptions& packs, const Napi::Object& spec);
  /** Nothing is written any more. */
  void Stop() { local_->Stop(); }
  /** EngineStats with `blockCache` and `localCache`. */
  Napi::Object AddTo(Napi::Object stats) const;

 private:
  const std::shared_ptr<BlockCache> memory_;
  const std::shared_ptr<LocalCache> local_;
};

}  // namespace skerry::addon
