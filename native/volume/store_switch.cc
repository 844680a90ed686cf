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
  if (volume.flushes_to_pool() && !pool->logs) return {Code::kInvalid, "pool " + to_pool + " takes no logs"};
  if (volume.pool() == pool) return {Code::kInvalid, "resource " + std::to_string(id) + " is in pool " + to_pool + " already"};
  if (Status failed = journal_->failure(); !failed.ok()) return failed;
  if (Status status = volume.Hold(); !status.ok()) return status;
  leaving_.emplace(id, Destination{std::move(pool)});
  return {};
}

/** Whether the resource takes a root that is on its way to the catalog. */
bool Store::HasCommitLocked(ResourceId id) const {
  const auto takes = [id](const RootCommit& commit) {
    return std::ranges::any_of(commit.takers, [id](const RootTaker& taker) { return taker.id == id; });
  };
  return busy_.contains(id) || std::ranges::any_of(offered_, takes) ||
         std::ranges::any_of(shipping_, [&](const UnderWay& each) { return takes(each.commit); }) ||
         std::ranges::any_of(under_way_, [&](const auto& each) { return takes(each.second.commit); });
}

/** Whether the root is offered to a clone that the catalog still says to wait for its source: a start makes such a one in the source's pool. */
bool Store::IsOfferedLocked(const TreeRoot& root) const {
  return std::ranges::any_of(offered_, [&](const RootCommit& commit) { return commit.root.id == root.id; }) ||
         std::ranges::any_of(under_way_, [&](const auto& each) { return each.second.volume == 0 && each.second.commit.root.id == root.id; });
}

std::optional<Store::HeldResource> Store::HeldLocked(ResourceId id) const {
  const LiveVolume& volume = *entries_.at(id).volume;
  const std::optional<LiveVolume::HeldAt> at = volume.Held();
  if (!at || HasCommitLocked(id)) return std::nullopt;
  return HeldResource{*at, volume.fence(), volume.pool()->name};
}

Result<std::optional<Store::HeldResource>> Store::Held(ResourceId id) const {
  std::shared_lock lock(mutex_);
  if (!leaving_.contains(id)) return NotHeld(id);
  const std::optional<HeldResource> held = HeldLocked(id);
  return held && IsOfferedLocked(held->at.root) ? std::nullopt : held;
}

Status Store::Expect(ResourceId id, const TreeRoot& root) {
  std::unique_lock lock(mutex_);
  const auto found = leaving_.find(id);
  if (found == leaving_.end()) return NotHeld(id);
  const std::optional<HeldResource> held = HeldLocked(id);
  if (!held) return {Code::kInvalid, "resource " + std::to_string(id) + " is not in a root of its pool yet"};
  if (IsOfferedLocked(held->at.root)) return {Code::kTryAgain, "a clone of resource " + std::to_string(id) + " has no root in the catalog yet"};
  if (found->second.pool->room.room() == Room::kNone) return {Code::kNoSpace, "pool " + found->second.pool->name + " is full"};
  found->second.root = root;
  return {};
}

Result<uint64_t> Store::Switch(ResourceId id, uint64_t log_fence) {
  std::unique_lock lock(mutex_);
  const auto found = leaving_.find(id);
  if (found == leaving_.end()) return NotHeld(id);
  if (!found->second.root) return Status(Code::kInvalid, "resource " + std::to_string(id) + " is not expected anywhere else");
  const Destination to = std::move(found->second);
  leaving_.erase(found);
  Entry& entry = entries_.at(id);
  const uint64_t sequence = entry.volume->Switch(to.pool, *to.root, log_fence);
  entry.base.reset();   // what clones began with while it was pending
  // Announced by the volume: the book moves it to the other pool when it looks.
  RefreshLocked();
  // Flushes wait for a root with what was written while it was held.
  if (entry.volume->flushes_to_pool()) FreezeLocked(id);
  return sequence;
}

void Store::Release(ResourceId id) {
  std::unique_lock lock(mutex_);
  if (leaving_.erase(id) == 0) return;
  entries_.at(id).volume->Release();
}

}  // namespace skerry
