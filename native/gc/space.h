#pragma once
// Who holds how much of a pool: one mark over all resources, and what can be told from it. Blocks that a journalled write
// put in a pack count as those of a map do; what is only in the journal is told apart.
#include <memory>
#include <unordered_map>
#include <vector>

#include "../volume/store.h"
#include "mark.h"

namespace skerry {

struct ResourceSpace {
  ResourceId id = 0;
  uint64_t size_bytes = 0;
  uint64_t mapped_bytes = 0;       // of its map, whole blocks, as often as it maps them
  uint64_t journalled_bytes = 0;   // whole pages that were written and are not yet in its map
  Reached reached;                 // by it, and perhaps by others
  Reached alone;                   // by nothing else: what goes with it
};

struct SharedWith {
  ResourceId id = 0;
  uint64_t blocks = 0;             // that both reach
};

struct PoolSpace {
  Reached reached;                 // by any resource
  uint64_t journalled_uses = 0;    // of blocks that journalled writes put in packs, and that may be in no map yet
  uint64_t uncompressed_bytes = 0; // what the records of the blocks that are reached would take if none were compressed
  uint64_t record_bytes = 0;       // of all records that the index knows
  uint64_t stored_bytes = 0;       // of pack files
  uint64_t dead_bytes = 0;         // of records that nothing reaches; what is just being written counts so until its root is there
};

/** As of one moment. Immutable. */
class SpaceReport {
 public:
  std::vector<ResourceSpace> resources;   // ascending by id
  PoolSpace pool;
  uint64_t nodes_read = 0;
  /** Map nodes that cannot be read: what they lead to is not counted. */
  uint64_t nodes_unread = 0;
  /** Sharing has more patterns than are kept apart: Shared and ByGroup tell too little. */
  bool patterns_cut = false;

  /** What only members of one group reach, by group. `group_of`: those that are in none are left out. */
  std::vector<Reached> ByGroup(const std::unordered_map<ResourceId, uint32_t>& group_of, size_t groups) const;
  /** With whom `id` shares most, at most `count` of them. */
  std::vector<SharedWith> Shared(ResourceId id, size_t count) const;

 private:
  friend Result<std::shared_ptr<const SpaceReport>> MeasureSpace(Store& store, Pool& pool, const MarkLimits& limits, const Mark::GoOn& go_on);
  std::unique_ptr<ReachSets> sets_;
  std::vector<Reached> by_set_;
};

/** Of one pool and the resources in it; costs by its distinct map nodes. kClosed where `go_on` says no, and what the backend's reads failed with where it is away. */
Result<std::shared_ptr<const SpaceReport>> MeasureSpace(Store& store, Pool& pool, const MarkLimits& limits, const Mark::GoOn& go_on);

}  // namespace skerry
