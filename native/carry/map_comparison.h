#pragma once
// Holds a carried tree against what it was made of, by maps alone: which blocks are mapped. What the blocks hold was proven when
// they were carried.
#include "../gc/mark.h"
#include "../volume/pool.h"

namespace skerry {

/** `from` and `to` of the source; `made` of the target. */
struct MapsToCompare {
  Pool& source;
  Pool& target;
  TreeRoot from, to, made;
};

/**
 * Ok where `made` maps exactly the blocks that `to` does, in all that `to` does not have in common with `from`, and each of its nodes
 * there can be read at rest. Costs by these nodes: `nodes` gets how many were read. kCorrupt says where it is not so; kClosed where
 * `go_on` said no.
 */
Status CompareMaps(const MapsToCompare& maps, const Mark::GoOn& go_on, uint64_t& nodes);

}  // namespace skerry
