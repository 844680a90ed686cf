#include "pack_shipper.h"

#include <algorithm>

#include "../env/mutants.h"
#include "pack_handles.h"

namespace skerry {
namespace {

constexpr uint64_t kRetryNanosMin = 200'000'000, kRetryNanosMax = 10'000'000'000;

}  // namespace

PackShipper::PackShipper(Env& env, std::shared_ptr<PackBackend> backend, std::string directory, ShipLimits limits)
    : env_(env), backend_(std::move(backend)), directory_(std::move(directory)), limits_(limits) {}

void PackShipper::Put(uint32_t pack, Local local) {
  Local& place = packs_[pack];
  const auto count = [this](const Local& of, int by) {
    if (of.state == State::kOpen) return;
    const bool kept = of.state == State::kKept;
    (kept ? usage_.kept_packs : usage_.staged_packs) += static_cast<uint64_t>(by);
    (kept ? usage_.kept_bytes : usage_.staged_bytes) += static_cast<uint64_t>(by) * of.bytes;
  };
  count(place, -1);
  place = local;
  count(place, 1);
}

void PackShipper::Opened(uint32_t pack) {
  std::unique_lock lock(mutex_);
  Put(pack, {});
}

void PackShipper::Staged(uint32_t pack, uint64_t bytes, bool kept_name) {
  std::unique_lock lock(mutex_);
  Put(pack, {State::kStaged, kept_name, bytes});
}

void PackShipper::Kept(uint32_t pack, uint64_t bytes, bool kept_name) {
  std::unique_lock lock(mutex_);
  Put(pack, {State::kKept, kept_name, bytes});
}

void PackShipper::Forget(uint32_t pack) {
  std::unique_lock lock(mutex_);
  if (!packs_.contains(pack)) return;
  Put(pack, {});
  packs_.erase(pack);
}

bool PackShipper::IsLocal(uint32_t pack) const {
  std::shared_lock lock(mutex_);
  return packs_.contains(pack);
}

bool PackShipper::IsKept(uint32_t pack) const {
  std::shared_lock lock(mutex_);
  const auto found = packs_.find(pack);
  return found != packs_.end() && found->second.state == State::kKept;
}

bool PackShipper::ShippedUpTo(uint32_t mark) const {
  std::shared_lock lock(mutex_);
  for (const auto& [pack, local] : packs_) {
    if (pack > mark) break;
    if (local.state != State::kKept && !IsMutant(Mutant::kRootBeforeShipped)) return false;
  }
  return true;
}

bool PackShipper::Crowded() const {
  std::shared_lock lock(mutex_);
  return usage_.staged_bytes >= limits_.staged_bytes_max;
}

void PackShipper::Begin() {
  struct Ship {
    uint32_t pack;
    uint64_t bytes;
    std::string path;
  };
  std::vector<Ship> ships;
  {
    std::unique_lock lock(mutex_);
    const uint64_t now = env_.NowNanos();
    for (auto& [pack, local] : packs_) {
      if (in_flight_ >= limits_.in_flight_max) break;
      if (local.state != State::kStaged || local.retry_nanos > now) continue;
      local.state = State::kShipping;
      ++in_flight_;
      ships.push_back({pack, local.bytes, local.kept_name ? KeptPackPath(directory_, pack) : PackPath(directory_, pack, true)});
    }
  }
  for (const Ship& ship : ships) {
    backend_->Ship(ship.pack, ship.path, ship.bytes, [self = shared_from_this(), pack = ship.pack](const Status& status) { self->Shipped(pack, status); });
  }
}

void PackShipper::Shipped(uint32_t pack, const Status& status) {
  {
    std::unique_lock lock(mutex_);
    --in_flight_;
    Local local = packs_[pack];
    if (status.ok()) {
      local.state = State::kKept;
      ++usage_.shipped_packs;
      usage_.shipped_bytes += local.bytes;
      usage_.last_failure.clear();
      usage_.no_space = false;
    } else {
      local.state = State::kStaged;
      local.retry_nanos = env_.NowNanos() + std::min(kRetryNanosMin << std::min(local.failures, 6u), kRetryNanosMax);
      ++local.failures;
      ++usage_.failures;
      usage_.last_failure = status.detail();
      usage_.no_space = status.code() == Code::kNoSpace;
    }
    Put(pack, local);
  }
  std::lock_guard lock(change_mutex_);
  if (changed_) changed_();
}

std::vector<uint32_t> PackShipper::ToRename() const {
  std::vector<uint32_t> packs;
  std::shared_lock lock(mutex_);
  for (const auto& [pack, local] : packs_) {
    if (local.state == State::kKept && !local.kept_name) packs.push_back(pack);
  }
  return packs;
}

void PackShipper::Renamed(uint32_t pack) {
  std::unique_lock lock(mutex_);
  if (const auto found = packs_.find(pack); found != packs_.end()) found->second.kept_name = true;
}

std::vector<std::pair<uint32_t, uint64_t>> PackShipper::ToDrop() const {
  std::vector<std::pair<uint32_t, uint64_t>> drops;
  std::shared_lock lock(mutex_);
  uint64_t bytes = usage_.kept_bytes;
  for (const auto& [pack, local] : packs_) {
    if (bytes <= limits_.kept_bytes_max) break;
    if (local.state != State::kKept || !local.kept_name) continue;
    drops.emplace_back(pack, local.bytes);
    bytes -= local.bytes;
  }
  return drops;
}

void PackShipper::OnChange(std::function<void()> changed) {
  std::lock_guard lock(change_mutex_);
  changed_ = std::move(changed);
}

PackShipper::Usage PackShipper::usage() const {
  std::shared_lock lock(mutex_);
  return usage_;
}

}  // namespace skerry
