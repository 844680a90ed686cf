// Generations closing, snapshots, and roots taking their place: the slow half of LiveVolume.
#include "../env/mutants.h"
#include "live_volume.h"
#include "pool.h"

namespace skerry {

std::shared_ptr<const Generation> LiveVolume::CloseActiveLocked(ResourceId snapshot, uint64_t last_sequence) {
  AnnounceLocked();
  std::shared_ptr<const Generation> closed = active_;
  frozen_.push_back({closed, snapshot, last_sequence, size(), nullptr});
  closed_sequence_ = last_sequence;
  frozen_journal_bytes_ += closed->journal_bytes;
  frozen_overlay_bytes_ += closed->bytes();
  frozen_pages_ += closed->page_count();
  frozen_blocks_bound_ += closed->unstored_blocks_bound();
  active_ = std::make_shared<Generation>();
  active_->resource = spec_.id;
  RestackLocked();
  return closed;
}

uint64_t LiveVolume::Freeze() {
  Lock lock(mutex_);
  if (held_ && !IsMutant(Mutant::kHeldDestaged)) return sequence_;
  if (active_->first_lsn != 0) CloseActiveLocked(0, sequence_);
  closed_sequence_ = sequence_;
  if (tail_) tail_->Froze();
  return sequence_;
}

bool LiveVolume::Destaged(uint64_t sequence) const {
  Lock lock(mutex_);
  return closed_sequence_ >= sequence && (frozen_.empty() || frozen_.front().last_sequence > sequence) && !base_->pending;
}

/** What a snapshot that closed frozen_[index] reads: the generations since the snapshot before it, over that one's base. */
Base LiveVolume::PendingBaseLocked(size_t index) const {
  Base base;
  base.pending = true;
  base.pool = base_->pool;
  base.layers.push_back(frozen_[index].generation);
  while (index > 0 && frozen_[index - 1].snapshot == 0) base.layers.push_back(frozen_[--index].generation);
  if (index > 0) {
    base.below = frozen_[index - 1].base;
  } else if (base_->pending) {
    base.below = base_;
  } else {
    base.root = base_->root;
  }
  return base;
}

std::shared_ptr<Base> LiveVolume::FreezeAsLocked(ResourceId snapshot) {
  CloseActiveLocked(snapshot, sequence_);
  frozen_.back().base = std::make_shared<Base>(PendingBaseLocked(frozen_.size() - 1));
  ++pending_snapshots_;
  return frozen_.back().base;
}

Result<std::shared_ptr<Base>> LiveVolume::Snapshot(ResourceId snapshot, WriteOutcome& outcome, uint64_t* sequence) {
  Lock lock(mutex_);
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "only a volume can be snapshotted");
  if (held_) return HeldStatus();
  if (pending_snapshots_ >= kPendingSnapshotsMax) {
    return Status(Code::kTryAgain, std::to_string(kPendingSnapshotsMax) + " snapshots of the volume wait for their roots: try again in a moment");
  }
  Result<Lsn> end = IsMutant(Mutant::kBarrierSkipped) ? Result<Lsn>(FlushTarget()) : AppendLocked(RecordType::kBarrier, snapshot, 0, {});
  if (!end.ok()) return end.status();
  outcome.end = *end;
  *sequence = sequence_;
  return FreezeAsLocked(snapshot);
}

std::shared_ptr<Base> LiveVolume::ReplaySnapshot(ResourceId snapshot, uint64_t sequence) {
  Lock lock(mutex_);
  sequence_ = sequence;
  return FreezeAsLocked(snapshot);
}

RecordDraft LiveVolume::RewindDraft() const { return {RecordType::kRewind, 0, spec_.id, sequence_ + 1, spec_.fence, 0, 0, {}, {}}; }

void LiveVolume::Rewound(const Appended& appended) {
  Lock lock(mutex_);
  AnnounceLocked();
  // The log in the pool goes on with the very sequence that the rewind names.
  if (!tail_) ++sequence_;
  NoteLocked(appended.record, appended.end);
}

Result<WriteOutcome> LiveVolume::Drop(Lsn& first) {
  Lock lock(mutex_);
  first = LoadLocked().first_lsn;
  if (dropped_) return WriteOutcome{0};
  Result<Lsn> end = AppendLocked(RecordType::kDrop, 0, 0, {});
  if (!end.ok()) return end.status();
  dropped_ = true;
  if (tail_) tail_->Close();
  return WriteOutcome{*end};
}

bool LiveVolume::dropped() const {
  Lock lock(mutex_);
  return dropped_;
}

std::optional<DestageGroup> LiveVolume::OldestGroup() const {
  Lock lock(mutex_);
  if (frozen_.empty() || base_->pending || dropped_) return std::nullopt;
  DestageGroup group;
  group.base = base_;
  group.lineage = lineage_;
  group.compression = CompressionIn(*base_->pool);
  group.domain = spec_.domain;
  for (const FrozenGeneration& frozen : frozen_) {
    group.generations.push_back(frozen);
    group.applied_sequence = frozen.last_sequence;
    group.size_bytes = frozen.size_bytes;
    if (frozen.snapshot != 0) break;
  }
  return group;
}

std::vector<ResourceId> LiveVolume::Commit(const DestageGroup& group, const TreeRoot& root, const std::optional<LogMark>& mark) {
  Lock lock(mutex_);
  AnnounceLocked();
  std::vector<ResourceId> resolved;
  // The catalog has it all the same, for a rollback tells it nothing: it is what a start would begin with.
  committed_ = root;
  if (tail_) tail_->Rooted(group.applied_sequence, mark);
  while (!forgone_.empty() && forgone_.front().sequence <= group.applied_sequence) forgone_.pop_front();
  if (group.lineage != lineage_ && !IsMutant(Mutant::kOldLineageCommits)) return resolved;
  for (size_t i = 0; i < group.generations.size() && !frozen_.empty(); ++i) {
    const FrozenGeneration& done = frozen_.front();
    frozen_journal_bytes_ -= done.generation->journal_bytes;
    frozen_overlay_bytes_ -= done.generation->bytes();
    frozen_pages_ -= done.generation->page_count();
    frozen_blocks_bound_ -= done.generation->unstored_blocks_bound();
    if (done.snapshot != 0) {
      *done.base = Base{};
      done.base->root = root;
      done.base->pool = group.base->pool;
      --pending_snapshots_;
      resolved.push_back(done.snapshot);
    }
    frozen_.pop_front();
  }
  base_ = MakeBase(root, group.base->pool);
  // Of the snapshots that still wait only the first may have been over what was destaged: the others are over its base.
  for (size_t i = 0; i < frozen_.size(); ++i) {
    if (frozen_[i].snapshot == 0) continue;
    *frozen_[i].base = PendingBaseLocked(i);
    break;
  }
  RestackLocked();
  return resolved;
}

void LiveVolume::Took(const TreeRoot& root) {
  Lock lock(mutex_);
  if (committed_.id.empty()) committed_ = root;
}

LiveVolume::Trims LiveVolume::trims() const {
  Lock lock(mutex_);
  if (dropped_) return {};
  const bool closed = std::any_of(frozen_.begin(), frozen_.end(), [](const FrozenGeneration& frozen) { return frozen.generation->range_count() > 0; });
  return {active_->range_count() > 0, closed};
}

VolumeLoad LiveVolume::LoadLocked() const {
  VolumeLoad load;
  if (dropped_) return load;
  load.active = active_->first_lsn != 0;
  load.active_overlay_bytes = active_->bytes();
  load.ranges = active_->range_count();
  load.frozen = frozen_.size();
  load.overlay_bytes = load.active_overlay_bytes + frozen_overlay_bytes_;
  load.overlay_pages = active_->page_count() + frozen_pages_;
  load.blocks_bound = active_->unstored_blocks_bound() + frozen_blocks_bound_;
  load.journal_bytes = active_->journal_bytes + frozen_journal_bytes_;
  load.last_end = last_end_.load(std::memory_order_relaxed);
  // Generations follow one another in the journal, so the first that holds anything has the first record.
  for (const FrozenGeneration& frozen : frozen_) {
    if (frozen.generation->first_lsn == 0 || IsMutant(Mutant::kTrimmedEarly)) continue;
    load.first_lsn = frozen.generation->first_lsn;
    return load;
  }
  if (load.active) load.first_lsn = active_->first_lsn;
  return load;
}

VolumeLoad LiveVolume::load() const {
  Lock lock(mutex_);
  return LoadLocked();
}

VolumeLoad LiveVolume::TakeLoad() {
  Lock lock(mutex_);
  announced_ = false;
  return LoadLocked();
}

}  // namespace skerry
