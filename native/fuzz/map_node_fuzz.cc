// Nodes of the map. What is accepted encodes to the same bytes and is what its id says: change a byte of what the id covers, and
// it is refused.
#include "../map/node_format.h"
#include "../tests/golden.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach accepted("a node is accepted"), full("a node of 256 slots is accepted"), refused_behind_id("a node is refused although its id holds");

enum Repair : uint8_t { kId = 1, kCounts = 2, kHeaderFields = 4 };

const DomainKey& Key() {
  static const DomainKey key(std::vector<uint8_t>(32, 42));
  return key;
}

void RepairNode(std::vector<uint8_t>& bytes, uint8_t repairs) {
  NodeHeader header;
  if (!Load(ConstBytes(bytes), 0, header)) return;
  if ((repairs & kHeaderFields) != 0) {
    header.magic = kNodeMagic;
    header.version = kNodeVersion;
    header.algorithm = HashAlgorithm::kHmacSha256;
    header.level %= kNodeLevelMax + 1;
    header.flags = 0;
    header.reserved = 0;
  }
  if ((repairs & kCounts) != 0) {
    // Many slots of few bytes: what the input lacks repeats what it has, and is never zero.
    header.count = 0;
    for (const uint64_t word : header.present) header.count += static_cast<uint32_t>(__builtin_popcountll(word));
    const size_t had = bytes.size();
    bytes.resize(sizeof(header) + size_t{header.count} * (kNodeIdBytes + sizeof(NodeHint)));
    for (size_t i = had; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i % 251 + 1);
  }
  Store(Bytes(bytes), 0, header);
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>();
  const auto flip = input.Take<uint32_t>();
  BlockId expected = input.Take<BlockId>();
  std::vector<uint8_t> bytes = Copy(input.rest());
  if ((repairs & ~kId) != 0) RepairNode(bytes, repairs);
  const size_t canonical = NodeCanonicalBytes(bytes.size());
  if ((repairs & kId) != 0 && canonical != 0) expected = Key().NodeIdOf(ConstBytes(bytes).first(canonical));
  const Result<std::shared_ptr<const Node>> node = Node::Decode(bytes, Key(), expected);
  if (!node.ok()) {
    HOLDS(node.code() == Code::kCorrupt && !node.status().detail().empty());
    if ((repairs & kId) != 0) refused_behind_id();
    return;
  }
  accepted();
  HOLDS(canonical != 0 && Key().NodeIdOf(ConstBytes(bytes).first(canonical)) == expected);
  const Node& read = **node;
  if (read.count() == kNodeSlots) full();
  size_t canonical_again = 0;
  HOLDS(read.Encode(&canonical_again) == bytes && canonical_again == canonical);
  uint32_t found = 0;
  std::vector<MapSlot> slots(kNodeSlots);
  for (uint32_t i = 0; i < kNodeSlots; ++i) {
    const MapSlot* slot = read.Find(i);
    if (slot == nullptr) continue;
    HOLDS(!slot->hole());
    slots[i] = *slot;
    ++found;
  }
  HOLDS(found == read.count() && read.Find(kNodeSlots) == nullptr);
  HOLDS(Node::Make(read.level, slots)->Encode(&canonical_again) == bytes);
  bytes[flip / 8 % canonical] ^= static_cast<uint8_t>(1u << flip % 8);
  HOLDS(Node::Decode(bytes, Key(), expected).code() == Code::kCorrupt);
}

void WriteSeeds(const std::string& directory) {
  const golden::Parts parts = golden::Read("node_v1");
  for (const char* level : {"level_0", "level_3"}) {
    const std::vector<uint8_t>& bytes = golden::BytesOf(parts, level);
    for (const uint8_t repairs : {0, 1, 3, 5, 7}) {
      Seed seed;
      seed.Add(repairs).Add(uint32_t{99}).Add(BlockId{}).AddBytes(bytes);
      seed.Write(directory, std::string(level) + "_" + std::to_string(repairs));
    }
  }
  NodeHeader header{kNodeMagic, kNodeVersion, 1, HashAlgorithm::kHmacSha256, 0, 256, 0, {~0ull, ~0ull, ~0ull, ~0ull}};
  Seed full_node;
  full_node.Add(uint8_t{kId | kCounts}).Add(uint32_t{5}).Add(BlockId{}).Add(header);
  full_node.Write(directory, "full");
}

}  // namespace skerry::fuzz
