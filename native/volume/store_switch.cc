// Resources on their way from one pool to another.
#include <algorithm>

#include "../env/mutants.h"
#include "store.h"

namespace skerry {
namespace {

Status NotHeld(ResourceId id) { return {Code::kNotFound, "resource " + std::to_string(id) + " is not held: it was deleted, or released"}; }

}  // namespace

Status Store::Hold(ResourceId id, const std::string& to_pool) {
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return {Code::kNotFound, "no resource " + std::to_string(id)};
  std::shared_ptr<Pool> pool = FindPool(to_pool);
  if (!pool) return {Code::kNotFound, "there is no pool " + to_pool};
  LiveVolume& volume = *found->second.volume;
  if (volume.pool() == pool) return {Code::kInvalid, "resource " + std::to_string(id) + " is in pool " + to_pool + " already"};
  if (Status failed = journal_->failure(); !failed.ok()) return failed;
  if (Status status = volume.Hold(); !status.ok()) return status;
  leaving_.emplace(id, Destination{std::move(pool)});
  return {};
}

/**
 * Whether the resource takes a root that is on its way to the catalog, or somebody else takes this one: a clone of it that the catalog
 * still says to wait for it, and a start makes such a one in the pool of its source.
 */
bool Store::HasCommitLocked(ResourceId id, const TreeRoot& root) const {
  const auto takes = [&](const RootCommit& commit) {
    return commit.root.id == root.id || std::ranges::any_of(commit.takers, [id](const RootTaker& taker) { return taker.id == id; });
  };
  return busy_.contains(id) || std::ranges::any_of(offered_, takes) ||
         std::ranges::any_of(shipping_, [&](const UnderWay& each) { return takes(each.commit); }) ||
         std::ranges::any_of(under_way_, [&](const auto& each) { return takes(each.second.commit); });
}

std::optional<Store::HeldResource> Store::HeldLocked(ResourceId id) const {
  const LiveVolume& volume = *entries_.at(id).volume;
  const std::optional<LiveVolume::HeldAt> at = volume.Held();
  if (!at || HasCommitLocked(id, at->root)) return std::nullopt;
  return HeldResource{*at, volume.fence(), volume.pool()->name};
}

Result<std::optional<Store::HeldResource>> Store::Held(ResourceId id) {
  std::unique_lock lock(mutex_);
  const auto found = leaving_.find(id);
  if (found == leaving_.end()) return NotHeld(id);
  std::optional<HeldResource> held = HeldLocked(id);
  // Once it was so it stays so: that another's commit has the same root by chance later is no matter.
  if (held) found->second.told = true;
  return held;
}

Status Store::Expect(ResourceId id, const TreeRoot& root) {
  std::unique_lock lock(mutex_);
  const auto found = leaving_.find(id);
  if (found == leaving_.end()) return NotHeld(id);
  if (!found->second.told) return {Code::kInvalid, "resource " + std::to_string(id) + " is not in a root of its pool yet"};
  if (found->second.pool->room.room() == Room::kNone) return {Code::kNoSpace, "pool " + found->second.pool->name + " is full"};
  found->second.root = root;
  return {};
}

Status Store::Switch(ResourceId id) {
  std::unique_lock lock(mutex_);
  const auto found = leaving_.find(id);
  if (found == leaving_.end()) return NotHeld(id);
  if (!found->second.root) return {Code::kInvalid, "resource " + std::to_string(id) + " is not expected anywhere else"};
  const Destination to = std::move(found->second);
  leaving_.erase(found);
  Entry& entry = entries_.at(id);
  entry.volume->Switch(to.pool, *to.root);
  entry.base.reset();   // what clones began with while it was pending
  // Announced by the volume: the book moves it to the other pool when it looks.
  RefreshLocked();
  return {};
}

void Store::Release(ResourceId id) {
  std::unique_lock lock(mutex_);
  if (leaving_.erase(id) == 0) return;
  entries_.at(id).volume->Release();
}

}  // namespace skerry
