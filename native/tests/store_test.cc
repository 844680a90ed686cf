// The store under threads: what the simulator, which has one, cannot show.
#include "../volume/store.h"

#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "check.h"

namespace skerry {
namespace {

constexpr uint64_t kVolumeBytes = 4 << 20;
constexpr size_t kVolumes = 6;
constexpr int kRounds = 800;

class Scratch {
 public:
  Scratch() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/var/tmp") + "/skerry-store-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw check::Failure{"mkdtemp failed"};
    ring_ = "skerry-store-test-" + std::to_string(::getpid());
  }
  ~Scratch() {
    (void)env->RemoveShared(ring_);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  StoreOptions Options() const {
    StoreOptions options;
    options.journal.directory = path_ + "/journal";
    options.journal.ring_name = ring_;
    options.journal.ring_bytes = 1 << 20;
    options.journal.segment_bytes = 256 << 10;
    // Small, so that segments are recycled while volumes write: a trim that goes too far is then read as rot.
    options.journal.journal_bytes_max = 4 << 20;
    PoolOptions& pool = options.pools.emplace_back();
    pool.packs.directory = path_ + "/pool";
    pool.packs.checkpoint = path_ + "/index.checkpoint";
    pool.packs.pack_bytes = 8 << 20;
    pool.packs.reserve_bytes = 0;
    pool.domain_key.assign(32, 7);
    return options;
  }

  std::unique_ptr<Env> env = MakePosixEnv();

 private:
  std::string path_, ring_;
};

ResourceSpec Volume(ResourceId id, uint64_t applied = 0, const TreeRoot& root = {}) {
  ResourceSpec spec;
  spec.volume.id = id;
  spec.volume.size_bytes = kVolumeBytes;
  spec.volume.fence = 1;
  spec.volume.applied_sequence = applied;
  spec.root = root;
  return spec;
}

/** What the catalog would hold of the volumes. */
struct Committed {
  std::mutex mutex;
  std::unordered_map<ResourceId, ResourceSpec> specs;
};

/** Destages and commits what there is; true where there was something. */
bool DestageOnce(Store& store, Committed& committed) {
  Result<std::optional<RootCommit>> commit = store.DestageStep(*store.pools().front());
  CHECK_OK(commit.status());
  if (!commit->has_value()) return false;
  {
    std::lock_guard lock(committed.mutex);
    for (const RootTaker& taker : (*commit)->takers) {
      if (taker.id <= kVolumes) committed.specs[taker.id] = Volume(taker.id, taker.applied_sequence, (*commit)->root);
    }
  }
  store.Committed((*commit)->token, true);
  return true;
}

class Writer {
 public:
  Writer(Store& store, ResourceId id) : store_(store), id_(id), volume_(store.Find(id)), pages_(kVolumeBytes / kPageBytes), draw_(id) {}

  void Run() {
    AlignedBuffer page(kPageBytes);
    for (int round = 1; round <= kRounds; ++round) {
      const size_t at = draw_() % pages_.size();
      const uint64_t stamp[2] = {id_ << 32 | at, static_cast<uint64_t>(round)};
      for (size_t offset = 0; offset < kPageBytes; offset += sizeof(stamp)) std::memcpy(page.bytes().data() + offset, stamp, sizeof(stamp));
      while (true) {
        const Result<WriteOutcome> wrote = volume_->Write(at * kPageBytes, page.bytes());
        if (wrote.ok()) break;
        if (wrote.code() != Code::kTryAgain) return Fail("a write failed: " + wrote.status().detail());
        std::this_thread::yield();
      }
      pages_[at] = static_cast<uint64_t>(round);
      if (round % 7 == 0) Check(draw_() % pages_.size());
      if (round % 100 == 0) Snapshot(static_cast<uint64_t>(round));
    }
  }

  void CheckAll(Store& store) {
    volume_ = store.Find(id_);
    for (size_t at = 0; at < pages_.size(); ++at) Check(at);
  }

  std::string failure;

 private:
  void Fail(std::string why) {
    if (failure.empty()) failure = std::move(why);
  }

  void Check(size_t at) {
    AlignedBuffer page(kPageBytes);
    const Status status = volume_->Read(at * kPageBytes, page.bytes(), true);
    if (!status.ok()) return Fail("page " + std::to_string(at) + " cannot be read: " + status.detail());
    uint64_t stamp[2];
    std::memcpy(stamp, page.bytes().data(), sizeof(stamp));
    const uint64_t owner = pages_[at] == 0 ? 0 : id_ << 32 | at;
    if (stamp[0] != owner || stamp[1] != pages_[at]) Fail("page " + std::to_string(at) + " has other content");
  }

  /** One that is dropped again at once, or waits for its root meanwhile. */
  void Snapshot(uint64_t round) {
    const ResourceId snapshot = 100000 * id_ + round;
    uint64_t sequence = 0;
    const Result<WriteOutcome> taken = store_.Snapshot(id_, snapshot, &sequence);
    if (!taken.ok()) return taken.code() == Code::kTryAgain ? void() : Fail("a snapshot failed: " + taken.status().detail());
    if (round % 200 == 0) return;
    const Result<WriteOutcome> dropped = store_.Drop(snapshot);
    if (!dropped.ok()) Fail("a drop failed: " + dropped.status().detail());
  }

  Store& store_;
  const ResourceId id_;
  std::shared_ptr<LiveVolume> volume_;
  std::vector<uint64_t> pages_;   // the round that wrote each last
  std::mt19937_64 draw_;
};

TEST("nothing that a volume still needs is trimmed while others write, freeze, snapshot and commit") {
  Scratch scratch;
  Committed committed;
  std::vector<ResourceSpec> specs;
  for (ResourceId id = 1; id <= kVolumes; ++id) specs.push_back(committed.specs[id] = Volume(id));
  std::vector<std::unique_ptr<Writer>> writers;
  {
    StoreReport report;
    Result<std::unique_ptr<Store>> opened = Store::Open(*scratch.env, scratch.Options(), specs, report);
    CHECK_OK(opened.status());
    Store& store = **opened;
    for (ResourceId id = 1; id <= kVolumes; ++id) writers.push_back(std::make_unique<Writer>(store, id));
    std::atomic<bool> done{false};
    std::string failure;
    std::thread flusher([&] {
      for (uint64_t round = 0; !done.load(); ++round) {
        const Result<bool> wrote = store.WriteStep();
        const Result<bool> prepared = store.journal().PrepareSegment();
        if (!wrote.ok()) failure = "writing: " + wrote.status().detail();
        if (!prepared.ok() && prepared.code() != Code::kTryAgain) failure = "preparing: " + prepared.status().detail();
        if (round % 16 == 0 && !store.SyncStep().ok()) failure = "syncing";
        store.Pace();
      }
    });
    std::thread destager([&] {
      try {
        while (!done.load()) {
          if (!DestageOnce(store, committed)) std::this_thread::yield();
        }
      } catch (const check::Failure& failed) {
        failure = failed.what;
      }
    });
    std::vector<std::thread> threads;
    for (auto& writer : writers) threads.emplace_back([&writer] { writer->Run(); });
    for (std::thread& thread : threads) thread.join();
    done = true;
    flusher.join();
    destager.join();
    CHECK(failure.empty());
    for (auto& writer : writers) {
      writer->CheckAll(store);
      if (!writer->failure.empty()) throw check::Failure{writer->failure};
    }
    CHECK_OK(store.Audit());
    CHECK_OK(store.WriteStep().status());
    CHECK_OK(store.SyncStep());
  }
  // What the journal kept is all that the roots do not hold.
  specs.clear();
  for (ResourceId id = 1; id <= kVolumes; ++id) specs.push_back(committed.specs[id]);
  StoreReport report;
  Result<std::unique_ptr<Store>> again = Store::Open(*scratch.env, scratch.Options(), specs, report);
  CHECK_OK(again.status());
  for (auto& writer : writers) {
    writer->CheckAll(**again);
    if (!writer->failure.empty()) throw check::Failure{"after a restart: " + writer->failure};
  }
  CHECK_OK((*again)->Audit());
}

TEST("a journal of which roots hold everything is empty, also after a start and where what held it was deleted") {
  Scratch scratch;
  Committed committed;
  StoreReport report;
  std::unique_ptr<Store> store;
  const auto open = [&](std::vector<ResourceSpec> specs) {
    store.reset();
    Result<std::unique_ptr<Store>> opened = Store::Open(*scratch.env, scratch.Options(), std::move(specs), report);
    CHECK_OK(opened.status());
    store = std::move(*opened);
  };
  const auto durable = [&] {
    CHECK_OK(store->WriteStep().status());
    CHECK_OK(store->SyncStep());
  };
  const std::vector<uint8_t> data(60 << 10, 3);  // not a whole block: it goes through the journal
  // Of batches that hold nothing their headers stay.
  const auto empty = [&] { return store->journal().usage().bytes <= 2 * kSectorBytes; };
  open({Volume(1), Volume(2)});
  CHECK_OK(store->Find(1)->Write(0, data).status());
  durable();
  store->FreezeAll();
  CHECK(DestageOnce(*store, committed));
  CHECK(empty());
  // The log is replayed from where its segment begins, and none of it is wanted.
  open({committed.specs[1], Volume(2)});
  CHECK(empty());
  CHECK_OK(store->Audit());
  // What no root holds stays.
  CHECK_OK(store->Find(2)->Write(0, data).status());
  durable();
  open({committed.specs[1], Volume(2)});
  CHECK(store->journal().usage().bytes > data.size());
  std::vector<uint8_t> read(data.size());
  CHECK_OK(store->Find(2)->Read(0, read, true));
  CHECK(read == data);
  // A deleted volume's records may go once its deletion is durable.
  CHECK_OK(store->Drop(2).status());
  CHECK(store->journal().usage().bytes > data.size());
  durable();
  store->Trim();
  CHECK(empty());
}

TEST("a volume takes no more snapshots than it can keep pending, and takes them again once they have their roots") {
  Scratch scratch;
  Committed committed;
  StoreReport report;
  Result<std::unique_ptr<Store>> opened = Store::Open(*scratch.env, scratch.Options(), {Volume(1)}, report);
  CHECK_OK(opened.status());
  Store& store = **opened;
  uint64_t sequence = 0;
  ResourceId next = 100;
  const auto take = [&]() -> Code {
    const Result<WriteOutcome> taken = store.Snapshot(1, next, &sequence);
    if (taken.ok()) ++next;
    // Not after each: a batch takes whole sectors.
    if (next % 64 == 0) {
      CHECK_OK(store.WriteStep().status());
      const Result<bool> prepared = store.journal().PrepareSegment();
      CHECK(prepared.ok() || prepared.code() == Code::kTryAgain);
    }
    return taken.ok() ? Code::kOk : taken.code();
  };
  for (size_t i = 0; i < kPendingSnapshotsMax; ++i) CHECK(take() == Code::kOk);
  CHECK(take() == Code::kTryAgain);
  CHECK_OK(store.Audit());
  CHECK(DestageOnce(store, committed));
  CHECK(take() == Code::kOk);
  while (DestageOnce(store, committed)) CHECK_OK(store.Audit());
  CHECK(store.Settled(0));
  CHECK_OK(store.Audit());
}

}  // namespace
}  // namespace skerry

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
