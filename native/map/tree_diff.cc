#include <algorithm>

#include "tree_impl.h"

namespace skerry {
namespace {

/** The part of a tree over some block: a node, which may stand lower than the level that is looked at, or a block's slot. */
struct Part {
  MapSlot slot;
  int level = -1;     // of the node that `slot` names; -1 for a block
  NodePtr node;       // loaded to look into
};

class TreeDiff {
 public:
  TreeDiff(Tree::Impl& tree, bool may_block) : tree_(tree), may_block_(may_block) {}

  struct Step {
    bool differs = false;
    BlockIndex last = 0;   // as far as this look tells
  };

  /** Goes down both trees as far as they differ. What has one id is one content, whatever is under it. */
  Result<Step> Look(const TreeRoot& before, const TreeRoot& after, BlockIndex block) {
    int level = std::max({before.levels, after.levels, uint8_t{1}}) - 1;
    Part old{{before.id, before.at}, before.levels - 1, nullptr}, now{{after.id, after.at}, after.levels - 1, nullptr};
    if (!WithinTree(block, static_cast<uint8_t>(level + 1))) return Step{false, ~BlockIndex{0}};
    while (true) {
      if (Same(old, now)) return Step{false, block | (SlotSpan(static_cast<uint8_t>(level + 1)) - 1)};
      if (level < 0) return Step{true, block};
      if (Status status = Descend(old, static_cast<uint8_t>(level), block); !status.ok()) return status;
      if (Status status = Descend(now, static_cast<uint8_t>(level), block); !status.ok()) return status;
      if (level == 0 && !Same(old, now)) return Step{true, LastOfLeaf(old.node, now.node, block)};
      --level;
    }
  }

 private:
  static bool Same(const Part& a, const Part& b) {
    if (a.slot.hole() || b.slot.hole()) return a.slot.hole() && b.slot.hole();
    return a.level == b.level && a.slot.id == b.slot.id;
  }

  /** From what stands at `level` to the part under it that `block` lies in. */
  Status Descend(Part& part, uint8_t level, BlockIndex block) {
    part.node = nullptr;
    const uint32_t index = SlotIndex(block, level);
    if (part.slot.hole()) return Status::Ok();
    if (part.level < level) {
      // A tree that is lower stands under the first slots of a higher one.
      if (index != 0) part.slot = {};
      return Status::Ok();
    }
    Result<NodePtr> node = tree_.Load(part.slot, level, may_block_);
    if (!node.ok()) return node.status();
    const MapSlot* child = (*node)->Find(index);
    part.slot = child != nullptr ? *child : MapSlot{};
    part.level = level - 1;
    part.node = std::move(*node);
    return Status::Ok();
  }

  /** The last block, from one that differs on, up to which all slots of two leaves differ; null is a leaf of holes. */
  static BlockIndex LastOfLeaf(const NodePtr& old, const NodePtr& now, BlockIndex block) {
    uint32_t index = SlotIndex(block, 0);
    while (index + 1 < kNodeSlots) {
      const MapSlot* a = old ? old->Find(index + 1) : nullptr;
      const MapSlot* b = now ? now->Find(index + 1) : nullptr;
      const bool same = a != nullptr && b != nullptr ? a->id == b->id : a == b;
      if (same) break;
      ++index;
    }
    return (block & ~BlockIndex{kNodeSlots - 1}) | index;
  }

  Tree::Impl& tree_;
  const bool may_block_;
};

}  // namespace

Result<uint64_t> Tree::DiffRun(const TreeRoot& before, const TreeRoot& after, BlockIndex block, uint64_t blocks_max, bool* differs, bool may_block) {
  TreeDiff diff(*impl_, may_block);
  uint64_t length = 0;
  for (bool begun = false; length < blocks_max; begun = true) {
    const BlockIndex at = block + length;
    Result<TreeDiff::Step> step = diff.Look(before, after, at);
    if (!step.ok()) return step.status();
    if (!begun) {
      *differs = step->differs;
    } else if (step->differs != *differs) {
      break;
    }
    length += std::min(step->last - at, blocks_max - length - 1) + 1;
  }
  return length;
}

}  // namespace skerry
