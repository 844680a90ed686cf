// What each resource holds, against counting everything by hand, over a store in a simulated machine.
#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "../gc/space.h"
#include "../simulation/sim_env.h"
#include "check.h"
#include "small_store.h"

using namespace skerry;

namespace {

const Mark::GoOn kAlways = [] { return true; };

StoreOptions Options() {
  StoreOptions options = check::SmallStore("/space");
  options.journal.journal_bytes_max = 32 << 20;
  return options;
}

class World {
 public:
  World() : env_(1) {
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env_, Options(), {}, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }

  Store& store() { return *store_; }
  Pool& pool() { return *store_->pools().front(); }
  ResourceId Create(uint64_t blocks, TreeRoot root = {}) {
    const ResourceId id = next_++;
    CHECK_OK(store_->Add({{id, blocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, root, 0}));
    return id;
  }
  ResourceId Snapshot(ResourceId volume) {
    const ResourceId id = next_++;
    uint64_t sequence = 0;
    CHECK_OK(store_->Snapshot(volume, id, &sequence).status());
    return id;
  }
  ResourceId Clone(ResourceId snapshot) { return Create(store_->Find(snapshot)->size() / kBlockBytes, Root(snapshot)); }
  void Drop(ResourceId id) { CHECK_OK(store_->Drop(id).status()); }
  TreeRoot Root(ResourceId id) { return store_->Find(id)->content().stack->root; }
  void Write(ResourceId id, uint64_t offset, uint64_t length, uint8_t byte) {
    const std::vector<uint8_t> data(length, byte);
    CHECK_OK(store_->Find(id)->Write(offset, data).status());
    Durable();
  }
  void Durable() {
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
  }
  void Destage() {
    Durable();
    store_->FreezeAll();
    while (true) {
      Result<std::optional<RootCommit>> commit = store_->DestageStep(pool());
      CHECK_OK(commit.status());
      if (!*commit) return;
      store_->Committed((*commit)->token, true);
    }
  }
  std::shared_ptr<const SpaceReport> Measure(MarkLimits limits = {}) {
    Result<std::shared_ptr<const SpaceReport>> report = MeasureSpace(*store_, pool(), limits, kAlways);
    CHECK_OK(report.status());
    return *report;
  }

 private:
  SimEnv env_;
  std::unique_ptr<Store> store_;
  ResourceId next_ = 1;
};

/** All that a tree reaches, walked whole. */
struct Full {
  std::set<BlockId> blocks, nodes;
  uint64_t mapped = 0;

  void Walk(Tree& tree, const MapSlot& slot, uint8_t level) {
    nodes.insert(slot.id);
    Result<std::shared_ptr<const Node>> node = tree.NodeAt(slot, level);
    CHECK_OK(node.status());
    (*node)->ForEach([&](uint32_t, const MapSlot& child) {
      if (level > 0) return Walk(tree, child, level - 1);
      blocks.insert(child.id);
      ++mapped;
    });
  }
};

Reached Count(const PackStore& packs, const std::set<BlockId>& blocks, const std::set<BlockId>& nodes) {
  Reached reached;
  for (const BlockId& id : blocks) {
    ++reached.blocks;
    reached.block_bytes += packs.Find(id)->stored_bytes;
  }
  for (const BlockId& id : nodes) {
    ++reached.nodes;
    reached.node_bytes += packs.Find(id)->stored_bytes;
  }
  return reached;
}

bool Same(const Reached& a, const Reached& b) {
  return a.blocks == b.blocks && a.nodes == b.nodes && a.block_bytes == b.block_bytes && a.node_bytes == b.node_bytes;
}

/** Those of `ids` that only resources in `group` reach. */
std::set<BlockId> Only(const std::map<ResourceId, Full>& all, const std::set<ResourceId>& group, std::set<BlockId> Full::*kind) {
  std::set<BlockId> only;
  for (const ResourceId id : group) only.insert((all.at(id).*kind).begin(), (all.at(id).*kind).end());
  for (const auto& [id, full] : all) {
    if (group.contains(id)) continue;
    for (const BlockId& other : full.*kind) only.erase(other);
  }
  return only;
}

/** Everything that a report tells against a full mark. Nothing is journalled. */
void CheckAgainstFullMark(World& world, const SpaceReport& report) {
  const PackStore& packs = *world.pool().packs;
  std::map<ResourceId, Full> all;
  std::set<ResourceId> everyone;
  for (const Store::ResourceContent& one : world.store().Contents()) {
    const TreeRoot root = one.content.stack->root;
    Full& full = all[one.volume->id()];
    everyone.insert(one.volume->id());
    if (!root.id.empty()) full.Walk(*world.pool().tree, {root.id, root.at}, root.levels - 1);
  }
  CHECK(report.resources.size() == all.size());
  CHECK(report.nodes_unread == 0 && !report.patterns_cut);
  for (const ResourceSpace& resource : report.resources) {
    const Full& full = all.at(resource.id);
    CHECK(resource.mapped_bytes == full.mapped * kBlockBytes);
    CHECK(resource.journalled_bytes == 0);
    CHECK(Same(resource.reached, Count(packs, full.blocks, full.nodes)));
    CHECK(Same(resource.alone, Count(packs, Only(all, {resource.id}, &Full::blocks), Only(all, {resource.id}, &Full::nodes))));
    for (const SharedWith& shared : report.Shared(resource.id, 100)) {
      const std::set<BlockId>& other = all.at(shared.id).blocks;
      const auto both = std::count_if(full.blocks.begin(), full.blocks.end(), [&](const BlockId& id) { return other.contains(id); });
      CHECK(shared.blocks == static_cast<uint64_t>(both));
    }
  }
  // Odd and even ids, and those that three divides in no group.
  std::unordered_map<ResourceId, uint32_t> group_of;
  std::set<ResourceId> groups[2];
  for (const ResourceId id : everyone) {
    if (id % 3 == 0) continue;
    group_of[id] = id % 2;
    groups[id % 2].insert(id);
  }
  const std::vector<Reached> by_group = report.ByGroup(group_of, 2);
  for (int i = 0; i < 2; ++i) CHECK(Same(by_group[i], Count(packs, Only(all, groups[i], &Full::blocks), Only(all, groups[i], &Full::nodes))));
  CHECK(Same(report.pool.reached, Count(packs, Only(all, everyone, &Full::blocks), Only(all, everyone, &Full::nodes))));
  CHECK(report.pool.dead_bytes == report.pool.record_bytes - report.pool.reached.stored_bytes());
  CHECK(report.pool.stored_bytes >= report.pool.record_bytes);
}

void RandomSequence(uint32_t seed) {
  World world;
  std::mt19937 random(seed);
  const auto below = [&](uint32_t bound) { return random() % bound; };
  std::vector<ResourceId> volumes{world.Create(600)}, snapshots;
  for (int step = 0; step < 60; ++step) {
    const ResourceId volume = volumes[below(static_cast<uint32_t>(volumes.size()))];
    switch (below(8)) {
      case 0:
        snapshots.push_back(world.Snapshot(volume));
        break;
      case 1:
        world.Destage();
        if (!snapshots.empty()) volumes.push_back(world.Clone(snapshots[below(static_cast<uint32_t>(snapshots.size()))]));
        break;
      case 2:
        if (snapshots.size() > 3) {
          world.Drop(snapshots.front());
          snapshots.erase(snapshots.begin());
        }
        break;
      case 3:
        if (volumes.size() > 4) {
          world.Destage();  // a snapshot whose volume goes first would read the journal for ever
          world.Drop(volumes.back());
          volumes.pop_back();
        }
        break;
      case 4:
        CHECK_OK(world.store().Find(volume)->Zero(below(500) * kBlockBytes, (1 + below(80)) * kBlockBytes, true).status());
        break;
      default: {
        // Few contents, so that they meet again in other places and other volumes.
        const uint64_t length = below(2) == 0 ? kBlockBytes * (1 + below(3)) : kPageBytes * (1 + below(8));
        world.Write(volume, below(500) * uint64_t{kBlockBytes}, length, static_cast<uint8_t>(below(12)));
      }
    }
  }
  world.Destage();
  const std::shared_ptr<const SpaceReport> report = world.Measure();
  CheckAgainstFullMark(world, *report);
}

}  // namespace

TEST("what each resource holds, alone and with others, equals a full mark") {
  for (uint32_t seed = 1; seed <= 12; ++seed) RandomSequence(seed);
}

TEST("a table of blocks that is too small for the pool costs further passes, and no truth") {
  World world;
  const ResourceId volume = world.Create(4096);
  std::vector<uint8_t> data(kBlockBytes);
  for (uint32_t block = 0; block < 1300; ++block) {
    std::memcpy(data.data(), &block, sizeof(block));
    data[8] = 1;
    CHECK_OK(world.store().Find(volume)->Write(block * uint64_t{kBlockBytes}, data).status());
    if (block % 100 == 99) world.Destage();
    if (block == 999) world.Snapshot(volume);
  }
  world.Destage();
  // 1024 entries: the pool has more blocks than that.
  const std::shared_ptr<const SpaceReport> report = world.Measure({.block_table_bytes_max = 1});
  CheckAgainstFullMark(world, *report);
  const std::shared_ptr<const SpaceReport> whole = world.Measure();
  CHECK(report->nodes_read > whole->nodes_read);
  CHECK(whole->resources[0].reached.blocks == 1300 && whole->resources[1].reached.blocks == 1000);
}

TEST("each distinct node is read once, however many resources share it") {
  World world;
  const ResourceId volume = world.Create(300 * 256);
  for (uint64_t leaf = 0; leaf < 40; ++leaf) world.Write(volume, leaf * 256 * kBlockBytes, kBlockBytes, static_cast<uint8_t>(leaf + 1));
  const ResourceId snapshot = world.Snapshot(volume);
  world.Destage();
  const uint64_t alone = world.Measure()->nodes_read;
  for (int i = 0; i < 50; ++i) world.Clone(snapshot);
  const std::shared_ptr<const SpaceReport> report = world.Measure();
  CHECK(report->nodes_read == alone);
  CHECK(report->resources.size() == 52);
  for (const ResourceSpace& resource : report->resources) {
    CHECK(resource.alone.blocks == 0 && resource.alone.stored_bytes() == 0);
    CHECK(resource.mapped_bytes == 40 * kBlockBytes);
  }
  CHECK(report->Shared(snapshot, 3).size() == 3 && report->Shared(snapshot, 3)[0].blocks == 40);
}

TEST("what is only in the journal is told apart, and blocks that a large write put in a pack are not dead") {
  World world;
  const ResourceId volume = world.Create(256);
  world.Write(volume, 0, kPageBytes, 1);
  world.Write(volume, 3 * kPageBytes + 100, 200, 2);
  world.Write(volume, 8 * kBlockBytes, 2 * kBlockBytes, 3);   // one content in two blocks
  std::shared_ptr<const SpaceReport> report = world.Measure();
  CHECK(report->resources[0].mapped_bytes == 0);
  CHECK(report->resources[0].journalled_bytes == (1 + 1 + 32) * kPageBytes);
  CHECK(report->resources[0].alone.blocks == 1);
  CHECK(report->pool.dead_bytes == 0);
  CHECK(report->pool.journalled_uses == 2 && report->pool.uncompressed_bytes == report->pool.reached.block_bytes);
  // A snapshot that is not destaged yet reads the same generation as its volume.
  world.Snapshot(volume);
  report = world.Measure();
  CHECK(report->resources[0].alone.blocks == 0 && report->resources[1].alone.blocks == 0 && report->pool.reached.blocks == 1);
  CHECK(report->resources[1].journalled_bytes == 34 * kPageBytes);
  CHECK(report->pool.journalled_uses == 4);
  world.Destage();
  report = world.Measure();
  CHECK(report->resources[0].journalled_bytes == 0 && report->resources[0].mapped_bytes == 3 * kBlockBytes);
  CHECK(report->pool.reached.blocks == 2 && report->pool.journalled_uses == 0);
  CheckAgainstFullMark(world, *report);
}

TEST("a page that was written again while its generation waits for destage counts once, and one that was trimmed not at all") {
  World world;
  const ResourceId volume = world.Create(256);
  world.Write(volume, 0, 6 * kPageBytes, 1);
  world.Write(volume, 20 * kBlockBytes, kPageBytes, 1);
  world.store().FreezeAll();
  world.Write(volume, 4 * kPageBytes, 4 * kPageBytes, 2);       // two again, two fresh
  CHECK_OK(world.store().Find(volume)->Zero(0, kPageBytes, true).status());
  CHECK_OK(world.store().Find(volume)->Zero(20 * kBlockBytes, kBlockBytes, true).status());
  CHECK(world.Measure()->resources[0].journalled_bytes == 7 * kPageBytes);
  world.Write(volume, 20 * kBlockBytes + 10, 20, 3);             // over what was just trimmed
  CHECK(world.Measure()->resources[0].journalled_bytes == 8 * kPageBytes);
  world.Destage();
  CHECK(world.Measure()->resources[0].journalled_bytes == 0);
}

TEST("what is overwritten is dead until it is collected") {
  World world;
  const ResourceId volume = world.Create(256);
  world.Write(volume, 0, 4 * kBlockBytes, 1);
  world.Destage();
  CHECK(world.Measure()->pool.dead_bytes == 0);
  world.Write(volume, 0, 4 * kBlockBytes, 2);
  world.Destage();
  const std::shared_ptr<const SpaceReport> report = world.Measure();
  CHECK(report->pool.dead_bytes > kBlockBytes && report->pool.reached.blocks == 1);
}

TEST("a walk that is told to stop stops") {
  World world;
  const ResourceId volume = world.Create(256);
  world.Write(volume, 0, kBlockBytes, 1);
  world.Destage();
  CHECK(MeasureSpace(world.store(), world.pool(), {}, [] { return false; }).code() == Code::kClosed);
}

TEST("a pool with more map nodes than are counted is refused with words") {
  World world;
  const ResourceId volume = world.Create(300 * 256);
  for (uint64_t leaf = 0; leaf < 5; ++leaf) world.Write(volume, leaf * 256 * kBlockBytes, kBlockBytes, 1 + static_cast<uint8_t>(leaf));
  world.Destage();
  CHECK(MeasureSpace(world.store(), world.pool(), {.nodes_max = 3}, kAlways).code() == Code::kNoSpace);
}

TEST("patterns of sharing that are too many leave what one alone reaches exact") {
  World world;
  const ResourceId volume = world.Create(256);
  for (uint8_t i = 0; i < 8; ++i) {
    world.Write(volume, i * kBlockBytes, kBlockBytes, i + 1);
    world.Snapshot(volume);
  }
  world.Write(volume, 20 * kBlockBytes, kBlockBytes, 99);
  world.Destage();
  const std::shared_ptr<const SpaceReport> report = world.Measure({.set_bytes_max = 200});
  CHECK(report->patterns_cut);
  CHECK(report->resources[0].alone.blocks == 1 && report->resources[1].alone.blocks == 0);
  CHECK(report->pool.reached.blocks == 9);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
