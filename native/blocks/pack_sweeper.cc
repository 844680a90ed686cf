#include "pack_sweeper.h"

#include <algorithm>

namespace skerry {
namespace {

constexpr unsigned kInFlightMax = 8;
constexpr uint64_t kRetryNanosMin = 200'000'000, kRetryNanosMax = 30'000'000'000;

}  // namespace

void PackSweeper::Add(uint32_t pack) {
  std::lock_guard lock(mutex_);
  packs_.emplace(pack, false);
}

bool PackSweeper::Listed() {
  if (gone_->kept()) return true;
  {
    std::lock_guard lock(mutex_);
    if (listing_ || env_.NowNanos() < retry_nanos_) return false;
    listing_ = true;
  }
  const std::shared_ptr<Errand> keep = gone_->Keep();
  keep->Then([self = shared_from_this(), keep] {
    std::lock_guard lock(self->mutex_);
    self->listing_ = false;
    if (keep->status().ok()) self->failures_in_a_row_ = 0;
    else self->Failed();
  });
  return gone_->kept();
}

void PackSweeper::Begin() {
  {
    std::lock_guard lock(mutex_);
    if (packs_.empty()) return;
  }
  if (!Listed()) return;
  while (true) {
    uint32_t pack = 0;
    {
      std::lock_guard lock(mutex_);
      // One that came since the list was looked at may be on a later one.
      if (!gone_->kept()) return;
      if (in_flight_ >= (failures_in_a_row_ == 0 ? kInFlightMax : 1) || env_.NowNanos() < retry_nanos_) return;
      // Behind the last one, so that one which cannot be removed stands in no other's way.
      const auto free = [](const auto& each) { return !each.second; };
      auto next = std::find_if(packs_.upper_bound(last_), packs_.end(), free);
      if (next == packs_.end()) next = std::find_if(packs_.begin(), packs_.end(), free);
      if (next == packs_.end()) return;
      next->second = true;
      pack = last_ = next->first;
      ++in_flight_;
    }
    backend_->Remove(pack, [self = shared_from_this(), pack](const Status& status) { self->Removed(pack, status); });
  }
}

void PackSweeper::Removed(uint32_t pack, const Status& status) {
  std::lock_guard lock(mutex_);
  --in_flight_;
  if (status.ok()) {
    packs_.erase(pack);
    ++usage_.removed;
    failures_in_a_row_ = 0;
    return;
  }
  packs_[pack] = false;
  Failed();
}

void PackSweeper::Failed() {
  ++usage_.failures;
  const uint64_t pause = kRetryNanosMin << std::min(failures_in_a_row_++, 10u);
  retry_nanos_ = env_.NowNanos() + std::min(pause, kRetryNanosMax);
}

PackSweeper::Usage PackSweeper::usage() const {
  std::lock_guard lock(mutex_);
  Usage usage = usage_;
  usage.waiting = packs_.size();
  usage.failing = failures_in_a_row_ > 0;
  return usage;
}

}  // namespace skerry
