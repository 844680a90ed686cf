#pragma once
// Reading, writing and comparing resources for JavaScript, what moves bytes that no NBD client asked for, and opening pools.
// Each is work for a thread of its own, but for what can be told at once.
#include <napi.h>

#include <functional>
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace skerry::addon {

using Finish = std::function<Napi::Value(Napi::Env)>;
using Work = std::function<Result<Finish>()>;

/** Ranges in which `to` differs from `from`, from `offset` on, at most `ranges_max`, and how far they tell. */
Work ChangesWork(Engine& engine, ResourceId from, ResourceId to, uint64_t offset, size_t ranges_max);
/** Bytes of the resource that are not known to be zero. */
Work AllocatedWork(Engine& engine, ResourceId resource);
Work AddPoolWork(Engine& engine, PoolOptions options);
Work RemovePoolWork(Engine& engine, std::string name);

/** read() and write() of src/engine/binding.ts. Who asks holds the arrays of JavaScript's whose bytes these are. */
struct ReadOrder {
  ResourceId resource;
  uint64_t offset;
  Bytes into;
};
struct WriteOrder {
  ResourceId resource;
  uint64_t offset;
  ConstBytes data;
  uint64_t zero_bytes;   // to be zeroed, where there are no data
};

/** That array, or a new one of so many bytes, with anything in it. */
Napi::Uint8Array ArrayToFill(const Napi::Value& given);
WriteOrder ToWriteOrder(const Napi::CallbackInfo& info);
/** What needs to wait for nothing is done at once; nullopt, and nothing is done, where it is work for a thread. */
std::optional<Status> ReadNow(Engine& engine, const ReadOrder& order);
std::optional<Status> WriteNow(Engine& engine, const WriteOrder& order);
Work ReadWork(Engine& engine, const ReadOrder& order, Finish finish);
/** kTryAgain where there is no room now. */
Work WriteWork(Engine& engine, const WriteOrder& order);
/** A promise that is settled. */
Napi::Value Settled(Napi::Env env, const Status& status, const Napi::Value& value);

}  // namespace skerry::addon
