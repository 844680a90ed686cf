#pragma once
// What tree.cc (reading) and tree_update.cc (writing) share: loading one node, by hint, by index, through the cache.
#include "node_cache.h"
#include "node_format.h"
#include "node_shortcuts.h"
#include "tree.h"

namespace skerry {

using NodePtr = std::shared_ptr<const Node>;

/** Blocks under one slot of a node of `level`; also the blocks of a tree of that many levels. */
inline uint64_t SlotSpan(uint8_t level) { return 1ull << (8 * level); }
/** Slot of a node of `level` that leads to `block`. */
inline uint32_t SlotIndex(BlockIndex block, uint8_t level) { return static_cast<uint32_t>(block >> (8 * level)) & (kNodeSlots - 1); }
/** True where a tree of `levels` levels has a place for `block`. */
inline bool WithinTree(BlockIndex block, uint8_t levels) { return block < SlotSpan(levels); }

struct Tree::Impl {
  Impl(PackStore& packs, const DomainKey& key, std::shared_ptr<NodeCache> cache, size_t shortcuts_bytes_max);

  /** The node `slot` names, of `level`. kCorrupt where neither hint nor index leads to its bytes. `keep`: cache what was read. */
  Result<NodePtr> Load(const MapSlot& slot, uint8_t level, bool may_block, bool keep = true);
  /** Puts nodes, each with the index of the slot that shall name it. */
  Status Store(std::span<const std::pair<uint32_t, NodePtr>> nodes, std::span<MapSlot> slots);

  /** The leaf that `block` lies in. Without one: the last block of the hole it lies in, as far as one look tells. */
  struct Leaf {
    NodePtr node;
    BlockIndex hole_last = ~BlockIndex{0};
  };
  Result<Leaf> LeafOf(const TreeRoot& root, BlockIndex block, bool may_block);

  PackStore& packs;
  const DomainKey key;
  NodeShortcuts leaves;
  NodeShortcuts parents;  // of leaves: few enough to be found here nearly always, even where leaves are not
  const std::shared_ptr<NodeCache> shared_cache;
  NodeCache& cache;

 private:
  Result<NodePtr> Read(const Location& at, const BlockId& id, uint8_t level, bool may_block);
};

}  // namespace skerry
