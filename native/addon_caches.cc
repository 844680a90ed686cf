#include "addon_caches.h"

#include <algorithm>

#include "addon_values.h"

namespace skerry::addon {
namespace {

LocalCacheOptions ToLocal(const Napi::Object& options, EngineListener& listener) {
  LocalCacheOptions local;
  local.directory = Text(options, "cacheDirectory");
  local.bytes_max = Whole(options, "localCacheBytesMax");
  local.on_failure = [&listener](const std::string& message) { listener.OnLog(LogLevel::kWarn, message); };
  return local;
}

PoolUuid ToUuid(const Napi::Object& spec) {
  PoolUuid uuid{};
  const Napi::Uint8Array given = spec.Get("uuid").As<Napi::Uint8Array>();
  std::copy_n(given.Data(), std::min(given.ByteLength(), uuid.size()), uuid.begin());
  return uuid;
}

}  // namespace

RecordCaches::RecordCaches(::skerry::Env& env, const Napi::Object& options, EngineListener& listener)
    : memory_(std::make_shared<BlockCache>(Whole(options, "blockCacheBytesMax"))),
      local_(std::make_shared<LocalCache>(env, ToLocal(options, listener), memory_)) {
  local_->Start();
}

void RecordCaches::Equip(PackStoreOptions& packs, const Napi::Object& spec) {
  packs.remote->cache = memory_;
  packs.remote->local = local_;
  packs.remote->pool = local_->NumberOf(ToUuid(spec), packs.cipher);
}

Napi::Object RecordCaches::AddTo(Napi::Object stats) const {
  const BlockCache::Usage blocks = memory_->usage();
  Napi::Object memory = Napi::Object::New(stats.Env());
  Set(memory, "bytes", blocks.bytes);
  Set(memory, "bytesMax", memory_->bytes_max());
  Set(memory, "records", blocks.records);
  Set(memory, "hits", blocks.hits);
  Set(memory, "misses", blocks.misses);
  Set(memory, "evicted", blocks.evicted);
  stats.Set("blockCache", memory);
  const LocalCache::Usage usage = local_->usage();
  Napi::Object local = Napi::Object::New(stats.Env());
  Set(local, "bytes", usage.bytes);
  Set(local, "bytesMax", local_->bytes_max());
  Set(local, "records", usage.records);
  Set(local, "hits", usage.hits);
  Set(local, "misses", usage.misses);
  Set(local, "writtenBytes", usage.written_bytes);
  Set(local, "evicted", usage.evicted);
  Set(local, "passedOver", usage.passed_over);
  Set(local, "damaged", usage.damaged);
  local.Set("failed", usage.failed);
  stats.Set("localCache", local);
  return stats;
}

}  // namespace skerry::addon
