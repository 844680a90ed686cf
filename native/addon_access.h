#pragma once
// Reading, writing and comparing resources for JavaScript: what moves bytes that no NBD client asked for. Each call is work
// for a thread of its own.
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
Work ReadWork(Engine& engine, ResourceId resource, uint64_t offset, uint64_t length);
/** Writes `data`, or where that is empty zeroes `zero_bytes`. kTryAgain where there is no room now. */
Work WriteWork(Engine& engine, ResourceId volume, uint64_t offset, std::vector<uint8_t> data, uint64_t zero_bytes);
/** Bytes that are not holes or zeroes, in map and overlay together. */
Work AllocatedWork(Engine& engine, ResourceId resource);

}  // namespace skerry::addon
