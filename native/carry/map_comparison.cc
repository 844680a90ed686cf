#include "map_comparison.h"

#include <algorithm>

namespace skerry {
namespace {

/** What a tree has over the blocks that are looked at: a hole, or a node of a level that may lie below theirs, or at last a block. */
struct Part {
  MapSlot slot;
  int level = -1;   // of the node; -1: the slot names a block
  bool hole() const { return slot.hole(); }
};

Part Top(const TreeRoot& root) { return {{root.id, root.at}, root.levels - 1}; }

bool Same(const Part& a, const Part& b) { return a.level == b.level && a.slot.id == b.slot.id; }

class MapComparison {
 public:
  MapComparison(const MapsToCompare& maps, const Mark::GoOn& go_on, uint64_t& nodes) : maps_(maps), go_on_(go_on), nodes_(nodes) {}

  /** Of the parts over one node's blocks, from `base` on. */
  Status Look(int level, BlockIndex base, const Part& from, const Part& to, const Part& made) {
    if (to.hole() != made.hole()) return Differ(base, to.hole());
    if (to.hole() || level < 0 || Same(from, to)) return Status::Ok();
    if (!go_on_()) return {Code::kClosed, "cancelled"};
    Result<NodePtr> from_node = Read(maps_.source, from, level), to_node = Read(maps_.source, to, level);
    if (!from_node.ok()) return from_node.status();
    if (!to_node.ok()) return to_node.status();
    if (Status status = Confirm(made, level); !status.ok()) return status;
    Result<NodePtr> made_node = Read(maps_.target, made, level);
    if (!made_node.ok()) return made_node.status();
    for (uint32_t index = 0; index < kNodeSlots; ++index) {
      const BlockIndex first = base + (uint64_t{index} << (8 * level));
      Status status = Look(level - 1, first, Child(from, *from_node, level, index), Child(to, *to_node, level, index),
                           Child(made, *made_node, level, index));
      if (!status.ok()) return status;
    }
    return Status::Ok();
  }

 private:
  using NodePtr = std::shared_ptr<const Node>;

  static Status Differ(BlockIndex block, bool hole) {
    return {Code::kCorrupt, "what was carried is not what it was carried from: from block " + std::to_string(block) + " on it has " +
                                (hole ? "data where there is none" : "none of the data")};
  }

  /** Null for what has no node of this level. */
  Result<NodePtr> Read(Pool& pool, const Part& part, int level) {
    if (part.hole() || part.level < level) return NodePtr();
    ++nodes_;
    Result<NodePtr> node = pool.tree->NodeAt(part.slot, static_cast<uint8_t>(level));
    if (node.code() == Code::kNotFound) return Status(Code::kCorrupt, node.status().detail());
    return node;
  }

  /** The tree may have it from its cache: here it is about what rests. */
  Status Confirm(const Part& part, int level) {
    if (part.level < level) return Status::Ok();
    const std::optional<Location> at = maps_.target.packs->Find(part.slot.id);
    Result<bool> whole = at ? maps_.target.packs->Confirm(*at, part.slot.id) : Result<bool>(false);
    if (whole.ok() && !*whole) return {Code::kCorrupt, "a map node that was put in pool " + maps_.target.name + " cannot be read there"};
    return whole.status();
  }

  static Part Child(const Part& part, const NodePtr& node, int level, uint32_t index) {
    if (part.hole()) return {};
    // A tree that is lower stands under the first slots of a higher one.
    if (part.level < level) return index == 0 ? part : Part{};
    const MapSlot* slot = node->Find(index);
    return slot == nullptr ? Part{} : Part{*slot, level - 1};
  }

  const MapsToCompare& maps_;
  const Mark::GoOn& go_on_;
  uint64_t& nodes_;
};

}  // namespace

Status CompareMaps(const MapsToCompare& maps, const Mark::GoOn& go_on, uint64_t& nodes) {
  const int levels = std::max({maps.from.levels, maps.to.levels, maps.made.levels, uint8_t{1}});
  return MapComparison(maps, go_on, nodes).Look(levels - 1, 0, Top(maps.from), Top(maps.to), Top(maps.made));
}

}  // namespace skerry
