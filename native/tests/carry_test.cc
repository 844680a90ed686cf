// Copying trees from pool to pool: what arrives, what is read for it, and what a collection of either pool leaves alone meanwhile.
#include "../carry/carrier.h"

#include "../carry/map_comparison.h"
#include "file_image.h"
#include "store_world.h"

using namespace skerry;
using namespace skerry::store_world;

namespace {

constexpr CarryLimits kSmall{.batch_blocks_max = 4, .batch_cuts_max = 2, .checkpoint_bytes = 8 * kBlockBytes};

CarryOrder Order(World& world, const TreeRoot& to, const CarryPoint& have = {}, const TreeRoot& from = {}) {
  return {world.pool(), world.second(), from, to, have.root, have.next, kBlocks};
}

std::unique_ptr<Carrier> Begin(World& world, const CarryOrder& order, const CarryLimits& limits = kSmall) {
  Result<std::unique_ptr<Carrier>> carrier = Carrier::Begin(world.store(), order, limits);
  CHECK_OK(carrier.status());
  return std::move(*carrier);
}

/** One step; whether there are more. */
bool Step(World& world, Carrier& carrier) {
  const Result<Carrier::Progress> progress = carrier.Next(kAlways);
  CHECK_OK(progress.status());
  if (*progress == Carrier::Progress::kWait) {
    for (const auto& pool : world.store().pools()) CHECK_OK(pool->packs->Upkeep());
  }
  return *progress != Carrier::Progress::kDone;
}

CarryPoint Finish(World& world, Carrier& carrier) {
  for (int steps = 0; Step(world, carrier); ++steps) CHECK(steps < 10000);
  CHECK(carrier.durable().root.id == carrier.point().root.id && carrier.durable().hold);
  return carrier.durable();
}

/** What the tree holds, of so many blocks; a page that cannot be read is full of 0xee. */
std::vector<uint8_t> ContentOf(Pool& pool, const TreeRoot& root, uint64_t blocks = kBlocks) {
  std::vector<uint8_t> content(blocks * kBlockBytes);
  CHECK_OK(pool.tree->Visit(root, [&](BlockIndex block, const MapSlot& slot) {
    CHECK(block < blocks);
    for (uint32_t page = 0; page < kPagesPerBlock; ++page) {
      const Bytes into = Bytes(content).subspan(block * kBlockBytes + page * kPageBytes, kPageBytes);
      const Status status = pool.packs->ReadBlock(slot.at, slot.id, page, 1, into, true);
      if (status.code() == Code::kCorrupt) std::ranges::fill(into, uint8_t{0xee});
      else CHECK_OK(status);
    }
    return true;
  }));
  return content;
}

bool Equal(World& world, const TreeRoot& from, const TreeRoot& to, uint64_t blocks = kBlocks) {
  return ContentOf(*world.pool(), from, blocks) == ContentOf(*world.second(), to, blocks);
}

/** A second life for what the carrier made: a volume of the other pool. */
ResourceId Adopt(World& world, const CarryPoint& point) { return world.Create(point.root, kSecond); }

/** Packs that nothing holds go, whatever they are full of. */
void CollectBoth(World& world) {
  for (const char* pool : {kFirst, kSecond}) {
    CHECK_OK(world.store().FindPool(pool)->packs->Seal());
    (void)world.Collect({.live_max = 1}, pool);
  }
}

}  // namespace

TEST("a tree arrives whole, its holes are holes, and the target's ids are its own") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create();
  world.Write(volume, 0, 10, 1);
  world.Write(volume, 30, 5, 2);
  world.Write(volume, 63, 1, 3);
  world.Settle();
  const TreeRoot to = world.Root(volume);
  const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
  const CarryPoint made = Finish(world, *carrier);
  CHECK(Equal(world, to, made.root) && !(made.root.id == to.id));
  CHECK(carrier->report().carried_blocks == 16 && carrier->report().put_blocks == 16 && carrier->report().next == kBlocks);
  CHECK(carrier->report().nodes_compared > 0);
  bool hole = false;
  CHECK(*world.second()->tree->Run(made.root, 10, kBlocks, &hole, true) == 20 && hole);
  const ResourceId moved = Adopt(world, made);
  CHECK(world.Holds(moved, 0, 10, 1) && world.Holds(moved, 30, 5, 2) && world.Holds(moved, 63, 1, 3));
  world.CutPower();
  CHECK(world.Holds(moved, 0, 10, 1) && world.Holds(moved, 63, 1, 3));
}

TEST("by differences: only what changed is read, and what was trimmed is cut") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create();
  world.Write(volume, 0, 40, 1);
  world.Settle();
  const TreeRoot first = world.Root(volume);
  const std::unique_ptr<Carrier> whole = Begin(world, Order(world, first));
  const CarryPoint had = Finish(world, *whole);
  world.Write(volume, 7, 3, 2);
  world.Write(volume, 50, 2, 3);
  CHECK_OK(world.store().Find(volume)->Zero(20 * kBlockBytes, 10 * kBlockBytes, true).status());
  world.Settle();
  const TreeRoot second = world.Root(volume);
  CHECK(!(second.id == first.id));
  const std::unique_ptr<Carrier> rest = Begin(world, Order(world, second, {had.root, 0, nullptr}, first));
  const CarryPoint made = Finish(world, *rest);
  CHECK(rest->report().carried_blocks == 5 && rest->report().cut_ranges == 1);
  CHECK(Equal(world, second, made.root) && Equal(world, first, had.root));
  // Nothing has changed: nothing is read.
  const std::unique_ptr<Carrier> none = Begin(world, Order(world, second, {made.root, 0, nullptr}, second));
  const CarryPoint same = Finish(world, *none);
  CHECK(none->report().carried_blocks == 0 && same.root.id == made.root.id);
  // And back to nothing at all.
  const std::unique_ptr<Carrier> empty = Begin(world, Order(world, {}, {made.root, 0, nullptr}, second));
  CHECK(Finish(world, *empty).root.id.empty());
}

TEST("volumes grow and shrink from tree to tree") {
  World world(false, 0, Second::kLocal);
  constexpr uint64_t kLarge = 70000;   // three levels
  const ResourceId volume = world.Create();
  world.Write(volume, 3, 4, 1);
  world.Settle();
  const TreeRoot small = world.Root(volume);
  const ResourceId keeps = world.Create(small);
  CHECK_OK(world.store().Resize(volume, kLarge * kBlockBytes).status());
  world.Write(volume, kLarge - 2, 2, 2);
  world.Write(volume, 300, 2, 3);
  world.Settle();
  const TreeRoot large = world.Root(volume);
  CHECK(large.levels > small.levels);
  CarryOrder order = Order(world, small);
  std::unique_ptr<Carrier> carrier = Begin(world, order);
  const CarryPoint had = Finish(world, *carrier);
  CHECK(Equal(world, small, had.root));
  order = {world.pool(), world.second(), {}, large, {}, 0, kLarge};
  carrier = Begin(world, order);
  const CarryPoint at_once = Finish(world, *carrier);
  CHECK(carrier->report().carried_blocks == 8);
  order = {world.pool(), world.second(), small, large, had.root, 0, kLarge};
  carrier = Begin(world, order);
  const CarryPoint grown = Finish(world, *carrier);
  CHECK(carrier->report().carried_blocks == 4 && grown.root.id == at_once.root.id);
  // Smaller again: a map gets no lower, and nothing is left past the end.
  order = {world.pool(), world.second(), large, small, grown.root, 0, kBlocks};
  carrier = Begin(world, order);
  const CarryPoint shrunk = Finish(world, *carrier);
  CHECK(shrunk.root.levels == grown.root.levels && Equal(world, small, shrunk.root));
  CHECK(world.Holds(keeps, 3, 4, 1));
}

TEST("what the target has is found and read there, and put again where it has rotted") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create(), there = world.Create({}, kSecond);
  world.Write(volume, 0, 8, 1);
  world.Write(there, 0, 4, 1);
  world.Write(there, 20, 1, 9);
  world.Settle();
  CHECK_OK(world.second()->packs->Seal());
  // A bit of a page of the second block, as it rests in the target.
  const std::vector<uint8_t> data = World::Data(8, 1);
  const ConstBytes page = ConstBytes(data).subspan(kBlockBytes + 3 * kPageBytes, kPageBytes);
  int flipped = 0;
  for (const std::string& path : world.env().Paths()) {
    if (!path.starts_with("/collect/second/")) continue;
    const std::vector<uint8_t> bytes = LoadFile(world.env(), path);
    const auto at = std::search(bytes.begin(), bytes.end(), page.begin(), page.end());
    if (at == bytes.end()) continue;
    CHECK_OK(world.env().FlipBit(path, static_cast<uint64_t>(at - bytes.begin()) + 77, 2));
    ++flipped;
  }
  CHECK(flipped == 1);
  const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, world.Root(volume)));
  const CarryPoint made = Finish(world, *carrier);
  CHECK(carrier->report().carried_blocks == 8 && carrier->report().found_blocks == 3 && carrier->report().put_blocks == 5);
  CHECK(Equal(world, world.Root(volume), made.root));
}

TEST("a page that has rotted in the source is lost in the target, alone, and is told") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create();
  world.Write(volume, 0, 8, 1);
  world.Settle();
  const std::vector<uint8_t> data = World::Data(8, 1);
  const ConstBytes page = ConstBytes(data).subspan(5 * kBlockBytes + 7 * kPageBytes, kPageBytes);
  for (const std::string& path : world.env().Paths()) {
    if (!path.starts_with("/collect/default/")) continue;
    const std::vector<uint8_t> bytes = LoadFile(world.env(), path);
    const auto at = std::search(bytes.begin(), bytes.end(), page.begin(), page.end());
    if (at != bytes.end()) CHECK_OK(world.env().FlipBit(path, static_cast<uint64_t>(at - bytes.begin()) + 5, 1));
  }
  const TreeRoot to = world.Root(volume);
  const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
  const CarryPoint made = Finish(world, *carrier);
  CHECK(carrier->report().lost_pages == 1 && carrier->report().first_lost == 5 * kPagesPerBlock + 7);
  const ResourceId moved = Adopt(world, made);
  for (int life = 0; life < 3; ++life) {
    const std::vector<uint8_t> there = ContentOf(*world.second(), made.root);
    CHECK(there == ContentOf(*world.pool(), to));
    std::vector<uint8_t> got(kPageBytes);
    CHECK(world.store().Find(moved)->Read(5 * kBlockBytes + 7 * kPageBytes, got, true).code() == Code::kCorrupt);
    CHECK_OK(world.store().Find(moved)->Read(5 * kBlockBytes + 8 * kPageBytes, got, true));
    if (life == 0) CHECK_OK(world.second()->packs->Seal());
    world.CutPower();
  }
  // Carried again it is the same block, and no other's.
  const std::unique_ptr<Carrier> again = Begin(world, Order(world, to));
  CHECK(Finish(world, *again).root.id == made.root.id && again->report().lost_pages == 1 && again->report().put_blocks == 0);
}

TEST("a collection of the target between any two steps takes nothing of what was put or found") {
  for (int at = 0; at < 24; ++at) {
    World world(false, 0, Second::kLocal);
    const ResourceId volume = world.Create(), gone = world.Create({}, kSecond);
    world.Write(volume, 0, 40, 1);
    world.Write(gone, 0, 20, 1);   // found, while nothing else wants it any more
    world.Settle();
    CHECK_OK(world.second()->packs->Seal());
    world.Drop(gone);
    world.Settle();
    const TreeRoot to = world.Root(volume);
    const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
    CarryPoint made;
    std::unique_ptr<Collector> collector;
    for (int step = 0; Step(world, *carrier); ++step) {
      CHECK(step < 1000);
      if (step == at) {
        CHECK_OK(world.second()->packs->Seal());
        collector = std::make_unique<Collector>(world.store(), world.second(), world.Roots(kSecond), CollectOptions{.live_max = 1});
      }
      // One step of each in turn: a batch comes between any two steps of the collection, for some `at`.
      if (collector) CHECK_OK(collector->Next(kAlways).status());
      if (step % 3 == 0) CHECK_OK(world.second()->packs->Seal());
    }
    if (collector) (void)world.Finish(*collector);
    made = carrier->durable();
    CHECK(Equal(world, to, made.root));
    CollectBoth(world);
    CHECK(Equal(world, to, made.root));
    const ResourceId moved = Adopt(world, made);
    CollectBoth(world);
    world.CutPower();
    CHECK(world.Holds(moved, 0, 40, 1));
  }
}

TEST("what is carried stays in the source though its volume is deleted and collected on the way") {
  for (int at = 0; at < 12; ++at) {
    World world(false, 0, Second::kLocal);
    const ResourceId volume = world.Create();
    world.Write(volume, 0, 40, 1);
    world.Settle();
    const TreeRoot to = world.Root(volume);
    std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
    for (int step = 0; step < at; ++step) CHECK(Step(world, *carrier));
    world.Drop(volume);
    world.Settle();
    CHECK(world.store().RemovePool(kSecond).code() == Code::kInvalid);
    CollectBoth(world);
    const CarryPoint made = Finish(world, *carrier);
    CHECK(ContentOf(*world.second(), made.root, 40) == World::Data(40, 1));
    carrier.reset();
    CHECK(world.Collect({.live_max = 1}).packs_removed > 0);
    CHECK(Carrier::Begin(world.store(), Order(world, to)).code() == Code::kNotFound);
  }
}

TEST("blocks are read and put by several, and compressed as the target pool says or as the order does") {
  class Backwards : public Parallel {
   public:
    void Run(size_t parts, const std::function<void(size_t)>& part) override {
      for (size_t number = parts; number-- > 0;) part(number);
      ++runs;
    }
    int runs = 0;
  };
  World world(false, 0, Second::kLocal);
  Backwards crew;
  world.pool()->background = world.second()->background = &crew;
  const ResourceId volume = world.Create();
  std::vector<uint8_t> data(50 * kBlockBytes);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(1 + i / 1000 % 250);
  CHECK_OK(world.store().Find(volume)->Write(0, data).status());
  world.Settle();
  crew.runs = 0;
  CarryOrder order = Order(world, world.Root(volume));
  const auto framed = [&] { return world.second()->packs->usage().framed_records; };
  std::unique_ptr<Carrier> carrier = Begin(world, order, {});
  CarryPoint made = Finish(world, *carrier);
  CHECK(crew.runs == 2 && framed() == 0 && Equal(world, order.to, made.root));
  carrier.reset();
  made.hold.reset();
  world.Create({}, kSecond);
  CHECK_OK(world.second()->packs->Seal());
  order.compression = Compression{Codec::kZstd, kZstdLevelDefault};
  const ResourceId other = world.Create();
  CHECK_OK(world.store().Find(other)->Write(3 * kPageBytes, data).status());
  world.Settle();
  order.to = world.Root(other);
  carrier = Begin(world, order, {});
  made = Finish(world, *carrier);
  CHECK(framed() > 40 && Equal(world, order.to, made.root));
}

TEST("what nobody holds any more is collected in the target") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create(), other = world.Create({}, kSecond);
  world.Write(volume, 0, 40, 1);
  world.Settle();
  std::unique_ptr<Carrier> carrier = Begin(world, Order(world, world.Root(volume)));
  CarryPoint made = Finish(world, *carrier);
  world.Write(other, 0, 4, 2);
  world.Settle();
  CHECK_OK(world.second()->packs->Seal());
  world.Write(other, 4, 1, 3);
  carrier.reset();
  CHECK(world.Collect({}, kSecond).packs_removed == 0);
  made.hold.reset();
  CHECK(world.Collect({}, kSecond).packs_removed > 0);
  CHECK(world.Holds(other, 0, 4, 2) && world.Holds(other, 4, 1, 3));
}

TEST("killed anywhere it goes on from the last durable point, and is the same in the end") {
  for (const Second second : {Second::kLocal, Second::kRemote}) {
    for (int at = 0; at < 20; ++at) {
      World world(false, 0, second);
      const ResourceId volume = world.Create();
      world.Write(volume, 0, 40, 1);
      world.Write(volume, 50, 10, 1);
      world.Settle();
      const TreeRoot to = world.Root(volume);
      CarryPoint kept;
      {
        const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
        for (int step = 0; step < at && Step(world, *carrier); ++step) CHECK(step < 1000);
        kept = carrier->durable();
        kept.hold.reset();
      }
      world.CutPower();
      const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to, kept));
      const CarryPoint made = Finish(world, *carrier);
      CHECK(Equal(world, to, made.root));
      // Blocks 0 to 39 and 50 to 59 are mapped: what lies below the point is not read again.
      const uint64_t below = std::min<uint64_t>(kept.next, 40) + std::min<uint64_t>(std::max<uint64_t>(kept.next, 50) - 50, 10);
      CHECK(carrier->report().carried_blocks == 50 - below);
    }
  }
}

TEST("from a backend and to a backend: the root is told once the backend has all it reaches") {
  for (const bool from_remote : {false, true}) {
    World world(from_remote, 0, Second::kRemote);
    const ResourceId volume = world.Create();
    world.Write(volume, 0, 40, 1);
    world.Settle();
    const TreeRoot to = world.Root(volume);
    world.second_backend().ships = false;
    const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
    for (int step = 0; step < 100; ++step) CHECK(Step(world, *carrier));
    CHECK(!carrier->durable().hold && carrier->report().next == kBlocks);
    world.second_backend().ships = true;
    world.env().Advance(40'000'000'000);
    const CarryPoint made = Finish(world, *carrier);
    CHECK(Equal(world, to, made.root));
    const ResourceId moved = Adopt(world, made);
    world.CutPower();
    CHECK(world.Holds(moved, 0, 40, 1));
  }
}

TEST("a source that is away ends it, and it goes on once that is back") {
  World world(true, 0, Second::kLocal);
  const ResourceId volume = world.Create();
  world.Write(volume, 0, 40, 1);
  world.Settle();
  const TreeRoot to = world.Root(volume);
  const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
  CHECK(Step(world, *carrier));
  world.backend().state = {Code::kIo, "away"};
  for (Result<Carrier::Progress> progress = carrier->Next(kAlways); progress.code() != Code::kIo; progress = carrier->Next(kAlways)) CHECK_OK(progress.status());
  const BlockIndex next = carrier->point().next;
  CHECK(next > 0 && next < 40 && carrier->report().lost_pages == 0);
  world.backend().state = {};
  CHECK(Equal(world, to, Finish(world, *carrier).root));
}

TEST("a target without room ends it or lets it wait, and takes nothing that was promised to others") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create();
  world.Write(volume, 0, 40, 1);
  world.Settle();
  const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, world.Root(volume)));
  world.second()->room.Refresh(Room::kThere, 0);
  const Result<Carrier::Progress> waits = carrier->Next(kAlways);
  CHECK(waits.ok() && *waits == Carrier::Progress::kWait && carrier->report().carried_blocks == 0);
  world.second()->room.Refresh(Room::kNone, 0);
  CHECK(carrier->Next(kAlways).code() == Code::kNoSpace);
  world.second()->room.Refresh(Room::kThere, 8ull << 30);
  CHECK(Equal(world, world.Root(volume), Finish(world, *carrier).root));
  CHECK(carrier->Next([] { return false; }).code() == Code::kClosed);
}

TEST("a comparison finds a block that is missing, and one too many") {
  World world(false, 0, Second::kLocal);
  const ResourceId volume = world.Create();
  world.Write(volume, 0, 12, 1);
  world.Settle();
  const TreeRoot to = world.Root(volume);
  const std::unique_ptr<Carrier> carrier = Begin(world, Order(world, to));
  const CarryPoint made = Finish(world, *carrier);
  const auto compare = [&](const TreeRoot& root) {
    uint64_t nodes = 0;
    return CompareMaps({*world.pool(), *world.second(), {}, to, root}, kAlways, nodes).code();
  };
  CHECK(compare(made.root) == Code::kOk);
  const MapCut cut{4, 1};
  CHECK(compare(*world.second()->tree->Update(made.root, made.root.levels, {&cut, 1}, {})) == Code::kCorrupt);
  const Result<MapSlot> slot = world.second()->tree->Lookup(made.root, 3, true);
  const MapChange more{20, *slot};
  CHECK(compare(*world.second()->tree->Update(made.root, made.root.levels, {}, {&more, 1})) == Code::kCorrupt);
  CHECK(compare({}) == Code::kCorrupt);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
