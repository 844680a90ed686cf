#include "addon_values.h"

namespace skerry::addon {

Napi::Object FromRoot(Napi::Env env, const TreeRoot& root) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", root.id.empty() ? std::string() : HexOf(root.id));
  object.Set("levels", static_cast<double>(root.levels));
  object.Set("pack", static_cast<double>(root.at.pack));
  object.Set("offset", static_cast<double>(root.at.offset));
  object.Set("storedBytes", static_cast<double>(root.at.stored_bytes));
  return object;
}

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kIo: return "io";
    case Code::kNoSpace: return "no-space";
    case Code::kCorrupt: return "corrupt";
    case Code::kNotFound: return "not-found";
    case Code::kInvalid: return "invalid";
    case Code::kReadOnly: return "read-only";
    case Code::kTryAgain: return "try-again";
    case Code::kClosed: return "closed";
  }
  return "io";
}

Napi::Error ToError(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.detail());
  error.Set("code", Napi::String::New(env, CodeName(status.code())));
  return error;
}

BlockId IdFromHex(const std::string& hex) {
  BlockId id;
  const auto digit = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  if (hex.size() != 2 * id.bytes.size()) return id;
  for (size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  return id;
}

std::string HexOf(const BlockId& id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (uint8_t byte : id.bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

RateLimitSpec ToLimit(const Napi::Object& object) {
  return {Whole(object, "iops"), Whole(object, "bandwidth"), Whole(object, "burst")};
}

std::optional<Compression> ToCompression(const Napi::Value& value) {
  if (!value.IsObject()) return std::nullopt;
  const Napi::Object object = value.As<Napi::Object>();
  const std::string codec = Text(object, "codec");
  const uint64_t level = std::min<uint64_t>(Whole(object, "level"), kZstdLevelMax);
  if (codec == "lz4") return Compression{Codec::kLz4, 0};
  if (codec == "zstd") return Compression{Codec::kZstd, static_cast<uint8_t>(level == 0 ? kZstdLevelDefault : level)};
  return Compression{};
}

void SetCompression(Store& store, const Napi::Value& of, std::optional<Compression> wish) {
  if (of.IsString()) {
    if (const auto pool = store.FindPool(of.ToString().Utf8Value())) pool->compression.Set(wish);
  } else if (const auto volume = store.Find(static_cast<ResourceId>(of.ToNumber().DoubleValue()))) {
    volume->SetCompression(wish);
  }
}

std::vector<TreeRoot> ToRoots(const Napi::Array& array) {
  std::vector<TreeRoot> roots;
  for (uint32_t i = 0; i < array.Length(); ++i) roots.push_back(ToRoot(array.Get(i).As<Napi::Object>()));
  return roots;
}

TreeRoot ToRoot(const Napi::Object& object) {
  TreeRoot root;
  root.id = IdFromHex(Text(object, "id"));
  root.levels = static_cast<uint8_t>(Whole(object, "levels"));
  root.at = {static_cast<uint32_t>(Whole(object, "pack")), static_cast<uint32_t>(Whole(object, "offset")), static_cast<uint32_t>(Whole(object, "storedBytes"))};
  return root;
}

ResourceSpec ToResource(const Napi::Object& object) {
  ResourceSpec spec;
  const std::string kind = Text(object, "kind");
  spec.kind = kind == "snapshot" ? ResourceKind::kSnapshot : kind == "image" ? ResourceKind::kImage : ResourceKind::kVolume;
  spec.volume.id = Whole(object, "id");
  spec.volume.size_bytes = Whole(object, "sizeBytes");
  spec.volume.read_only = spec.kind == ResourceKind::kSnapshot;
  spec.volume.writethrough = object.Get("writethrough").ToBoolean().Value();
  spec.volume.flushes_to_pool = object.Get("flushesToPool").ToBoolean().Value();
  spec.volume.applied_sequence = Whole(object, "appliedSequence");
  spec.volume.fence = Whole(object, "fence");
  spec.volume.lineage = Whole(object, "lineage");
  spec.volume.limit = ToLimit(object.Get("limit").As<Napi::Object>());
  spec.volume.compression = ToCompression(object.Get("compression"));
  spec.volume.domain = Whole(object, "domain");
  spec.root = ToRoot(object.Get("root").As<Napi::Object>());
  spec.pending_of = Whole(object, "pendingOf");
  spec.pool = Text(object, "pool");
  return spec;
}

PoolOptions ToPoolOptions(const Napi::Object& object) {
  PoolOptions pool;
  const Napi::Uint8Array key = object.Get("domainKey").As<Napi::Uint8Array>();
  pool.domain_key.assign(key.Data(), key.Data() + key.ByteLength());
  if (const Napi::Value data_key = object.Get("dataKey"); data_key.IsTypedArray()) {
    const Napi::Uint8Array bytes = data_key.As<Napi::Uint8Array>();
    pool.packs.cipher.emplace(ConstBytes(bytes.Data(), bytes.ByteLength()));
  }
  pool.name = Text(object, "name");
  pool.compression = ToCompression(object.Get("compression")).value_or(Compression{});
  pool.packs.directory = Text(object, "directory");
  pool.packs.checkpoint = Text(object, "checkpoint");
  pool.packs.domain = Whole(object, "domain");
  pool.packs.key_id = static_cast<uint32_t>(Whole(object, "keyId"));
  if (!object.Get("remote").IsObject()) return pool;
  const Napi::Object remote = object.Get("remote").As<Napi::Object>();
  pool.packs.pack_bytes = static_cast<uint32_t>(Whole(remote, "packBytes"));
  RemotePackOptions& options = pool.packs.remote.emplace();
  options.staged_bytes_max = Whole(remote, "stagedBytesMax");
  options.kept_bytes_max = Whole(remote, "keptBytesMax");
  options.ships_in_flight_max = static_cast<unsigned>(Whole(remote, "shipsInFlightMax"));
  options.fetches_in_flight_max = static_cast<unsigned>(Whole(remote, "fetchesInFlightMax"));
  return pool;
}

StoreOptions ToStoreOptions(const Napi::Object& options) {
  StoreOptions store;
  const std::string directory = Text(options, "directory");
  store.journal.directory = directory + "/journal";
  store.journal.ring_name = Text(options, "ringName");
  store.journal.ring_bytes = Whole(options, "ringBytes");
  store.journal.segment_bytes = Whole(options, "segmentBytes");
  store.journal.journal_bytes_max = Whole(options, "journalBytesMax");
  store.journal.salvage = options.Get("salvageJournal").ToBoolean().Value();
  // A segment more must not take the room that destage needs to make one free again.
  const PackStoreOptions usual;
  store.journal.keep_free_bytes = usual.reserve_bytes + usual.pack_bytes;
  store.overlay_bytes_max = Whole(options, "overlayBytesMax");
  store.node_cache_bytes_max = Whole(options, "nodeCacheBytesMax");
  return store;
}

NbdOptions ToNbdOptions(const Napi::Object& options) {
  NbdOptions nbd;
  nbd.threads = static_cast<unsigned>(Whole(options, "socketThreads"));
  nbd.blocking_threads = static_cast<unsigned>(Whole(options, "blockingThreads"));
  nbd.buffer_bytes_max = Whole(options, "nbdBufferBytesMax");
  return nbd;
}

Napi::Object FromReport(Napi::Env env, const StoreReport& report) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "epoch", report.journal.epoch);
  Set(object, "records", report.journal.records);
  Set(object, "ringRecords", report.journal.ring_records);
  object.Set("ringUsed", report.journal.ring_used);
  Set(object, "segments", report.journal.segments);
  Set(object, "packs", report.packs.packs);
  Napi::Array notes = Napi::Array::New(env);
  for (const auto* list : {&report.journal.notes, &report.packs.notes, &report.notes}) {
    for (const std::string& note : *list) notes.Set(notes.Length(), note);
  }
  object.Set("notes", notes);
  Napi::Array lost = Napi::Array::New(env);
  for (const ResourceId id : report.lost) lost.Set(lost.Length(), static_cast<double>(id));
  object.Set("lost", lost);
  return object;
}

namespace {

Napi::Value FromMark(Napi::Env env, const std::optional<LogMark>& mark) {
  if (!mark) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  Set(object, "fence", mark->fence);
  Set(object, "first", mark->number);
  return object;
}

}  // namespace

Napi::Object FromCommit(Napi::Env env, const RootCommit& commit) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "token", commit.token);
  object.Set("root", FromRoot(env, commit.root));
  Napi::Array takers = Napi::Array::New(env);
  for (const RootTaker& taker : commit.takers) {
    Napi::Object one = Napi::Object::New(env);
    Set(one, "id", taker.id);
    Set(one, "appliedSequence", taker.applied_sequence);
    Set(one, "fence", taker.fence);
    Set(one, "sizeBytes", taker.size_bytes);
    Set(one, "lineage", taker.lineage);
    one.Set("log", FromMark(env, taker.log));
    takers.Set(takers.Length(), one);
  }
  object.Set("takers", takers);
  object.Set("pool", commit.pool);
  return object;
}

Napi::Object FromProgress(Napi::Env env, const TransferProgress& progress) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "doneBytes", progress.done_bytes);
  Set(object, "totalBytes", progress.total_bytes);
  Set(object, "dataBytes", progress.data_bytes);
  object.Set("finished", progress.finished);
  return object;
}

namespace {

const char* RoomName(Room room) { return room == Room::kThere ? "there" : room == Room::kSoon ? "soon" : "none"; }

Napi::Object FromPool(Napi::Env env, const Pool& pool) {
  const PackStore::Usage usage = pool.packs->usage();
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", pool.name);
  object.Set("remote", pool.packs->remote());
  object.Set("backendFull", usage.backend_full);
  object.Set("room", RoomName(pool.room.room()));
  const std::pair<const char*, uint64_t> numbers[] = {
      {"packs", usage.packs}, {"storedBytes", usage.stored_bytes}, {"blocks", usage.blocks}, {"nodes", usage.nodes},
      {"putBytes", usage.put_bytes}, {"putRecords", usage.put_records}, {"putRecordBytes", usage.put_record_bytes}, {"putFramedRecords", usage.put_framed_records},
      {"recordBytes", usage.record_bytes}, {"uncompressedRecordBytes", usage.uncompressed_record_bytes()}, {"framedRecords", usage.framed_records}, {"dedupHits", usage.dedup_hits}, {"dedupBytes", usage.dedup_bytes},
      {"indexBytes", usage.index_bytes}, {"corruptCells", usage.corrupt_cells + pool.rot.journalled()}, {"freeBytes", usage.free_bytes}, {"roomBytes", usage.room_bytes},
      {"stagedPacks", usage.staged_packs}, {"stagedBytes", usage.staged_bytes}, {"keptPacks", usage.kept_packs}, {"keptBytes", usage.kept_bytes},
      {"shippedPacks", usage.shipped_packs}, {"shippedBytes", usage.shipped_bytes}, {"shipFailures", usage.ship_failures},
      {"fetches", usage.fetches}, {"fetchedBytes", usage.fetched_bytes}, {"fetchFailures", usage.fetch_failures},
      {"fetchesWaiting", usage.fetches_waiting}, {"removals", usage.removals}, {"removalsWaiting", usage.removals_waiting},
      {"removalFailures", usage.removal_failures}, {"waitingLogBytes", pool.log_budget->bytes.load(std::memory_order_relaxed)}};
  for (const auto& [name, value] : numbers) Set(object, name, value);
  return object;
}

}  // namespace

Napi::Object FromStats(Napi::Env env, Engine& engine) {
  static constexpr const char* kNames[] = {"read", "write", "flush", "trim", "zero", "cache", "status"};
  Napi::Object stats = Napi::Object::New(env);
  const NbdCounters nbd = engine.nbd().counters();
  Napi::Object operations = Napi::Object::New(env);
  for (size_t i = 0; i < std::size(kNames); ++i) {
    Napi::Object one = Napi::Object::New(env);
    Set(one, "operations", nbd.operations[i]);
    Set(one, "bytes", nbd.bytes[i]);
    Set(one, "errors", nbd.errors[i]);
    one.Set("latencySeconds", static_cast<double>(nbd.latency_nanos[i]) / 1e9);
    Napi::Array buckets = Napi::Array::New(env);
    for (uint64_t count : nbd.latency[i]) buckets.Set(buckets.Length(), static_cast<double>(count));
    one.Set("latencyBuckets", buckets);
    operations.Set(kNames[i], one);
  }
  stats.Set("nbd", operations);
  Set(stats, "connections", nbd.connections);
  Set(stats, "connectionsTotal", nbd.connections_total);
  Set(stats, "nbdBufferBytes", nbd.buffer_bytes);
  const Store::Usage usage = engine.store().usage();
  const Journal::Usage journal = engine.store().journal().usage();
  Napi::Object log = Napi::Object::New(env);
  Set(log, "bytes", journal.bytes);
  Set(log, "bytesMax", journal.bytes_max);
  Set(log, "ringBytes", journal.ring_bytes);
  Set(log, "segments", journal.segments);
  Set(log, "segmentsReady", journal.segments_ready);
  Set(log, "appends", journal.appends);
  Set(log, "batches", journal.batches);
  Set(log, "syncs", journal.syncs);
  Set(log, "bytesWritten", journal.bytes_written);
  Set(log, "movedBytes", journal.moved_bytes);
  log.Set("failed", engine.store().journal().failed());
  stats.Set("journal", log);
  stats.Set("failure", engine.store().failure().detail());
  Set(stats, "overlayBytes", usage.overlay_bytes);
  Set(stats, "overlayPages", usage.overlay_pages);
  const std::vector<std::shared_ptr<Pool>> pools = engine.store().pools();
  Set(stats, "nodeCacheBytes", pools.empty() ? 0 : pools.front()->tree->cache_bytes());
  Napi::Array list = Napi::Array::New(env);
  for (const auto& pool : pools) list.Set(list.Length(), FromPool(env, *pool));
  stats.Set("pools", list);
  Set(stats, "destagedGenerations", usage.destaged_generations);
  Set(stats, "destagedBytes", usage.destaged_bytes);
  stats.Set("destageCpuSeconds", engine.destage_cpu_seconds());
  return stats;
}

Napi::Array FromActivities(Napi::Env env, Engine& engine) {
  static constexpr const char* kNames[] = {"read", "write", "flush", "trim"};
  static_assert(std::size(kNames) == ResourceActivity::kKinds);
  Napi::Array all = Napi::Array::New(env);
  for (const ResourceActivity& activity : engine.nbd().Activities()) {
    Napi::Object one = Napi::Object::New(env);
    Set(one, "resource", activity.resource);
    Set(one, "connections", activity.connections);
    for (size_t i = 0; i < std::size(kNames); ++i) {
      const ResourceActivity::Row& row = activity.rows[i];
      Napi::Object counters = Napi::Object::New(env);
      Set(counters, "operations", row.operations);
      Set(counters, "bytes", row.bytes);
      Set(counters, "errors", row.errors);
      counters.Set("latencySeconds", static_cast<double>(row.latency_nanos) / 1e9);
      one.Set(kNames[i], counters);
    }
    const std::shared_ptr<LiveVolume> volume = engine.store().Find(activity.resource);
    Set(one, "journalBytes", volume ? volume->load().journal_bytes : 0);
    all.Set(all.Length(), one);
  }
  return all;
}

}  // namespace skerry::addon
