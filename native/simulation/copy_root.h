#pragma once
// A root of one pool made anew in another, block by block, the plainest way there is: what simulated worlds and tests have for
// whatever brings roots from pool to pool in a daemon.
#include <vector>

#include "../volume/pool.h"

namespace skerry::simulation {

struct CopiedRoot {
  TreeRoot root;
  PutGate::Hold hold;   // until somebody else sees to it that a collection leaves the root there
};

/** The copy is durable on this host's disk; a backend need not have it yet. kCorrupt where a page of it is lost. */
inline Result<CopiedRoot> CopyRoot(Pool& from, const TreeRoot& root, Pool& to) {
  CopiedRoot copied{{}, to.packs->gate().Enter()};
  if (root.id.empty()) return Result<CopiedRoot>(std::move(copied));
  std::vector<MapChange> changes;
  std::vector<uint8_t> block(kBlockBytes);
  Status failed;
  const Status visited = from.tree->Visit(root, [&](BlockIndex index, const MapSlot& slot) {
    failed = from.packs->ReadBlock(slot.at, slot.id, 0, kPagesPerBlock, block, true);
    if (!failed.ok()) return false;
    const BlockId id = to.key->BlockIdOf(block);
    const Result<Location> put = to.packs->Put(RecordKind::kBlock, id, block, nullptr);
    failed = put.status();
    if (put.ok()) changes.push_back({index, {id, *put}});
    return put.ok();
  });
  if (!failed.ok()) return failed;
  if (!visited.ok()) return visited;
  const Result<TreeRoot> made = to.tree->Update({}, root.levels, {}, changes);
  if (!made.ok()) return made.status();
  copied.root = *made;
  if (Status synced = to.packs->Sync(); !synced.ok()) return synced;
  return Result<CopiedRoot>(std::move(copied));
}

}  // namespace skerry::simulation
