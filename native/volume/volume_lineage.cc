// Generations closing, snapshots, and roots taking their place: the slow half of LiveVolume.
#include "live_volume.h"

namespace skerry {

std::shared_ptr<const Generation> LiveVolume::CloseActiveLocked(ResourceId snapshot, uint64_t last_sequence) {
  std::shared_ptr<const Generation> closed = active_;
  frozen_.push_back({closed, snapshot, last_sequence, size()});
  active_ = std::make_shared<Generation>();
  active_->resource = spec_.id;
  RestackLocked();
  return closed;
}

void LiveVolume::Freeze() {
  Lock lock(mutex_);
  if (active_->first_lsn != 0) CloseActiveLocked(0, sequence_);
}

std::shared_ptr<Base> LiveVolume::PendingBaseLocked(ResourceId snapshot) const {
  auto base = std::make_shared<Base>();
  base->pending = true;
  for (const FrozenGeneration& frozen : frozen_) {
    base->layers.insert(base->layers.begin(), frozen.generation);
    if (frozen.snapshot == snapshot) break;
  }
  if (base_->pending) {
    base->below = base_;
  } else {
    base->root = base_->root;
  }
  return base;
}

Result<std::shared_ptr<Base>> LiveVolume::Snapshot(ResourceId snapshot, WriteOutcome& outcome, uint64_t* sequence) {
  Lock lock(mutex_);
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "only a volume can be snapshotted");
  Result<Lsn> end = AppendLocked(RecordType::kBarrier, snapshot, 0, {});
  if (!end.ok()) return end.status();
  outcome.end = *end;
  *sequence = sequence_;
  CloseActiveLocked(snapshot, sequence_);
  return PendingBaseLocked(snapshot);
}

std::shared_ptr<Base> LiveVolume::ReplaySnapshot(ResourceId snapshot, uint64_t sequence) {
  Lock lock(mutex_);
  CloseActiveLocked(snapshot, sequence);
  return PendingBaseLocked(snapshot);
}

RecordDraft LiveVolume::RewindDraft() const { return {RecordType::kRewind, 0, spec_.id, sequence_ + 1, spec_.fence, 0, 0, {}, {}}; }

void LiveVolume::Rewound(const Appended& appended) {
  Lock lock(mutex_);
  ++sequence_;
  NoteLocked(appended.record, appended.end);
}

Result<WriteOutcome> LiveVolume::Drop() {
  Lock lock(mutex_);
  if (dropped_) return WriteOutcome{0};
  Result<Lsn> end = AppendLocked(RecordType::kDrop, 0, 0, {});
  if (!end.ok()) return end.status();
  dropped_ = true;
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
  for (const FrozenGeneration& frozen : frozen_) {
    group.generations.push_back(frozen);
    group.applied_sequence = frozen.last_sequence;
    group.size_bytes = frozen.size_bytes;
    if (frozen.snapshot != 0) break;
  }
  return group;
}

std::vector<ResourceId> LiveVolume::Commit(const DestageGroup& group, const TreeRoot& root) {
  Lock lock(mutex_);
  std::vector<ResourceId> resolved;
  if (group.lineage != lineage_) return resolved;
  for (size_t i = 0; i < group.generations.size() && !frozen_.empty(); ++i) {
    if (frozen_.front().snapshot != 0) resolved.push_back(frozen_.front().snapshot);
    frozen_.pop_front();
  }
  base_ = std::make_shared<Base>();
  base_->root = root;
  RestackLocked();
  return resolved;
}

void LiveVolume::RefreshPending(ResourceId snapshot, Base& base) const {
  Lock lock(mutex_);
  base = *PendingBaseLocked(snapshot);
}

std::vector<ResourceId> LiveVolume::PendingSnapshots() const {
  Lock lock(mutex_);
  std::vector<ResourceId> ids;
  for (const FrozenGeneration& frozen : frozen_) {
    if (frozen.snapshot != 0) ids.push_back(frozen.snapshot);
  }
  return ids;
}

LiveVolume::Load LiveVolume::load() const {
  Lock lock(mutex_);
  Load load;
  if (dropped_) return load;
  load.active = active_->first_lsn != 0;
  load.active_journal_bytes = active_->journal_bytes;
  load.active_overlay_bytes = active_->bytes();
  load.ranges = active_->range_count();
  load.frozen = frozen_.size();
  const auto add = [&load](const Generation& generation) {
    load.overlay_bytes += generation.bytes();
    load.overlay_pages += generation.page_count();
    load.blocks_bound += generation.unstored_blocks_bound();
    load.journal_bytes += generation.journal_bytes;
    if (generation.first_lsn != 0) load.first_lsn = std::min<Lsn>(load.first_lsn, generation.first_lsn);
  };
  add(*active_);
  for (const FrozenGeneration& frozen : frozen_) add(*frozen.generation);
  return load;
}

}  // namespace skerry
