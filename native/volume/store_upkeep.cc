// Pacing, destage and commits: the slow half of Store.
#include <algorithm>

#include "../destage/destage.h"
#include "store.h"

namespace skerry {
namespace {

constexpr double kFreezeAt = 0.5;               // of the journal's window, or of the overlay's memory
constexpr double kFreezeOverlayAt = 0.4;
constexpr int64_t kSpareBytesMin = 4 << 20;     // less than this is no room: a disk is full before its last byte

std::string DamageOf(ResourceId id, const std::vector<PageIndex>& lost) {
  if (lost.empty()) return {};
  return std::to_string(lost.size()) + " pages of volume " + std::to_string(id) + ", the first at offset " +
         std::to_string(lost.front() * kPageBytes) +
         ", rotted in the journal or in the pool and are lost: reading them is an I/O error until they are written again";
}

}  // namespace

bool Store::Pace() {
  // A pack that was sealed in passing may have been the one that failed.
  if (const Status lost = pool_.packs->failure(); !lost.ok()) journal_->Poison(lost);
  std::unique_lock lock(mutex_);
  const uint64_t now = env_.NowNanos();
  const Journal::Usage log = journal_->usage();
  const uint64_t window = log.bytes_max;
  uint64_t journal_bytes = 0, overlay_bytes = 0, writers = 0, blocks = 0;
  Entry* oldest = nullptr;
  Entry* largest = nullptr;
  Lsn oldest_lsn = ~0ull;
  uint64_t largest_bytes = 0;
  bool frozen_waits = false;
  for (auto& [id, entry] : entries_) {
    const LiveVolume::Load load = entry.volume->load();
    journal_bytes += load.journal_bytes;
    overlay_bytes += load.overlay_bytes;
    blocks += load.blocks_bound;
    if (load.active || load.frozen > 0) ++writers;
    if (load.frozen > 0) frozen_waits = true;
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
  Room room = Room::kThere;
  const int64_t spare = SpareBytes(blocks) - kSpareBytesMin;
  if (spare <= 0) {
    // Deduplicated or overwritten, it may need far less than its bound: destage tells. Refused is only what cannot fit.
    room = writers > 0 && !destage_stuck_.load() ? Room::kSoon : Room::kNone;
    if (room == Room::kSoon) {
      for (auto& [id, entry] : entries_) entry.volume->Freeze();
    }
  }
  admission_.Refresh(std::max(journal_bytes, span), window, overlay_bytes, writers, room, static_cast<uint64_t>(std::max<int64_t>(spare, 0)));
  if (!destage_stuck_.load() || !stuck_spare_bytes_) {
    stuck_spare_bytes_ = spare;
    return false;
  }
  if (spare < *stuck_spare_bytes_ + kSpareBytesMin) return false;
  stuck_spare_bytes_ = spare;  // once for so much room, however often it fails
  return true;
}

int64_t Store::SpareBytes(uint64_t blocks) const {
  // Everything acknowledged must fit when destaged. Map nodes are paid from the reserve.
  constexpr uint64_t kBytesMax = 1ull << 60;
  const uint64_t room = std::min(pool_.packs->usage().room_bytes, kBytesMax), need = std::min(blocks * kBlockRoomBytes, kBytesMax);
  return static_cast<int64_t>(room) - static_cast<int64_t>(need);
}

Result<std::optional<RootCommit>> Store::DestageStep() {
  // What packs hold can no longer be made durable, so no root can be published either.
  if (journal_->failed()) return std::optional<RootCommit>();
  ResourceId id = 0;
  std::optional<DestageGroup> group;
  {
    std::unique_lock lock(mutex_);
    if (!offered_.empty()) {
      const RootCommit commit = offered_.back();
      offered_.pop_back();
      under_way_.emplace(commit.token, UnderWay{commit, 0, {}});
      return std::optional<RootCommit>(commit);
    }
    std::vector<ResourceId> ids;
    for (const auto& [resource, entry] : entries_) {
      if (!entry.busy) ids.push_back(resource);
    }
    std::sort(ids.begin(), ids.end());
    std::rotate(ids.begin(), std::upper_bound(ids.begin(), ids.end(), next_destage_), ids.end());
    for (ResourceId candidate : ids) {
      group = entries_.at(candidate).volume->OldestGroup();
      if (!group) continue;
      id = candidate;
      next_destage_ = candidate;
      entries_.at(candidate).busy = true;
      break;
    }
  }
  if (!group) return std::optional<RootCommit>();
  Result<std::optional<RootCommit>> commit = DestageGroupOf(id, *group);
  destage_stuck_.store(!commit.ok());
  if (!commit.ok() || !commit->has_value()) {
    std::unique_lock lock(mutex_);
    if (!commit.ok()) stuck_spare_bytes_.reset();
    if (const auto found = entries_.find(id); found != entries_.end()) found->second.busy = false;
  }
  return commit;
}

Result<std::optional<RootCommit>> Store::DestageGroupOf(ResourceId id, const DestageGroup& group) {
  const std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "the volume was deleted");
  Result<DestageResult> destaged = Destage(*journal_, pool_, group, group.size_bytes);
  if (!destaged.ok()) return destaged.status();
  if (Status status = SyncPacks(); !status.ok()) return status;
  destaged_generations_ += group.generations.size();
  destaged_bytes_ += destaged->bytes;
  std::unique_lock lock(mutex_);
  // Rolled back meanwhile, what was destaged is no state of the volume any more; dropped, the journal under it may be gone.
  if (volume->lineage() != group.lineage || volume->dropped()) return std::optional<RootCommit>();
  UnderWay under_way;
  under_way.volume = id;
  under_way.group = group;
  under_way.commit.token = next_token_++;
  under_way.commit.root = destaged->root;
  under_way.commit.damage = DamageOf(id, destaged->lost);
  under_way.commit.takers = TakersLocked(id, group);
  const RootCommit commit = under_way.commit;
  under_way_.emplace(commit.token, std::move(under_way));
  return std::optional<RootCommit>(commit);
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
  if (!ok) destage_stuck_.store(true);
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
