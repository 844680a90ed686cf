#pragma once
// What tree.cc (reading) and tree_update.cc (writing) share: loading one node, by hint, by index, through the cache.
#include "leaf_shortcuts.h"
#include "node_cache.h"
#include "node_format.h"
#include "tree.h"

namespace skerry {

using NodePtr = std::shared_ptr<const Node>;

/** Blocks under one slot of a node of `level`. */
inline uint64_t SlotSpan(uint8_t level) { return 1ull << (8 * level); }
/** Slot of a node of `level` that leads to `block`. */
inline uint32_t SlotIndex(BlockIndex block, uint8_t level) { return static_cast<uint32_t>(block >> (8 * level)) & (kNodeSlots - 1); }
/** True where a tree of `levels` levels has a place for `block`. */
inline bool WithinTree(BlockIndex block, uint8_t levels) { return levels >= 8 || block < 1ull << (8 * levels); }

struct Tree::Impl {
  Impl(PackStore& packs, const DomainKey& key, size_t cache_bytes_max);

  /** The node `slot` names, of `level`. kCorrupt where neither hint nor index leads to its bytes. `keep`: cache what was read. */
  Result<NodePtr> Load(const MapSlot& slot, uint8_t level, bool may_block, bool keep = true);
  /** Puts the node and returns the slot that names it. */
  Result<MapSlot> Store(const NodePtr& node);

  /** The leaf that `block` lies in. Without one: the first block past the hole it lies in (0: the end of all blocks). */
  struct Leaf {
    NodePtr node;
    BlockIndex hole_end = 0;
  };
  Result<Leaf> LeafOf(const TreeRoot& root, BlockIndex block, bool may_block);

  PackStore& packs;
  const DomainKey key;
  LeafShortcuts shortcuts;
  NodeCache cache;

 private:
  Result<NodePtr> Read(const Location& at, const BlockId& id, uint8_t level, bool may_block);
};

}  // namespace skerry
