#pragma once
// A store with two pools on a simulated machine, and volumes that go from one to the other.
#include <algorithm>
#include <cstring>
#include <map>

#include "../gc/collector.h"
#include "../simulation/copy_root.h"
#include "../simulation/sim_env.h"
#include "check.h"
#include "log_shelf.h"
#include "small_store.h"

namespace skerry::switch_life {

using simulation::CopiedRoot;
using simulation::CopyRoot;

inline constexpr uint64_t kBlocks = 32;
inline constexpr const char* kOld = "old";
inline constexpr const char* kNew = "new";

inline std::vector<uint8_t> Data(uint64_t bytes, uint64_t seed) {
  std::vector<uint8_t> data(bytes);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(1 + ((seed + 1) * 0x9e3779b97f4a7c15ull ^ (i / 8) * 0xbf58476d1ce4e5b9ull) % 251);
  return data;
}

/** Two pools, volumes with what they must hold, and the catalog's side of it. */
class Life {
 public:
  Life() : env_(1) { Open(); }
  void Open() {
    store_.reset();
    StoreOptions options = check::SmallStore("/switch", {{kOld, 1 << 20}, {kNew, 1 << 20}});
    for (PoolOptions& pool : options.pools) pool.logs = logs.at(pool.name);
    std::vector<ResourceSpec> specs;
    for (const auto& [id, spec] : catalog) specs.push_back(spec);
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env_, options, specs, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  void Die(bool host) {
    store_.reset();
    if (host) env_.HostCrash(); else env_.ProcessCrash();
    Open();
  }
  Store& store() { return *store_; }
  SimEnv& env() { return env_; }
  std::shared_ptr<Pool> pool(const char* name) { return store_->FindPool(name); }
  LiveVolume& volume(ResourceId id) { return *store_->Find(id); }

  /** `flushes_to_pool`: of one volume at most, for a shelf of logs has one. */
  ResourceId Create(uint64_t blocks = kBlocks, bool flushes_to_pool = false) {
    const ResourceId id = next_++;
    catalog[id] = {{id, blocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0, kOld};
    catalog[id].volume.flushes_to_pool = flushes_to_pool;
    content[id].resize(blocks * kBlockBytes);
    CHECK_OK(store_->Add(catalog[id]));
    return id;
  }
  Status Try(ResourceId id, uint64_t offset, const std::vector<uint8_t>& data) {
    const Status wrote = volume(id).Write(offset, data).status();
    if (wrote.ok()) std::copy(data.begin(), data.end(), content[id].begin() + static_cast<long>(offset));
    return wrote;
  }
  void Write(ResourceId id, uint64_t offset, uint64_t bytes, uint64_t seed) { CHECK_OK(Try(id, offset, Data(bytes, seed))); }
  /** Of every kind: a piece, pages, whole blocks, zeroes. */
  void WriteAll(ResourceId id, uint64_t seed) {
    Write(id, 100, 300, seed);
    Write(id, 3 * kPageBytes, 2 * kPageBytes, seed + 1);
    Write(id, 2 * kBlockBytes, 3 * kBlockBytes, seed + 2);
    Write(id, (7 + seed % 5) * kBlockBytes - kPageBytes, 2 * kBlockBytes + 700, seed + 3);
    const uint64_t at = (12 + seed % 7) * kBlockBytes + 512, bytes = kBlockBytes + 3 * kPageBytes;
    CHECK_OK(volume(id).Zero(at, bytes, seed % 2 == 0).status());
    std::fill_n(content[id].begin() + static_cast<long>(at), bytes, uint8_t{0});
  }
  bool Holds(ResourceId id) {
    std::vector<uint8_t> got(volume(id).size());
    return volume(id).Read(0, got, true).ok() && got == content[id];
  }
  void Durable() {
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
  }
  /** What destagers do until nothing is left, and the catalog. */
  void Destage() {
    for (const auto& each : store_->pools()) {
      while (true) {
        Result<std::optional<RootCommit>> commit = store_->DestageStep(*each);
        CHECK_OK(commit.status());
        if (!commit->has_value()) break;
        for (const RootTaker& taker : (*commit)->takers) {
          ResourceSpec& spec = catalog.at(taker.id);
          CHECK(spec.pool == (*commit)->pool);
          spec.root = (*commit)->root;
          spec.volume.applied_sequence = taker.applied_sequence;
          spec.volume.size_bytes = taker.size_bytes;
          spec.volume.lineage = taker.lineage;
          spec.pending_of = 0;
        }
        ++commits[(*commit)->pool];
        store_->Committed((*commit)->token, true);
      }
    }
    CHECK_OK(store_->Audit());
  }
  void Settle() {
    store_->FreezeAll();
    Destage();
  }
  ResourceId Snapshot(ResourceId id) {
    const ResourceId snapshot = next_++;
    uint64_t sequence = 0;
    CHECK_OK(store_->Snapshot(id, snapshot, &sequence).status());
    Durable();
    ResourceSpec spec{{snapshot, volume(id).size(), true, false, 0, 0, 0, {}}, ResourceKind::kSnapshot, {}, id, catalog[id].pool};
    catalog[snapshot] = spec;
    content[snapshot] = content[id];
    return snapshot;
  }
  ResourceId Clone(ResourceId source) {
    const ResourceId id = next_++;
    ResourceSpec spec = catalog[source];
    spec.volume = {id, spec.volume.size_bytes, false, false, 0, 1, 0, {}};
    spec.kind = ResourceKind::kVolume;
    if (spec.pending_of != 0) spec.pending_of = source;
    catalog[id] = spec;
    content[id] = content[source];
    CHECK_OK(store_->Add(spec));
    return id;
  }
  Store::HeldResource Hold(ResourceId id, const char* to = kNew) {
    CHECK_OK(store_->Hold(id, to));
    Destage();
    const auto held = store_->Held(id);
    CHECK(held.ok() && *held);
    return **held;
  }
  CopiedRoot Copy(const Store::HeldResource& held, const char* to = kNew) {
    Result<CopiedRoot> copied = CopyRoot(*pool(held.pool.c_str()), held.at.root, *pool(to));
    CHECK_OK(copied.status());
    return std::move(*copied);
  }
  /** The one transaction. */
  void Take(ResourceId id, const Store::HeldResource& held, const TreeRoot& root, const char* to = kNew) {
    ResourceSpec& spec = catalog.at(id);
    CHECK(spec.pool == held.pool && spec.volume.lineage == held.at.lineage && spec.volume.fence == held.fence);
    CHECK(spec.volume.read_only || spec.volume.applied_sequence == held.at.applied_sequence);
    spec.pool = to;
    spec.root = root;
  }
  void Move(ResourceId id, const char* to = kNew) {
    const Store::HeldResource held = Hold(id, to);
    const CopiedRoot copied = Copy(held, to);
    CHECK_OK(store_->Expect(id, copied.root));
    Take(id, held, copied.root, to);
    CHECK_OK(store_->Switch(id));
  }
  CollectReport Collect(const char* name) {
    std::vector<TreeRoot> roots;
    for (const auto& [id, spec] : catalog) {
      if (spec.pool == name) roots.push_back(spec.root);
    }
    CollectOptions options;
    options.live_max = 1;
    Collector collector(*store_, pool(name), std::move(roots), options);
    for (int step = 0; step < 10000; ++step) {
      const Result<Collector::Progress> progress = collector.Next([] { return true; });
      CHECK_OK(progress.status());
      CHECK(*progress != Collector::Progress::kWait);
      if (*progress == Collector::Progress::kDone) break;
    }
    return collector.report();
  }
  /** Moves what is in packs to where it may be collected: the newest pack never is. */
  void Seal() {
    for (const auto& each : store_->pools()) CHECK_OK(each->packs->Seal());
  }

  std::map<ResourceId, ResourceSpec> catalog;
  std::map<ResourceId, std::vector<uint8_t>> content;
  std::map<std::string, int> commits;
  const std::map<std::string, std::shared_ptr<check::LogShelf>> logs{{kOld, std::make_shared<check::LogShelf>()}, {kNew, std::make_shared<check::LogShelf>()}};

 private:
  SimEnv env_;
  std::unique_ptr<Store> store_;
  ResourceId next_ = 1;
};

}  // namespace skerry::switch_life
