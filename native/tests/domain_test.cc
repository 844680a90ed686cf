// Domains: what one account stores is stored once more for another, and everything that goes over a pool afterwards, by the pool's key and
// the headers alone, keeps each block in the domain it was put in.
#include "../blocks/pack_handles.h"
#include "../carry/carrier.h"
#include "../check/pool_check.h"
#include "../check/scrub.h"
#include "store_world.h"

using namespace skerry;
using namespace skerry::store_world;

namespace {

constexpr uint64_t kOne = (1 << 20) + 1, kOther = (1 << 20) + 2;

ResourceId CreateIn(World& world, uint64_t domain) { return world.Create({}, kFirst, kBlocks, domain); }

uint64_t Blocks(World& world) { return world.packs().usage().blocks; }

BlockId IdIn(Pool& pool, uint64_t domain, uint64_t block, uint64_t seed) {
  const std::vector<uint8_t> data = World::Data(block + 1, seed);
  return pool.KeyOf(domain).BlockIdOf(ConstBytes(data).subspan(block * kBlockBytes, kBlockBytes));
}

/** What the header says of a block that the pool has under the id of this domain. */
uint64_t DomainOf(Pool& pool, uint64_t domain, uint64_t block, uint64_t seed) {
  const Result<uint64_t> found = pool.packs->DomainOf({}, IdIn(pool, domain, block, seed));
  CHECK_OK(found.status());
  return *found;
}

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

/** Every record against its id, with nothing but the pool's key. */
PoolCheckReport CheckOffline(World& world) {
  PoolCheckOptions options;
  options.directory = "/collect/default";
  options.domain = world.pool()->domain;
  options.domain_key.assign(32, 1);
  options.content = Content::kHashes;
  for (const TreeRoot& root : world.Roots()) options.roots.push_back({1, root});
  const Result<PoolCheckReport> report = CheckPool(world.env(), options);
  CHECK_OK(report.status());
  return *report;
}

}  // namespace

TEST("a pool's own domain has the pool's key, and every other one a key that is made of it") {
  const DomainKey key(std::vector<uint8_t>(32, 7));
  const std::vector<uint8_t> page(kPageBytes, 3);
  CHECK(key.ForDomain(5, 5).BlockIdOf(page) == key.BlockIdOf(page) && key.ForDomain(0, 5).BlockIdOf(page) == key.BlockIdOf(page));
  const BlockId id = key.ForDomain(kOne, 5).BlockIdOf(page);
  CHECK(id == key.ForDomain(kOne, 6).BlockIdOf(page) && id != key.ForDomain(kOther, 5).BlockIdOf(page) && id != key.BlockIdOf(page));
  // Computed with another program: what is written under it has to be found for ever.
  const uint8_t known[] = {0x38, 0xa9, 0xe7, 0x1f, 0xed, 0xeb, 0x03, 0x17, 0x7b, 0x6e, 0x48, 0xa5, 0x59, 0x6b, 0xd6, 0x37, 0xdf, 0x8b, 0x4f, 0xd6, 0xf2, 0x4c, 0xa6, 0x61, 0x3a, 0xc0, 0x2b, 0x6c, 0x19, 0x1d, 0x99, 0x22};
  CHECK(std::equal(id.bytes.begin(), id.bytes.end(), known));
}

TEST("the same blocks are stored once for each domain, whether they come whole or in pages") {
  for (const bool whole : {true, false}) {
    World world;
    const auto write = [&](uint64_t domain) {
      const ResourceId id = CreateIn(world, domain);
      if (whole) world.Write(id, 0, 10, 1);
      else world.WritePages(id, 0, 10, 1);
      const uint64_t before = Blocks(world);
      world.Settle();   // which writes a block of its own
      CHECK(world.Holds(id, 0, 10, 1));
      return whole ? 10u : Blocks(world) - before - 1;
    };
    const uint64_t first = Blocks(world);
    CHECK(write(kOne) == 10 && Blocks(world) == first + 11);
    (void)write(kOne);
    CHECK(Blocks(world) == first + 12);
    CHECK(write(kOther) == 10 && Blocks(world) == first + 23);
    CHECK(write(0) == 10 && Blocks(world) == first + 34);
    CHECK(DomainOf(*world.pool(), kOne, 3, 1) == kOne && DomainOf(*world.pool(), kOther, 3, 1) == kOther);
    CHECK(DomainOf(*world.pool(), 0, 3, 1) == world.pool()->domain);
  }
}

TEST("a start that finds packs open finds the blocks of every domain again, and another host reads them") {
  for (const bool remote : {false, true}) {
    World world(remote);
    const ResourceId one = CreateIn(world, kOne), other = CreateIn(world, kOther);
    world.Write(one, 0, 20, 1);
    world.Write(other, 0, 20, 1);
    world.Settle();
    world.Write(one, 30, 4, 2);
    world.Kill();
    CHECK(world.Holds(one, 0, 20, 1) && world.Holds(other, 0, 20, 1) && world.Holds(one, 30, 4, 2));
    world.CutPower();
    CHECK(world.Holds(one, 0, 20, 1) && world.Holds(other, 0, 20, 1) && world.Holds(one, 30, 4, 2));
    world.Settle();
    if (remote) {
      world.LoseHost();
      CHECK(world.Holds(one, 0, 20, 1) && world.Holds(other, 0, 20, 1) && world.Holds(one, 30, 4, 2));
      continue;
    }
    const uint64_t before = Blocks(world);
    world.Write(one, 40, 20, 1);
    world.Write(other, 40, 20, 1);
    CHECK(Blocks(world) == before);
    world.Write(other, 30, 4, 2);
    CHECK(Blocks(world) == before + 4);
  }
}

TEST("what a collection moves to another pack stays in its domain, and a scrub and a check of all content agree") {
  World world;
  const ResourceId one = CreateIn(world, kOne), other = CreateIn(world, kOther), own = world.Create();
  for (const ResourceId id : {one, other, own}) world.Write(id, 0, 30, 1);
  world.Settle();
  for (const ResourceId id : {one, other, own}) {
    for (uint64_t block = 0; block < 30; ++block) {
      if (block % 5 != 0) CHECK_OK(world.store().Find(id)->Zero(block * kBlockBytes, kBlockBytes, true).status());
    }
  }
  world.Settle();
  const CollectReport report = world.Collect();
  CHECK(report.packs_moved >= 2 && report.copied_bytes >= 15u << 16);
  Pool& pool = *world.pool();
  for (uint64_t block = 0; block < 30; block += 5) {
    CHECK(DomainOf(pool, kOne, block, 1) == kOne && DomainOf(pool, kOther, block, 1) == kOther && DomainOf(pool, 0, block, 1) == pool.domain);
  }
  const ScrubReport scrubbed = Run(world);
  CHECK(scrubbed.findings_total == 0 && scrubbed.records >= 18);
  const PoolCheckReport checked = CheckOffline(world);
  CHECK(checked.findings_total == 0 && checked.records_read >= 18 && checked.damaged_roots.empty());
  // What was moved is found under the same id: written again it is not stored.
  const uint64_t before = Blocks(world);
  const std::vector<uint8_t> data = World::Data(6, 1);
  CHECK_OK(world.store().Find(one)->Write(50 * kBlockBytes, ConstBytes(data).subspan(5 * kBlockBytes)).status());
  CHECK(Blocks(world) == before);
}

TEST("content under the key of another domain than its header says is damaged") {
  World world;
  const ResourceId one = CreateIn(world, kOne);
  world.Write(one, 0, 4, 1);
  const std::vector<uint8_t> data = World::Data(1, 9);
  PackPut put{RecordKind::kBlock, world.pool()->KeyOf(kOne).BlockIdOf(data), data, {}, false, 0, {}, kOther};
  CHECK_OK(world.packs().PutAll({&put, 1}));
  world.Settle();
  CHECK(Run(world).damaged == 1);
  CHECK(CheckOffline(world).findings_total == 1);
}

TEST("a block that a scrub puts again stays in its domain") {
  World world;
  const ResourceId one = CreateIn(world, kOne), two = CreateIn(world, kOne);
  world.Write(one, 0, 20, 1);
  world.Settle();
  const BlockId id = IdIn(*world.pool(), kOne, 7, 1);
  const std::optional<Location> first = world.packs().Find(id);
  CHECK(first.has_value());
  // Known as damaged, it is stored once more; and it is that copy which rots.
  world.packs().NoteDamaged(*first);
  world.Write(two, 0, 20, 1);
  world.Settle();
  const std::optional<Location> second = world.packs().Find(id);
  CHECK(second.has_value() && !(*second == *first));
  CHECK_OK(world.env().FlipBit(PackPath("/collect/default", second->pack, true), CellOffset(*second, 3) + 100, 2));
  const ScrubReport report = Run(world);
  CHECK(report.damaged == 1 && report.repaired == 1 && report.open == 0);
  const std::optional<Location> third = world.packs().Find(id);
  CHECK(third.has_value() && !(*third == *first) && !(*third == *second));
  uint64_t domain = 0;
  CHECK_OK(world.packs().ReadRecord(*third, id, true, &domain).status());
  CHECK(domain == kOne && world.Holds(one, 0, 20, 1) && world.Holds(two, 0, 20, 1));
}

TEST("what is carried to another pool keeps its domain there, under that pool's keys; the pool's own becomes the other's own") {
  for (const Second second : {Second::kLocal, Second::kRemote}) {
    World world(second == Second::kRemote, 0, second);
    const ResourceId one = CreateIn(world, kOne), own = world.Create();
    world.Write(one, 0, 10, 1);
    world.Settle();
    // A map may mix domains: this one begins with what the account stored.
    const ResourceId mixed = world.Create(world.Root(one));
    world.Write(mixed, 20, 10, 2);
    world.Write(own, 0, 1, 3);
    world.Settle();
    const CarryOrder order{world.pool(), world.second(), {}, world.Root(mixed), {}, 0, kBlocks};
    const auto carry = [&] {
      Result<std::unique_ptr<Carrier>> carrier = Carrier::Begin(world.store(), order);
      CHECK_OK(carrier.status());
      for (int step = 0; step < 10000; ++step) {
        const Result<Carrier::Progress> progress = (*carrier)->Next(kAlways);
        CHECK_OK(progress.status());
        if (*progress == Carrier::Progress::kDone) break;
        if (*progress == Carrier::Progress::kWait) CHECK_OK(world.second()->packs->Upkeep());
      }
      return std::move(*carrier);
    };
    const std::unique_ptr<Carrier> carrier = carry();
    CHECK(carrier->report().put_blocks == 20);
    Pool& there = *world.second();
    CHECK(DomainOf(there, kOne, 4, 1) == kOne && !there.packs->Find(IdIn(there, 0, 4, 1)));
    const std::vector<uint8_t> data = World::Data(1, 2);
    CHECK(there.packs->Find(there.key->BlockIdOf(data)).has_value());
    const ResourceId moved = world.Create(carrier->durable().root, kSecond);
    CHECK(world.Holds(moved, 0, 10, 1) && world.Holds(moved, 20, 10, 2));
    CHECK(carry()->report().found_blocks == 20);
  }
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
