#include "tree.h"

#include <algorithm>
#include <bit>

#include "tree_impl.h"

namespace skerry {

namespace {

constexpr size_t kLeafShortcutsMax = 1024;
constexpr size_t kParentShortcutsMax = 128;
constexpr size_t kShortcutsShare = 16;  // each kind gets at most this part of the memory

size_t ShortcutsFor(size_t cache_bytes_max, size_t shortcuts_max) {
  return std::min(shortcuts_max, std::bit_floor(cache_bytes_max / kShortcutsShare / kNodeBytesMax));
}

/** What is left for the cache once both kinds of shortcuts hold full nodes of their own. */
size_t CacheBytesFor(size_t bytes_max) {
  return bytes_max - (ShortcutsFor(bytes_max, kLeafShortcutsMax) + ShortcutsFor(bytes_max, kParentShortcutsMax)) * kNodeBytesMax;
}

std::string Hex(const BlockId& id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < 8; ++i) {
    text += kDigits[id.bytes[i] >> 4];
    text += kDigits[id.bytes[i] & 15];
  }
  return text;
}

Status CheckRoot(const TreeRoot& root) {
  if (root.id.empty() || (root.levels >= 1 && root.levels <= kNodeLevelMax + 1)) return Status::Ok();
  return {Code::kInvalid, "a map root of " + std::to_string(root.levels) + " levels: 1 to " + std::to_string(kNodeLevelMax + 1) + " exist"};
}

/** Depth first; false once `visit` wanted no more. */
Result<bool> VisitNode(Tree::Impl& tree, const MapSlot& slot, uint8_t level, BlockIndex base,
                       const std::function<bool(BlockIndex, const MapSlot&)>& visit) {
  // A visit sees every leaf once: kept, they would push out what readers use.
  Result<NodePtr> node = tree.Load(slot, level, true, level > 0);
  if (!node.ok()) return node.status();
  for (uint32_t index = 0; index < kNodeSlots; ++index) {
    const MapSlot* child = (*node)->Find(index);
    if (child == nullptr) continue;
    const BlockIndex at = base + index * SlotSpan(level);
    if (level == 0) {
      if (!visit(at, *child)) return false;
      continue;
    }
    Result<bool> on = VisitNode(tree, *child, level - 1, at, visit);
    if (!on.ok() || !*on) return on;
  }
  return true;
}

}  // namespace

uint8_t LevelsFor(uint64_t blocks) {
  uint8_t levels = 1;
  while (levels < 8 && blocks > SlotSpan(levels)) ++levels;
  return levels;
}

Tree::Impl::Impl(PackStore& packs_in, const DomainKey& key_in, std::shared_ptr<NodeCache> cache_in, size_t shortcuts_bytes_max)
    : packs(packs_in),
      key(key_in),
      leaves(ShortcutsFor(shortcuts_bytes_max, kLeafShortcutsMax)),
      parents(ShortcutsFor(shortcuts_bytes_max, kParentShortcutsMax)),
      shared_cache(std::move(cache_in)),
      cache(*shared_cache) {}

Result<NodePtr> Tree::Impl::Read(const Location& at, const BlockId& id, uint8_t level, bool may_block) {
  Result<std::vector<uint8_t>> bytes = packs.ReadRecord(at, id, may_block);
  if (!bytes.ok()) return bytes.status();
  Result<NodePtr> node = Node::Decode(*bytes, key, id);
  if (node.ok() && (*node)->level != level) {
    return Status(Code::kCorrupt, "map node " + Hex(id) + " is of level " + std::to_string((*node)->level) + ", its place of level " +
                                      std::to_string(level));
  }
  return node;
}

Result<NodePtr> Tree::Impl::Load(const MapSlot& slot, uint8_t level, bool may_block, bool keep) {
  if (NodePtr cached = cache.Get(slot.id)) {
    if (cached->level != level) return Status(Code::kCorrupt, "map node " + Hex(slot.id) + " stands at a level that is not its own");
    return cached;
  }
  Result<NodePtr> node = Status(Code::kNotFound, "map node " + Hex(slot.id) + " is in no pack that the index knows");
  if (slot.at.known()) node = Read(slot.at, slot.id, level, may_block);
  if (!node.ok() && node.code() != Code::kTryAgain && node.code() != Code::kClosed) {
    // A hint is only a hint: the record may have moved since, or another copy may be whole.
    for (const Location& at : packs.Places(slot.id)) {
      if (at == slot.at) continue;
      node = Read(at, slot.id, level, may_block);
      if (node.ok() || node.code() == Code::kTryAgain) break;
    }
  }
  if (node.ok() && keep) cache.Put(slot.id, *node);
  return node;
}

Result<Tree::Impl::Leaf> Tree::Impl::LeafOf(const TreeRoot& root, BlockIndex block, bool may_block) {
  if (root.id.empty() || !WithinTree(block, root.levels)) return Leaf{};
  const uint64_t leaf_index = block >> 8;
  const uint64_t parent_index = block >> 16;
  if (NodePtr leaf = leaves.Get(root.id, leaf_index)) return Leaf{std::move(leaf)};
  uint8_t level = root.levels - 1;
  NodePtr node = level >= 1 ? parents.Get(root.id, parent_index) : nullptr;
  const bool short_cut = node != nullptr;
  if (short_cut) {
    level = 1;
  } else {
    Result<NodePtr> top = Load({root.id, root.at}, level, may_block);
    if (!top.ok()) return top.status();
    node = std::move(*top);
  }
  while (level > 0) {
    if (level == 1 && !short_cut) parents.Put(root.id, parent_index, node);
    const MapSlot* slot = node->Find(SlotIndex(block, level));
    if (slot == nullptr) return Leaf{nullptr, block | (SlotSpan(level) - 1)};
    Result<NodePtr> child = Load(*slot, --level, may_block);
    if (!child.ok()) return child.status();
    node = std::move(*child);
  }
  leaves.Put(root.id, leaf_index, node);
  return Leaf{std::move(node)};
}

Tree::Tree(PackStore& packs, const DomainKey& key, size_t cache_bytes_max)
    : Tree(packs, key, MakeCache(cache_bytes_max), cache_bytes_max) {}
Tree::Tree(PackStore& packs, const DomainKey& key, std::shared_ptr<NodeCache> cache, size_t shortcuts_bytes_max)
    : impl_(std::make_unique<Impl>(packs, key, std::move(cache), shortcuts_bytes_max)) {}
Tree::~Tree() = default;

Result<MapSlot> Tree::Lookup(const TreeRoot& root, BlockIndex block, bool may_block) {
  if (Status checked = CheckRoot(root); !checked.ok()) return checked;
  Result<Impl::Leaf> leaf = impl_->LeafOf(root, block, may_block);
  if (!leaf.ok()) return leaf.status();
  const MapSlot* slot = leaf->node ? leaf->node->Find(SlotIndex(block, 0)) : nullptr;
  return slot != nullptr ? *slot : MapSlot{};
}

Status Tree::LookupRun(const TreeRoot& root, BlockIndex first, uint32_t count, std::span<MapSlot> into, bool may_block) {
  if (into.size() < count) return {Code::kInvalid, "fewer places than blocks asked for"};
  if (Status checked = CheckRoot(root); !checked.ok()) return checked;
  for (uint32_t done = 0; done < count;) {
    const BlockIndex block = first + done;
    Result<Impl::Leaf> leaf = impl_->LeafOf(root, block, may_block);
    if (!leaf.ok()) return leaf.status();
    const uint32_t index = SlotIndex(block, 0);
    const BlockIndex last = leaf->node ? block | (kNodeSlots - 1) : leaf->hole_last;
    const uint32_t step = static_cast<uint32_t>(std::min<uint64_t>(last - block, count - done - 1)) + 1;
    for (uint32_t i = 0; i < step; ++i) {
      const MapSlot* slot = leaf->node ? leaf->node->Find(index + i) : nullptr;
      into[done + i] = slot != nullptr ? *slot : MapSlot{};
    }
    done += step;
  }
  return Status::Ok();
}

Result<uint64_t> Tree::Run(const TreeRoot& root, BlockIndex block, uint64_t blocks_max, bool* hole, bool may_block) {
  if (Status checked = CheckRoot(root); !checked.ok()) return checked;
  uint64_t length = 0;
  for (bool begun = false; length < blocks_max;) {
    const BlockIndex at = block + length;
    Result<Impl::Leaf> leaf = impl_->LeafOf(root, at, may_block);
    if (!leaf.ok()) return leaf.status();
    const uint32_t index = SlotIndex(at, 0);
    if (!begun) *hole = !leaf->node || leaf->node->Find(index) == nullptr;
    begun = true;
    if (!leaf->node) {
      if (!*hole) break;
      length += std::min(leaf->hole_last - at, blocks_max - length - 1) + 1;
      continue;
    }
    uint32_t end = index;
    while (end < kNodeSlots && (leaf->node->Find(end) == nullptr) == *hole) ++end;
    length += std::min<uint64_t>(end - index, blocks_max - length);
    if (end < kNodeSlots) break;
  }
  return length;
}

Status Tree::Visit(const TreeRoot& root, const std::function<bool(BlockIndex, const MapSlot&)>& visit) {
  if (Status checked = CheckRoot(root); !checked.ok()) return checked;
  if (root.id.empty()) return Status::Ok();
  return VisitNode(*impl_, {root.id, root.at}, root.levels - 1, 0, visit).status();
}

Result<std::shared_ptr<const Node>> Tree::NodeAt(const MapSlot& slot, uint8_t level) { return impl_->Load(slot, level, true, false); }
std::shared_ptr<NodeCache> Tree::MakeCache(size_t cache_bytes_max) { return std::make_shared<NodeCache>(CacheBytesFor(cache_bytes_max)); }

size_t Tree::cache_bytes() const { return impl_->cache.bytes(); }

}  // namespace skerry
