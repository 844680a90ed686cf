#pragma once
// A store on a simulated machine, for tests of what goes over a whole pool.
#include <algorithm>
#include <cstring>
#include <map>

#include "../gc/collector.h"
#include "../simulation/sim_env.h"
#include "check.h"
#include "plain_backend.h"
#include "small_store.h"

namespace skerry::store_world {

inline const Mark::GoOn kAlways = [] { return true; };
inline constexpr uint64_t kBlocks = 64;
inline constexpr const char *kFirst = "default", *kSecond = "second";

enum class Second : uint8_t { kNone, kLocal, kRemote };

/** A pool of small packs and its volumes, with the catalog that a daemon would keep; where asked for, a second pool of another key. */
class World {
 public:
  /** `remote`: the pool rests on a backend, with so many bytes of copies here. */
  explicit World(bool remote = false, uint64_t kept_bytes_max = 0, Second second = Second::kNone)
      : env_(1), kept_bytes_max_(kept_bytes_max), second_(second) {
    if (remote) backend_ = std::make_shared<check::PlainBackend>(env_);
    if (second == Second::kRemote) second_backend_ = std::make_shared<check::PlainBackend>(env_);
    Open();
  }
  void Open() { CHECK_OK(Reopen()); }
  Status Reopen() {
    std::vector<check::SmallPool> pools{{kFirst, 1 << 20}};
    if (second_ != Second::kNone) pools.push_back({kSecond, 1 << 20});
    StoreOptions options = check::SmallStore(home_, pools, "collect" + std::to_string(hosts_lost_));
    options.journal.journal_bytes_max = 32 << 20;
    if (backend_) check::RestOn(options.pools[0], backend_).kept_bytes_max = kept_bytes_max_;
    if (second_backend_) check::RestOn(options.pools[1], second_backend_).kept_bytes_max = kept_bytes_max_;
    store_.reset();
    std::vector<ResourceSpec> resources;
    for (const auto& [id, spec] : catalog_) resources.push_back(spec);
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env_, options, resources, report);
    if (store.ok()) store_ = std::move(*store);
    return store.status();
  }
  void Kill() {
    store_.reset();
    env_.ProcessCrash();
    Open();
  }
  void CutPower() {
    store_.reset();
    env_.HostCrash();
    Open();
  }

  /** Another host opens what its backend and the catalog have. */
  void LoseHost() { CHECK_OK(MoveToAnotherHost()); }
  Status MoveToAnotherHost() {
    store_.reset();
    env_.HostCrash();
    home_ = "/collect" + std::to_string(++hosts_lost_);
    return Reopen();
  }

  SimEnv& env() { return env_; }
  check::PlainBackend& backend() { return *backend_; }
  check::PlainBackend& second_backend() { return *second_backend_; }
  Store& store() { return *store_; }
  std::shared_ptr<Pool> pool() { return store_->pools().front(); }
  std::shared_ptr<Pool> second() { return store_->FindPool(kSecond); }
  PackStore& packs() { return *pool()->packs; }
  /** `domain`: of its blocks; 0: the pool's own. */
  ResourceId Create(TreeRoot root = {}, const std::string& pool = kFirst, uint64_t blocks = kBlocks, uint64_t domain = 0) {
    ResourceSpec spec{{next_, blocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, root, 0, pool};
    spec.volume.domain = domain;
    CHECK_OK(store_->Add(spec));
    catalog_[next_] = spec;
    return next_++;
  }
  void Drop(ResourceId id) {
    CHECK_OK(store_->Drop(id).status());
    catalog_.erase(id);
  }
  TreeRoot Root(ResourceId id) { return catalog_.at(id).root; }
  static std::vector<uint8_t> Data(uint64_t blocks, uint64_t seed) {
    std::vector<uint8_t> data(blocks * kBlockBytes);
    for (size_t i = 0; i < data.size(); i += 8) {
      const uint64_t word = (seed + 1) * 0x9e3779b97f4a7c15ull ^ (i / 8) * 0xbf58476d1ce4e5b9ull;
      std::memcpy(data.data() + i, &word, 8);
    }
    return data;
  }
  void Write(ResourceId id, uint64_t block, uint64_t blocks, uint64_t seed) {
    CHECK_OK(store_->Find(id)->Write(block * kBlockBytes, Data(blocks, seed)).status());
    Durable();
  }
  /** The same in pieces of a page, each of which is journalled whole: the journal names no pack for them. */
  void WritePages(ResourceId id, uint64_t block, uint64_t blocks, uint64_t seed) {
    const std::vector<uint8_t> data = Data(blocks, seed);
    for (size_t at = 0; at < data.size(); at += kPageBytes) {
      CHECK_OK(store_->Find(id)->Write(block * kBlockBytes + at, ConstBytes(data).subspan(at, kPageBytes)).status());
    }
    Durable();
  }
  bool Holds(ResourceId id, uint64_t block, uint64_t blocks, uint64_t seed) {
    std::vector<uint8_t> got(blocks * kBlockBytes);
    return store_->Find(id)->Read(block * kBlockBytes, got, true).ok() && got == Data(blocks, seed);
  }
  void Durable() {
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
  }
  std::optional<RootCommit> Destage() {
    for (const auto& each : store_->pools()) {
      // At the second try its packs have been shipped.
      for (int attempt = 0; attempt < (each->packs->remote() ? 2 : 1); ++attempt) {
        const Result<std::optional<RootCommit>> commit = store_->DestageStep(*each);
        CHECK_OK(commit.status());
        if (commit->has_value()) return *commit;
      }
    }
    return std::nullopt;
  }
  void Commit(const RootCommit& commit) {
    for (const RootTaker& taker : commit.takers) {
      ResourceSpec& spec = catalog_.at(taker.id);
      spec.root = commit.root;
      spec.volume.applied_sequence = taker.applied_sequence;
      spec.volume.lineage = taker.lineage;
    }
    store_->Committed(commit.token, true);
  }
  /** Nothing is journalled any more. */
  void Settle() {
    Durable();
    store_->FreezeAll();
    while (const std::optional<RootCommit> commit = Destage()) Commit(*commit);
    CHECK_OK(packs().Seal());
    // The newest pack always stays.
    CHECK_OK(store_->Find(keeper())->Write(0, Data(1, 1000 + next_++)).status());
    Durable();
    store_->FreezeAll();
    while (const std::optional<RootCommit> commit = Destage()) Commit(*commit);
    Upkeep();
  }
  /** Ships what is sealed, and asks again for what was not removed. */
  void Upkeep() {
    constexpr uint64_t kPastAnyPause = 40'000'000'000;
    for (int round = 0; (backend_ || second_backend_) && round < 3; ++round) {
      for (const auto& each : store_->pools()) CHECK_OK(each->packs->Upkeep());
      env_.Advance(kPastAnyPause);
    }
  }
  ResourceId keeper() {
    if (keeper_ == 0) keeper_ = Create();
    return keeper_;
  }
  std::vector<TreeRoot> Roots(const std::string& pool = kFirst) {
    std::vector<TreeRoot> roots;
    for (const auto& [id, spec] : catalog_) {
      if (spec.pool == pool) roots.push_back(spec.root);
    }
    return roots;
  }
  CollectReport Collect(CollectOptions options = {}, const std::string& pool = kFirst) {
    Collector collector(*store_, store_->FindPool(pool), Roots(pool), options);
    return Finish(collector);
  }
  CollectReport Finish(Collector& collector) {
    for (int step = 0; step < 10000; ++step) {
      const Result<Collector::Progress> progress = collector.Next(kAlways);
      CHECK_OK(progress.status());
      CHECK(backend_ || second_backend_ || *progress != Collector::Progress::kWait);
      if (*progress == Collector::Progress::kWait) {
        for (const auto& each : store_->pools()) CHECK_OK(each->packs->Upkeep());
      }
      if (*progress == Collector::Progress::kDone) return collector.report();
    }
    CHECK(false);
    return {};
  }
  uint64_t stored() { return packs().usage().stored_bytes; }

 private:
  SimEnv env_;
  std::string home_ = "/collect";
  unsigned hosts_lost_ = 0;
  const uint64_t kept_bytes_max_;
  const Second second_;
  std::shared_ptr<check::PlainBackend> backend_, second_backend_;
  std::unique_ptr<Store> store_;
  std::map<ResourceId, ResourceSpec> catalog_;
  ResourceId next_ = 1, keeper_ = 0;
};

}  // namespace skerry::store_world
