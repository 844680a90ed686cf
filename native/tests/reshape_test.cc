// Resizing, rolling back and comparing volumes over a store in a simulated machine: what the random worlds rarely meet.
#include <algorithm>
#include <cstring>

#include "../simulation/sim_env.h"
#include "../volume/changes.h"
#include "../volume/store.h"
#include "check.h"
#include "small_store.h"

using namespace skerry;

namespace {

constexpr ResourceId kVolume = 1, kSnapshot = 2;

/** A store with one volume, and the catalog's side of it. */
class Life {
 public:
  explicit Life(uint64_t blocks) : env_(1) {
    specs_.push_back({{kVolume, blocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0});
    Open();
  }

  void Open() {
    store_.reset();
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env_, check::SmallStore("/reshape"), specs_, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  void Kill() {
    store_.reset();
    env_.ProcessCrash();
    Open();
  }

  Store& store() { return *store_; }
  LiveVolume& volume() { return *store_->Find(kVolume); }
  void Write(BlockIndex block, uint8_t byte) {
    const std::vector<uint8_t> data(kBlockBytes, byte);
    CHECK_OK(volume().Write(block * kBlockBytes, data).status());
    Durable();
  }
  void Durable() {
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
  }
  /** The one byte that the block is full of, or 256 where it is not full of one. */
  int Block(BlockIndex block, ResourceId id = kVolume) {
    std::vector<uint8_t> data(kBlockBytes);
    CHECK_OK(store_->Find(id)->Read(block * kBlockBytes, data, true));
    return std::all_of(data.begin(), data.end(), [&](uint8_t byte) { return byte == data[0]; }) ? data[0] : 256;
  }
  void Snapshot() {
    uint64_t sequence = 0;
    CHECK_OK(store_->Snapshot(kVolume, kSnapshot, &sequence).status());
    Durable();
    specs_.push_back({{kSnapshot, volume().size(), true, false, 0, 0, 0, {}}, ResourceKind::kSnapshot, {}, kVolume});
  }

  std::optional<RootCommit> Offered() {
    Result<std::optional<RootCommit>> commit = store_->DestageStep(*store_->pools().front());
    CHECK_OK(commit.status());
    return *commit;
  }
  /** As the composer does. */
  void Take(const RootCommit& commit) {
    for (const RootTaker& taker : commit.takers) {
      for (ResourceSpec& spec : specs_) {
        if (spec.volume.id != taker.id || taker.lineage < spec.volume.lineage || taker.applied_sequence < spec.volume.applied_sequence) continue;
        spec.root = commit.root;
        spec.volume.applied_sequence = taker.applied_sequence;
        spec.volume.size_bytes = taker.size_bytes;
        spec.volume.lineage = taker.lineage;
        spec.pending_of = 0;
      }
    }
    store_->Committed(commit.token, true);
  }
  void Destage() {
    CHECK_OK(store_->Freeze(kVolume));
    while (const std::optional<RootCommit> commit = Offered()) Take(*commit);
  }
  const ResourceSpec& spec(size_t index = 0) const { return specs_.at(index); }
  std::vector<BlockIndex> Mapped() {
    std::vector<BlockIndex> blocks;
    CHECK_OK(store_->pools().front()->tree->Visit(specs_[0].root, [&](BlockIndex block, const MapSlot&) {
      blocks.push_back(block);
      return true;
    }));
    return blocks;
  }

 private:
  SimEnv env_;
  std::vector<ResourceSpec> specs_;
  std::unique_ptr<Store> store_;
};

}  // namespace

TEST("a volume that shrinks below a level of its map keeps nothing past its end, and grows again with zeroes") {
  Life life(300);
  life.Write(3, 7);
  life.Write(299, 9);
  life.Destage();
  CHECK(life.spec().root.levels == 2);
  CHECK_OK(life.store().Resize(kVolume, 10 * kBlockBytes + kPageBytes).status());
  life.Durable();
  life.Destage();
  CHECK(life.spec().volume.size_bytes == 10 * kBlockBytes + kPageBytes);
  CHECK(life.Mapped() == std::vector<BlockIndex>{3});
  life.Kill();
  CHECK(life.volume().size() == 10 * kBlockBytes + kPageBytes);
  CHECK_OK(life.store().Resize(kVolume, 70000 * uint64_t{kBlockBytes}).status());
  life.Durable();
  CHECK(life.Block(299) == 0 && life.Block(3) == 7);
  life.Write(69999, 5);
  life.Destage();
  CHECK(life.spec().root.levels == 3);
  life.Kill();
  CHECK(life.Block(299) == 0 && life.Block(3) == 7 && life.Block(69999) == 5);
}

TEST("a block that the old end lay in is given up with what lay before the end too, where that is past the new one") {
  Life life(8);
  CHECK_OK(life.store().Resize(kVolume, 7 * kBlockBytes + 3 * kPageBytes).status());
  const std::vector<uint8_t> pages(3 * kPageBytes, 6);
  CHECK_OK(life.volume().Write(7 * kBlockBytes, pages).status());
  life.Durable();
  life.Destage();
  CHECK(life.Mapped() == std::vector<BlockIndex>{7});
  CHECK_OK(life.store().Resize(kVolume, 2 * kBlockBytes).status());
  life.Durable();
  life.Destage();
  CHECK(life.Mapped().empty());
  CHECK_OK(life.store().Resize(kVolume, 8 * kBlockBytes).status());
  CHECK(life.Block(7) == 0);
}

TEST("a write that comes after the end it lies before has moved is refused, and leaves nothing") {
  Life life(8);
  CHECK_OK(life.store().Resize(kVolume, 2 * kBlockBytes).status());
  const std::vector<uint8_t> block(kBlockBytes, 1), page(kPageBytes, 1);
  CHECK(life.volume().Write(5 * kBlockBytes, block).code() == Code::kNoSpace);
  CHECK(life.volume().Write(2 * kBlockBytes - 512, page).code() == Code::kNoSpace);
  CHECK(life.volume().Zero(4 * kBlockBytes, kPageBytes, true).code() == Code::kNoSpace);
  CHECK_OK(life.store().Resize(kVolume, 8 * kBlockBytes).status());
  life.Durable();
  life.Kill();
  for (BlockIndex at = 0; at < 8; ++at) CHECK(life.Block(at) == 0);
}

TEST("a root of the old lineage that is on its way when the volume is rolled back is nobody's") {
  Life life(8);
  life.Write(0, 1);
  life.Snapshot();
  life.Destage();
  life.Write(0, 2);
  CHECK_OK(life.store().Freeze(kVolume));
  const std::optional<RootCommit> old = life.Offered();
  CHECK(old && old->takers.size() == 1 && old->takers[0].lineage == 0);
  CHECK_OK(life.store().Rollback(kVolume, kSnapshot).status());
  life.Durable();
  CHECK(life.Block(0) == 1);
  life.Take(*old);   // the catalog may still take it: the journal goes on from there
  CHECK(life.Block(0) == 1);
  life.Kill();
  CHECK(life.Block(0) == 1 && life.Block(0, kSnapshot) == 1);
  life.Destage();
  CHECK(life.spec().volume.lineage == 1 && life.spec().root.id == life.spec(1).root.id);
  life.Kill();
  CHECK(life.Block(0) == 1);
}

TEST("a generation that is frozen when the volume is rolled back is not destaged") {
  Life life(8);
  life.Snapshot();
  life.Destage();
  life.Write(0, 2);
  CHECK_OK(life.store().Freeze(kVolume));
  CHECK_OK(life.store().Rollback(kVolume, kSnapshot).status());
  life.Durable();
  CHECK(!life.Offered());
  life.Write(1, 3);
  life.Destage();
  CHECK(life.Mapped() == std::vector<BlockIndex>{1});
}

TEST("a rollback waits for the roots of the volume's snapshots") {
  Life life(8);
  life.Write(0, 1);
  life.Snapshot();
  CHECK(life.store().Rollback(kVolume, kSnapshot).code() == Code::kTryAgain);
  CHECK(life.store().Rollback(kVolume, 77).code() == Code::kNotFound);
  CHECK(life.store().Rollback(kSnapshot, kSnapshot).code() == Code::kTryAgain);
  life.Destage();
  CHECK(life.store().Rollback(kSnapshot, kSnapshot).code() == Code::kReadOnly);
  CHECK_OK(life.store().Rollback(kVolume, kSnapshot).status());
}

TEST("where salvage lost the record that made a volume larger, what was written past the old end is kept") {
  Life life(2);
  ReplayedRecord record;
  record.header.type = RecordType::kTrim;
  record.header.resource = kVolume;
  record.header.sequence = 9;
  record.header.offset = 3 * kBlockBytes;
  record.header.length = 100;
  CHECK(life.volume().Replay(record, false).code() == Code::kCorrupt);
  CHECK(life.volume().size() == 2 * kBlockBytes);
  CHECK_OK(life.volume().Replay(record, true));
  CHECK(life.volume().size() == 3 * kBlockBytes + kPageBytes);
}

TEST("changes are told by the page while they are in the journal, by the block from the map, and zeroes as such") {
  Life life(600);
  for (BlockIndex at : {0, 1, 300}) life.Write(at, 1);
  life.Snapshot();
  life.Destage();
  const std::vector<uint8_t> page(kPageBytes, 2);
  CHECK_OK(life.volume().Write(kBlockBytes + 2 * kPageBytes, page).status());
  CHECK_OK(life.volume().Zero(300 * kBlockBytes, kBlockBytes, true).status());
  CHECK_OK(life.volume().Zero(500 * kBlockBytes, kBlockBytes, true).status());   // it was zero before
  const auto told = [&] {
    VolumeChanges changes(life.store().Find(kSnapshot), life.store().Find(kVolume));
    Result<std::vector<ChangedExtent>> extents = changes.Extents(0, life.volume().size(), 100, true);
    CHECK_OK(extents.status());
    std::erase_if(*extents, [](const ChangedExtent& extent) { return !extent.changed; });
    return *extents;
  };
  std::vector<ChangedExtent> early = told();
  CHECK(early.size() == 2);
  CHECK(early[0].offset == kBlockBytes + 2 * kPageBytes && early[0].length == kPageBytes && !early[0].zero);
  CHECK(early[1].offset == 300 * kBlockBytes && early[1].length == kBlockBytes && early[1].zero);
  life.Durable();
  life.Destage();
  std::vector<ChangedExtent> late = told();
  CHECK(late.size() == 2);
  CHECK(late[0].offset == kBlockBytes && late[0].length == kBlockBytes && !late[0].zero);
  CHECK(late[1].offset == 300 * kBlockBytes && late[1].zero);
}

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
