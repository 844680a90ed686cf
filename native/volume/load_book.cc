#include "load_book.h"

#include <algorithm>

namespace skerry {

void LoadBook::Set(ResourceId id, const VolumeLoad& load, uint64_t now, const Pool* pool) {
  const auto found = loads_.find(id);
  if (found == loads_.end()) {
    if (load.empty()) return;
    const Line line{load, now, pool};
    loads_.emplace(id, line);
    return Enter(id, line);
  }
  Leave(id, found->second);
  if (load.empty()) {
    loads_.erase(found);
    return;
  }
  if (found->second.load.last_end != load.last_end) found->second.quiet_since = now;
  found->second.load = load;
  found->second.pool = pool;
  Enter(id, found->second);
}

void LoadBook::Forget(ResourceId id) {
  const auto found = loads_.find(id);
  if (found == loads_.end()) return;
  Leave(id, found->second);
  loads_.erase(found);
}

void LoadBook::Enter(ResourceId id, const Line& line) {
  const VolumeLoad& load = line.load;
  journal_bytes_ += load.journal_bytes;
  overlay_bytes_ += load.overlay_bytes;
  overlay_pages_ += load.overlay_pages;
  generations_ += load.frozen + (load.active ? 1 : 0);
  by_first_lsn_.emplace(load.first_lsn, id);
  PoolLoad& pool = pools_[line.pool];
  pool.blocks_bound += load.blocks_bound;
  ++pool.holders;
  if (load.frozen > 0) pool.frozen.insert(id);
  if (!load.active) return;
  active_by_lsn_.emplace(load.first_lsn, id);
  active_by_bytes_.emplace(load.active_overlay_bytes, id);
  active_by_rest_.emplace(line.quiet_since, id);
}

void LoadBook::Leave(ResourceId id, const Line& line) {
  const VolumeLoad& load = line.load;
  journal_bytes_ -= load.journal_bytes;
  overlay_bytes_ -= load.overlay_bytes;
  overlay_pages_ -= load.overlay_pages;
  generations_ -= load.frozen + (load.active ? 1 : 0);
  by_first_lsn_.erase({load.first_lsn, id});
  PoolLoad& pool = pools_.at(line.pool);
  pool.blocks_bound -= load.blocks_bound;
  pool.frozen.erase(id);
  if (--pool.holders == 0) pools_.erase(line.pool);
  active_by_lsn_.erase({load.first_lsn, id});
  active_by_bytes_.erase({load.active_overlay_bytes, id});
  active_by_rest_.erase({line.quiet_since, id});
}

const PoolLoad& LoadBook::In(const Pool* pool) const {
  static const PoolLoad nothing;
  const auto found = pools_.find(pool);
  return found == pools_.end() ? nothing : found->second;
}

std::vector<ResourceId> LoadBook::Active() const {
  std::vector<ResourceId> ids;
  ids.reserve(active_by_lsn_.size());
  for (const auto& [lsn, id] : active_by_lsn_) ids.push_back(id);
  return ids;
}

std::optional<ResourceId> LoadBook::OldestActive(const std::function<bool(ResourceId)>& wanted) const {
  const auto found = std::find_if(active_by_lsn_.begin(), active_by_lsn_.end(), [&](const auto& line) { return wanted(line.second); });
  return found == active_by_lsn_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<ResourceId> LoadBook::LargestActive(const std::function<bool(ResourceId)>& wanted) const {
  const auto found = std::find_if(active_by_bytes_.rbegin(), active_by_bytes_.rend(), [&](const auto& line) { return wanted(line.second); });
  return found == active_by_bytes_.rend() ? std::nullopt : std::optional(found->second);
}

std::vector<ResourceId> LoadBook::RestingSince(uint64_t before) const {
  std::vector<ResourceId> ids;
  for (auto it = active_by_rest_.begin(); it != active_by_rest_.end() && it->first < before; ++it) ids.push_back(it->second);
  return ids;
}

VolumeLoad LoadBook::Of(ResourceId id) const {
  const auto found = loads_.find(id);
  return found == loads_.end() ? VolumeLoad{} : found->second.load;
}

}  // namespace skerry
