#pragma once
// Reading, writing and comparing resources for JavaScript, what moves bytes that no NBD client asked for, and opening pools.
// Each call is work for a thread of its own.
#include <napi.h>

#include <functional>
#include <vector>

#include "engine/engine.h"

namespace skerry::addon {

using Finish = std::function<Napi::Value(Napi::Env)>;
using Work = std::function<Result<Finish>()>;

inline constexpr uint64_t kAccessBytesMax = 4u << 20;

/** Ranges in which `to` differs from `from`, from `offset` on, at most `ranges_max`, and how far they tell. */
Work ChangesWork(Engine& engine, ResourceId from, ResourceId to, uint64_t offset, size_t ranges_max);
/** Bytes of the resource that are not known to be zero. */
Work AllocatedWork(Engine& engine, ResourceId resource);
Work AddPoolWork(Engine& engine, PoolOptions options);
Work RemovePoolWork(Engine& engine, std::string name);
Work ReadWork(Engine& engine, ResourceId resource, uint64_t offset, uint64_t length);
/** write() of src/engine/binding.ts: writes bytes to a volume, or zeroes so many. kTryAgain where there is no room now. */
Work WriteWork(Engine& engine, const Napi::CallbackInfo& info);

}  // namespace skerry::addon
