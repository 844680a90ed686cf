#include "mark.h"

#include <algorithm>
#include <bit>

namespace skerry {
namespace {

/** Which of `parts` parts of all ids this one falls in: ids are a keyed hash, so the parts are of one size. */
size_t PartOf(uint64_t fingerprint, size_t parts) {
  return static_cast<size_t>(static_cast<unsigned __int128>(fingerprint) * parts >> 64);
}

/** What a record takes: the hint that leads to it says so, or else the index. 0 where neither knows. */
uint32_t StoredBytes(const PackStore& packs, const Location& hint, const BlockId& id) {
  if (hint.known()) return hint.stored_bytes;
  const std::optional<Location> found = packs.Find(id);
  return found ? found->stored_bytes : 0;
}

BlockId WithFingerprint(uint64_t fingerprint) {
  BlockId id;
  std::memcpy(id.bytes.data(), &fingerprint, sizeof(fingerprint));
  return id;
}

}  // namespace

/** From a block's fingerprint, as in the location index, to who reaches it: sixteen bytes an entry. */
class Mark::BlockTable {
 public:
  static constexpr size_t kEntryBytes = 16;
  explicit BlockTable(size_t entries) : entries_(std::bit_ceil(std::max<size_t>(entries + entries / 3, 1024))) {}

  struct Entry {
    uint64_t fingerprint = 0;
    ReachSets::Set set = ReachSets::kNobody;
    uint32_t stored_bytes = 0;
  };
  static_assert(sizeof(Entry) == kEntryBytes);

  /** The entry of this block; nobody reaches a new one yet. */
  Entry& At(uint64_t fingerprint) {
    if ((used_ + 1) * 4 > entries_.size() * 3) Grow();
    Entry& entry = Slot(fingerprint);
    if (entry.set == ReachSets::kNobody) {
      entry.fingerprint = fingerprint;
      ++used_;
    }
    return entry;
  }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  Entry& Slot(uint64_t fingerprint) {
    const size_t mask = entries_.size() - 1;
    size_t slot = static_cast<size_t>(fingerprint >> 8) & mask;
    while (entries_[slot].set != ReachSets::kNobody && entries_[slot].fingerprint != fingerprint) slot = (slot + 1) & mask;
    return entries_[slot];
  }
  void Grow() {
    std::vector<Entry> before(entries_.size() * 2);
    before.swap(entries_);
    for (const Entry& entry : before) {
      if (entry.set != ReachSets::kNobody) Slot(entry.fingerprint) = entry;
    }
  }

  std::vector<Entry> entries_;
  size_t used_ = 0;
};

Mark::Mark(const PackStore& packs, Tree& tree, size_t members, uint64_t blocks_bound, const MarkLimits& limits)
    : packs_(packs), tree_(tree), blocks_bound_(blocks_bound), limits_(limits), sets_(members, limits.set_bytes_max) {}

void Mark::AddRoot(size_t member, const TreeRoot& root) {
  if (root.id.empty() || root.levels == 0 || root.levels > levels_.size()) return;
  NodeEntry& entry = levels_[root.levels - 1][root.id];
  entry.at = root.at;
  entry.set = sets_.Join(entry.set, sets_.Only(member));
}

void Mark::AddBlock(size_t member, uint64_t fingerprint) {
  ReachSets::Set& set = unmapped_[fingerprint];
  set = sets_.Join(set, sets_.Only(member));
}

uint64_t Mark::MappedBlocks(const TreeRoot& root) const {
  if (root.id.empty() || root.levels == 0 || root.levels > levels_.size()) return 0;
  const Level& level = levels_[root.levels - 1];
  const auto found = level.find(root.id);
  return found == level.end() ? 0 : found->second.mapped;
}

Status Mark::Run(const GoOn& go_on, const OnReached& on_reached) {
  for (uint8_t level = kNodeLevelMax; level > 0; --level) {
    Status status = ForEachNode(level, go_on, [&](NodeEntry& entry, const Node& node) {
      Status added = Status::Ok();
      node.ForEach([&](uint32_t, const MapSlot& slot) {
        if (added.ok()) added = AddNode(level - 1, slot, entry.set);
      });
      return added;
    });
    if (!status.ok()) return status;
  }
  if (Status status = MarkLeaves(go_on, on_reached); !status.ok()) return status;
  if (Status status = CountMapped(go_on); !status.ok()) return status;
  CountNodes(on_reached);
  reached_.resize(sets_.count());
  return Status::Ok();
}

Status Mark::AddNode(uint8_t level, const MapSlot& slot, ReachSets::Set set) {
  const auto [at, fresh] = levels_[level].try_emplace(slot.id);
  if (fresh) {
    at->second.at = slot.at;
    if (++nodes_ > limits_.nodes_max) {
      return Status(Code::kNoSpace, "the pool has more than " + std::to_string(limits_.nodes_max) + " map nodes, which is all that are counted");
    }
  }
  at->second.set = sets_.Join(at->second.set, set);
  return Status::Ok();
}

Status Mark::ForEachNode(uint8_t level, const GoOn& go_on, const std::function<Status(NodeEntry&, const Node&)>& visit) {
  std::vector<Level::value_type*> order;
  order.reserve(levels_[level].size());
  for (auto& node : levels_[level]) order.push_back(&node);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    const Location &left = a->second.at, &right = b->second.at;
    return left.pack != right.pack ? left.pack < right.pack : left.offset < right.offset;
  });
  for (Level::value_type* at : order) {
    if (!go_on()) return Status(Code::kClosed, "cancelled");
    Result<std::shared_ptr<const Node>> node = tree_.NodeAt({at->first, at->second.at}, level);
    if (node.code() == Code::kClosed) return node.status();
    if (!node.ok()) {
      // A backend that is away would make each of the others wait as long as this one did.
      if (packs_.remote() && node.code() != Code::kCorrupt && node.code() != Code::kNotFound) return node.status();
      if (unread_.ok()) unread_ = node.status();
      ++nodes_unread_;
      continue;
    }
    ++nodes_read_;
    if (Status status = visit(at->second, **node); !status.ok()) return status;
  }
  return Status::Ok();
}

Status Mark::MarkLeaves(const GoOn& go_on, const OnReached& on_reached) {
  const size_t entries_max = std::max<size_t>(limits_.block_table_bytes_max / BlockTable::kEntryBytes / 2, 1024);
  const size_t parts = blocks_bound_ / entries_max + 1;
  const uint64_t unread = nodes_unread_;
  for (size_t part = 0; part < parts; ++part) {
    nodes_unread_ = unread;   // the same ones again
    BlockTable table(std::min<size_t>(blocks_bound_ / parts, entries_max));
    const auto reach = [&](uint64_t fingerprint, const Location& hint, const BlockId& id, ReachSets::Set set) {
      if (PartOf(fingerprint, parts) != part) return;
      BlockTable::Entry& entry = table.At(fingerprint);
      if (entry.set == ReachSets::kNobody) entry.stored_bytes = StoredBytes(packs_, hint, id);
      if (entry.set != set) entry.set = sets_.Join(entry.set, set);
    };
    Status status = ForEachNode(0, go_on, [&](NodeEntry& entry, const Node& leaf) {
      entry.mapped = leaf.count();
      leaf.ForEach([&](uint32_t, const MapSlot& slot) { reach(slot.id.prefix(), slot.at, slot.id, entry.set); });
      return Status::Ok();
    });
    if (!status.ok()) return status;
    for (const auto& [fingerprint, set] : unmapped_) reach(fingerprint, {}, WithFingerprint(fingerprint), set);
    for (const BlockTable::Entry& entry : table.entries()) {
      if (entry.set == ReachSets::kNobody) continue;
      Reached& reached = ReachedBy(entry.set);
      ++reached.blocks;
      reached.block_bytes += entry.stored_bytes;
      if (on_reached) on_reached(entry.fingerprint, entry.set);
    }
  }
  return Status::Ok();
}

/** Upwards: what a node maps is what its children do. Nodes above leaves are few, so that they are read again. */
Status Mark::CountMapped(const GoOn& go_on) {
  const uint64_t unread = nodes_unread_, read = nodes_read_;
  for (uint8_t level = 1; level <= kNodeLevelMax; ++level) {
    Status status = ForEachNode(level, go_on, [&](NodeEntry& entry, const Node& node) {
      node.ForEach([&](uint32_t, const MapSlot& slot) {
        const auto child = levels_[level - 1].find(slot.id);
        if (child != levels_[level - 1].end()) entry.mapped += child->second.mapped;
      });
      return Status::Ok();
    });
    if (!status.ok()) return status;
  }
  nodes_unread_ = unread;
  nodes_read_ = read;
  return Status::Ok();
}

void Mark::CountNodes(const OnReached& on_reached) {
  for (const Level& level : levels_) {
    for (const auto& [id, entry] : level) {
      Reached& reached = ReachedBy(entry.set);
      ++reached.nodes;
      reached.node_bytes += StoredBytes(packs_, entry.at, id);
      if (on_reached) on_reached(id.prefix(), entry.set);
    }
  }
}

Reached& Mark::ReachedBy(ReachSets::Set set) {
  if (set >= reached_.size()) reached_.resize(std::max<size_t>(set + 1, sets_.count()));
  return reached_[set];
}

}  // namespace skerry
