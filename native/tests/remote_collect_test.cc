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
  CHECK_OK(world.env().FlipBit("/collect/default/gone", 20, 3));
  const Status refused = world.Reopen();
  CHECK(refused.code() == Code::kCorrupt && refused.detail().find("/collect/default/gone") != std::string::npos && refused.detail().find("remove that file") != std::string::npos);
  CHECK_OK(world.env().Remove("/collect/default/gone"));
  CHECK_OK(world.Reopen());
  CHECK(world.Holds() && world.backend().chunks.size() == world.packs().usage().packs);
}

TEST("a removal that outlives its host takes nothing that the next one believes in") {
  Thinned world;
  world.backend().removes = false;
  const std::map<uint32_t, std::vector<uint8_t>> before = world.backend().chunks;
  const CollectReport report = world.Collect();
  CHECK(report.packs_removed > 3 && world.backend().removals > 0);
  world.LoseHost();
  CHECK(world.Holds() && world.Stores(20, 2));
  CHECK(world.packs().usage().removals_waiting == report.packs_removed);
  for (const auto& [pack, bytes] : before) {
    if (world.packs().EntriesOf(pack).code() == Code::kNotFound) world.backend().chunks.erase(pack);   // the late removals
  }
  CHECK(world.backend().chunks.size() + report.packs_removed >= before.size() && world.Holds(world.volume, 0, 20, 2));
  // And the host after that one, of which nobody removed anything.
  world.Settle();
  world.backend().chunks.insert(before.begin(), before.end());
  world.LoseHost();
  CHECK(world.packs().usage().removals_waiting == report.packs_removed && world.Holds(world.volume, 0, 20, 2));
}

TEST("nothing goes while the pool does not take the list of what is gone, and the list goes on where it stopped") {
  Thinned world;
  const size_t before = world.backend().chunks.size();
  world.backend().keeps = false;
  const CollectReport report = world.Collect();
  CHECK(report.packs_removed > 3 && world.backend().removals == 0 && world.packs().usage().removals_waiting == report.packs_removed);
  CHECK(world.packs().usage().removal_failures > 0 && world.Holds());
  // The next list is not begun before this one is there.
  world.Drop(world.volume);
  world.Settle();
  Collector collector(world.store(), world.pool(), world.Roots(), {});
  Result<Progress> progress(Progress::kMore);
  for (int step = 0; step < 200; ++step) {
    progress = collector.Next(kAlways);
    CHECK_OK(progress.status());
    world.Upkeep();
  }
  CHECK(*progress == Progress::kWait && world.backend().removals == 0);
  world.backend().keeps = true;
  CHECK(world.Finish(collector).packs_removed > 0 && world.packs().usage().removals_waiting == 0);
  CHECK(world.backend().removals > report.packs_removed && world.backend().chunks.size() < before);
  const auto lists = world.backend().gone;
  CHECK(lists.begin()->first.second == 1 && lists.rbegin()->first.second == lists.size());
}

TEST("a list that comes after the next host has begun is not that host's, nor of those after it") {
  Thinned world;
  world.backend().keeps = false;
  const size_t removable = world.Collect().packs_removed;
  CHECK(removable > 3 && world.backend().gone_late.size() == 1);
  world.backend().keeps = true;
  world.LoseHost();
  // It was asked to remove nothing by that list: what is in these packs is found.
  CHECK(world.packs().usage().removals_waiting == 0 && world.Holds() && !world.Stores(20, 2));
  world.Settle();
  world.backend().gone.merge(world.backend().gone_late);
  world.LoseHost();
  CHECK(world.packs().usage().removals_waiting == 0 && world.Holds(world.volume, 0, 20, 2));
}

TEST("a host that knows nothing believes no listing before it has the list of what is gone") {
  Thinned world;
  CHECK(world.Collect().packs_removed > 3);
  for (const auto& [key, list] : world.backend().gone) CHECK(!list.empty());
  world.backend().gone.rbegin()->second[45] ^= 1;
  const Status refused = world.MoveToAnotherHost();
  CHECK(refused.code() == Code::kCorrupt && refused.detail().find("remove that chunk") != std::string::npos);
  world.backend().gone.rbegin()->second[45] ^= 1;
  world.backend().keeps = false;
  CHECK(world.Reopen().code() == Code::kIo);
  world.backend().keeps = true;
  CHECK_OK(world.Reopen());
  CHECK(world.Holds());
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
