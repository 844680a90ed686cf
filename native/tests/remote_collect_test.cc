// Giving back the space of a pool that rests on a backend: nothing goes from there before the copies have come, and what is being
// removed is never believed again, whatever the backend says.
#include "store_world.h"

using namespace skerry;
using namespace skerry::store_world;
using Progress = Collector::Progress;

namespace {

/** A volume of which little is left in the packs that it filled, and one that is gone. */
struct Thinned : World {
  Thinned() : World(true), volume(Create()), gone(Create()) {
    Write(volume, 0, 60, 1);
    Write(gone, 0, 40, 2);
    Settle();
    for (uint64_t block = 0; block < kBlocks - 4; ++block) {
      if (block % 5 != 0) Write(volume, block, 1, 100 + block);
    }
    Drop(gone);
    Settle();
  }
  using World::Holds;
  bool Holds() {
    const std::vector<uint8_t> first = Data(60, 1);
    for (uint64_t block = 0; block < 60; ++block) {
      std::vector<uint8_t> got(kBlockBytes);
      if (!store().Find(volume)->Read(block * kBlockBytes, got, true).ok()) return false;
      if (block % 5 == 0 ? !std::equal(got.begin(), got.end(), first.begin() + static_cast<long>(block * kBlockBytes)) : got != Data(1, 100 + block)) return false;
    }
    return true;
  }
  bool Stores(uint64_t blocks, uint64_t seed) {
    const uint64_t put = packs().usage().put_records;
    Write(volume, 0, blocks, seed);
    return packs().usage().put_records >= put + blocks;
  }
  const ResourceId volume, gone;
};

}  // namespace

TEST("what nothing wants goes from the backend, after what is wanted came to another pack there") {
  Thinned world;
  const size_t before = world.backend().chunks.size();
  const CollectReport would = world.Collect({.dry_run = true});
  CHECK(world.backend().chunks.size() == before && world.backend().removals == 0);
  const CollectReport report = world.Collect();
  CHECK(report.packs_removed == would.packs_removed && report.packs_removed > 3 && report.packs_moved > 0 && report.copied_bytes > 6u << 16);
  CHECK(world.backend().removals == report.packs_removed && world.packs().usage().removals == report.packs_removed);
  CHECK(world.packs().usage().removals_waiting == 0 && world.packs().usage().staged_packs == 0);
  CHECK(world.backend().chunks.size() == world.packs().usage().packs && world.Holds());
  world.CutPower();
  CHECK(world.Holds() && world.backend().chunks.size() == world.packs().usage().packs);
  CHECK(world.Collect().packs_removed == 0 && world.Stores(20, 2));
}

TEST("nothing goes while the backend takes no copies") {
  Thinned world;
  const size_t before = world.backend().chunks.size();
  world.backend().ships = false;
  Collector collector(world.store(), world.pool(), world.Roots(), {});
  Result<Progress> progress(Progress::kMore);
  for (int step = 0; step < 200; ++step) {
    progress = collector.Next(kAlways);
    CHECK_OK(progress.status());
    world.Upkeep();
  }
  CHECK(*progress == Progress::kWait && world.backend().chunks.size() == before && world.backend().removals == 0 && world.Holds());
  world.backend().ships = true;
  CHECK(world.Finish(collector).packs_removed > 3 && world.backend().chunks.size() < before && world.Holds());
  world.Kill();
  CHECK(world.Holds());
}

TEST("a removal without an answer is asked for again, and its pack is never believed in the meantime") {
  Thinned world;
  world.backend().removes = false;
  const std::map<uint32_t, std::vector<uint8_t>> before = world.backend().chunks;
  const CollectReport report = world.Collect();
  CHECK(report.packs_removed > 3 && world.packs().usage().removals == 0 && world.packs().usage().removals_waiting == report.packs_removed);
  CHECK(world.packs().usage().removal_failures > 0);
  // The next life hears of them from the backend, and may find nothing in them: they can go at any moment.
  for (const bool power : {false, true}) {
    power ? world.CutPower() : world.Kill();
    CHECK(world.packs().usage().removals_waiting == report.packs_removed);
    CHECK(world.backend().chunks.size() == world.packs().usage().packs + report.packs_removed);
    CHECK(world.Holds());
  }
  CHECK(world.Stores(20, 2));
  for (const auto& [pack, bytes] : before) {
    if (world.packs().EntriesOf(pack).code() == Code::kNotFound) world.backend().chunks.erase(pack);   // the late removal
  }
  CHECK(world.Holds(world.volume, 0, 20, 2));
  world.backend().removes = true;
  world.Upkeep();
  CHECK(world.packs().usage().removals_waiting == 0);
  // Nor is one believed that a late ship brings back; a start removes it.
  world.backend().chunks.insert(before.begin(), before.end());
  world.Kill();
  world.Upkeep();
  CHECK(world.backend().chunks.size() == world.packs().usage().packs && world.Holds(world.volume, 0, 20, 2));
}

TEST("without a list that can be read of what is gone nothing is believed: a start is refused, and says how to go on") {
  Thinned world;
  CHECK(world.Collect().packs_removed > 3);
  CHECK_OK(world.env().FlipBit("/collect/pool/gone", 20, 3));
  const Status refused = world.Reopen();
  CHECK(refused.code() == Code::kCorrupt && refused.detail().find("/collect/pool/gone") != std::string::npos && refused.detail().find("remove that file") != std::string::npos);
  CHECK_OK(world.env().Remove("/collect/pool/gone"));
  CHECK_OK(world.Reopen());
  CHECK(world.Holds() && world.backend().chunks.size() == world.packs().usage().packs);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
