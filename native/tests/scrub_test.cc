// Looking for rot: what is found, what is repaired and from where, and that nothing is made up.
#include "../blocks/index_checkpoint.h"
#include "../blocks/pack_handles.h"
#include "../check/scrub.h"
#include "store_world.h"

using namespace skerry;
using namespace skerry::store_world;

namespace {

constexpr const char* kPacks = "/collect/default";

ScrubReport Run(World& world) {
  Scrub scrub(world.store(), world.pool(), world.Roots());
  for (int step = 0; step < 10000; ++step) {
    const Result<bool> more = scrub.Next(kAlways);
    CHECK_OK(more.status());
    if (!*more) return scrub.report();
  }
  CHECK(false);
  return {};
}

BlockId IdOf(World& world, uint64_t block, uint64_t seed) {
  const std::vector<uint8_t> data = World::Data(block + 1, seed);
  return world.pool()->key->BlockIdOf(ConstBytes(data).subspan(block * kBlockBytes, kBlockBytes));
}

Location PlaceOf(World& world, uint64_t block, uint64_t seed) {
  const std::optional<Location> at = world.packs().Find(IdOf(world, block, seed));
  CHECK(at.has_value());
  return *at;
}

/** A bit of this page of the record, on the disk. */
void Flip(World& world, const Location& at, uint32_t page = 3) {
  CHECK_OK(world.env().FlipBit(PackPath(kPacks, at.pack, true), CellOffset(at, page) + 100, 2));
}

}  // namespace

TEST("a sound pool is read whole, and nothing is found") {
  World world;
  const ResourceId a = world.Create(), b = world.Create();
  world.Write(a, 0, 40, 1);
  world.Write(b, 0, 20, 2);
  world.Settle();
  const ScrubReport report = Run(world);
  CHECK(report.findings_total == 0 && report.open == 0 && report.damaged == 0);
  CHECK(report.packs == report.packs_in_all && report.packs >= 3);
  // Maps reach all of them, beside those of the volume that keeps a pack open.
  CHECK(report.blocks_reached >= 60 && report.records >= 60 && report.bytes >= 60 * kBlockBytes);
}

TEST("rot without a second copy is found, named and left alone") {
  World world;
  const ResourceId a = world.Create(), b = world.Create();
  world.Write(a, 0, 40, 1);
  world.Write(b, 0, 20, 2);
  world.Settle();
  const Location at = PlaceOf(world, 7, 2);
  Flip(world, at);
  const uint64_t put = world.packs().usage().put_records;
  const ScrubReport report = Run(world);
  CHECK(report.damaged == 1 && report.repaired == 0 && report.lost == 1 && report.open == 1 && report.findings_total == 1);
  const ScrubFinding& finding = report.findings.front();
  CHECK(finding.what.what == Finding::What::kRecord && finding.what.pack == at.pack && finding.what.offset == at.offset);
  CHECK(finding.wanted && !finding.repaired && finding.what.resource == b && finding.what.id == IdOf(world, 7, 2));
  CHECK(world.packs().usage().put_records == put && world.packs().usage().corrupt_cells == 1);
  std::vector<uint8_t> page(kPageBytes);
  const uint64_t block = 7 * kBlockBytes;
  CHECK(world.store().Find(b)->Read(block + 3 * kPageBytes, page, true).code() == Code::kCorrupt);
  CHECK_OK(world.store().Find(b)->Read(block + 4 * kPageBytes, page, true));
  CHECK(world.Holds(a, 0, 40, 1) && world.Holds(b, 0, 7, 2));

  // The same content, written again by anybody, is stored anew and serves all who have it.
  world.Write(a, 0, 20, 2);
  world.Settle();
  CHECK(world.Holds(b, 0, 20, 2));
  const ScrubReport again = Run(world);
  CHECK(again.damaged == 1 && again.repaired == 1 && again.lost == 0 && again.open == 0);
  CHECK(world.packs().usage().corrupt_cells == 0);
}

TEST("damage that nothing wants is told and alarms nobody") {
  World world;
  const ResourceId gone = world.Create();
  world.Write(gone, 0, 20, 1);
  world.Settle();
  Flip(world, PlaceOf(world, 4, 1));
  world.Drop(gone);
  world.Settle();
  const ScrubReport report = Run(world);
  CHECK(report.damaged == 1 && report.lost == 0 && report.open == 0 && report.findings_total == 1);
  CHECK(!report.findings.front().wanted && report.findings.front().what.resource == 0);
}

TEST("a copy in another pack takes the place of what has rotted, whichever of the two the index leads to") {
  for (const bool first : {true, false}) {
    World world;
    const ResourceId a = world.Create(), b = world.Create();
    world.Write(a, 0, 20, 1);
    world.Settle();
    const Location one = PlaceOf(world, 5, 1);
    // Known as damaged, it is not found any more, and stored once more.
    world.packs().NoteDamaged(one);
    world.Write(b, 0, 20, 1);
    world.Settle();
    const Location two = PlaceOf(world, 5, 1);
    CHECK(two.pack != one.pack);
    // A start knows nothing of the damage that there never was.
    world.Kill();
    const Location now = PlaceOf(world, 5, 1);
    CHECK(now == one || now == two);
    Flip(world, first ? one : two);
    const ScrubReport report = Run(world);
    CHECK(report.damaged == 1 && report.repaired == 1 && report.lost == 0 && report.open == 0);
    CHECK(report.findings_total == 1 && report.findings.front().repaired);
    CHECK(world.Holds(a, 0, 20, 1) && world.Holds(b, 0, 20, 1));
    world.CutPower();
    CHECK(world.Holds(a, 0, 20, 1) && world.Holds(b, 0, 20, 1));
  }
}

TEST("a record that the index has lost is known again") {
  World world;
  const ResourceId a = world.Create();
  world.Write(a, 0, 20, 1);
  world.Settle();
  CHECK_OK(world.packs().Checkpoint(true));
  const BlockId lost = IdOf(world, 5, 1);
  const Location at = PlaceOf(world, 5, 1);
  // A checkpoint without it.
  LocationIndex all, rest;
  const Result<CheckpointContent> content = LoadCheckpoint(world.env(), "/collect/default.index", 1, [](uint32_t, uint64_t) { return true; }, all);
  CHECK_OK(content.status());
  for (size_t shard = 0; shard < LocationIndex::kShards; ++shard) {
    for (const LocationIndex::Entry& entry : all.ShardEntries(shard)) {
      if (entry.fingerprint != lost.prefix()) rest.Insert(entry.fingerprint, entry.at.location());
    }
  }
  CHECK_OK(SaveCheckpoint(world.env(), "/collect/default.index", 1, *content, rest));
  world.Kill();
  CHECK(!world.packs().Find(lost));
  const ScrubReport report = Run(world);
  CHECK(report.reindexed == 1 && report.lost == 0 && report.open == 0 && report.findings_total == 1);
  CHECK(world.packs().Find(lost) == at);
}

TEST("a footer that has rotted is told, and its records are read all the same") {
  World world;
  const ResourceId a = world.Create();
  world.Write(a, 0, 40, 1);
  world.Settle();
  const PackStore::Sealed sealed = world.packs().SealedHere().front();
  CHECK_OK(world.env().FlipBit(PackPath(kPacks, sealed.pack, true), sealed.bytes - 100, 1));
  const uint64_t sound = Run(world).records;
  const ScrubReport report = Run(world);
  CHECK(report.open == 1 && report.findings.front().what.what == Finding::What::kFooter && report.records == sound && sound >= 40);
  CHECK(world.Holds(a, 0, 40, 1));
}

TEST("what is written, snapshotted and deleted meanwhile disturbs nothing") {
  World world;
  const ResourceId a = world.Create(), b = world.Create(), gone = world.Create();
  world.Write(a, 0, 40, 1);
  world.Write(gone, 0, 40, 3);
  world.Settle();
  Scrub scrub(world.store(), world.pool(), world.Roots());
  uint64_t seed = 10;
  for (bool more = true; more;) {
    const Result<bool> next = scrub.Next(kAlways);
    CHECK_OK(next.status());
    more = *next;
    world.Write(b, seed % 40, 2, seed);
    ++seed;
    if (seed == 12) world.Drop(gone);
    if (seed % 2 == 0) world.Settle();
  }
  CHECK(scrub.report().findings_total == 0 && scrub.report().open == 0);
  CHECK(world.Holds(a, 0, 40, 1));
}

TEST("rot on a backend is found past every cache, and repaired from what is cached; a backend that is away says nothing") {
  World world(true);
  const ResourceId a = world.Create();
  world.Write(a, 0, 40, 1);
  world.Settle();
  const Location lost = PlaceOf(world, 7, 1), cached = PlaceOf(world, 20, 1);
  CHECK(world.packs().usage().kept_packs == 0);
  std::vector<uint8_t> block(kBlockBytes);
  CHECK_OK(world.store().Find(a)->Read(20 * kBlockBytes, block, true));   // all of it is in the cache
  for (const Location& at : {lost, cached}) world.backend().chunks.at(at.pack)[CellOffset(at, 3) + 100] ^= 4;
  world.backend().state = {Code::kIo, "away"};
  Scrub away(world.store(), world.pool(), world.Roots());
  CHECK(away.Next(kAlways).code() == Code::kTryAgain && away.report().damaged == 0);
  world.backend().state = {};
  const ScrubReport report = Run(world);
  CHECK(report.damaged == 2 && report.repaired == 1 && report.lost == 1 && report.open == 1);
  // Each run looks for itself.
  world.backend().chunks.at(lost.pack)[CellOffset(lost, 3) + 100] ^= 4;
  CHECK(Run(world).lost == 0);
  world.backend().chunks.at(lost.pack)[CellOffset(lost, 3) + 100] ^= 4;
  CHECK(Run(world).lost == 1);
  world.Kill();   // the cache is empty
  CHECK_OK(world.store().Find(a)->Read(20 * kBlockBytes, block, true));
  std::vector<uint8_t> page(kPageBytes);
  CHECK(world.store().Find(a)->Read(7 * kBlockBytes + 3 * kPageBytes, page, true).code() == Code::kCorrupt);
  world.Write(a, 7, 1, 3);
  world.Settle();
  CHECK(Run(world).lost == 0);
}

TEST("a pack that the backend lost is told, and what a copy of it here has is put again") {
  World world(true, 64 << 20);
  const ResourceId a = world.Create();
  world.Write(a, 0, 40, 1);
  world.Settle();
  const uint32_t gone = PlaceOf(world, 7, 1).pack;
  CHECK(world.packs().usage().kept_packs > 2);
  world.backend().chunks.erase(gone);
  const ScrubReport report = Run(world);
  CHECK(report.damaged > 5 && report.repaired == report.damaged && report.lost == 0 && report.open == 1);
  world.Upkeep();
  CHECK_OK(world.env().Remove(KeptPackPath(kPacks, gone)));
  world.Kill();
  CHECK(world.Holds(a, 0, 40, 1));
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
