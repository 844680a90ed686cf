#pragma once
// Plain structures to JavaScript values and back: the shapes of src/engine/binding.ts.
#include <napi.h>

#include <string>

#include "engine/engine.h"
#include "engine/transfer.h"

namespace skerry::addon {

const char* CodeName(Code code);
Napi::Error ToError(Napi::Env env, const Status& status);

BlockId IdFromHex(const std::string& hex);
std::string HexOf(const BlockId& id);
RateLimitSpec ToLimit(const Napi::Object& object);
/** nullopt for null. */
std::optional<Compression> ToCompression(const Napi::Value& value);
/** `of`: a volume by its id, or a pool by its name; one that is gone is passed over. */
void SetCompression(Store& store, const Napi::Value& of, std::optional<Compression> wish);
/** A TreeRootSpec. */
TreeRoot ToRoot(const Napi::Object& object);
Napi::Object FromRoot(Napi::Env env, const TreeRoot& root);
std::vector<TreeRoot> ToRoots(const Napi::Array& array);
ResourceSpec ToResource(const Napi::Object& object);
/** The backend of a remote pool is left open. */
PoolOptions ToPoolOptions(const Napi::Object& object);
StoreOptions ToStoreOptions(const Napi::Object& options);
NbdOptions ToNbdOptions(const Napi::Object& options);

Napi::Object FromReport(Napi::Env env, const StoreReport& report);
Napi::Object FromCommit(Napi::Env env, const RootCommit& commit);
Napi::Object FromProgress(Napi::Env env, const TransferProgress& progress);
Napi::Array FromActivities(Napi::Env env, Engine& engine);
/** EngineStats, but for the caches of records. */
Napi::Object FromStats(Napi::Env env, Engine& engine);

/** A whole number below 2^53. */
inline void Set(Napi::Object& object, const char* name, uint64_t value) { object.Set(name, static_cast<double>(value)); }
inline double Number(const Napi::Object& object, const char* name) { return object.Get(name).ToNumber().DoubleValue(); }
inline uint64_t Whole(const Napi::Object& object, const char* name) { return static_cast<uint64_t>(Number(object, name)); }
inline std::string Text(const Napi::Object& object, const char* name) { return object.Get(name).ToString().Utf8Value(); }

}  // namespace skerry::addon
