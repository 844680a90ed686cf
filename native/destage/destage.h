#pragma once
// Turns a group of frozen generations over a root into blocks and a new root. Pure work on immutable input: reads through
// the store's pool and journal, puts blocks and nodes in packs; the caller syncs the packs and commits the root.
#include "../volume/live_volume.h"

namespace skerry {

struct DestageResult {
  TreeRoot root;
  uint64_t blocks = 0, bytes = 0;
  std::vector<PageIndex> lost;   // ascending: they rotted before they were stored, and read kCorrupt until they are written again
};

/** `size_bytes`: of the volume in the new root; it fixes the tree's height. A page of the group, or of what lies under it, that has rotted costs itself alone. kCorrupt: a map node fails. */
Result<DestageResult> Destage(Journal& journal, Pool& pool, const DestageGroup& group, uint64_t size_bytes);

}  // namespace skerry
