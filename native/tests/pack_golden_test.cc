// Packs, map nodes and the index checkpoint as version 1 lays them down. See docs/formats/pack.md, node.md and
// index_checkpoint.md.
#include <cstring>

#include "../blocks/index_checkpoint.h"
#include "../map/node_format.h"
#include "../map/tree.h"
#include "file_image.h"
#include "golden_env.h"

namespace skerry {
namespace {

constexpr const char* kPackGolden = "pack_v1_proven";
/** Of earlier writers: the first headers had no proof, and before that records were laid without gaps from byte 512 on. Reading is the same. */
constexpr const char* kUnprovenGolden = "pack_v1";
constexpr const char* kDenseGolden = "pack_v1_dense";
constexpr const char* kLostGolden = "pack_v1_lost";
constexpr const char* kNodeGolden = "node_v1";
constexpr const char* kSealedPath = "/d/packs/00000001.pack";
constexpr const char* kOpenPath = "/d/packs/00000002.open";
constexpr const char* kIndexPath = "/d/index";
constexpr size_t kCacheBytes = 1 << 20;

DomainKey Key() {
  std::array<uint8_t, 32> key;
  for (uint8_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i * 5 + 1);
  return DomainKey(key);
}

const PackStoreOptions kSmall{"/d/packs", kIndexPath, 256 << 10, 0, 5, 3, Key()};

/** A line of 32 bytes over and over, so that the golden file stays short, and another on each page. */
std::vector<uint8_t> Block(uint8_t n, size_t pages) {
  std::vector<uint8_t> bytes(pages * kPageBytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(n * 64 + i / kPageBytes * 8 + i % 8);
  return bytes;
}

struct Stores {
  explicit Stores(Env& env) : env(env) { Open(); }
  void Open() {
    store.reset();
    report = {};
    Result<std::unique_ptr<PackStore>> opened = PackStore::Open(env, kSmall, report);
    CHECK_OK(opened.status());
    store = std::move(*opened);
  }
  BlockId IdOf(uint8_t n, size_t pages) { return key.BlockIdOf(Block(n, pages)); }
  Location Put(uint8_t n, size_t pages) {
    Result<Location> at = store->Put(RecordKind::kBlock, IdOf(n, pages), Block(n, pages), nullptr);
    CHECK_OK(at.status());
    return *at;
  }
  MapSlot SlotOf(uint8_t n, size_t pages) { return {IdOf(n, pages), *store->Find(IdOf(n, pages))}; }
  /** The index knows the block, at a place that reads as it, page by page and whole. */
  void CheckHolds(uint8_t n, size_t pages) {
    const BlockId id = IdOf(n, pages);
    const std::optional<Location> at = store->Find(id);
    CHECK(at.has_value() && store->Verify(*at, id));
    std::vector<uint8_t> bytes(pages * kPageBytes);
    CHECK_OK(store->ReadPages(*at, id, 0, static_cast<uint32_t>(pages), bytes, true));
    CHECK(bytes == Block(n, pages) && store->ReadRecord(*at, id, true).value() == bytes);
  }

  Env& env;
  DomainKey key = Key();
  std::unique_ptr<PackStore> store;
  PackReport report;
};

/** What the golden packs hold: in the sealed one two blocks, put at once, and a map of them; in the open one a third block. */
TreeRoot Fill(Stores& stores) {
  const std::vector<uint8_t> first = Block(1, 16), second = Block(2, 2);
  PackPut puts[2];
  puts[0].id = stores.IdOf(1, 16), puts[0].raw = first;
  puts[1].id = stores.IdOf(2, 2), puts[1].raw = second;
  CHECK_OK(stores.store->PutAll(puts, false));
  const MapChange changes[] = {{1, stores.SlotOf(1, 16)}, {200, stores.SlotOf(2, 2)}};
  Tree tree(*stores.store, stores.key, kCacheBytes);
  Result<TreeRoot> root = tree.Update(TreeRoot{}, 1, {}, changes);
  CHECK_OK(root.status());
  CHECK_OK(stores.store->Seal());
  (void)stores.Put(3, 16);
  CHECK_OK(stores.store->Sync());
  CHECK_OK(stores.store->Checkpoint(true));
  return *root;
}

/** The id of the golden map's root: what a root chunk would hold. */
BlockId RootOf(const golden::Parts& parts) {
  BlockId id;
  const std::vector<uint8_t>& bytes = golden::BytesOf(parts, "root_id");
  CHECK(bytes.size() == id.bytes.size());
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

void CheckContent(Stores& stores, const BlockId& root) {
  stores.CheckHolds(1, 16);
  stores.CheckHolds(2, 2);
  stores.CheckHolds(3, 16);
  Tree tree(*stores.store, stores.key, kCacheBytes);
  std::vector<BlockIndex> seen;
  CHECK_OK(tree.Visit({root, {}, 1}, [&](BlockIndex block, const MapSlot& slot) {
    seen.push_back(block);
    const bool first = block == 1;
    CHECK(slot.id == (first ? stores.IdOf(1, 16) : stores.IdOf(2, 2)) && slot.at == stores.store->Find(slot.id));
    return true;
  }));
  CHECK((seen == std::vector<BlockIndex>{1, 200}));
}

TEST("packs and the index checkpoint are written as their golden file holds them, byte for byte") {
  GoldenEnv env;
  Stores stores(env);
  const TreeRoot root = Fill(stores);
  golden::Compare(kPackGolden, {{"00000001.pack", LoadFile(env, kSealedPath)},
                                {"00000002.open", LoadFile(env, kOpenPath)},
                                {"index", LoadFile(env, kIndexPath)},
                                {"root_id", {root.id.bytes.begin(), root.id.bytes.end()}}});
}

TEST("packs of version 1 are found by the checkpoint, by their footers, and by a scan") {
  enum class By { kCheckpoint, kFooter, kScan };
  const auto check = [](const golden::Parts& parts, By by) {
    GoldenEnv env;
    std::vector<uint8_t> sealed = golden::BytesOf(parts, "00000001.pack");
    if (by == By::kScan) sealed.back() ^= 1;
    StoreFile(env, kSealedPath, sealed);
    StoreFile(env, kOpenPath, golden::BytesOf(parts, "00000002.open"));
    if (by == By::kCheckpoint) StoreFile(env, kIndexPath, golden::BytesOf(parts, "index"));
    Stores stores(env);
    CHECK(stores.report.index_from_checkpoint == (by == By::kCheckpoint) && stores.report.notes.empty() == (by != By::kScan));
    CHECK(stores.report.packs == 2 && stores.report.records == 4 && stores.report.recovered_open == 1);
    CheckContent(stores, RootOf(parts));
    // The open pack was sealed at the start: another start finds the same by footers.
    stores.Open();
    CHECK(stores.report.packs == 2 && stores.report.recovered_open == 0);
    CheckContent(stores, RootOf(parts));
    CHECK(stores.Put(4, 1).pack == 3);
  };
  for (const char* name : {kPackGolden, kUnprovenGolden, kDenseGolden}) {
    for (const By by : {By::kCheckpoint, By::kFooter, By::kScan}) check(golden::Read(name), by);
  }
}

TEST("the checkpoint of version 1 names packs, their sizes, what is in them and the next number") {
  const struct {
    const char* golden;
    uint32_t first_offset;
  } cases[] = {{kPackGolden, 4096}, {kUnprovenGolden, 4096}, {kDenseGolden, 512}};
  for (const auto& [name, first_offset] : cases) {
    const golden::Parts parts = golden::Read(name);
    GoldenEnv env;
    StoreFile(env, kIndexPath, golden::BytesOf(parts, "index"));
    const uint64_t sealed_bytes = golden::BytesOf(parts, "00000001.pack").size();
    LocationIndex index;
    const auto there = [&](uint32_t pack, uint64_t bytes) { return pack == 1 && bytes == sealed_bytes; };
    Result<CheckpointContent> content = LoadCheckpoint(env, kIndexPath, kSmall.domain, there, index);
    CHECK_OK(content.status());
    CHECK(content->next_pack == 3 && content->packs.size() == 1 && index.count() == 3);
    const SealedPack& pack = content->packs.at(1);
    CHECK(pack.file_bytes == sealed_bytes && pack.blocks == 2 && pack.nodes == 1);
    const std::optional<Location> at = index.Find(Key().BlockIdOf(Block(1, 16)).prefix());
    CHECK(at.has_value() && (*at == Location{1, first_offset, 66048}));
  }
}

TEST("a block with a lost page is written as its golden file holds it, and is read but for that page, by footer and by scan") {
  const std::vector<uint8_t> block = Block(1, 2);
  const BlockId id = Key().BlockIdOf(block);
  {
    GoldenEnv env;
    Stores stores(env);
    PackPut put{RecordKind::kBlock, id, block, {}, false, 1u << 1};
    CHECK_OK(stores.store->PutAll({&put, 1}, false));
    CHECK_OK(stores.store->Seal());
    golden::Compare(kLostGolden, {{"00000001.pack", LoadFile(env, kSealedPath)}});
  }
  for (const bool scan : {false, true}) {
    GoldenEnv env;
    std::vector<uint8_t> sealed = golden::BytesOf(golden::Read(kLostGolden), "00000001.pack");
    if (scan) sealed.back() ^= 1;
    StoreFile(env, kSealedPath, sealed);
    Stores stores(env);
    const std::optional<Location> at = stores.store->Find(id);
    std::vector<uint8_t> page(kPageBytes);
    CHECK(at.has_value() && stores.store->ReadPages(*at, id, 0, 1, page, true).ok() && std::equal(page.begin(), page.end(), block.begin()));
    CHECK(stores.store->ReadPages(*at, id, 1, 1, page, true).code() == Code::kCorrupt);
    bool reused = true;
    CHECK(stores.store->Put(RecordKind::kBlock, id, block, &reused).ok() && !reused);
  }
}

/** Slots in each word of the bitmap, with a hint and without. */
std::shared_ptr<const Node> NodeOf(uint8_t level) {
  std::vector<MapSlot> slots(kNodeSlots);
  uint8_t n = 1;
  for (const uint32_t index : {0, 63, 64, 129, 255}) {
    slots[index].id.bytes.fill(static_cast<uint8_t>(level * 0x40 + n));
    slots[index].id.bytes[31] = 0xee;
    if (n != 3) slots[index].at = {n, n * 1024u, 66048};
    ++n;
  }
  return Node::Make(level, slots);
}

TEST("map nodes are written as their golden file holds them, byte for byte, under the same ids") {
  golden::Parts parts;
  for (const uint8_t level : {0, 3}) {
    size_t canonical_bytes = 0;
    const std::vector<uint8_t> bytes = NodeOf(level)->Encode(&canonical_bytes);
    const BlockId id = Key().NodeIdOf(ConstBytes(bytes).first(canonical_bytes));
    parts.push_back({"level_" + std::to_string(level), bytes});
    parts.push_back({"id_" + std::to_string(level), {id.bytes.begin(), id.bytes.end()}});
  }
  golden::Compare(kNodeGolden, parts);
}

TEST("map nodes of version 1 are read: level, slots, ids and hints") {
  const golden::Parts parts = golden::Read(kNodeGolden);
  for (const uint8_t level : {0, 3}) {
    BlockId id;
    const std::vector<uint8_t>& hash = golden::BytesOf(parts, "id_" + std::to_string(level));
    CHECK(hash.size() == id.bytes.size());
    std::copy(hash.begin(), hash.end(), id.bytes.begin());
    const std::vector<uint8_t>& bytes = golden::BytesOf(parts, "level_" + std::to_string(level));
    const Result<std::shared_ptr<const Node>> node = Node::Decode(bytes, Key(), id);
    CHECK_OK(node.status());
    const std::shared_ptr<const Node> expected = NodeOf(level);
    CHECK(node.value()->level == level && node.value()->count() == 5);
    for (uint32_t index = 0; index < kNodeSlots; ++index) {
      const MapSlot *found = node.value()->Find(index), *wanted = expected->Find(index);
      CHECK((found == nullptr) == (wanted == nullptr));
      if (found != nullptr) CHECK(found->id == wanted->id && found->at == wanted->at);
    }
  }
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
