// Resizing and rolling back: records that change what the volume is as a whole.
#include <algorithm>
#include <cstring>

#include "live_volume.h"

namespace skerry {

Status LiveVolume::CheckEndLocked(uint64_t end) const {
  if (dropped_) return Status(Code::kReadOnly, "the resource takes no writes");
  if (end > size()) return Status(Code::kNoSpace, "the volume was made smaller, and ends before that");
  return Status::Ok();
}

uint64_t LiveVolume::lineage() const {
  Lock lock(mutex_);
  return lineage_;
}

Result<WriteOutcome> LiveVolume::Resize(uint64_t size_bytes) {
  Lock lock(mutex_);
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "only a volume can be resized");
  Result<Lsn> end = AppendLocked(RecordType::kResize, 0, size_bytes, {});
  if (!end.ok()) return end.status();
  ResizeLocked(size_bytes);
  return WriteOutcome{*end};
}

void LiveVolume::ResizeLocked(uint64_t size_bytes) {
  const uint64_t before = size();
  // Up to the end of the last block: a block that the old size covers in part must not stay in the map.
  const uint64_t before_whole = (before + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  if (size_bytes < before) active_->PutZero(size_bytes, before_whole - size_bytes, true);
  size_.store(size_bytes, std::memory_order_release);
}

Result<WriteOutcome> LiveVolume::Rollback(ResourceId snapshot, const TreeRoot& root, uint64_t size_bytes) {
  Lock lock(mutex_);
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "only a volume can be rolled back");
  if (held_) return HeldStatus();
  const bool waits = std::any_of(frozen_.begin(), frozen_.end(), [](const FrozenGeneration& frozen) { return frozen.snapshot != 0; });
  if (waits || base_->pending) return Status(Code::kTryAgain, "what the volume holds still has to become the root of a snapshot");
  RollbackPlace place{};
  std::memcpy(place.root, root.id.bytes.data(), sizeof(place.root));
  place.pack = root.at.pack;
  place.offset = root.at.offset;
  place.stored_bytes = root.at.stored_bytes;
  place.levels = root.levels;
  place.size_bytes = size_bytes;
  place.lineage = lineage_ + 1;
  Result<Lsn> end = AppendLocked(RecordType::kRollback, snapshot, 0, {reinterpret_cast<const uint8_t*>(&place), sizeof(place)});
  if (!end.ok()) return end.status();
  RollbackLocked(place);
  return WriteOutcome{*end};
}

// The new generation begins as old as the oldest that is forgotten: until a root of the new lineage is committed, replay
// starts from the old root and must find every record up to this one.
void LiveVolume::RollbackLocked(const RollbackPlace& place) {
  auto fresh = std::make_shared<Generation>();
  fresh->resource = spec_.id;
  fresh->first_lsn = active_->first_lsn;
  fresh->first_sequence = fresh->last_sequence = sequence_;
  fresh->journal_bytes = active_->journal_bytes;
  for (const FrozenGeneration& frozen : frozen_) {
    if (frozen.generation->first_lsn != 0) fresh->first_lsn = std::min(fresh->first_lsn, frozen.generation->first_lsn);
  }
  fresh->journal_bytes += frozen_journal_bytes_;
  active_ = std::move(fresh);
  frozen_.clear();
  frozen_journal_bytes_ = frozen_overlay_bytes_ = frozen_pages_ = frozen_blocks_bound_ = 0;
  pending_snapshots_ = 0;
  // Whoever restores the log comes by there, or ends there.
  if (tail_ && !base_->pending) forgone_.push_back({sequence_, base_->pool, base_->root});
  base_ = MakeBase({}, base_->pool);
  std::memcpy(base_->root.id.bytes.data(), place.root, sizeof(place.root));
  base_->root.at = {place.pack, place.offset, place.stored_bytes};
  base_->root.levels = static_cast<uint8_t>(place.levels);
  lineage_ = place.lineage;
  size_.store(place.size_bytes, std::memory_order_release);
  RestackLocked();
}

}  // namespace skerry
