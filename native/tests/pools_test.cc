// Several pools over one journal: one whose backend is away holds up its own volumes and no others, and nothing of it is
// counted as safe before its backend has it.
#include <algorithm>

#include "../simulation/sim_env.h"
#include "../volume/changes.h"
#include "../volume/store.h"
#include "check.h"
#include "plain_backend.h"
#include "small_store.h"

using namespace skerry;
using Backend = check::PlainBackend;

namespace {

constexpr ResourceId kHere = 1, kAway = 2;
constexpr uint64_t kBlocks = 64;

class Life {
 public:
  Life() : env_(1), backend_(std::make_shared<Backend>(env_)) {
    env_.SetReadNowMissPercent(0);
    specs_.push_back({{kHere, kBlocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0, "here"});
    specs_.push_back({{kAway, kBlocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0, "away"});
    Open();
  }
  void Open() {
    store_.reset();
    StoreOptions options = check::SmallStore("/pools", {{"here"}, {"away"}});
    RemotePackOptions& remote = check::RestOn(options.pools[1], backend_);
    remote.kept_bytes_max = 0;
    remote.staged_bytes_max = 8 << 20;
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env_, options, specs_, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  void Die(bool host) {
    store_.reset();
    if (host) env_.HostCrash(); else env_.ProcessCrash();
    Open();
  }
  /** The power fails, and of what was never synced the journal alone comes back, not what it names in the pool's first pack. */
  void LosePack(const std::string& pool) {
    store_.reset();
    env_.HostCrashBy([] { return true; });
    Result<std::unique_ptr<File>> pack = env_.Open("/pools/" + pool + "/00000001.open", {.write = true});
    CHECK_OK(pack.status());
    CHECK_OK((*pack)->Write(std::vector<uint8_t>(kBlockBytes, 0xff), kPageBytes));
    Open();
  }
  Store& store() { return *store_; }
  SimEnv& env() { return env_; }
  Backend& backend() { return *backend_; }
  Pool& pool(ResourceId id) { return *store_->Find(id)->pool(); }

  /** One page, so that the journal holds it. kTryAgain where it would have to wait. */
  Status Write(ResourceId id, uint64_t page, uint8_t byte) {
    return store_->Find(id)->Write(page * kPageBytes, std::vector<uint8_t>(kPageBytes, byte)).status();
  }
  uint8_t Page(ResourceId id, uint64_t page) {
    std::vector<uint8_t> data(kPageBytes);
    CHECK_OK(store_->Find(id)->Read(page * kPageBytes, data, true));
    CHECK(std::all_of(data.begin(), data.end(), [&](uint8_t byte) { return byte == data[0]; }));
    return data[0];
  }
  void WriteJournal() {
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
  }
  /** What flusher, preparer and both destagers do, once. */
  void Round(bool moves = true) {
    WriteJournal();
    CHECK_OK(store_->SyncStep());
    (void)store_->journal().PrepareSegment();
    for (Result<Store::Moved> moved = store_->MoveStep(); moves; moved = store_->MoveStep()) {
      CHECK_OK(moved.status());
      if (*moved == Store::Moved::kNothing) break;
    }
    store_->Pace();
    for (const auto& pool : store_->pools()) {
      Result<std::optional<RootCommit>> commit = store_->DestageStep(*pool);
      CHECK_OK(commit.status());
      if (!commit->has_value()) continue;
      for (const RootTaker& taker : (*commit)->takers) {
        ResourceSpec& spec = specs_.at(taker.id - 1);
        spec.root = (*commit)->root;
        spec.volume.applied_sequence = taker.applied_sequence;
        ++commits[taker.id];
      }
      store_->Committed((*commit)->token, true);
    }
    store_->Trim();
    env_.Advance(20'000'000'000);  // past what a failed ship waits for
  }
  std::map<ResourceId, int> commits;

 private:
  SimEnv env_;
  std::shared_ptr<Backend> backend_;
  std::vector<ResourceSpec> specs_;
  std::unique_ptr<Store> store_;
};

}  // namespace

TEST("a root is offered only once the backend has all it needs, and then at once") {
  Life life;
  life.backend().state = {Code::kIo, "away"};
  CHECK_OK(life.Write(kAway, 3, 7));
  CHECK_OK(life.store().Freeze(kAway));
  for (int i = 0; i < 5; ++i) life.Round();
  CHECK(life.commits[kAway] == 0 && life.backend().chunks.empty() && !life.store().Settled(kAway));
  // A crash now finds it in the journal.
  life.Open();
  CHECK(life.Page(kAway, 3) == 7);
  life.backend().state = {};
  CHECK_OK(life.store().Freeze(kAway));
  for (int i = 0; i < 5; ++i) life.Round();
  CHECK(life.commits[kAway] == 1 && !life.backend().chunks.empty() && life.store().Settled(kAway));
  CHECK(life.Page(kAway, 3) == 7);
}

TEST("a volume of another pool writes on and is destaged while one pool's backend is away") {
  Life life;
  life.backend().state = {Code::kIo, "away"};
  constexpr uint64_t kPages = kBlocks * kPagesPerBlock, kAwayPages = 300;
  for (uint64_t page = 0; page < kAwayPages; ++page) CHECK_OK(life.Write(kAway, page, static_cast<uint8_t>(page)));
  CHECK_OK(life.store().Freeze(kAway));
  for (int i = 0; i < 3; ++i) life.Round();
  // Five times the journal, and the records that wait for the backend were its oldest: they are moved on, again and again.
  const auto fill = [&](uint64_t from, uint64_t to) {
    uint64_t written = from;
    for (uint64_t n = 0; written < to; ++n) {
      CHECK(n < 100'000);
      const Status status = life.Write(kHere, written % kPages, static_cast<uint8_t>(written));
      CHECK(status.ok() || status.code() == Code::kTryAgain);
      if (status.ok()) ++written;
      if (!status.ok() || written % 64 == 0) life.Round();
    }
  };
  const auto check = [&](uint64_t written) {
    for (uint64_t page = 0; page < kAwayPages; ++page) CHECK(life.Page(kAway, page) == static_cast<uint8_t>(page));
    for (uint64_t page = 0; page < kPages; ++page) CHECK(life.Page(kHere, page) == static_cast<uint8_t>(written - kPages + page));
  };
  constexpr uint64_t kFill = 5 * 4 * kPages;   // pages; the journal holds 4096
  fill(0, kFill);
  CHECK(life.commits[kHere] > 1 && life.commits[kAway] == 0);
  CHECK(life.store().journal().usage().moved_bytes > 3 * kAwayPages * kPageBytes);
  check(kFill);
  for (const bool host : {false, true}) {
    life.Die(host);
    check(kFill);
  }
  fill(kFill, 2 * kFill);
  check(2 * kFill);
  CHECK(life.commits[kAway] == 0);
  life.backend().state = {};
  CHECK_OK(life.store().Freeze(kAway));
  for (int i = 0; i < 6; ++i) life.Round();
  CHECK(life.commits[kAway] == 1 && life.store().Settled(kAway));
  check(2 * kFill);
  life.Die(true);
  check(2 * kFill);
}

// Seed 1795441156757862677 of the simulator found it.
TEST("what a recovery voided is not moved past the word of that, to be taken for a write by the next") {
  Life life;
  life.backend().state = {Code::kIo, "away"};
  constexpr uint64_t kTail = 3 * kPagesPerBlock, kSegmentPages = 256;
  CHECK_OK(life.Write(kAway, 0, 1));
  life.Round();
  // Whole blocks, which the journal only names, and a page behind them.
  std::vector<uint8_t> large(2 * kBlockBytes + kPageBytes);
  for (size_t i = 0; i < large.size(); i += 8) std::memcpy(large.data() + i, &i, 8);
  CHECK_OK(life.store().Find(kAway)->Write(kBlockBytes, large).status());
  // The next life begins in another segment.
  for (uint64_t page = 0; page < kSegmentPages; ++page) CHECK_OK(life.Write(kHere, page, 2));
  life.WriteJournal();
  life.LosePack("away");
  CHECK(life.Page(kAway, 0) == 1 && life.Page(kAway, kTail) == 0);
  for (uint64_t page = 0; life.store().journal().usage().moved_bytes == 0; ++page) {
    CHECK(page < 100'000);
    const Status status = life.Write(kHere, page % kSegmentPages, 3);
    CHECK(status.ok() || status.code() == Code::kTryAgain);
    if (!status.ok() || page % 64 == 0) life.Round();
  }
  life.backend().state = {};
  for (const ResourceId id : {kHere, kAway}) CHECK_OK(life.store().Freeze(id));
  for (int i = 0; i < 6; ++i) life.Round(false);
  CHECK(life.commits[kAway] == 1 && life.store().Settled(kAway));
  // The next segment says that all before is trimmed, the rewind among it.
  for (uint64_t page = 0; page < kSegmentPages; ++page) CHECK_OK(life.Write(kHere, page, 4));
  life.WriteJournal();
  life.Die(false);
  CHECK(life.Page(kAway, 0) == 1 && life.Page(kAway, kTail) == 0);
}

TEST("who waits for what a volume was given so far does not wait for what others go on writing to it") {
  Life life;
  CHECK_OK(life.Write(kHere, 3, 7));
  uint64_t sequence = 0;
  CHECK_OK(life.store().Freeze(kHere, &sequence));
  CHECK_OK(life.Write(kHere, 4, 8));
  CHECK(!life.store().Settled(kHere, sequence));
  life.Round();
  CHECK(life.commits[kHere] == 1 && life.store().Settled(kHere, sequence) && !life.store().Settled(kHere));
  CHECK(life.Page(kHere, 3) == 7 && life.Page(kHere, 4) == 8);
  // One that is held keeps what is written to it, and says so.
  CHECK_OK(life.store().Freeze(kHere));
  life.Round();
  CHECK_OK(life.store().Find(kHere)->Hold());
  CHECK_OK(life.Write(kHere, 5, 9));
  CHECK_OK(life.store().Freeze(kHere, &sequence));
  life.Round();
  CHECK(!life.store().Settled(kHere, sequence));
  life.store().Find(kHere)->Release();
  CHECK_OK(life.store().Freeze(kHere));
  life.Round();
  CHECK(life.store().Settled(kHere, sequence));
}

TEST("a backend that is full refuses writes of its own pool alone, until it has room") {
  Life life;
  life.backend().state = {Code::kNoSpace, "full"};
  CHECK_OK(life.Write(kAway, 0, 1));
  CHECK_OK(life.store().Freeze(kAway));
  for (int i = 0; i < 3; ++i) life.Round();
  CHECK(life.pool(kAway).room.room() == Room::kNone && life.pool(kHere).room.room() == Room::kThere);
  CHECK(life.Write(kAway, 1, 1).code() == Code::kNoSpace);
  CHECK_OK(life.Write(kHere, 1, 1));
  CHECK(life.Page(kAway, 0) == 1);
  life.backend().state = {};
  for (int i = 0; i < 3; ++i) life.Round();
  CHECK_OK(life.Write(kAway, 1, 1));
}

TEST("large writes wait where too much waits to be shipped, and are taken when that is over") {
  Life life;
  life.backend().state = {Code::kIo, "away"};
  const auto large = [&](uint64_t block) {
    std::vector<uint8_t> data(kBlockBytes);
    for (size_t i = 0; i < data.size(); i += 8) std::memcpy(data.data() + i, &block, 8);
    data[0] = 1;
    return life.store().Find(kAway)->Write(block % kBlocks * kBlockBytes, data).status();
  };
  Status status;
  uint64_t block = 1;
  for (; status.ok() && block < 1000; ++block) {
    status = large(block);
    if (block % 32 == 0) life.Round();
  }
  CHECK(status.code() == Code::kTryAgain && life.pool(kAway).packs->crowded());
  CHECK(!life.store().Find(kAway)->Stages(0, kBlockBytes) && life.store().Find(kHere)->Stages(0, kBlockBytes));
  CHECK_OK(life.Write(kAway, 5, 5));  // the journal takes small ones
  life.backend().state = {};
  for (int i = 0; i < 6; ++i) life.Round();
  CHECK_OK(large(block));
}

TEST("resources of different pools are not compared, and a pool goes only when nothing is in it") {
  Life life;
  VolumeChanges changes(life.store().Find(kHere), life.store().Find(kAway));
  CHECK(changes.Extents(0, kBlockBytes, 1, true).code() == Code::kInvalid);
  CHECK(life.store().RemovePool("away").code() == Code::kInvalid);
  CHECK_OK(life.store().Drop(kAway).status());
  CHECK_OK(life.store().RemovePool("away"));
  CHECK(life.store().RemovePool("away").code() == Code::kNotFound && life.store().pools().size() == 1);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
