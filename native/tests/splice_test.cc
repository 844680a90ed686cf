// Trees made of parts of others: what they hold, what is new of them, and what a collection leaves alone meanwhile.
#include "../carry/splicer.h"

#include "file_image.h"
#include "store_world.h"

using namespace skerry;
using namespace skerry::store_world;

namespace {

std::unique_ptr<Splicer> Begin(World& world, std::vector<SplicePart> parts, uint64_t blocks = kBlocks, size_t slots_max = 5) {
  Result<std::unique_ptr<Splicer>> splicer = Splicer::Begin(world.store(), {world.pool(), std::move(parts), blocks}, slots_max);
  CHECK_OK(splicer.status());
  return std::move(*splicer);
}

/** One step; whether there are more. */
bool Step(World& world, Splicer& splicer) {
  const Result<Splicer::Progress> progress = splicer.Next(kAlways);
  CHECK_OK(progress.status());
  if (*progress == Splicer::Progress::kWait) CHECK_OK(world.pool()->packs->Upkeep());
  return *progress != Splicer::Progress::kDone;
}

CarryPoint Finish(World& world, Splicer& splicer) {
  for (int steps = 0; Step(world, splicer); ++steps) CHECK(steps < 10000);
  CHECK(splicer.durable().root.id == splicer.point().root.id && splicer.durable().hold);
  return splicer.durable();
}

std::map<BlockIndex, BlockId> SlotsOf(Pool& pool, const TreeRoot& root) {
  std::map<BlockIndex, BlockId> slots;
  CHECK_OK(pool.tree->Visit(root, [&](BlockIndex block, const MapSlot& slot) {
    slots.emplace(block, slot.id);
    return true;
  }));
  return slots;
}

Code RefusalOf(World& world, std::vector<SplicePart> parts, uint64_t blocks = kBlocks) {
  return Splicer::Begin(world.store(), {world.pool(), std::move(parts), blocks}).status().code();
}

}  // namespace

TEST("parts of several volumes become one that reads as they do, and no block is stored for it") {
  World world(false, 0);
  const ResourceId one = world.Create(), other = world.Create();
  world.Write(one, 0, 20, 1);
  world.Write(other, 8, 10, 2);
  world.Settle();
  const uint64_t records = world.pool()->packs->usage().put_records;
  const std::unique_ptr<Splicer> splicer = Begin(world, {{world.Root(one), 4, 6, 0}, {world.Root(other), 6, 12, 10}, {world.Root(one), 0, 3, 40}});
  const CarryPoint made = Finish(world, *splicer);
  CHECK(splicer->report().carried_blocks == 19 && splicer->report().next == kBlocks);
  // Its nodes alone: interim roots are of few levels.
  CHECK(world.pool()->packs->usage().put_records - records <= 8);
  const auto from_one = SlotsOf(*world.pool(), world.Root(one)), from_other = SlotsOf(*world.pool(), world.Root(other));
  std::map<BlockIndex, BlockId> expected;
  for (BlockIndex i = 0; i < 6; ++i) expected[i] = from_one.at(4 + i);
  for (BlockIndex i = 2; i < 12; ++i) expected[10 + i] = from_other.at(6 + i);
  for (BlockIndex i = 0; i < 3; ++i) expected[40 + i] = from_one.at(i);
  CHECK(SlotsOf(*world.pool(), made.root) == expected);
  const ResourceId disk = world.Create(made.root);
  CHECK_OK(world.store().Find(disk)->Zero(40 * kBlockBytes, kBlockBytes, true).status());
  world.Settle();
  world.CutPower();
  CHECK(SlotsOf(*world.pool(), world.Root(disk)).size() == 18 && world.Holds(one, 0, 20, 1) && world.Holds(other, 8, 10, 2));
}

TEST("whole leaves are shared, and holes of any length are passed over") {
  World world(false, 0);
  constexpr uint64_t kLarge = 1u << 20;
  const ResourceId shelf = world.Create({}, kFirst, kLarge);
  world.Write(shelf, 256, 4, 1);
  world.Write(shelf, 700000, 2, 2);
  world.Settle();
  const TreeRoot from = world.Root(shelf);
  // Where it lay: it is the same tree.
  const CarryPoint same = Finish(world, *Begin(world, {{from, 0, kLarge, 0}}, kLarge));
  CHECK(same.root.id == from.id);
  const uint64_t records = world.pool()->packs->usage().put_records;
  const CarryPoint moved = Finish(world, *Begin(world, {{from, 256, 256, 0}, {from, 699904, 256, 256}}, 512));
  const auto slots = SlotsOf(*world.pool(), moved.root), before = SlotsOf(*world.pool(), from);
  CHECK(slots.size() == 6 && slots.at(0) == before.at(256) && slots.at(256 + 96) == before.at(700000));
  // The leaves are those of the shelf; above them one node, of each batch.
  CHECK(world.pool()->packs->usage().put_records - records <= 2);
  const CarryPoint nothing = Finish(world, *Begin(world, {{from, 1000, 5000, 3}}, kLarge));
  CHECK(nothing.root.id.empty());
  CHECK(Finish(world, *Begin(world, {})).root.id.empty());
}

TEST("collections meanwhile leave alone what it reaches, though its sources are gone") {
  World world(false, 0);
  const ResourceId one = world.Create();
  world.Write(one, 0, 30, 1);
  world.Settle();
  const auto before = SlotsOf(*world.pool(), world.Root(one));
  const std::unique_ptr<Splicer> splicer = Begin(world, {{world.Root(one), 0, 30, 10}});
  CHECK(Step(world, *splicer));
  world.Drop(one);
  world.Durable();
  const auto collect = [&] {
    CHECK_OK(world.pool()->packs->Seal());
    (void)world.Collect({.live_max = 1});
  };
  collect();
  const CarryPoint made = Finish(world, *splicer);
  collect();
  const ResourceId disk = world.Create(made.root);
  CHECK(world.Holds(disk, 10, 30, 1) && SlotsOf(*world.pool(), made.root).size() == before.size());
}

TEST("what cannot be is refused, and roots that nobody has are not found") {
  World world(false, 0);
  const ResourceId one = world.Create();
  world.Write(one, 0, 4, 1);
  world.Settle();
  const TreeRoot root = world.Root(one);
  CHECK(RefusalOf(world, {{root, 0, 0, 0}}) == Code::kInvalid);
  CHECK(RefusalOf(world, {{root, 0, 4, 10}, {root, 0, 4, 13}}) == Code::kInvalid);
  CHECK(RefusalOf(world, {{root, 0, 4, 10}, {root, 0, 4, 2}}) == Code::kInvalid);
  CHECK(RefusalOf(world, {{root, 0, 4, kBlocks - 3}}) == Code::kInvalid);
  CHECK(RefusalOf(world, {{root, ~0ull, 4, 0}}) == Code::kInvalid);
  CHECK(RefusalOf(world, {{root, 0, ~0ull, 1}}) == Code::kInvalid);
  TreeRoot unknown = root;
  unknown.id.bytes[0] ^= 1;
  CHECK(RefusalOf(world, {{unknown, 0, 4, 0}}) == Code::kNotFound);
  bool goes_on = false;
  const std::unique_ptr<Splicer> splicer = Begin(world, {{root, 0, 4, 0}});
  CHECK(splicer->Next([&] { return goes_on; }).status().code() == Code::kClosed);
  goes_on = true;
  CHECK(Finish(world, *splicer).root.id == root.id);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
