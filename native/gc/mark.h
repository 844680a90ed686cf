#pragma once
// The mark: from the roots of all resources down, level by level. A node's parents all stand one level above it, so when a
// level is begun all that reaches its nodes is known: each distinct node is read once, however many trees share it, and
// what it leads to is reached by who reaches it. The cost is that of the distinct nodes, not of the trees.
//
// Memory: an entry for each distinct node, and a table of blocks of at most `block_table_bytes_max`. Where the pool has more
// blocks than it takes, the leaves are read again for each further part of the ids.
#include <array>
#include <functional>
#include <unordered_map>
#include <vector>

#include "../map/node_format.h"
#include "../map/tree.h"
#include "reach_sets.h"

namespace skerry {

struct MarkLimits {
  size_t block_table_bytes_max = 128u << 20;
  size_t nodes_max = 8u << 20;             // some 80 bytes each; full leaves of so many map 128 TiB
  size_t set_bytes_max = 64u << 20;
};

/** Distinct blocks and nodes, and what their records take in packs. */
struct Reached {
  uint64_t blocks = 0, nodes = 0, block_bytes = 0, node_bytes = 0;

  uint64_t stored_bytes() const { return block_bytes + node_bytes; }
  Reached& operator+=(const Reached& other) {
    blocks += other.blocks;
    nodes += other.nodes;
    block_bytes += other.block_bytes;
    node_bytes += other.node_bytes;
    return *this;
  }
};

/** One walk. Not thread-safe; whoever runs it sees to it that nothing that a root reaches is removed meanwhile. */
class Mark {
 public:
  /** Asked before each node is read; it may rest. False: give up. */
  using GoOn = std::function<bool()>;
  /** Hears of each distinct block and node that is reached, by the first eight bytes of its id, and by whom, once that is all known. */
  using OnReached = std::function<void(uint64_t fingerprint, ReachSets::Set by)>;

  /** `blocks_bound`: at most so many distinct blocks can be reached, as far as that is known. */
  Mark(const PackStore& packs, Tree& tree, size_t members, uint64_t blocks_bound, const MarkLimits& limits = {});

  void AddRoot(size_t member, const TreeRoot& root);
  /** A block that is in no map yet, by the first eight bytes of its id. */
  void AddBlock(size_t member, uint64_t fingerprint);

  /** Once. kClosed where `go_on` said no; kNoSpace past nodes_max. What cannot be read is counted, and left out. */
  Status Run(const GoOn& go_on, const OnReached& on_reached = {});

  const ReachSets& sets() const { return sets_; }
  /** For who keeps the answer longer than the walk. */
  ReachSets TakeSets() { return std::move(sets_); }
  /** By set. */
  const std::vector<Reached>& reached() const { return reached_; }
  /** Blocks that the tree maps, each as often as it does so. */
  uint64_t MappedBlocks(const TreeRoot& root) const;
  uint64_t nodes_read() const { return nodes_read_; }
  uint64_t nodes_unread() const { return nodes_unread_; }
  /** Why the first of those could not be read. */
  const Status& unread() const { return unread_; }

 private:
  struct NodeEntry {
    Location at;
    ReachSets::Set set = ReachSets::kNobody;
    uint64_t mapped = 0;   // blocks below
  };
  using Level = std::unordered_map<BlockId, NodeEntry, BlockIdHash>;
  class BlockTable;

  Status AddNode(uint8_t level, const MapSlot& slot, ReachSets::Set set);
  /** Reads the level's nodes in the order they lie in packs. */
  Status ForEachNode(uint8_t level, const GoOn& go_on, const std::function<Status(NodeEntry&, const Node&)>& visit);
  Status MarkLeaves(const GoOn& go_on, const OnReached& on_reached);
  Status CountMapped(const GoOn& go_on);
  void CountNodes(const OnReached& on_reached);
  Reached& ReachedBy(ReachSets::Set set);

  const PackStore& packs_;
  Tree& tree_;
  const uint64_t blocks_bound_;
  const MarkLimits limits_;
  ReachSets sets_;
  std::array<Level, kNodeLevelMax + 1> levels_;
  size_t nodes_ = 0;
  std::unordered_map<uint64_t, ReachSets::Set> unmapped_;   // blocks of AddBlock
  std::vector<Reached> reached_;
  uint64_t nodes_read_ = 0, nodes_unread_ = 0;
  Status unread_;
};

}  // namespace skerry
