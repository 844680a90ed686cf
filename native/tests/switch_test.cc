// A volume changes its pool while it is read and written: nothing acknowledged is lost whenever the process or the host dies, and
// whatever collects the two pools meanwhile.
#include "switch_life.h"

using namespace skerry;
using namespace skerry::switch_life;

TEST("a volume that is written changes its pool, and everything reads as before") {
  Life life;
  const ResourceId id = life.Create();
  life.WriteAll(id, 1);
  life.Settle();
  life.WriteAll(id, 2);
  const Store::HeldResource held = life.Hold(id);
  CHECK(held.pool == kOld && held.at.size_bytes == kBlocks * kBlockBytes);
  life.WriteAll(id, 3);
  CHECK(life.Holds(id));
  const CopiedRoot copied = life.Copy(held);
  CHECK_OK(life.store().Expect(id, copied.root));
  life.WriteAll(id, 4);
  life.Take(id, held, copied.root);
  CHECK_OK(life.store().Switch(id));
  CHECK_OK(life.store().Audit());
  CHECK(life.volume(id).pool()->name == kNew && life.Holds(id));
  const int before = life.commits[kOld];
  life.WriteAll(id, 5);
  life.Settle();
  CHECK(life.commits[kNew] > 0 && life.commits[kOld] == before && life.Holds(id));
  CHECK_OK(life.store().RemovePool(kOld));
  CHECK(life.Holds(id));
}

TEST("killed at any moment of it, what was acknowledged is there, whatever the catalog says by then") {
  for (const bool host : {false, true}) {
    for (int step = 0; step < 8; ++step) {
      Life life;
      const ResourceId id = life.Create();
      life.WriteAll(id, 1);
      life.Settle();
      life.WriteAll(id, 2);
      int at = 0;
      // Written, made durable, and killed where it is this step's turn.
      const auto comes = [&](uint64_t seed) {
        life.WriteAll(id, seed);
        life.Durable();
        if (at++ != step) return false;
        life.Die(host);
        CHECK(life.Holds(id));
        life.WriteAll(id, seed + 50);
        life.Durable();
        life.Die(!host);
        CHECK(life.Holds(id));
        life.Settle();
        life.Die(host);
        CHECK(life.Holds(id));
        return true;
      };
      if (comes(3)) continue;
      CHECK_OK(life.store().Hold(id, kNew));
      if (comes(4)) continue;   // nothing of before has its root yet
      life.Destage();
      const auto held = *life.store().Held(id);
      CHECK(held);
      if (comes(5)) continue;
      CopiedRoot copied = life.Copy(*held);
      CHECK_OK(life.store().Expect(id, copied.root));
      copied.hold = {};
      if (comes(6)) continue;
      life.Take(id, *held, copied.root);
      if (comes(7)) continue;   // the store has not heard of it
      CHECK_OK(life.store().Switch(id));
      if (comes(8)) continue;   // large writes name packs of the new pool by now
      life.Settle();
      if (comes(9)) continue;
      life.Move(id, kOld);
      CHECK(comes(10));
    }
  }
}

TEST("a write that was staged before is published after, and names no pack that the volume has left") {
  for (const bool switched : {false, true}) {
    Life life;
    const ResourceId id = life.Create();
    const std::vector<uint8_t> data = Data(3 * kBlockBytes + 500, 9);
    Result<std::unique_ptr<StagedWrite>> staged = life.volume(id).Stage(kBlockBytes - 200, data);
    CHECK_OK(staged.status());
    const Store::HeldResource held = life.Hold(id);
    const CopiedRoot copied = life.Copy(held);
    CHECK_OK(life.store().Expect(id, copied.root));
    life.Take(id, held, copied.root);
    if (switched) CHECK_OK(life.store().Switch(id));
    CHECK_OK(life.volume(id).Publish(kBlockBytes - 200, data, **staged).status());
    std::copy(data.begin(), data.end(), life.content[id].begin() + kBlockBytes - 200);
    staged->reset();
    CHECK(life.Holds(id) && life.store().NamedPacks(*life.pool(kOld)).empty() && life.store().NamedPacks(*life.pool(kNew)).empty());
    life.Die(false);
    CHECK(life.Holds(id) && life.volume(id).pool()->name == kNew);
  }
}

TEST("a large write goes on where it had to wait") {
  Life life;
  const ResourceId id = life.Create();
  life.Hold(id);
  // More than the ring takes at once.
  const std::vector<uint8_t> data = Data(kBlocks * kBlockBytes, 4);
  Result<std::unique_ptr<StagedWrite>> staged = life.volume(id).Stage(0, data);
  CHECK_OK(staged.status());
  int waited = 0;
  for (Result<WriteOutcome> outcome = life.volume(id).Publish(0, data, **staged); !outcome.ok(); outcome = life.volume(id).Publish(0, data, **staged)) {
    CHECK(outcome.code() == Code::kTryAgain && ++waited < 20);
    life.Durable();
    (void)life.store().journal().PrepareSegment();
    life.store().Pace();
    life.env().Advance(1'000'000'000);
  }
  life.content[id] = data;
  CHECK(waited > 0 && life.Holds(id));
}

TEST("given up, the volume is as it was, and may be held again") {
  Life life;
  const ResourceId id = life.Create();
  life.WriteAll(id, 1);
  life.Hold(id);
  CHECK(life.store().Hold(id, kNew).code() == Code::kTryAgain);
  life.WriteAll(id, 2);
  life.store().Release(id);
  life.store().Release(id);
  CHECK(life.store().Held(id).code() == Code::kNotFound && life.store().Switch(id).code() == Code::kNotFound);
  life.WriteAll(id, 3);
  CHECK(!life.store().NamedPacks(*life.pool(kOld)).empty());
  const int before = life.commits[kOld];
  life.Settle();
  CHECK(life.commits[kOld] == before + 1 && life.Holds(id));
  life.Move(id);
  CHECK(life.Holds(id) && life.volume(id).pool()->name == kNew);
}

TEST("what asks for more than there is, is refused") {
  Life life;
  const ResourceId id = life.Create();
  CHECK(life.store().Hold(77, kNew).code() == Code::kNotFound && life.store().Hold(id, "nowhere").code() == Code::kNotFound);
  CHECK(life.store().Hold(id, kOld).code() == Code::kInvalid);
  CHECK(life.store().Expect(id, {}).code() == Code::kNotFound);
  life.WriteAll(id, 1);
  CHECK_OK(life.store().Hold(id, kNew));
  CHECK(!*life.store().Held(id) && life.store().Expect(id, {}).code() == Code::kInvalid && life.store().Switch(id).code() == Code::kInvalid);
  // Its pool is where it goes.
  CHECK(life.store().RemovePool(kNew).code() == Code::kInvalid);
  life.Destage();
  CHECK(life.store().Switch(id).code() == Code::kInvalid);   // nothing is expected
}

TEST("while a volume is held snapshots and rollbacks of it wait; resizing and deleting it do not") {
  Life life;
  const ResourceId id = life.Create(), other = life.Create();
  life.WriteAll(id, 1);
  const ResourceId snapshot = life.Snapshot(id);
  const Store::HeldResource held = life.Hold(id);
  uint64_t sequence = 0;
  CHECK(life.store().Snapshot(id, 99, &sequence).code() == Code::kTryAgain && life.store().Rollback(id, snapshot).code() == Code::kTryAgain);
  life.WriteAll(id, 2);
  for (const uint64_t blocks : {4, 20}) {
    CHECK_OK(life.store().Resize(id, blocks * kBlockBytes).status());
    life.content[id].resize(blocks * kBlockBytes);
  }
  const CopiedRoot copied = life.Copy(held);
  CHECK_OK(life.store().Expect(id, copied.root));
  life.Take(id, held, copied.root);
  life.Durable();
  life.Die(true);
  CHECK(life.Holds(id) && life.Holds(snapshot));
  life.Settle();
  CHECK(life.Holds(id));
  // The snapshot stayed where it was: it is no root of this pool.
  CHECK(life.store().Rollback(id, snapshot).code() == Code::kInvalid);
  life.Move(snapshot);
  CHECK_OK(life.store().Rollback(id, snapshot).status());
  life.content[id] = life.content[snapshot];
  CHECK(life.Holds(id));
  life.Hold(other);
  CHECK_OK(life.store().Drop(other).status());
  CHECK(life.store().Held(other).code() == Code::kNotFound);
  CHECK_OK(life.store().Audit());
}

TEST("a hold tells nothing before all that waits for the volume's roots has them") {
  Life life;
  const ResourceId id = life.Create();
  life.WriteAll(id, 1);
  const ResourceId snapshot = life.Snapshot(id), clone = life.Clone(snapshot);
  life.WriteAll(clone, 2);
  for (const ResourceId each : {id, snapshot, clone}) CHECK_OK(life.store().Hold(each, kNew));
  for (const ResourceId each : {id, snapshot, clone}) CHECK(!*life.store().Held(each));
  // A root on its way to the catalog is none yet.
  Result<std::optional<RootCommit>> commit = life.store().DestageStep(*life.pool(kOld));
  CHECK(commit.ok() && *commit);
  for (const ResourceId each : {id, snapshot, clone}) CHECK(!*life.store().Held(each));
  life.store().Committed((*commit)->token, false);
  life.Destage();
  for (const ResourceId each : {id, snapshot, clone}) {
    const auto held = *life.store().Held(each);
    CHECK(held);
    const CopiedRoot copied = life.Copy(*held);
    CHECK_OK(life.store().Expect(each, copied.root));
    life.Take(each, *held, copied.root);
    CHECK_OK(life.store().Switch(each));
  }
  // A clone of what has moved begins where that is now.
  const ResourceId late = life.Clone(snapshot);
  for (const ResourceId each : {id, snapshot, clone, late}) CHECK(life.Holds(each) && life.volume(each).pool()->name == kNew);
  life.Settle();
  life.Die(true);
  for (const ResourceId each : {id, snapshot, clone, late}) CHECK(life.Holds(each));
}

TEST("a snapshot does not leave before a clone that was made of it while it waited has its root in the catalog") {
  Life life;
  const ResourceId id = life.Create();
  life.WriteAll(id, 1);
  const ResourceId snapshot = life.Snapshot(id);
  ResourceSpec late = life.catalog[snapshot];
  life.Settle();
  // The clone was put in the catalog while the snapshot waited; the engine hears of it afterwards.
  late.volume = {50, late.volume.size_bytes, false, false, 0, 1, 0, {}};
  late.kind = ResourceKind::kVolume;
  late.pending_of = snapshot;
  life.catalog[50] = late;
  life.content[50] = life.content[snapshot];
  CHECK_OK(life.store().Add(late));
  CHECK_OK(life.store().Hold(snapshot, kNew));
  CHECK(!*life.store().Held(snapshot));
  life.Destage();
  CHECK(*life.store().Held(snapshot));
}

TEST("a collection of either pool leaves what the volume needs, at any moment of it") {
  for (int step = 0; step < 5; ++step) {
    Life life;
    const ResourceId id = life.Create(), keeper = life.Create();
    life.WriteAll(id, 1);
    life.Settle();
    life.WriteAll(id, 2);
    int at = 0;
    const auto collects = [&] {
      if (at++ != step) return;
      life.Seal();
      // The newest pack is never collected.
      life.Write(keeper, 0, kBlockBytes, 77);
      life.Settle();
      for (const char* name : {kOld, kNew}) life.Collect(name);
      CHECK(life.Holds(id));
    };
    const Store::HeldResource held = life.Hold(id);
    life.WriteAll(id, 3);
    collects();
    {
      const CopiedRoot copied = life.Copy(held);
      CHECK_OK(life.store().Expect(id, copied.root));
      life.Take(id, held, copied.root);
    }
    const TreeRoot root = life.catalog[id].root;
    // What is in the new pool's only pack must be in one that may go.
    life.Seal();
    CHECK_OK(life.pool(kNew)->packs->Put(RecordKind::kBlock, life.pool(kNew)->key->BlockIdOf(Data(kBlockBytes, 5)), Data(kBlockBytes, 5), nullptr).status());
    life.catalog[id].root = {};   // the collection was begun by who had not heard of it
    collects();
    life.catalog[id].root = root;
    CHECK_OK(life.store().Switch(id));
    collects();
    life.WriteAll(id, 4);
    collects();
    life.Settle();
    collects();
    CHECK(life.Holds(id));
    life.Durable();
    life.Die(true);
    CHECK(life.Holds(id));
  }
}

TEST("the old pool's space comes back once the journal names nothing in it any more") {
  Life life;
  const ResourceId id = life.Create(), keeper = life.Create();
  life.Write(id, 0, 20 * kBlockBytes, 1);
  life.Move(id);
  life.Seal();
  life.Write(keeper, 0, kBlockBytes, 2);
  life.Durable();
  // A start over the catalog as it is now: the records that name packs of the old pool are below the volume's root.
  life.Die(false);
  life.Settle();
  const CollectReport report = life.Collect(kOld);
  CHECK(report.packs_removed > 0 && report.journalled.packs == 0 && life.Holds(id) && life.Holds(keeper));
}

TEST("what a held volume may hold is bounded, and others write on") {
  Life life;
  const ResourceId held = life.Create(64), other = life.Create(64);
  life.Hold(held);
  const auto round = [&] {
    life.Durable();
    (void)life.store().journal().PrepareSegment();
    for (Result<Store::Moved> moved = life.store().MoveStep();; moved = life.store().MoveStep()) {
      CHECK_OK(moved.status());
      if (*moved == Store::Moved::kNothing) break;
    }
    life.store().Pace();
    life.Destage();
    life.store().Trim();
    life.env().Advance(1'000'000'000);
  };
  uint64_t taken = 0, refused = 0;
  for (uint64_t n = 0; n < 3000; ++n) {
    const Status wrote = life.Try(held, n % 1024 * kPageBytes, Data(kPageBytes, n));
    CHECK(wrote.ok() || wrote.code() == Code::kTryAgain);
    ++(wrote.ok() ? taken : refused);
    if (n % 32 == 0) round();
  }
  CHECK(refused > 0 && taken * kPageBytes < (16u << 20) / 3);
  // Four times the journal.
  for (uint64_t page = 0, n = 0; page < 4 * 4096; ++n) {
    CHECK(n < 200'000);
    const Status wrote = life.Try(other, page % 1024 * kPageBytes, Data(kPageBytes, page));
    CHECK(wrote.ok() || wrote.code() == Code::kTryAgain);
    if (wrote.ok()) ++page;
    if (!wrote.ok() || page % 64 == 0) round();
  }
  CHECK(life.Holds(held) && life.Holds(other));
  life.Die(true);
  CHECK(life.Holds(held) && life.Holds(other));
}

int main(int c, char** v) { return check::RunAll(c, v); }
