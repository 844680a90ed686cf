// Resources on their way from one pool to another, with the engine's threads.
#include "engine.h"

namespace skerry {

std::optional<Status> Engine::Settled(const SettleWaiter& waiter) const {
  if (!waiter.held) {
    const bool settled = waiter.id == 0 ? store_->Settled(0) : store_->Settled(waiter.id, waiter.sequence);
    return settled ? std::optional<Status>(Status::Ok()) : std::nullopt;
  }
  const Result<std::optional<Store::HeldResource>> held = store_->Held(waiter.id);
  if (!held.ok()) return held.status();
  return held->has_value() ? std::optional<Status>(Status::Ok()) : std::nullopt;
}

void Engine::HoldForSwitch(ResourceId id, const std::string& to_pool, std::function<void(Result<Store::HeldResource>)> done) {
  if (Status status = store_->Hold(id, to_pool); !status.ok()) return done(std::move(status));
  const auto told = [this, id, done = std::move(done)](const Status& status) {
    Result<std::optional<Store::HeldResource>> held(std::nullopt);
    if (status.ok()) held = store_->Held(id);
    if (status.ok() && held.ok() && *held) return done(**held);
    store_->Release(id);
    done(!status.ok() ? status : !held.ok() ? held.status() : Status(Code::kClosed, "the hold was given up"));
  };
  bool stops = false;
  {
    std::lock_guard lock(destage_mutex_);
    stops = destage_stops_;
    if (!stops) settle_waiters_.push_back({id, told, 0, true});
  }
  if (stops) return told(Status(Code::kClosed, "the engine stops"));
  WakeDestagers();
}

Result<uint64_t> Engine::Switch(ResourceId id, uint64_t log_fence) {
  Result<uint64_t> switched = store_->Switch(id, log_fence);
  if (!switched.ok()) return switched;
  // Who waited because it was held need not wait on, and what is in the journal may be destaged again.
  Pace();
  RunAdmitted();
  return switched;
}

void Engine::Release(ResourceId id) {
  store_->Release(id);
  Pace();
  RunAdmitted();
}

}  // namespace skerry
