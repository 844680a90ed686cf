#include <algorithm>
#include <array>

#include "tree_impl.h"

namespace skerry {

namespace {

// What became of a place: a slot, or a node that is not put yet, for nodes beside each other are put together.
struct Outcome {
  MapSlot slot;
  NodePtr fresh;
};

// Only children that a cut or a change touches are read, and only nodes whose content became another are put: bottom up,
// so that a node's hints name records that exist.
class TreeEdit {
 public:
  explicit TreeEdit(Tree::Impl& tree) : tree_(tree) {}

  /** The part of a tree that stands in one place: a hole, or a node of a level that may lie below the place's own. */
  struct Subtree {
    MapSlot slot;
    uint8_t level = 0;
  };

  /** The node of `level` over blocks from `base` on, once `cuts` and `changes`, which all touch it, are applied. */
  Result<Outcome> Apply(Subtree old, uint8_t level, BlockIndex base, std::span<const MapCut> cuts, std::span<const MapChange> changes) {
    std::array<MapSlot, kNodeSlots> slots;
    std::vector<std::pair<uint32_t, NodePtr>> fresh;
    bool changed = false;
    if (!old.slot.hole() && old.level < level) {
      slots[0] = old.slot;  // the tree has grown: what was the root lies under the first slots of new parents
      changed = true;
    } else if (!old.slot.hole()) {
      Result<NodePtr> node = tree_.Load(old.slot, level, true);
      if (!node.ok()) return node.status();
      (*node)->ForEach([&](uint32_t index, const MapSlot& slot) { slots[index] = slot; });
    }
    const bool raised = changed;
    const uint64_t span = SlotSpan(level);
    for (uint32_t index = 0; index < kNodeSlots; ++index) {
      const BlockIndex first = base + index * span;
      const BlockIndex last = first + (span - 1);
      const std::span<const MapCut> own_cuts = Within(cuts, first, last);
      const std::span<const MapChange> own_changes = Within(changes, first, last);
      const uint8_t child_level = level == 0 ? 0 : level - 1;
      const bool lift = raised && index == 0 && old.level < child_level;
      if (own_cuts.empty() && own_changes.empty() && !lift) continue;

      MapSlot next = slots[index];
      const bool cut_whole = !own_cuts.empty() && own_cuts[0].start <= first && own_cuts[0].start + (own_cuts[0].count - 1) >= last;
      if (cut_whole) next = {};
      if (level == 0) {
        if (!own_changes.empty()) next = own_changes[0].slot;
      } else if ((!next.hole() || !own_changes.empty()) && (!cut_whole || !own_changes.empty())) {
        const uint8_t next_level = raised && index == 0 ? old.level : child_level;
        const std::span<const MapCut> left_cuts = cut_whole ? std::span<const MapCut>{} : own_cuts;
        Result<Outcome> applied = Apply({next, next_level}, child_level, first, left_cuts, own_changes);
        if (!applied.ok()) return applied;
        next = applied->slot;
        if (applied->fresh) fresh.emplace_back(index, std::move(applied->fresh));
      }
      changed |= next.id != slots[index].id || (!fresh.empty() && fresh.back().first == index);
      slots[index] = next;
    }
    if (!changed) return Outcome{old.slot, nullptr};
    if (Status status = tree_.Store(fresh, slots); !status.ok()) return status;
    const bool empty = std::all_of(slots.begin(), slots.end(), [](const MapSlot& slot) { return slot.hole(); });
    if (empty) return Outcome{};
    return Outcome{{}, Node::Make(level, slots)};
  }

 private:
  /** The cuts, ascending and apart, that reach into [first, last]. */
  static std::span<const MapCut> Within(std::span<const MapCut> cuts, BlockIndex first, BlockIndex last) {
    const auto begin =
        std::partition_point(cuts.begin(), cuts.end(), [&](const MapCut& cut) { return cut.start + (cut.count - 1) < first; });
    const auto end = std::partition_point(begin, cuts.end(), [&](const MapCut& cut) { return cut.start <= last; });
    return {begin, end};
  }
  static std::span<const MapChange> Within(std::span<const MapChange> changes, BlockIndex first, BlockIndex last) {
    const auto begin = std::partition_point(changes.begin(), changes.end(), [&](const MapChange& change) { return change.block < first; });
    const auto end = std::partition_point(begin, changes.end(), [&](const MapChange& change) { return change.block <= last; });
    return {begin, end};
  }

  Tree::Impl& tree_;
};

/** Sorted, disjoint, none empty, none past the last block of a tree of `levels`. */
std::vector<MapCut> Normalized(std::span<const MapCut> cuts, uint8_t levels) {
  const BlockIndex last_block = SlotSpan(levels) - 1;
  std::vector<MapCut> sorted;
  for (MapCut cut : cuts) {
    if (cut.count == 0 || cut.start > last_block) continue;
    cut.count = std::min(cut.count - 1, last_block - cut.start) + 1;
    sorted.push_back(cut);
  }
  std::sort(sorted.begin(), sorted.end(), [](const MapCut& a, const MapCut& b) { return a.start < b.start; });
  std::vector<MapCut> merged;
  for (const MapCut& cut : sorted) {
    if (!merged.empty() && cut.start - merged.back().start <= merged.back().count) {
      merged.back().count = std::max(merged.back().count, cut.start - merged.back().start + cut.count);
    } else {
      merged.push_back(cut);
    }
  }
  return merged;
}

}  // namespace

Status Tree::Impl::Store(std::span<const std::pair<uint32_t, NodePtr>> nodes, std::span<MapSlot> slots) {
  std::vector<std::vector<uint8_t>> encoded;
  std::vector<PackPut> puts;
  encoded.reserve(nodes.size());
  puts.reserve(nodes.size());
  for (const auto& [index, node] : nodes) {
    size_t canonical_bytes = 0;
    encoded.push_back(node->Encode(&canonical_bytes));
    puts.push_back({RecordKind::kNode, key.NodeIdOf(ConstBytes(encoded.back()).first(canonical_bytes)), encoded.back(), {}, false});
  }
  if (Status status = packs.PutAll(puts); !status.ok()) return status;
  for (size_t i = 0; i < nodes.size(); ++i) {
    slots[nodes[i].first] = {puts[i].id, puts[i].at};
    cache.Put(puts[i].id, nodes[i].second);
  }
  return Status::Ok();
}

Result<TreeRoot> Tree::Update(const TreeRoot& root, uint8_t levels, std::span<const MapCut> cuts, std::span<const MapChange> changes) {
  if (levels < 1 || levels > kNodeLevelMax + 1) return Status(Code::kInvalid, "a map has 1 to " + std::to_string(kNodeLevelMax + 1) + " levels");
  if (!root.id.empty() && (root.levels < 1 || root.levels > levels)) {
    return Status(Code::kInvalid, "a map of " + std::to_string(root.levels) + " levels cannot become one of " + std::to_string(levels));
  }
  for (size_t i = 0; i < changes.size(); ++i) {
    if (i > 0 && changes[i].block <= changes[i - 1].block) return Status(Code::kInvalid, "changes to a map must ascend by block");
  }
  if (!changes.empty() && !WithinTree(changes.back().block, levels)) {
    return Status(Code::kInvalid,
                  "block " + std::to_string(changes.back().block) + " lies past a map of " + std::to_string(levels) + " levels");
  }
  const std::vector<MapCut> apart = Normalized(cuts, levels);
  const bool raise = !root.id.empty() && root.levels < levels;
  if (apart.empty() && changes.empty() && !raise) return TreeRoot{root.id, root.at, levels};

  const uint8_t old_level = root.id.empty() ? 0 : root.levels - 1;
  Result<Outcome> top = TreeEdit(*impl_).Apply({{root.id, root.at}, old_level}, levels - 1, 0, apart, changes);
  if (!top.ok()) return top.status();
  MapSlot slot = top->slot;
  if (top->fresh) {
    const std::pair<uint32_t, NodePtr> only{0, top->fresh};
    if (Status status = impl_->Store({&only, 1}, {&slot, 1}); !status.ok()) return status;
  }
  return TreeRoot{slot.id, slot.at, levels};
}

}  // namespace skerry
