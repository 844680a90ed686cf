// Pacing, destage and commits: the slow half of Store.
#include <algorithm>

#include "../destage/destage.h"
#include "../env/mutants.h"
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
    if (found != entries_.end()) book_.Set(id, found->second.volume->TakeLoad(), now, found->second.volume->pool().get());
  }
}

void Store::FreezeLocked(std::optional<ResourceId> id) {
  if (id) entries_.at(*id).volume->Freeze();
}

bool Store::FrozenWaitsLocked() const {
  const std::shared_ptr<const Pools> pools = PoolsNow();
  return std::any_of(pools->begin(), pools->end(), [this](const auto& pool) {
    const std::set<ResourceId>& frozen = book_.In(pool.get()).frozen;
    // What waits for a backend, or for room on a disk, is no reason for others to wait too.
    if (!pool->packs->remote()) return !frozen.empty() && !pool->destage_stuck.load();
    return !pool->packs->crowded() && std::any_of(frozen.begin(), frozen.end(), [this](ResourceId id) { return !busy_.contains(id); });
  });
}

/** False while destage could not take up what is closed now: it would only lie in more and more generations. */
bool Store::DestageAwaitsLocked(ResourceId id) const {
  if (leaving_.contains(id)) return false;
  const Pool& pool = *entries_.at(id).volume->pool();
  if (!pool.packs->remote()) return !pool.destage_stuck.load();
  return !busy_.contains(id) && !pool.packs->crowded();
}

bool Store::Pace() {
  // A pack that was sealed in passing may have been the one that failed.
  for (const auto& pool : pools()) {
    if (const Status lost = pool->packs->failure(); !lost.ok()) journal_->Poison(lost);
  }
  std::unique_lock lock(mutex_);
  const uint64_t now = env_.NowNanos();
  for (ResourceId id : changed_.Take()) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) continue;
    const VolumeLoad load = found->second.volume->TakeLoad();
    book_.Set(id, load, now, found->second.volume->pool().get());
    if (load.ranges >= kOverlayRangesMax / 2) FreezeLocked(id);
    // A start without this host's journal reads all of its log chunks.
    const std::shared_ptr<LogTail>& tail = found->second.volume->tail();
    if (tail && tail->long_since_frozen() && DestageAwaitsLocked(id)) FreezeLocked(id);
  }
  const bool frozen_waits = FrozenWaitsLocked();
  const auto awaited = [this](ResourceId id) { return DestageAwaitsLocked(id); };
  const std::optional<ResourceId> oldest = book_.OldestActive(awaited), largest = book_.LargestActive(awaited);
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
  bool more_room = false;
  for (const auto& pool : pools()) more_room |= LookForRoomLocked(*pool);
  admission_.Refresh(span, log.bytes_max, book_.overlay_bytes(), book_.holders());
  return more_room;
}

/** Looks how much the pool can take beyond what waits to be written, there and in pools on the same disk, and tells its volumes. True: as Pace. */
bool Store::LookForRoomLocked(Pool& pool) {
  // Everything acknowledged must fit when destaged. Map nodes are paid from the reserve.
  constexpr uint64_t kBytesMax = 1ull << 60;
  const PackStore::Usage packs = pool.packs->usage();
  uint64_t need = 0, sharers = 0;
  bool tells = false;
  for (const auto& each : pools()) {
    if (each->file_system != pool.file_system) continue;
    const PoolLoad& waiting = book_.In(each.get());
    need = std::min(need + waiting.blocks_bound * kBlockRoomBytes, kBytesMax);
    tells |= waiting.holders > 0 && !each->destage_stuck.load();
    ++sharers;
  }
  const int64_t spare = static_cast<int64_t>(std::min(packs.room_bytes, kBytesMax)) - static_cast<int64_t>(need) - kSpareBytesMin;
  Room room = Room::kThere;
  // Deduplicated or overwritten, it may need far less than its bound: destage tells. Refused is only what cannot fit.
  if (spare <= 0) room = tells ? Room::kSoon : Room::kNone;
  if (packs.backend_full) room = Room::kNone;
  if (room == Room::kSoon) {
    for (ResourceId id : book_.Active()) {
      if (entries_.at(id).volume->pool()->file_system == pool.file_system) FreezeLocked(id);
    }
  }
  // No byte is promised twice.
  pool.room.Refresh(room, static_cast<uint64_t>(std::max<int64_t>(spare, 0)) / sharers);
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
      // Whose last attempt failed is gone: nothing is stuck any more, and others must be closed again when the log fills.
      if (book_.In(&pool).frozen.empty()) pool.destage_stuck.store(false);
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
    const bool stands = found == entries_.end() || found->second.volume->lineage() == ready.group.lineage || IsMutant(Mutant::kOldLineageCommits);
    ready.commit.takers = TakersLocked(ready.volume, ready.group);
    if (shipped.ok() && stands && !ready.commit.takers.empty()) return std::optional<RootCommit>(CommitLocked(std::move(ready)));
    busy_.erase(ready.volume);
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
  // What fails in it is told by who calls it for its own sake; a root that is ready does not wait for that.
  (void)pool.packs->Upkeep();
  return {};
}

std::optional<std::pair<ResourceId, DestageGroup>> Store::NextGroupLocked(Pool& pool) {
  RefreshLocked();
  const std::set<ResourceId>& frozen = book_.In(&pool).frozen;
  auto candidate = frozen.upper_bound(pool.last_destaged);
  for (size_t looked = 0; looked < frozen.size(); ++looked, ++candidate) {
    if (candidate == frozen.end()) candidate = frozen.begin();
    if (busy_.contains(*candidate)) continue;
    std::optional<DestageGroup> group = entries_.at(*candidate).volume->OldestGroup();
    if (!group) continue;
    pool.last_destaged = *candidate;
    busy_.insert(*candidate);
    return std::pair(*candidate, std::move(*group));
  }
  return std::nullopt;
}

void Store::GiveUp(ResourceId volume) {
  std::unique_lock lock(mutex_);
  busy_.erase(volume);
}

Result<std::optional<Store::UnderWay>> Store::DestageGroupOf(ResourceId id, const DestageGroup& group) {
  const std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "the volume was deleted");
  Pool& pool = *group.base->pool;
  PutGate::Hold hold = pool.packs->gate().Enter();
  Result<DestageResult> destaged = Destage(*journal_, pool, group, group.size_bytes);
  if (!destaged.ok()) return destaged.status();
  if (Status status = IsMutant(Mutant::kRootBeforePacks) ? Status::Ok() : SyncPacks(pool); !status.ok()) return status;
  destaged_generations_ += group.generations.size();
  destaged_bytes_ += destaged->bytes;
  UnderWay under_way{{}, id, group, group.base->pool, pool.packs->Mark(), std::move(hold)};
  std::unique_lock lock(mutex_);
  // Rolled back meanwhile, what was destaged is no state of the volume any more; dropped, the journal under it may be gone.
  const bool stands = volume->lineage() == group.lineage || IsMutant(Mutant::kOldLineageCommits);
  if (!stands || volume->dropped()) return std::optional<UnderWay>();
  under_way.commit.token = next_token_++;
  under_way.commit.root = destaged->root;
  under_way.commit.pool = pool.name;
  under_way.commit.damage = DamageOf(id, destaged->lost);
  under_way.commit.takers = TakersLocked(id, group);
  if (under_way.commit.takers.empty()) return std::optional<UnderWay>();
  return std::optional<UnderWay>(std::move(under_way));
}

std::vector<RootTaker> Store::TakersLocked(ResourceId volume, const DestageGroup& group) const {
  std::vector<RootTaker> takers;
  const auto self = entries_.find(volume);
  if (self != entries_.end()) {
    takers.push_back({volume, group.applied_sequence, self->second.volume->fence(), group.size_bytes, group.lineage});
    if (const std::shared_ptr<LogTail>& tail = self->second.volume->tail()) {
      takers.back().log = tail->MarkAfter(group.applied_sequence);
    }
  }
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
  if (!ok && done.pool) done.pool->destage_stuck.store(true);
  for (const RootTaker& taker : done.commit.takers) {
    const auto entry = entries_.find(taker.id);
    if (ok && taker.id != done.volume && entry != entries_.end()) entry->second.volume->Took(done.commit.root);
  }
  if (done.volume == 0) {
    if (!ok) offered_.push_back(done.commit);
    return;
  }
  busy_.erase(done.volume);
  if (ok) {
    refused_.erase(done.volume);
  } else {
    refused_[done.volume].push_back(done.commit);
  }
  const auto self = entries_.find(done.volume);
  if (self == entries_.end() || !ok) return;
  // Taken before their links go: whoever waited must not go on reading what was just destaged, its journal is about to be recycled.
  const std::vector<ResourceId> stale = links_.AllDependents(done.volume);
  // The volume itself is the first of them.
  const std::optional<LogMark>& mark = done.commit.takers.front().log;
  for (ResourceId snapshot : self->second.volume->Commit(done.group, done.commit.root, mark)) ResolveLocked(snapshot, done.commit);
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
  offered_.push_back({next_token_++, {{taker, 0, volume.fence(), volume.initial_size(), 0}}, root, volume.pool()->name});
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
