// How a volume leaves one pool for another while it is read and written: docs/decisions/0053-a-volume-changes-its-pool.md.
#include "live_volume.h"
#include "pool.h"

namespace skerry {
namespace {

/**
 * One that is held has such a part of journal and overlay at most, however few others write: what it holds is not destaged, and the
 * rest must be enough for all else, and for its records to be moved to the log's end again and again.
 */
constexpr uint64_t kHeldParts = 4;

}  // namespace

Status LiveVolume::Hold() {
  Lock lock(mutex_);
  if (dropped_) return {Code::kNotFound, "the resource was deleted"};
  if (held_) return HeldStatus();
  if (tail_ && !tail_->begun()) return {Code::kTryAgain, "the volume's log has not begun"};
  // Whatever is flushed from here on is in no root of the other pool, and in no log there.
  if (tail_) tail_->Suspend();
  if (active_->first_lsn != 0) CloseActiveLocked(0, sequence_);
  held_ = HeldAt{{}, sequence_, size(), lineage_};
  share_.parts_max = kHeldParts;
  return {};
}

std::optional<LiveVolume::HeldAt> LiveVolume::Held() const {
  Lock lock(mutex_);
  if (!held_ || dropped_ || !frozen_.empty() || base_->pending) return std::nullopt;
  HeldAt held = *held_;
  held.root = base_->root;
  return held;
}

bool LiveVolume::held() const {
  Lock lock(mutex_);
  return held_.has_value();
}

void LiveVolume::Release() {
  Lock lock(mutex_);
  held_.reset();
  share_.parts_max = 0;
  if (tail_) tail_->Resume();
}

// What was written since Hold is in the active generation, and nothing in that names a pack: it lies over either root alike.
uint64_t LiveVolume::Switch(const std::shared_ptr<Pool>& pool, const TreeRoot& root, uint64_t log_fence) {
  Lock lock(mutex_);
  AnnounceLocked();
  base_ = MakeBase(root, pool);
  committed_ = root;
  held_.reset();
  share_.parts_max = 0;
  RestackLocked();
  if (tail_) tail_->MoveTo(pool->logs, pool->log_budget, log_fence, sequence_, FlushTarget());
  return sequence_;
}

}  // namespace skerry
