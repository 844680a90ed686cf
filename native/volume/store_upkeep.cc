// Pacing, destage and commits: the slow half of Store.
#include <algorithm>

#include "../destage/destage.h"
#include "store.h"

namespace skerry {
namespace {

constexpr double kFreezeAt = 0.5;               // of the journal's window, or of the overlay's memory
constexpr double kFreezeOverlayAt = 0.4;
constexpr int64_t kSpareBytesMin = 4 << 20;     // less than this is no room: a disk is full before its last byte

}  // namespace

bool Store::Pace() {
  // A pack that was sealed in passing may have been the one that failed.
  for (const auto& pool : pools()) {
    if (const Status lost = pool->packs->failure(); !lost.ok()) journal_->Poison(lost);
  }
  std::unique_lock lock(mutex_);
  const uint64_t now = env_.NowNanos();
  const Journal::Usage log = journal_->usage();
  const uint64_t window = log.bytes_max;
  uint64_t journal_bytes = 0, overlay_bytes = 0, writers = 0;
  struct Waiting {
    uint64_t blocks = 0, writers = 0;
  };
  std::unordered_map<const Pool*, Waiting> waiting;
  Entry* oldest = nullptr;
  Entry* largest = nullptr;
  Lsn oldest_lsn = ~0ull;
  uint64_t largest_bytes = 0;
  bool frozen_waits = false;
  for (auto& [id, entry] : entries_) {
    const LiveVolume::Load load = entry.volume->load();
    journal_bytes += load.journal_bytes;
    overlay_bytes += load.overlay_bytes;
    Waiting& in_pool = waiting[entry.volume->pool().get()];
    in_pool.blocks += load.blocks_bound;
    if (load.active || load.frozen > 0) {
      ++writers;
      ++in_pool.writers;
    }
    // What waits for a backend is no reason for others to wait too.
    const PackStore& packs = *entry.volume->pool()->packs;
    if (load.frozen > 0 && !(packs.remote() && (entry.busy || packs.crowded()))) frozen_waits = true;
    if (!load.active) continue;
    if (load.first_lsn < oldest_lsn) {
      oldest_lsn = load.first_lsn;
      oldest = &entry;
    }
    if (load.active_overlay_bytes > largest_bytes) {
      largest_bytes = load.active_overlay_bytes;
      largest = &entry;
    }
    const Lsn end = entry.volume->FlushTarget();
    if (entry.quiet_end != end) {
      entry.quiet_end = end;
      entry.quiet_since = now;
    }
    const bool resting = now - entry.quiet_since > options_.idle_destage_nanos;
    if (load.ranges >= kOverlayRangesMax / 2 || resting) entry.volume->Freeze();
  }
  // The log's span, not only what is live in it, is what segments hold: an old record of a quiet volume pins all after it.
  const uint64_t span = log.bytes;
  if (!frozen_waits) {
    if (oldest != nullptr && static_cast<double>(std::max(span, journal_bytes)) > kFreezeAt * static_cast<double>(window)) oldest->volume->Freeze();
    if (largest != nullptr && static_cast<double>(overlay_bytes) > kFreezeOverlayAt * static_cast<double>(options_.overlay_bytes_max)) {
      largest->volume->Freeze();
    }
  }
  bool more_room = false;
  for (const auto& pool : pools()) {
    const Waiting& in_pool = waiting[pool.get()];
    more_room |= LookForRoomLocked(*pool, in_pool.blocks, in_pool.writers);
    if (pool->room.room() != Room::kSoon) continue;
    for (auto& [id, entry] : entries_) {
      if (entry.volume->pool() == pool) entry.volume->Freeze();
    }
  }
  admission_.Refresh(std::max(journal_bytes, span), window, overlay_bytes, writers);
  return more_room;
}

/** Looks how much the pool can take beyond `blocks` that wait to be written, and tells its volumes. True: as Pace. */
bool Store::LookForRoomLocked(Pool& pool, uint64_t blocks, uint64_t writers) {
  // Everything acknowledged must fit when destaged. Map nodes are paid from the reserve.
  constexpr uint64_t kBytesMax = 1ull << 60;
  const PackStore::Usage packs = pool.packs->usage();
  const uint64_t there = std::min(packs.room_bytes, kBytesMax), need = std::min(blocks * kBlockRoomBytes, kBytesMax);
  const int64_t spare = static_cast<int64_t>(there) - static_cast<int64_t>(need) - kSpareBytesMin;
  Room room = Room::kThere;
  // Deduplicated or overwritten, it may need far less than its bound: destage tells. Refused is only what cannot fit.
  if (spare <= 0) room = writers > 0 && !pool.destage_stuck.load() ? Room::kSoon : Room::kNone;
  if (packs.backend_full) room = Room::kNone;
  pool.room.Refresh(room, static_cast<uint64_t>(std::max<int64_t>(spare, 0)));
  if (!pool.destage_stuck.load() || !pool.stuck_spare_bytes) {
    pool.stuck_spare_bytes = spare;
    return false;
  }
  if (spare < *pool.stuck_spare_bytes + kSpareBytesMin) return false;
  pool.stuck_spare_bytes = spare;  // once for so much room, however often it fails
  return true;
}

Result<std::optional<RootCommit>> Store::DestageStep(Pool& pool) {
  while (true) {
    // What packs hold can no longer be made durable, so no root can be published either.
    if (journal_->failed()) return std::optional<RootCommit>();
    Result<std::optional<RootCommit>> shipped = TakeShipped(pool);
    if (!shipped.ok() || shipped->has_value()) return shipped;
    std::optional<std::pair<ResourceId, DestageGroup>> next;
    // Where the backend falls behind, what is not destaged costs journal and no more disk.
    if (!pool.packs->crowded()) {
      std::unique_lock lock(mutex_);
      next = NextGroupLocked(pool);
    }
    if (!next) {
      if (Status status = GetOnTheWay(pool); !status.ok()) return status;
      return std::optional<RootCommit>();
    }
    Result<std::optional<UnderWay>> destaged = DestageGroupOf(next->first, next->second);
    pool.destage_stuck.store(!destaged.ok());
    if (!destaged.ok() || !destaged->has_value()) {
      GiveUp(next->first);
      if (!destaged.ok()) {
        std::unique_lock lock(mutex_);
        pool.stuck_spare_bytes.reset();
        return destaged.status();
      }
      continue;
    }
    std::unique_lock lock(mutex_);
    if (!pool.packs->remote()) return std::optional<RootCommit>(CommitLocked(std::move(**destaged)));
    shipping_.push_back(std::move(**destaged));
  }
}

RootCommit Store::CommitLocked(UnderWay under_way) {
  const RootCommit commit = under_way.commit;
  under_way_.emplace(commit.token, std::move(under_way));
  return commit;
}

Result<std::optional<RootCommit>> Store::TakeShipped(Pool& pool) {
  std::unique_lock lock(mutex_);
  if (!offered_.empty()) {
    const RootCommit commit = offered_.back();
    offered_.pop_back();
    return std::optional<RootCommit>(CommitLocked({commit, 0, {}, nullptr, 0}));
  }
  while (true) {
    const auto waiting = std::find_if(shipping_.begin(), shipping_.end(), [&](const UnderWay& each) { return each.pool.get() == &pool; });
    if (waiting == shipping_.end()) return std::optional<RootCommit>();
    // The oldest has the lowest mark.
    const Result<bool> shipped = pool.packs->ShippedUpTo(waiting->mark);
    if (shipped.ok() && !*shipped) return std::optional<RootCommit>();
    UnderWay ready = std::move(*waiting);
    shipping_.erase(waiting);
    // Clones may have come since it was destaged; and what it was destaged of may have gone, or been rolled back.
    const auto found = entries_.find(ready.volume);
    const bool stands = found == entries_.end() || found->second.volume->lineage() == ready.group.lineage;
    ready.commit.takers = TakersLocked(ready.volume, ready.group);
    if (shipped.ok() && stands && !ready.commit.takers.empty()) return std::optional<RootCommit>(CommitLocked(std::move(ready)));
    if (found != entries_.end()) found->second.busy = false;
    if (!shipped.ok()) return shipped.status();
  }
}

Status Store::GetOnTheWay(Pool& pool) {
  uint32_t mark = 0;
  {
    std::shared_lock lock(mutex_);
    for (const UnderWay& waiting : shipping_) {
      if (waiting.pool.get() == &pool) mark = std::max(mark, waiting.mark);
    }
  }
  if (mark != 0 && pool.packs->OpenUpTo(mark)) {
    if (Status status = pool.packs->Seal(); !status.ok()) return status;
  }
  return pool.packs->Upkeep();
}

std::optional<std::pair<ResourceId, DestageGroup>> Store::NextGroupLocked(const Pool& pool) {
  std::vector<ResourceId> ids;
  for (const auto& [resource, entry] : entries_) {
    if (!entry.busy && entry.volume->pool().get() == &pool) ids.push_back(resource);
  }
  std::sort(ids.begin(), ids.end());
  std::rotate(ids.begin(), std::upper_bound(ids.begin(), ids.end(), next_destage_), ids.end());
  for (ResourceId candidate : ids) {
    std::optional<DestageGroup> group = entries_.at(candidate).volume->OldestGroup();
    if (!group) continue;
    next_destage_ = candidate;
    entries_.at(candidate).busy = true;
    return std::pair(candidate, std::move(*group));
  }
  return std::nullopt;
}

void Store::GiveUp(ResourceId volume) {
  std::unique_lock lock(mutex_);
  if (const auto found = entries_.find(volume); found != entries_.end()) found->second.busy = false;
}

Result<std::optional<Store::UnderWay>> Store::DestageGroupOf(ResourceId id, const DestageGroup& group) {
  const std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "the volume was deleted");
  Pool& pool = *volume->pool();
  Result<DestageResult> destaged = Destage(*journal_, pool, group, group.size_bytes);
  if (!destaged.ok()) return destaged.status();
  if (Status status = SyncPacks(pool); !status.ok()) return status;
  destaged_generations_ += group.generations.size();
  destaged_bytes_ += destaged->bytes;
  UnderWay under_way{{}, id, group, volume->pool(), pool.packs->Mark()};
  std::unique_lock lock(mutex_);
  // Rolled back meanwhile: what was destaged is no state of the volume any more.
  if (volume->lineage() != group.lineage) return std::optional<UnderWay>();
  under_way.commit.token = next_token_++;
  under_way.commit.root = destaged->root;
  under_way.commit.takers = TakersLocked(id, group);
  if (under_way.commit.takers.empty()) return std::optional<UnderWay>();
  return std::optional<UnderWay>(std::move(under_way));
}

std::vector<RootTaker> Store::TakersLocked(ResourceId volume, const DestageGroup& group) const {
  std::vector<RootTaker> takers;
  const auto self = entries_.find(volume);
  if (self != entries_.end()) takers.push_back({volume, group.applied_sequence, self->second.volume->fence(), group.size_bytes, group.lineage});
  const ResourceId snapshot = group.generations.back().snapshot;
  if (snapshot == 0) return takers;
  if (entries_.contains(snapshot)) takers.push_back({snapshot, group.applied_sequence, 0, group.size_bytes, 0});
  for (const auto& [id, entry] : entries_) {
    if (entry.pending_of == snapshot && entry.kind != ResourceKind::kSnapshot) takers.push_back({id, 0, entry.volume->fence(), group.size_bytes, 0});
  }
  return takers;
}

void Store::Committed(uint64_t token, bool ok) {
  std::unique_lock lock(mutex_);
  const auto found = under_way_.find(token);
  if (found == under_way_.end()) return;
  const UnderWay done = std::move(found->second);
  under_way_.erase(found);
  if (!ok && done.pool) done.pool->destage_stuck.store(true);
  if (done.volume == 0) {
    if (!ok) offered_.push_back(done.commit);
    return;
  }
  const auto self = entries_.find(done.volume);
  if (self == entries_.end()) return;
  self->second.busy = false;
  if (!ok) return;
  for (ResourceId snapshot : self->second.volume->Commit(done.group, done.commit.root)) {
    const auto entry = entries_.find(snapshot);
    if (entry == entries_.end()) continue;
    if (entry->second.base) {
      *entry->second.base = Base{};
      entry->second.base->root = done.commit.root;
    }
    entry->second.pending_of = 0;
    for (auto& [id, clone] : entries_) {
      if (clone.pending_of != snapshot || clone.kind == ResourceKind::kSnapshot) continue;
      clone.pending_of = 0;
      const auto& takers = done.commit.takers;
      const bool told = std::any_of(takers.begin(), takers.end(), [id = id](const RootTaker& taker) { return taker.id == id; });
      if (!told) OfferRootLocked(id, *clone.volume, done.commit.root);
    }
  }
  // Snapshots that still wait must not go on reading what was just destaged: its journal is about to be recycled.
  for (ResourceId snapshot : self->second.volume->PendingSnapshots()) {
    const auto entry = entries_.find(snapshot);
    if (entry != entries_.end() && entry->second.base) self->second.volume->RefreshPending(snapshot, *entry->second.base);
  }
  RestackDependentsLocked();
  TrimLocked();
}

void Store::OfferRootLocked(ResourceId taker, const LiveVolume& volume, const TreeRoot& root) {
  offered_.push_back({next_token_++, {{taker, 0, volume.fence(), volume.initial_size(), 0}}, root});
}

void Store::RestackDependentsLocked() {
  for (auto& [id, entry] : entries_) entry.volume->Restack();
}

void Store::Trim() {
  std::unique_lock lock(mutex_);
  TrimLocked();
}

void Store::TrimLocked() {
  // Read before the volumes are: a record appended after this lies above it.
  Lsn lowest = journal_->appended();
  for (const auto& [id, entry] : entries_) lowest = std::min(lowest, entry.volume->load().first_lsn);
  std::erase_if(dropping_, [durable = journal_->durable()](const Dropping& dropping) { return dropping.end <= durable; });
  for (const Dropping& dropping : dropping_) lowest = std::min(lowest, dropping.first);
  journal_->Trim(lowest);
}

}  // namespace skerry
