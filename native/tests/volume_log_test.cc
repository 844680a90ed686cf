// A volume that flushes to its pool, over lives that end in order, by a kill, a power cut, or the loss of the whole host, when nothing is left but
// the pool and the catalog. Whatever happens, it is then what it was at one moment no older than its last answered flush.
#include <algorithm>
#include <cstring>
#include <map>

#include "../journal/whole_journal.h"
#include "../simulation/sim_env.h"
#include "../volume/store.h"
#include "check.h"
#include "log_shelf.h"
#include "plain_backend.h"
#include "small_store.h"

using namespace skerry;
using check::LogShelf;

namespace {

constexpr ResourceId kVolume = 7;
constexpr uint64_t kPages = 64;
constexpr uint64_t kPiecePages = 8;   // of large writes that are journalled whole
constexpr uint64_t kForEver = ~0ull >> 12;

enum class Death : uint8_t { kKill, kPowerCut, kHostLost, kInOrder };

struct Span {
  uint64_t fence = 1, from = 1, first = 0, until = kForEver;
};

/** What a daemon's catalog says of the volume, and how it changes: src/mapper/volume_log.ts. */
struct Catalog {
  TreeRoot root{};
  uint64_t applied = 0, lineage = 0;
  Span log{};
  std::optional<Span> older{};
  std::array<uint8_t, 16> journal{};

  Span Readable() const { return older && applied + 1 < log.from ? *older : log; }
  void NextLife(const std::array<uint8_t, 16>& of, uint64_t sequence, uint64_t fence) {
    Span before = Readable();
    before.until = std::min(before.until, sequence);
    older = applied >= sequence ? std::nullopt : std::optional(before);
    log = {fence, sequence + 1, 0, kForEver};
    journal = of;
  }
  void Take(const RootTaker& taker, const TreeRoot& taken) {
    root = taken;
    applied = taker.applied_sequence;
    lineage = taker.lineage;
    if (!taker.log || taker.log->fence != log.fence) return;
    log.first = std::max(log.first, taker.log->number);
    if (applied + 1 >= log.from) older.reset();
  }
};

StoreOptions OptionsOf(const std::shared_ptr<LogShelf>& shelf, const std::shared_ptr<check::PlainBackend>& backend) {
  StoreOptions options = check::SmallStore("/logs", {{.pack_bytes = 1 << 20}});
  options.pools[0].logs = shelf;
  check::RestOn(options.pools[0], backend);
  return options;
}

ResourceSpec SpecOf() {
  ResourceSpec spec;
  spec.volume.id = kVolume;
  spec.volume.size_bytes = kPages * kPageBytes;
  spec.volume.fence = 1;
  spec.volume.flushes_to_pool = true;
  return spec;
}

using Version = std::vector<uint64_t>;   // a stamp for each page; 0: zeroes

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), seed_(seed) {
    env_ = std::make_unique<SimEnv>(seed);
    backend_ = std::make_shared<check::PlainBackend>(*env_);
    history_.emplace_back(kPages, 0);
    Begin();
  }

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) Step();
    Die(Death::kHostLost);
    CHECK(flushes_answered_ > 0);
  }

 private:
  void Begin() {
    ++life_;
    const StoreOptions options = OptionsOf(shelf_, backend_);
    ResourceSpec spec = SpecOf();
    spec.volume.applied_sequence = catalog_.applied;
    spec.volume.lineage = catalog_.lineage;
    spec.root = catalog_.root;
    const Result<std::array<uint8_t, 16>> whole = WholeJournal(*env_, options.journal);
    CHECK_OK(whole.status());
    if (*whole != catalog_.journal) catalog_.journal = {};
    CHECK(!ended_ || *whole == catalog_.journal);
    ended_ = false;
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(*env_, options, {spec}, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
    const std::array<uint8_t, 16> journal = store_->journal().id();
    if (journal != catalog_.journal) RestoreAll();
    Durable();
    catalog_.NextLife(journal, volume().sequence(), catalog_.log.fence + 1);
    // A daemon may die right here: the next life takes another fence.
    if (random_.Chance(1, 8)) return Die(random_.Chance(1, 2) ? Death::kKill : Death::kHostLost);
    CHECK_OK(store_->BeginLog(kVolume, catalog_.log.fence, volume().sequence()));
  }

  void RestoreAll() {
    const Span span = catalog_.Readable();
    for (uint64_t number = span.first;; ++number) {
      const auto found = shelf_->chunks.find({span.fence, number});
      if (found == shelf_->chunks.end()) return;
      ConstBytes left = found->second;
      while (!left.empty()) {
        const Result<size_t> done = store_->RestoreLog(kVolume, left, span.until);
        CHECK_OK(done.status());
        left = left.subspan(*done);
        if (!left.empty()) MakeRoom();
      }
      // Dying in the middle of it and beginning again is all the same.
      if (random_.Chance(1, 40)) {
        Durable();
        store_->FreezeAll();
        DestageOne();
      }
    }
  }
  void MakeRoom() {
    Durable();
    store_->FreezeAll();
    DestageOne();
    store_->Pace();
    shelf_->Step(random_);
  }

  LiveVolume& volume() { return *store_->Find(kVolume); }

  void Step() {
    const uint64_t dice = random_.Below(100);
    if (dice < 34) Write();
    else if (dice < 42) Zero();
    else if (dice < 56) Flush();
    else if (dice < 72) shelf_->Step(random_);
    else if (dice < 80) (void)*store_->WriteStep();
    else if (dice < 86) Durable();
    else if (dice < 90) store_->FreezeAll();
    else if (dice < 95) DestageOne();
    else if (dice < 97) store_->Pace();
    else Die(random_.Chance(1, 4) ? Death::kKill : random_.Chance(1, 3) ? Death::kPowerCut : random_.Chance(1, 2) ? Death::kHostLost : Death::kInOrder);
    Settle();
  }

  void Write() {
    const bool large = random_.Chance(1, 5);
    const uint64_t pages = large ? 32 : 1 + random_.Below(5);
    const uint64_t first = large ? random_.Below(3) * 16 : random_.Below(kPages - pages + 1);
    const uint64_t stamp = ++stamp_;
    std::vector<uint64_t> words(pages * kPageBytes / 8, stamp);
    const ConstBytes data(reinterpret_cast<const uint8_t*>(words.data()), words.size() * 8);
    const Result<std::unique_ptr<StagedWrite>> staged = large ? volume().Stage(first * kPageBytes, data) : Status();
    CHECK(!large || staged.ok());
    // A large write that waited for room goes on where it was.
    for (Status wrote(Code::kTryAgain, {}); !wrote.ok(); wrote.ok() ? void() : MakeRoom()) {
      wrote = (large ? volume().Publish(first * kPageBytes, data, **staged) : volume().Write(first * kPageBytes, data)).status();
      CHECK(wrote.ok() || wrote.code() == Code::kTryAgain);
    }
    for (uint64_t at = 0; at < pages; at += large ? kPiecePages : pages) Note(first + at, large ? kPiecePages : pages, stamp);
  }
  void Zero() {
    const uint64_t pages = 1 + random_.Below(20), first = random_.Below(kPages - pages + 1);
    const Status zeroed = volume().Zero(first * kPageBytes, pages * kPageBytes, random_.Chance(1, 2)).status();
    if (zeroed.ok()) Note(first, pages, 0);
  }
  void Note(uint64_t first, uint64_t pages, uint64_t stamp) {
    history_.push_back(history_.back());
    std::fill_n(history_.back().begin() + static_cast<ptrdiff_t>(first), pages, stamp);
  }

  void Flush() {
    const Lsn target = volume().FlushTarget();
    const auto flush = std::make_shared<Flushing>(Flushing{history_.size() - 1, false});
    flushing_.push_back(flush);
    volume().WhenInPool(target, [flush, life = life_, this](const Status& status) { flush->in_pool = status.ok() && life == life_; });
  }
  /** Flushes that could be answered now are. */
  void Settle() {
    std::erase_if(flushing_, [&](const auto& flush) {
      if (!flush->in_pool) return false;
      flushed_ = std::max(flushed_, flush->version);
      ++flushes_answered_;
      return true;
    });
  }

  void Durable() {
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
  }
  /** Offers a root, or, where one was offered, has the catalog take it or not: much may happen between the two. */
  void DestageOne() {
    if (offered_) {
      const RootCommit commit = *std::exchange(offered_, std::nullopt);
      const bool taken = !random_.Chance(1, 6);
      if (taken) Take(commit);
      store_->Committed(commit.token, taken);
      return;
    }
    for (int attempt = 0; attempt < 2 && !offered_; ++attempt) {
      Result<std::optional<RootCommit>> commit = store_->DestageStep(*store_->pools().front());
      CHECK_OK(commit.status());
      offered_ = std::move(*commit);
    }
  }
  void Take(const RootCommit& commit) {
    const Catalog before = catalog_;
    for (const RootTaker& taker : commit.takers) catalog_.Take(taker, commit.root);
    // What roots hold is removed, but for what is on its way there just now.
    std::erase_if(shelf_->chunks, [&](const auto& one) {
      const auto& [fence, number] = one.first;
      if (fence == catalog_.log.fence) return number >= before.log.first && number < catalog_.log.first;
      return before.older && !catalog_.older;
    });
  }

  /** In order: the host is booted anew after it. */
  void Die(Death how) {
    ended_ = how == Death::kInOrder;
    if (ended_) CHECK_OK(store_->End());
    store_.reset();
    flushing_.clear();
    offered_.reset();
    shelf_->HostDied(random_);
    if (how == Death::kKill) env_->ProcessCrash();
    if (how == Death::kPowerCut || how == Death::kInOrder) env_->HostCrash();
    if (how == Death::kHostLost) {
      env_ = std::make_unique<SimEnv>(++seed_ * 1000);
      auto backend = std::make_shared<check::PlainBackend>(*env_);
      backend->chunks = backend_->chunks;
      backend_ = std::move(backend);
    }
    const size_t floor = (how == Death::kKill || how == Death::kInOrder) && !lost_since_ ? history_.size() - 1 : flushed_;
    // Until it has been looked at, a second death may come, which may cost what was not flushed.
    lost_since_ |= how == Death::kPowerCut || how == Death::kHostLost;
    const uint64_t life = life_;
    Begin();
    // It may have died once more as it began, and was looked at then.
    if (life_ == life + 1) Look(floor);
  }

  void Look(size_t floor) {
    lost_since_ = false;
    Version now(kPages);
    std::vector<uint64_t> page(kPageBytes / 8);
    for (uint64_t at = 0; at < kPages; ++at) {
      CHECK_OK(volume().Read(at * kPageBytes, {reinterpret_cast<uint8_t*>(page.data()), kPageBytes}, true));
      CHECK(std::all_of(page.begin(), page.end(), [&](uint64_t word) { return word == page[0]; }));
      now[at] = page[0];
    }
    size_t found = history_.size();
    while (found > 0 && history_[found - 1] != now) --found;
    CHECK(found > 0);            // it is what it was at one moment
    CHECK(found - 1 >= floor);   // and nothing is lost that must not be
    history_.resize(found);
    flushed_ = std::min(flushed_, found - 1);
  }

  struct Flushing {
    size_t version;
    bool in_pool;
  };
  SimRandom random_;
  uint64_t seed_, stamp_ = 0, life_ = 0, flushes_answered_ = 0;
  std::unique_ptr<SimEnv> env_;
  std::shared_ptr<check::PlainBackend> backend_;
  const std::shared_ptr<LogShelf> shelf_ = std::make_shared<LogShelf>();
  std::unique_ptr<Store> store_;
  Catalog catalog_;
  std::optional<RootCommit> offered_;
  std::vector<Version> history_;
  size_t flushed_ = 0;
  bool lost_since_ = false, ended_ = false;
  std::vector<std::shared_ptr<Flushing>> flushing_;
};

}  // namespace

TEST("over many lives, of which some end with the host, no flushed write is lost") {
  for (uint64_t seed = 1; seed <= 100; ++seed) World(seed).Run(600);
}

TEST("a root that a rollback overtook on its way to the catalog vouches for what came before the log all the same") {
  SimEnv env(1);
  const auto shelf = std::make_shared<LogShelf>();
  const auto backend = std::make_shared<check::PlainBackend>(env);
  SimRandom random(1);
  const std::vector<uint8_t> data(kPageBytes, 5);
  std::unique_ptr<Store> store;
  const auto open = [&] {
    StoreReport report;
    Result<std::unique_ptr<Store>> opened = Store::Open(env, OptionsOf(shelf, backend), {SpecOf()}, report);
    CHECK_OK(opened.status());
    store = std::move(*opened);
  };
  open();
  // Whoever wrote now would take the place of what the pool has.
  CHECK(store->Find(kVolume)->Write(0, data).code() == Code::kTryAgain);
  CHECK(store->Find(kVolume)->Zero(0, kPageBytes, true).code() == Code::kTryAgain);
  CHECK(store->Resize(kVolume, kPageBytes).code() == Code::kTryAgain);
  CHECK_OK(store->BeginLog(kVolume, 1, 0));
  CHECK_OK(store->Find(kVolume)->Write(0, data).status());
  store.reset();
  env.ProcessCrash();
  open();
  CHECK_OK(store->BeginLog(kVolume, 2, 1));
  std::optional<RootCommit> offered;
  for (int attempt = 0; attempt < 4 && !offered; ++attempt) {
    Result<std::optional<RootCommit>> commit = store->DestageStep(*store->pools().front());
    CHECK_OK(commit.status());
    offered = std::move(*commit);
  }
  CHECK(offered.has_value());
  const std::shared_ptr<LiveVolume> volume = store->Find(kVolume);
  CHECK_OK(volume->Rollback(99, TreeRoot{}, kPages * kPageBytes).status());
  int answered = 0;
  volume->WhenInPool(volume->FlushTarget(), [&](const Status& status) { answered += status.ok(); });
  while (!shelf->under_way.empty()) shelf->Step(random);
  CHECK(answered == 0);
  // The catalog has it, and what is in the log goes on from it, the rollback first.
  store->Committed(offered->token, true);
  CHECK(answered == 1);
}

// Found by the simulator (seed 5356 of the worlds with lost hosts): a volume was rolled back twice, the first snapshot deleted and its packs
// collected; the next host found the first rollback in the log, and not the second.
TEST("what a volume rested on before a rollback is kept until a root is past that, in later lives too") {
  SimEnv env(1);
  const auto shelf = std::make_shared<LogShelf>();
  const auto backend = std::make_shared<check::PlainBackend>(env);
  std::unique_ptr<Store> store;
  const auto open = [&] {
    StoreReport report;
    Result<std::unique_ptr<Store>> opened = Store::Open(env, OptionsOf(shelf, backend), {SpecOf()}, report);
    CHECK_OK(opened.status());
    store = std::move(*opened);
  };
  TreeRoot passed;
  passed.id.bytes.fill(10);
  const auto keeps = [&] {
    std::vector<TreeRoot> untaken;
    (void)store->Contents(*store->pools().front(), untaken);
    return std::ranges::any_of(untaken, [&](const TreeRoot& root) { return root.id == passed.id; });
  };
  open();
  CHECK_OK(store->BeginLog(kVolume, 1, 0));
  CHECK_OK(store->Find(kVolume)->Rollback(98, passed, kPages * kPageBytes).status());
  CHECK_OK(store->Find(kVolume)->Rollback(99, TreeRoot{}, kPages * kPageBytes).status());
  CHECK(keeps());
  store.reset();
  env.ProcessCrash();
  open();
  CHECK(keeps());
  CHECK_OK(store->BeginLog(kVolume, 2, 2));
  CHECK_OK(store->Find(kVolume)->Write(0, std::vector<uint8_t>(kPageBytes, 5)).status());
  CHECK_OK(store->Freeze(kVolume));
  std::optional<RootCommit> offered;
  for (int attempt = 0; attempt < 4 && !offered; ++attempt) {
    Result<std::optional<RootCommit>> commit = store->DestageStep(*store->pools().front());
    CHECK_OK(commit.status());
    offered = std::move(*commit);
  }
  CHECK(offered.has_value() && keeps());
  store->Committed(offered->token, true);
  CHECK(!keeps());
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
