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

/** Takes down what the volumes hold that changed since the last time. */
void Store::RefreshLocked() {
  const uint64_t now = env_.NowNanos();
  for (ResourceId id : changed_.Take()) {
    const auto found = entries_.find(id);
    if (found != entries_.end()) book_.Set(id, found->second.volume->TakeLoad(), now);
  }
}

void Store::FreezeLocked(std::optional<ResourceId> id) {
  if (id) entries_.at(*id).volume->Freeze();
}

bool Store::Pace() {
  // A pack that was sealed in passing may have been the one that failed.
  if (const Status lost = pool_.packs->failure(); !lost.ok()) journal_->Poison(lost);
  std::unique_lock lock(mutex_);
  const uint64_t now = env_.NowNanos();
  for (ResourceId id : changed_.Take()) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) continue;
    const VolumeLoad load = found->second.volume->TakeLoad();
    book_.Set(id, load, now);
    if (load.ranges >= kOverlayRangesMax / 2) FreezeLocked(id);
  }
  const bool frozen_waits = !book_.frozen().empty();
  const std::optional<ResourceId> oldest = book_.OldestActive(), largest = book_.LargestActive();
  if (now > options_.idle_destage_nanos) {
    for (ResourceId id : book_.RestingSince(now - options_.idle_destage_nanos)) FreezeLocked(id);
  }
  const Journal::Usage log = journal_->usage();
  // The log's span, not only what is live in it, is what segments hold: an old record of a quiet volume pins all after it.
  const uint64_t span = std::max(log.bytes, book_.journal_bytes());
  if (!frozen_waits) {
    if (static_cast<double>(span) > kFreezeAt * static_cast<double>(log.bytes_max)) FreezeLocked(oldest);
    if (static_cast<double>(book_.overlay_bytes()) > kFreezeOverlayAt * static_cast<double>(options_.overlay_bytes_max)) FreezeLocked(largest);
  }
  return AdmitLocked(span, log.bytes_max);
}

bool Store::AdmitLocked(uint64_t span, uint64_t window) {
  Room room = Room::kThere;
  const int64_t spare = SpareBytes(book_.blocks_bound()) - kSpareBytesMin;
  if (spare <= 0) {
    // Deduplicated or overwritten, it may need far less than its bound: destage tells. Refused is only what cannot fit.
    room = book_.holders() > 0 && !destage_stuck_.load() ? Room::kSoon : Room::kNone;
    if (room == Room::kSoon) {
      for (ResourceId id : book_.Active()) FreezeLocked(id);
    }
  }
  admission_.Refresh(span, window, book_.overlay_bytes(), book_.holders(), room, static_cast<uint64_t>(std::max<int64_t>(spare, 0)));
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
    RefreshLocked();
    const std::set<ResourceId>& frozen = book_.frozen();
    auto candidate = frozen.upper_bound(next_destage_);
    for (size_t looked = 0; looked < frozen.size() && !group; ++looked, ++candidate) {
      if (candidate == frozen.end()) candidate = frozen.begin();
      if (busy_.contains(*candidate)) continue;
      group = entries_.at(*candidate).volume->OldestGroup();
      if (group) id = *candidate;
    }
    if (group) {
      next_destage_ = id;
      busy_.insert(id);
    }
  }
  if (!group) return std::optional<RootCommit>();
  Result<std::optional<RootCommit>> commit = DestageGroupOf(id, *group);
  destage_stuck_.store(!commit.ok());
  if (!commit.ok() || !commit->has_value()) {
    std::unique_lock lock(mutex_);
    if (!commit.ok()) stuck_spare_bytes_.reset();
    busy_.erase(id);
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
  for (ResourceId id : links_.Dependents(snapshot)) {
    const auto clone = entries_.find(id);
    if (clone != entries_.end()) takers.push_back({id, 0, clone->second.volume->fence(), group.size_bytes, 0});
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
  busy_.erase(done.volume);
  const auto self = entries_.find(done.volume);
  if (self == entries_.end() || !ok) return;
  // Taken before their links go: whoever waited must not go on reading what was just destaged, its journal is about to be recycled.
  const std::vector<ResourceId> stale = links_.AllDependents(done.volume);
  for (ResourceId snapshot : self->second.volume->Commit(done.group, done.commit.root)) ResolveLocked(snapshot, done.commit);
  for (ResourceId id : stale) {
    if (const auto entry = entries_.find(id); entry != entries_.end()) entry->second.volume->Restack();
  }
  TrimLocked();
}

void Store::ResolveLocked(ResourceId snapshot, const RootCommit& commit) {
  links_.Unlink(snapshot);
  for (ResourceId id : links_.Dependents(snapshot)) {
    links_.Unlink(id);
    const auto clone = entries_.find(id);
    if (clone == entries_.end()) continue;
    const bool told = std::any_of(commit.takers.begin(), commit.takers.end(), [id](const RootTaker& taker) { return taker.id == id; });
    if (!told) OfferRootLocked(id, *clone->second.volume, commit.root);
  }
}

void Store::OfferRootLocked(ResourceId taker, const LiveVolume& volume, const TreeRoot& root) {
  offered_.push_back({next_token_++, {{taker, 0, volume.fence(), volume.initial_size(), 0}}, root});
}

void Store::Trim() {
  std::unique_lock lock(mutex_);
  TrimLocked();
}

void Store::TrimLocked() {
  // Read before the volumes are asked: a record appended after this lies above it, and the volume of any other has announced it.
  const Lsn appended = journal_->appended();
  RefreshLocked();
  Lsn lowest = std::min(appended, book_.lowest());
  std::erase_if(dropping_, [durable = journal_->durable()](const Dropping& dropping) { return dropping.end <= durable; });
  for (const Dropping& dropping : dropping_) lowest = std::min(lowest, dropping.first);
  journal_->Trim(lowest);
}

}  // namespace skerry
