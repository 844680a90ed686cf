// Trees against a std::map, in real packs in a scratch directory.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "../map/node_cache.h"
#include "../map/node_format.h"
#include "../map/tree.h"
#include "check.h"

using namespace skerry;

namespace {

constexpr size_t kCacheBytes = 8 << 20;

DomainKey TestKey() {
  std::array<uint8_t, 32> key;
  key.fill(0x5a);
  return DomainKey(key);
}

/** A pool's packs in a directory of their own, gone with the test. */
class Scratch {
 public:
  Scratch() : env_(MakePosixEnv()), key_(TestKey()) {
    char pattern[] = "/tmp/skerry-tree-XXXXXX";
    CHECK(::mkdtemp(pattern) != nullptr);
    path_ = pattern;
    CHECK_OK(env_->MakeDirectory(path_ + "/packs"));
    Reopen();
  }
  ~Scratch() {
    tree_.reset();
    packs_.reset();
    std::filesystem::remove_all(path_);
  }
  void Reopen(size_t cache_bytes_max = kCacheBytes) {
    tree_.reset();
    packs_.reset();
    PackStoreOptions options;
    options.directory = path_ + "/packs";
    options.checkpoint = path_ + "/index";
    options.pack_bytes = 8 << 20;
    options.reserve_bytes = 1 << 20;
    PackReport report;
    auto packs = PackStore::Open(*env_, options, report);
    CHECK_OK(packs.status());
    packs_ = std::move(*packs);
    tree_ = std::make_unique<Tree>(*packs_, key_, cache_bytes_max);
  }
  Tree& tree() { return *tree_; }
  PackStore& packs() { return *packs_; }
  const DomainKey& key() const { return key_; }
  Env& env() { return *env_; }
  std::string pack_directory() const { return path_ + "/packs"; }

 private:
  std::unique_ptr<Env> env_;
  DomainKey key_;
  std::string path_;
  std::unique_ptr<PackStore> packs_;
  std::unique_ptr<Tree> tree_;
};

MapSlot SlotOf(uint64_t content) {
  MapSlot slot;
  const uint64_t words[4] = {content * 0x9e3779b97f4a7c15ull + 1, content, ~content, 77};
  std::memcpy(slot.id.bytes.data(), words, sizeof(words));
  slot.at = {static_cast<uint32_t>(content % 1000 + 1), static_cast<uint32_t>(content * 512), 66000};
  return slot;
}

using Model = std::map<BlockIndex, MapSlot>;

void Apply(Model& model, const std::vector<MapCut>& cuts, const std::vector<MapChange>& changes) {
  for (const MapCut& cut : cuts) model.erase(model.lower_bound(cut.start), model.lower_bound(cut.start + cut.count));
  for (const MapChange& change : changes) {
    if (change.slot.hole()) model.erase(change.block);
    else model[change.block] = change.slot;
  }
}

Result<TreeRoot> BuildAfresh(Tree& tree, const Model& model, uint8_t levels) {
  std::vector<MapChange> changes;
  for (const auto& [block, slot] : model) changes.push_back({block, slot});
  return tree.Update(TreeRoot{}, levels, {}, changes);
}

uint64_t ModelRun(const Model& model, BlockIndex block, uint64_t blocks_max, bool* hole) {
  auto at = model.lower_bound(block);
  *hole = at == model.end() || at->first != block;
  if (*hole) return at == model.end() ? blocks_max : std::min(blocks_max, at->first - block);
  uint64_t length = 0;
  while (length < blocks_max && at != model.end() && at->first == block + length) ++length, ++at;
  return length;
}

void CheckAgainst(Tree& tree, const TreeRoot& root, const Model& model, uint64_t blocks, std::mt19937_64& random) {
  auto expected = model.begin();
  CHECK_OK(tree.Visit(root, [&](BlockIndex block, const MapSlot& slot) {
    CHECK(expected != model.end() && expected->first == block && expected->second.id == slot.id);
    ++expected;
    return true;
  }));
  CHECK(expected == model.end());
  std::vector<BlockIndex> probes;
  for (int i = 0; i < 60; ++i) probes.push_back(random() % blocks);
  for (auto at = model.begin(); at != model.end() && probes.size() < 200; ++at) {
    probes.push_back(at->first);
    if (at->first > 0) probes.push_back(at->first - 1);
    probes.push_back(at->first + 1);
  }
  for (const BlockIndex block : probes) {
    auto slot = tree.Lookup(root, block, true);
    CHECK_OK(slot.status());
    const auto want = model.find(block);
    CHECK(want == model.end() ? slot->hole() : slot->id == want->second.id && slot->at == want->second.at);

    bool hole = false, want_hole = false;
    const uint64_t blocks_max = random() % 3 == 0 ? 1 + random() % 1000 : blocks;
    auto run = tree.Run(root, block, blocks_max, &hole, true);
    CHECK_OK(run.status());
    CHECK(*run == ModelRun(model, block, blocks_max, &want_hole) && hole == want_hole);
  }
  for (int i = 0; i < 20; ++i) {
    const BlockIndex first = probes[random() % probes.size()];
    std::vector<MapSlot> slots(1 + random() % 700);
    CHECK_OK(tree.LookupRun(root, first, static_cast<uint32_t>(slots.size()), slots, true));
    for (size_t k = 0; k < slots.size(); ++k) {
      const auto want = model.find(first + k);
      CHECK(want == model.end() ? slots[k].hole() : slots[k].id == want->second.id);
    }
  }
}

std::shared_ptr<const Node> SampleNode(uint32_t step) {
  std::vector<MapSlot> slots(kNodeSlots);
  for (uint32_t i = 0; i < kNodeSlots; i += step) slots[i] = SlotOf(i + 1);
  return Node::Make(0, slots);
}

}  // namespace

TEST("a tree has the levels its size needs, and at least one") {
  CHECK(LevelsFor(0) == 1 && LevelsFor(1) == 1 && LevelsFor(256) == 1);
  CHECK(LevelsFor(257) == 2 && LevelsFor(65536) == 2 && LevelsFor(65537) == 3);
  CHECK(LevelsFor((10ull << 40) / 65536) == 4 && LevelsFor(1ull << 47) == 6 && LevelsFor(~0ull) == 8);
}

TEST("a node decodes to what was encoded, hints too, and its id covers the canonical bytes only") {
  const DomainKey key = TestKey();
  for (const uint32_t step : {1u, 3u, 64u, 255u}) {
    const auto node = SampleNode(step);
    size_t canonical = 0;
    std::vector<uint8_t> bytes = node->Encode(&canonical);
    CHECK(bytes.size() == sizeof(NodeHeader) + node->count() * 44 && bytes.size() <= kNodeBytesMax);
    const BlockId id = key.NodeIdOf(ConstBytes(bytes).first(canonical));
    auto decoded = Node::Decode(bytes, key, id);
    CHECK_OK(decoded.status());
    for (uint32_t i = 0; i < kNodeSlots; ++i) {
      const MapSlot* slot = (*decoded)->Find(i);
      CHECK((slot != nullptr) == (i % step == 0));
      if (slot != nullptr) CHECK(slot->id == SlotOf(i + 1).id && slot->at == SlotOf(i + 1).at);
    }
    for (size_t i = canonical; i < bytes.size(); ++i) bytes[i] ^= 0xff;
    CHECK_OK(Node::Decode(bytes, key, id).status());
  }
}

TEST("a node with any canonical bit flipped, of any other length, or under another id or key is refused") {
  const DomainKey key = TestKey();
  size_t canonical = 0;
  const std::vector<uint8_t> bytes = SampleNode(37)->Encode(&canonical);
  const BlockId id = key.NodeIdOf(ConstBytes(bytes).first(canonical));
  for (size_t bit = 0; bit < canonical * 8; ++bit) {
    std::vector<uint8_t> flipped = bytes;
    flipped[bit / 8] ^= 1 << (bit % 8);
    CHECK(Node::Decode(flipped, key, id).code() == Code::kCorrupt);
  }
  for (size_t length = 0; length < bytes.size(); ++length) {
    const std::vector<uint8_t> shorter(bytes.begin(), bytes.begin() + length);  // its own allocation: an over-read shows
    CHECK(Node::Decode(shorter, key, id).code() == Code::kCorrupt);
  }
  std::vector<uint8_t> longer = bytes;
  longer.push_back(0);
  CHECK(Node::Decode(longer, key, id).code() == Code::kCorrupt);
  CHECK(Node::Decode(bytes, key, SlotOf(1).id).code() == Code::kCorrupt);
  std::array<uint8_t, 32> other{};
  CHECK(Node::Decode(bytes, DomainKey(other), id).code() == Code::kCorrupt);
}

TEST("a node that carries the hash of its own nonsense is refused too") {
  const DomainKey key = TestKey();
  std::mt19937 random(3);
  size_t canonical = 0;
  const std::vector<uint8_t> good = SampleNode(50)->Encode(&canonical);
  const auto refused = [&](std::vector<uint8_t> bytes) {
    const BlockId id = key.NodeIdOf(ConstBytes(bytes).first(std::min(canonical, bytes.size())));
    return Node::Decode(bytes, key, id).code() == Code::kCorrupt;
  };
  std::vector<uint8_t> bytes = good;
  std::fill_n(bytes.begin() + sizeof(NodeHeader), kNodeIdBytes, 0);
  CHECK(refused(bytes));  // a present slot without an id
  for (const size_t field : {offsetof(NodeHeader, version), offsetof(NodeHeader, algorithm), offsetof(NodeHeader, flags),
                             offsetof(NodeHeader, count), offsetof(NodeHeader, reserved), offsetof(NodeHeader, present)}) {
    bytes = good;
    bytes[field] ^= 0x40;
    CHECK(refused(bytes));
  }
  for (int round = 0; round < 2000; ++round) {
    bytes.resize(random() % 600);
    for (uint8_t& byte : bytes) byte = random();
    if (bytes.size() >= sizeof(NodeHeader)) std::copy_n(good.begin(), 7, bytes.begin());
    CHECK(refused(bytes));
  }
}

TEST("a tree equals a map through random changes, cuts and growth, and equal content has an equal id") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Scratch scratch;
    std::mt19937_64 random(seed);
    Model model;
    TreeRoot root;
    uint64_t blocks = seed % 2 ? 200 : 40000;
    for (int round = 0; round < 14; ++round) {
      if (round == 4) blocks = 60000;
      if (round == 8) blocks = 3000000;
      if (round == 11) blocks = 1ull << 33;
      std::vector<MapCut> cuts;
      for (uint64_t i = random() % 4; i > 0; --i) {
        const BlockIndex start = random() % blocks;
        cuts.push_back({start, 1 + random() % std::min<uint64_t>(blocks - start, random() % 2 ? 300 : blocks)});
      }
      std::map<BlockIndex, MapSlot> drafted;
      const BlockIndex near = random() % blocks;
      for (uint64_t i = random() % 300; i > 0; --i) {
        const BlockIndex block = random() % 2 ? random() % blocks : std::min(near + random() % 600, blocks - 1);
        drafted[block] = random() % 5 == 0 ? MapSlot{} : SlotOf(random() % 100000 + 1);
      }
      std::vector<MapChange> changes;
      for (const auto& [block, slot] : drafted) changes.push_back({block, slot});
      auto updated = scratch.tree().Update(root, LevelsFor(blocks), cuts, changes);
      CHECK_OK(updated.status());
      Apply(model, cuts, changes);
      root = *updated;
      CHECK(root.levels == LevelsFor(blocks) && root.id.empty() == model.empty());
      if (round % 5 == 0) {
        CHECK_OK(scratch.packs().Sync());
        scratch.Reopen(round % 2 ? kCacheBytes : 0);
      }
      CheckAgainst(scratch.tree(), root, model, blocks, random);
      auto afresh = BuildAfresh(scratch.tree(), model, LevelsFor(blocks));
      CHECK_OK(afresh.status());
      CHECK(afresh->id == root.id);
    }
  }
}

TEST("an old root stays readable after an update: a snapshot never changes") {
  Scratch scratch;
  std::mt19937_64 random(9);
  Model before;
  for (BlockIndex block = 0; block < 2000; block += 3) before[block] = SlotOf(block + 1);
  auto old_root = BuildAfresh(scratch.tree(), before, 2);
  CHECK_OK(old_root.status());
  const std::vector<MapCut> cuts = {{0, 500}};
  const std::vector<MapChange> changes = {{1, SlotOf(99999)}, {1500, MapSlot{}}};
  auto new_root = scratch.tree().Update(*old_root, 2, cuts, changes);
  CHECK_OK(new_root.status());
  Model after = before;
  Apply(after, cuts, changes);
  scratch.Reopen();
  CheckAgainst(scratch.tree(), *old_root, before, 65536, random);
  CheckAgainst(scratch.tree(), *new_root, after, 65536, random);
}

TEST("an update that changes nothing puts nothing, and one block puts one node a level") {
  Scratch scratch;
  Model model;
  for (BlockIndex block = 0; block < 200000; block += 97) model[block] = SlotOf(block + 1);
  auto root = BuildAfresh(scratch.tree(), model, 3);
  CHECK_OK(root.status());
  const uint64_t records = scratch.packs().usage().put_records;
  const std::vector<MapChange> same = {{97, SlotOf(98)}, {98, MapSlot{}}};
  const std::vector<MapCut> nothing_there = {{1, 90}, {300000, 100000}, {0, 0}};
  auto unchanged = scratch.tree().Update(*root, 3, nothing_there, same);
  CHECK_OK(unchanged.status());
  CHECK(unchanged->id == root->id && unchanged->at == root->at && scratch.packs().usage().put_records == records);
  const std::vector<MapChange> one = {{97 * 50, SlotOf(123456)}};
  CHECK_OK(scratch.tree().Update(*root, 3, {}, one).status());
  CHECK(scratch.packs().usage().put_records == records + 3);
}

TEST("a cut of whole subtrees and a run over absent ones read no node below them") {
  Scratch scratch;
  // A tree of three levels whose leaves exist nowhere: whoever reads one fails.
  std::vector<MapSlot> slots(kNodeSlots);
  for (const uint32_t index : {3u, 4u, 200u}) slots[index] = SlotOf(index);
  const auto put = [&](const std::shared_ptr<const Node>& node) {
    size_t canonical = 0;
    bool reused = false;
    const std::vector<uint8_t> bytes = node->Encode(&canonical);
    MapSlot slot;
    slot.id = scratch.key().NodeIdOf(ConstBytes(bytes).first(canonical));
    auto at = scratch.packs().Put(RecordKind::kNode, slot.id, bytes, &reused);
    CHECK_OK(at.status());
    slot.at = *at;
    return slot;
  };
  const MapSlot middle = put(Node::Make(1, slots));
  slots.assign(kNodeSlots, {});
  slots[7] = middle;
  const MapSlot top = put(Node::Make(2, slots));
  const TreeRoot root{top.id, top.at, 3};
  Tree& tree = scratch.tree();
  constexpr BlockIndex kMiddle = 7 << 16;
  CHECK(tree.Lookup(root, kMiddle + 3 * 256, true).code() == Code::kNotFound);

  bool hole = false;
  auto run = tree.Run(root, 0, 1ull << 50, &hole, true);
  CHECK(!run.ok());  // the leaf that ends the run must be read
  run = tree.Run(root, 0, kMiddle + 3 * 256, &hole, true);
  CHECK(run.ok() && *run == kMiddle + 3 * 256 && hole);
  run = tree.Run(root, kMiddle + 5 * 256 + 9, 1000, &hole, true);
  CHECK(run.ok() && *run == 1000 && hole);
  run = tree.Run(root, kMiddle + 201 * 256, 1ull << 50, &hole, true);
  CHECK(run.ok() && *run == 1ull << 50 && hole);
  run = tree.Run(TreeRoot{}, 0, ~0ull, &hole, true);
  CHECK(run.ok() && *run == ~0ull && hole);

  // Whole leaves, and more cuts that overlap them, in no order.
  const std::vector<MapCut> two = {{kMiddle + 4 * 256, 256}, {kMiddle + 100, 4 * 256 - 100}};
  auto cut = tree.Update(root, 3, two, {});
  CHECK_OK(cut.status());
  slots.assign(kNodeSlots, {});
  slots[200] = SlotOf(200);
  const MapSlot left = put(Node::Make(1, slots));
  slots.assign(kNodeSlots, {});
  slots[7] = left;
  CHECK(cut->id == put(Node::Make(2, slots)).id);
  const std::vector<MapCut> part = {{kMiddle + 4 * 256, 255}};
  CHECK(tree.Update(root, 3, part, {}).code() == Code::kNotFound);
  const std::vector<MapCut> all = {{1ull << 20, ~0ull - (1ull << 20)}, {5, 1ull << 20}, {0, 6}};
  auto emptied = tree.Update(root, 4, all, {});
  CHECK(emptied.ok() && emptied->id.empty());
}

TEST("an empty tree that grows stays empty, and wrong asks are refused") {
  Scratch scratch;
  auto grown = scratch.tree().Update(TreeRoot{}, 5, {}, {});
  CHECK(grown.ok() && grown->id.empty() && grown->levels == 5);
  const std::vector<MapChange> one = {{3, SlotOf(4)}};
  auto root = scratch.tree().Update(TreeRoot{}, 2, {}, one);
  CHECK_OK(root.status());
  const std::vector<MapChange> past = {{65536, SlotOf(4)}};
  const std::vector<MapChange> unordered = {{4, SlotOf(4)}, {3, SlotOf(5)}};
  CHECK(scratch.tree().Update(*root, 2, {}, past).code() == Code::kInvalid);
  CHECK(scratch.tree().Update(*root, 2, {}, unordered).code() == Code::kInvalid);
  CHECK(scratch.tree().Update(*root, 1, {}, {}).code() == Code::kInvalid);
  CHECK(scratch.tree().Update(*root, 7, {}, {}).code() == Code::kInvalid);
  CHECK(scratch.tree().Lookup({root->id, root->at, 0}, 3, true).code() == Code::kInvalid);
  CHECK(scratch.tree().Lookup({root->id, root->at, 200}, 3, true).code() == Code::kInvalid);
  scratch.Reopen();
  CHECK(scratch.tree().Lookup({root->id, root->at, 3}, 3, true).code() == Code::kCorrupt);
}

TEST("a stale, absent or nonsensical hint is mended by the index") {
  Scratch scratch;
  Model model;
  for (BlockIndex block = 0; block < 5000; block += 2) model[block] = SlotOf(block + 1);
  auto root = BuildAfresh(scratch.tree(), model, 2);
  CHECK_OK(root.status());
  for (const Location wrong : {Location{}, Location{root->at.pack, 512, 640}, Location{9999, 512, 640},
                               PlaceOf(root->at.pack, 0xfffffe00, 0xffffffff), PlaceOf(root->at.pack, 0xfffffe00, 0x7fffffff), Location{root->at.pack, root->at.offset + 1, 7}}) {
    scratch.Reopen();
    auto slot = scratch.tree().Lookup({root->id, wrong, root->levels}, 2, true);
    CHECK_OK(slot.status());
    CHECK(slot->id == SlotOf(3).id);
  }
  scratch.Reopen();
  CHECK(scratch.tree().Lookup({SlotOf(5).id, {}, 2}, 2, true).code() == Code::kNotFound);
}

TEST("a node with a flipped bit at rest is refused, never believed") {
  Scratch scratch;
  Model model;
  for (BlockIndex block = 0; block < 5000; block += 2) model[block] = SlotOf(block + 1);
  auto root = BuildAfresh(scratch.tree(), model, 2);
  CHECK_OK(root.status());
  CHECK_OK(scratch.packs().Seal());
  scratch.Reopen();
  std::string name;
  auto listed = scratch.env().List(scratch.pack_directory());
  CHECK_OK(listed.status());
  for (const DirectoryEntry& entry : *listed) {
    const bool decimal = std::strtoul(entry.name.c_str(), nullptr, 10) == root->at.pack;
    const bool hexadecimal = std::strtoul(entry.name.c_str(), nullptr, 16) == root->at.pack;
    if (decimal || hexadecimal) name = entry.name;
  }
  CHECK(!name.empty());
  auto file = scratch.env().Open(scratch.pack_directory() + "/" + name, {.write = true});
  CHECK_OK(file.status());
  uint8_t byte = 0;
  const uint64_t at = CellOffset(root->at, 0) + 100;
  CHECK_OK((*file)->Read({&byte, 1}, at).status());
  byte ^= 0x10;
  CHECK_OK((*file)->Write(ConstBytes(&byte, 1), at));
  CHECK(scratch.tree().Lookup(*root, 2, true).code() == Code::kCorrupt);
  CHECK(scratch.tree().Visit(*root, [](BlockIndex, const MapSlot&) { return true; }).code() == Code::kCorrupt);
}

TEST("a visit stops when it is told to") {
  Scratch scratch;
  Model model;
  for (BlockIndex block = 0; block < 100000; block += 50) model[block] = SlotOf(block + 1);
  auto root = BuildAfresh(scratch.tree(), model, 3);
  CHECK_OK(root.status());
  int seen = 0;
  CHECK_OK(scratch.tree().Visit(*root, [&](BlockIndex, const MapSlot&) { return ++seen < 700; }));
  CHECK(seen == 700);
}

TEST("the node cache keeps to its bound and forgets what was used least recently") {
  NodeCache cache(20 * kNodeBytesMax);
  const auto node = SampleNode(1);
  for (uint64_t i = 1; i <= 200; ++i) {
    cache.Put(SlotOf(i).id, SampleNode(1));
    CHECK(cache.Get(SlotOf(1).id) != nullptr);  // used all along
    CHECK(cache.bytes() <= 20 * kNodeBytesMax);
  }
  CHECK(cache.Get(SlotOf(200).id) != nullptr && cache.Get(SlotOf(2).id) == nullptr);
  NodeCache none(0);
  none.Put(SlotOf(1).id, node);
  CHECK(none.Get(SlotOf(1).id) == nullptr && none.bytes() == 0);
}

TEST("readers of several roots and a writer share a tree") {
  Scratch scratch;
  scratch.Reopen(1 << 20);
  Model model;
  for (BlockIndex block = 0; block < 300000; block += 7) model[block] = SlotOf(block + 1);
  auto root = BuildAfresh(scratch.tree(), model, 3);
  CHECK_OK(root.status());
  std::atomic<uint64_t> wrong{0};
  const auto read = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 4000; ++i) {
      const BlockIndex block = random() % 300000;
      auto slot = scratch.tree().Lookup(*root, block, true);
      if (!slot.ok() || (block % 7 == 0 ? slot->id != SlotOf(block + 1).id : !slot->hole())) ++wrong;
    }
  };
  std::thread first(read, 1), second(read, 2);
  TreeRoot moving = *root;
  for (uint64_t i = 0; i < 60; ++i) {
    const std::vector<MapChange> one = {{i * 4001, SlotOf(i + 5000000)}};
    auto next = scratch.tree().Update(moving, 3, {}, one);
    if (!next.ok()) ++wrong;
    else moving = *next;
  }
  first.join();
  second.join();
  CHECK(wrong == 0);
  for (uint64_t i = 0; i < 60; ++i) CHECK(scratch.tree().Lookup(moving, i * 4001, true)->id == SlotOf(i + 5000000).id);
}

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
