#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "node_format.h"
#include "tree.h"

namespace skerry {

static_assert(std::endian::native == std::endian::little, "formats are little-endian, and are copied as they stand");

namespace {

Status Corrupt(const char* what) { return {Code::kCorrupt, std::string("map node: ") + what}; }

}  // namespace

const MapSlot* Node::Find(uint32_t index) const {
  if (index >= kNodeSlots) return nullptr;
  const uint64_t bit = 1ull << (index % 64);
  if ((present_[index / 64] & bit) == 0) return nullptr;
  uint32_t rank = std::popcount(present_[index / 64] & (bit - 1));
  for (uint32_t word = 0; word < index / 64; ++word) rank += std::popcount(present_[word]);
  return &slots_[rank];
}

uint32_t Node::count() const { return static_cast<uint32_t>(slots_.size()); }

size_t Node::bytes() const { return sizeof(Node) + slots_.capacity() * sizeof(MapSlot); }

void Node::ForEach(const std::function<void(uint32_t, const MapSlot&)>& visit) const {
  size_t rank = 0;
  for (uint32_t word = 0; word < 4; ++word) {
    for (uint64_t rest = present_[word]; rest != 0; rest &= rest - 1) visit(word * 64 + std::countr_zero(rest), slots_[rank++]);
  }
}

std::shared_ptr<const Node> Node::Make(uint8_t level, std::span<const MapSlot> slots) {
  assert(slots.size() == kNodeSlots);
  auto node = std::make_shared<Node>();
  node->level = level;
  node->slots_.reserve(std::count_if(slots.begin(), slots.end(), [](const MapSlot& slot) { return !slot.hole(); }));
  for (uint32_t index = 0; index < slots.size(); ++index) {
    if (slots[index].hole()) continue;
    node->present_[index / 64] |= 1ull << (index % 64);
    node->slots_.push_back(slots[index]);
  }
  return node;
}

std::vector<uint8_t> Node::Encode(size_t* canonical_bytes) const {
  NodeHeader header{};
  header.magic = kNodeMagic;
  header.version = kNodeVersion;
  header.level = level;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.count = count();
  std::copy(std::begin(present_), std::end(present_), std::begin(header.present));

  *canonical_bytes = sizeof(NodeHeader) + slots_.size() * kNodeIdBytes;
  std::vector<uint8_t> bytes(*canonical_bytes + slots_.size() * sizeof(NodeHint));
  std::memcpy(bytes.data(), &header, sizeof(header));
  uint8_t* id = bytes.data() + sizeof(NodeHeader);
  uint8_t* hint = bytes.data() + *canonical_bytes;
  for (const MapSlot& slot : slots_) {
    const NodeHint at{slot.at.pack, slot.at.offset, LengthWord(slot.at)};
    std::memcpy(id, slot.id.bytes.data(), kNodeIdBytes);
    std::memcpy(hint, &at, sizeof(at));
    id += kNodeIdBytes;
    hint += sizeof(at);
  }
  return bytes;
}

Result<std::shared_ptr<const Node>> Node::Decode(ConstBytes bytes, const DomainKey& key, const BlockId& expected) {
  NodeHeader header;
  if (bytes.size() < sizeof(header)) return Corrupt("shorter than its header");
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kNodeMagic) return Corrupt("wrong magic");
  if (header.version != kNodeVersion) return Corrupt("a version this build does not know");
  if (header.algorithm != HashAlgorithm::kHmacSha256) return Corrupt("a hash algorithm this build does not know");
  if (header.level > kNodeLevelMax || header.flags != 0 || header.reserved != 0) return Corrupt("a field out of its range");
  uint32_t present = 0;
  for (const uint64_t word : header.present) present += std::popcount(word);
  if (header.count == 0 || header.count != present) return Corrupt("its count and its bitmap differ");
  const size_t canonical_bytes = sizeof(header) + present * kNodeIdBytes;
  if (bytes.size() != canonical_bytes + present * sizeof(NodeHint)) return Corrupt("its length and its count differ");
  if (key.NodeIdOf(bytes.first(canonical_bytes)) != expected) return Corrupt("its bytes do not match its id");

  auto node = std::make_shared<Node>();
  node->level = header.level;
  std::copy(std::begin(header.present), std::end(header.present), std::begin(node->present_));
  node->slots_.resize(present);
  const uint8_t* id = bytes.data() + sizeof(header);
  const uint8_t* hint = bytes.data() + canonical_bytes;
  for (MapSlot& slot : node->slots_) {
    NodeHint at;
    std::memcpy(slot.id.bytes.data(), id, kNodeIdBytes);
    std::memcpy(&at, hint, sizeof(at));
    if (slot.hole()) return Corrupt("a present slot without an id");
    slot.at = PlaceOf(at.pack, at.offset, at.length);
    id += kNodeIdBytes;
    hint += sizeof(at);
  }
  return std::shared_ptr<const Node>(std::move(node));
}

}  // namespace skerry
