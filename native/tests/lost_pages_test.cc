// Pages that rot in the journal or in the pool while newer writes to their block wait: destage goes on, they stay lost, and
// nothing else does.
#include <algorithm>
#include <cstring>

#include "../simulation/sim_env.h"
#include "../volume/store.h"
#include "check.h"
#include "file_image.h"
#include "small_store.h"

using namespace skerry;

namespace {

constexpr ResourceId kVolume = 1, kOther = 2, kSnapshot = 3;
constexpr uint64_t kBlocks = 8;
constexpr int kLost = -1;
constexpr const char *kJournal = "/lost/journal", *kPool = "/lost/default";

StoreOptions Options() {
  StoreOptions options = check::SmallStore("/lost", {{.pack_bytes = 1 << 20}});
  options.journal.ring_bytes = 256 << 10;
  options.journal.segment_bytes = 128 << 10;
  options.journal.journal_bytes_max = 4 << 20;
  return options;
}

/** Two volumes over a store, and the catalog's side of them. */
class Life {
 public:
  explicit Life(uint64_t seed = 1) : env(seed) {
    for (const ResourceId id : {kVolume, kOther}) specs_.push_back({{id, kBlocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0});
    Open();
  }

  void Open() {
    store_.reset();
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env, Options(), specs_, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  void Crash(bool host) {
    store_.reset();
    host ? env.HostCrash() : env.ProcessCrash();
    Open();
  }
  Store& store() { return *store_; }
  void Put(PageIndex page, int byte, ResourceId id = kVolume, uint64_t bytes = kPageBytes) {
    CHECK_OK(store_->Find(id)->Write(page * kPageBytes, std::vector<uint8_t>(bytes, static_cast<uint8_t>(byte))).status());
  }
  /** Pages of a block, each full of `byte` and its number. */
  void PutBlock(BlockIndex block, int byte, ResourceId id = kVolume) {
    for (PageIndex i = 0; i < kPagesPerBlock; ++i) Put(block * kPagesPerBlock + i, byte + static_cast<int>(i), id);
  }
  void Durable() {
    CHECK_OK(store_->journal().PrepareSegment().status());
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
  }
  /** So much into the last block that what stood in the ring before stands in sealed segments alone. */
  void Overflow() {
    for (int i = 0; i < 100; ++i) {
      Put((kBlocks - 1) * kPagesPerBlock + i % 16, 200 + i % 16, kOther);
      if (i % 8 == 7) Durable();
    }
    Durable();
  }
  /** The byte that the page is full of, kLost where it cannot be read, 256 where it is full of nothing. */
  int Page(PageIndex page, ResourceId id = kVolume) {
    std::vector<uint8_t> data(kPageBytes);
    const Status status = store_->Find(id)->Read(page * kPageBytes, data, true);
    if (status.code() == Code::kCorrupt) return kLost;
    CHECK_OK(status);
    return std::all_of(data.begin(), data.end(), [&](uint8_t byte) { return byte == data[0]; }) ? data[0] : 256;
  }
  /** Flips a bit in the middle of the only page of such files that is full of `byte`. */
  void Rot(const std::string& directory, int byte) {
    const std::vector<uint8_t> wanted(kPageBytes, static_cast<uint8_t>(byte));
    int found = 0;
    for (const std::string& path : env.Paths()) {
      if (!path.starts_with(directory)) continue;
      const std::vector<uint8_t> bytes = LoadFile(env, path);
      const auto at = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
      if (at == bytes.end()) continue;
      ++found;
      CHECK_OK(env.FlipBit(path, static_cast<uint64_t>(at - bytes.begin()) + 1000, 3));
    }
    CHECK(found == 1);
  }
  void Snapshot() {
    uint64_t sequence = 0;
    CHECK_OK(store_->Snapshot(kVolume, kSnapshot, &sequence).status());
    Durable();
    specs_.push_back({{kSnapshot, kBlocks * kBlockBytes, true, false, 0, 0, 0, {}}, ResourceKind::kSnapshot, {}, kVolume});
  }
  Result<std::optional<RootCommit>> Step() { return store_->DestageStep(*store_->pools().front()); }
  void Take(const RootCommit& commit) {
    for (const RootTaker& taker : commit.takers) {
      for (ResourceSpec& spec : specs_) {
        if (spec.volume.id != taker.id) continue;
        spec.root = commit.root;
        spec.volume.applied_sequence = taker.applied_sequence;
        spec.pending_of = 0;
      }
    }
    store_->Committed(commit.token, true);
  }
  /** Everything becomes roots; what was said of damage. */
  std::vector<std::string> Destage() {
    std::vector<std::string> damage;
    store_->FreezeAll();
    while (true) {
      Result<std::optional<RootCommit>> commit = Step();
      CHECK_OK(commit.status());
      if (!commit->has_value()) break;
      if (!(*commit)->damage.empty()) damage.push_back((*commit)->damage);
      Take(**commit);
    }
    CHECK(store_->Settled(0));
    return damage;
  }
  /** The block holds `byte` and the page's number on each page, but `lost`, which cannot be read, and `fresh`, which is 99. */
  void CheckBlock(BlockIndex block, int byte, std::optional<uint32_t> lost, std::optional<uint32_t> fresh, ResourceId id = kVolume) {
    for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
      CHECK(Page(block * kPagesPerBlock + i, id) == (i == lost ? kLost : i == fresh ? 99 : byte + static_cast<int>(i)));
    }
  }
  uint64_t JournalBytes() { return store_->journal().usage().bytes; }

  SimEnv env;

 private:
  std::vector<ResourceSpec> specs_;
  std::unique_ptr<Store> store_;
};

}  // namespace

TEST("a page that rotted in the journal beside a later write costs itself alone, through destage, snapshots, kills and power cuts") {
  Life life;
  life.PutBlock(2, 1);
  life.Durable();
  life.Overflow();
  life.Put(2 * 16 + 9, 99);
  life.Durable();
  life.Snapshot();
  life.Rot(kJournal, 6);
  life.CheckBlock(2, 1, 5, 9);
  const uint64_t counted = life.store().pools().front()->packs->usage().corrupt_cells;
  const std::vector<std::string> damage = life.Destage();
  CHECK(damage.size() == 1 && damage[0].starts_with("1 pages of volume 1, the first at offset " + std::to_string(37 * kPageBytes)));
  CHECK(life.store().pools().front()->packs->usage().corrupt_cells > counted);
  CHECK(life.JournalBytes() < 128 << 10);   // nothing is kept back
  for (int round = 0; round < 6; ++round) {
    life.CheckBlock(2, 1, 5, 9);
    life.CheckBlock(2, 1, 5, 9, kSnapshot);
    if (round == 4) CHECK_OK(life.store().pools().front()->packs->Seal());
    life.Crash(round % 2 == 0);
  }
  // A later write beside it keeps it lost, and what was never said to be lost again is not.
  life.Put(2 * 16 + 3, 4);
  CHECK(life.Destage().size() == 1);
  life.CheckBlock(2, 1, 5, 9);
  // A part of a page does not heal it, the whole does, in the volume alone.
  life.Put(2 * 16 + 5, 6, kVolume, 512);
  CHECK(life.Destage().size() == 1);
  life.CheckBlock(2, 1, 5, 9);
  life.Put(2 * 16 + 5, 6);
  life.CheckBlock(2, 1, std::nullopt, 9);
  CHECK(life.Destage().empty());
  for (int round = 0; round < 4; ++round) {
    life.CheckBlock(2, 1, std::nullopt, 9);
    life.CheckBlock(2, 1, 5, 9, kSnapshot);
    life.Crash(round % 2 == 0);
  }
}

TEST("the page that a rotten one was written over is not served in its place") {
  Life life;
  life.PutBlock(2, 1);
  life.Destage();
  life.Put(2 * 16 + 5, 150);
  life.Put(2 * 16 + 9, 99);
  life.Durable();
  life.Overflow();
  life.Rot(kJournal, 150);
  CHECK(life.Destage().size() == 1);
  life.CheckBlock(2, 1, 5, 9);
}

TEST("a part of a page that rotted in the journal costs that page") {
  Life life;
  life.PutBlock(2, 1);
  life.Destage();
  const std::vector<uint8_t> part(kPageBytes + 600, 160);
  CHECK_OK(life.store().Find(kVolume)->Write((2 * 16 + 5) * kPageBytes, part).status());   // page 5, and 600 bytes of page 6
  life.Put(2 * 16 + 9, 99);
  life.Durable();
  life.Overflow();
  for (const std::string& path : life.env.Paths()) {
    if (!path.starts_with(kJournal)) continue;
    const std::vector<uint8_t> bytes = LoadFile(life.env, path);
    const auto at = std::search(bytes.begin(), bytes.end(), part.begin(), part.end());
    if (at != bytes.end()) CHECK_OK(life.env.FlipBit(path, static_cast<uint64_t>(at - bytes.begin()) + kPageBytes + 300, 0));
  }
  CHECK(life.Page(2 * 16 + 6) == kLost && life.Page(2 * 16 + 5) == 160);
  CHECK(life.Destage().size() == 1);
  CHECK(life.Page(2 * 16 + 6) == kLost && life.Page(2 * 16 + 5) == 160 && life.Page(2 * 16 + 7) == 8 && life.Page(2 * 16 + 9) == 99);
}

TEST("a page that rotted in the pool under a write to its block costs itself alone") {
  Life life;
  life.PutBlock(2, 1);
  life.Destage();
  CHECK_OK(life.store().pools().front()->packs->Seal());
  life.Put(2 * 16 + 9, 99);
  life.Durable();
  life.Rot(kPool, 6);
  CHECK(life.Destage().size() == 1);
  for (int round = 0; round < 4; ++round) {
    life.CheckBlock(2, 1, 5, 9);
    life.Crash(round % 2 == 0);
  }
}

TEST("no block with a lost page is taken for one that has it, nor the other way round") {
  Life life;
  for (const BlockIndex block : {2, 3}) life.PutBlock(block, 1);   // twins, of which one rots
  life.Durable();
  life.Overflow();
  for (const std::string& path : life.env.Paths()) {
    const std::vector<uint8_t> wanted(kPageBytes, 6);
    const std::vector<uint8_t> bytes = LoadFile(life.env, path);
    const auto at = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
    if (!path.starts_with(kJournal) || at == bytes.end()) continue;
    CHECK_OK(life.env.FlipBit(path, static_cast<uint64_t>(at - bytes.begin()), 0));
    break;
  }
  const BlockIndex rotten = life.Page(2 * 16 + 5) == kLost ? 2 : 3;
  CHECK(life.Destage().size() == 1);
  life.PutBlock(4, 1, kOther);
  CHECK(life.Destage().empty());
  for (int round = 0; round < 3; ++round) {
    life.CheckBlock(rotten, 1, 5, std::nullopt);
    life.CheckBlock(5 - rotten, 1, std::nullopt, std::nullopt);
    life.CheckBlock(4, 1, std::nullopt, std::nullopt, kOther);
    life.Crash(round % 2 == 0);
  }
}

TEST("what cannot be read now is not lost: destage waits for it") {
  Life life;
  life.PutBlock(2, 1);
  life.Durable();
  life.Overflow();
  life.store().FreezeAll();
  life.env.FailReads(".segment", 1000000);
  CHECK(life.Step().code() == Code::kIo);
  life.env.ClearFaults();
  CHECK(life.Destage().empty());
  life.CheckBlock(2, 1, std::nullopt, std::nullopt);
}

TEST("an attempt at a block with a lost page that has lost another page since does not serve again") {
  Life life;
  life.PutBlock(2, 1);
  life.Durable();
  life.Overflow();
  life.Rot(kJournal, 6);
  CHECK_OK(life.store().Freeze(kVolume));
  const Result<std::optional<RootCommit>> commit = life.Step();
  CHECK(commit.ok() && commit->has_value() && !(*commit)->damage.empty());
  life.store().Committed((*commit)->token, false);
  life.Rot(kPool, 9);
  CHECK(!life.Destage().empty());
  life.CheckBlock(2, 1, 5, std::nullopt);
}

TEST("a destage that is repeated stores a block with a lost page once") {
  Life life;
  life.PutBlock(2, 1);
  life.Durable();
  life.Overflow();
  life.Rot(kJournal, 6);
  life.store().FreezeAll();
  std::optional<uint64_t> records;
  for (int round = 0; round < 4; ++round) {
    Result<std::optional<RootCommit>> commit = life.Step();
    CHECK(commit.ok() && commit->has_value() && !(*commit)->damage.empty());
    life.store().Committed((*commit)->token, false);
    // The other volume's turn.
    commit = life.Step();
    CHECK(commit.ok() && commit->has_value());
    life.store().Committed((*commit)->token, false);
    const uint64_t now = life.store().pools().front()->packs->usage().put_records;
    CHECK(records.value_or(now) == now);
    records = now;
  }
  CHECK(life.Destage().size() == 1);
  life.CheckBlock(2, 1, 5, std::nullopt);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
