#pragma once
// The map: a Merkle radix tree from block index to block id, 256 slots a node. Nodes are immutable and content-addressed;
// an update writes new nodes along the touched paths only. The canonical bytes of a node hold ids; location hints stand
// after them, outside the hash. An absent slot is a hole: it reads as zeroes. See docs/formats/node.md.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../blocks/block_id.h"
#include "../blocks/pack.h"
#include "../overlay/generation.h"

namespace skerry {

class NodeCache;

inline constexpr uint32_t kNodeVersion = 1;
inline constexpr uint32_t kNodeSlots = 256;

struct MapSlot {
  BlockId id;              // empty: a hole
  Location at;             // a hint
  bool hole() const { return id.empty(); }
};

/** A decoded node. Leaf slots (level 0) name blocks, others name nodes. Immutable once made. */
class Node {
 public:
  uint8_t level = 0;
  /** Slot `index`, or nullptr for a hole. */
  const MapSlot* Find(uint32_t index) const;
  uint32_t count() const;
  size_t bytes() const;    // memory held
  /** (slot index, slot), ascending. */
  void ForEach(const std::function<void(uint32_t, const MapSlot&)>& visit) const;

  /** `slots`: 256 of them. */
  static std::shared_ptr<const Node> Make(uint8_t level, std::span<const MapSlot> slots);
  std::vector<uint8_t> Encode(size_t* canonical_bytes) const;
  static Result<std::shared_ptr<const Node>> Decode(ConstBytes bytes, const DomainKey& key, const BlockId& expected);

 private:
  uint64_t present_[4] = {};
  std::vector<MapSlot> slots_;  // present ones only
};

struct TreeRoot {
  BlockId id;              // empty: an empty tree
  Location at;
  uint8_t levels = 0;      // height for the volume's size: LevelsFor(blocks)
};

/** Levels that a tree over `blocks` blocks has: 256^levels >= blocks, at least 1. */
uint8_t LevelsFor(uint64_t blocks);

struct MapChange {
  BlockIndex block;
  MapSlot slot;            // a hole to cut
};
struct MapCut {            // blocks [start, start + count) become holes; applied before the changes
  BlockIndex start;
  uint64_t count;
};

/** Reads and writes trees in one pack store and domain, through a bounded cache of nodes. Thread-safe. */
class Tree {
 public:
  Tree(PackStore& packs, const DomainKey& key, size_t cache_bytes_max);
  /** With a cache that trees of other pools use too: ids of different domains never meet. */
  Tree(PackStore& packs, const DomainKey& key, std::shared_ptr<NodeCache> cache, size_t shortcuts_bytes_max);
  ~Tree();

  /** The slot of `block`. kTryAgain when a node is not cached and `may_block` is false. */
  Result<MapSlot> Lookup(const TreeRoot& root, BlockIndex block, bool may_block);

  /** Slots of [first, first + count), one call of the cache per node; `into` has `count` elements. */
  Status LookupRun(const TreeRoot& root, BlockIndex first, uint32_t count, std::span<MapSlot> into, bool may_block);

  /** Length in blocks, at most `blocks_max`, of the run of holes (or of mapped blocks: `*hole` says) from `block` on. Skips whole subtrees. */
  Result<uint64_t> Run(const TreeRoot& root, BlockIndex block, uint64_t blocks_max, bool* hole, bool may_block);

  /** A new root with `cuts`, then `changes` (ascending by block), applied. Nodes are put in packs; the caller syncs. `levels` may grow. */
  Result<TreeRoot> Update(const TreeRoot& root, uint8_t levels, std::span<const MapCut> cuts, std::span<const MapChange> changes);

  /** Length in blocks, at most `blocks_max`, of the run that is equal in both trees (or in no block equal: `*differs` says) from `block` on. Equal subtrees are skipped. */
  Result<uint64_t> DiffRun(const TreeRoot& before, const TreeRoot& after, BlockIndex block, uint64_t blocks_max, bool* differs, bool may_block);

  /** Visits every (block, slot) of the tree in order; a false return stops. Nodes are read blocking. */
  Status Visit(const TreeRoot& root, const std::function<bool(BlockIndex, const MapSlot&)>& visit);

  /** The node that `slot` names, of `level`, for who sees each node once: it is not cached. Reads blocking. */
  Result<std::shared_ptr<const Node>> NodeAt(const MapSlot& slot, uint8_t level);

  size_t cache_bytes() const;
  /** A cache for several trees whose shortcuts come out of the same memory. */
  static std::shared_ptr<NodeCache> MakeCache(size_t cache_bytes_max);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
