#pragma once
// How many connections are in transmission on each resource, and what they do. Counted from the moment the handshake says so, and by
// holding an Attachment, so that an answer which is dropped on its way to a dead connection is not counted for ever.
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "../journal/record.h"
#include "activity.h"

namespace skerry::nbd {

class Attachments {
 public:
  unsigned Count(ResourceId resource) const {
    const std::lock_guard lock(mutex_);
    const auto found = attached_.find(resource);
    return found == attached_.end() ? 0 : found->second.connections;
  }

  std::vector<ResourceActivity> Activities() const {
    std::vector<ResourceActivity> all;
    const std::lock_guard lock(mutex_);
    all.reserve(attached_.size());
    for (const auto& [resource, one] : attached_) {
      ResourceActivity& activity = all.emplace_back();
      activity.resource = resource;
      activity.connections = one.connections;
      one.activity->AddTo(activity);
    }
    return all;
  }

 private:
  friend class Attachment;
  struct One {
    unsigned connections = 0;
    std::shared_ptr<Activity> activity = std::make_shared<Activity>();
  };
  std::shared_ptr<Activity> Enter(ResourceId resource) {
    const std::lock_guard lock(mutex_);
    One& one = attached_[resource];
    ++one.connections;
    return one.activity;
  }
  void Leave(ResourceId resource) {
    const std::lock_guard lock(mutex_);
    const auto at = attached_.find(resource);
    if (--at->second.connections == 0) attached_.erase(at);
  }
  mutable std::mutex mutex_;
  std::unordered_map<ResourceId, One> attached_;
};

class Attachment {
 public:
  Attachment() = default;
  Attachment(std::shared_ptr<Attachments> all, ResourceId resource) : all_(std::move(all)), resource_(resource), activity_(all_->Enter(resource)) {}
  Attachment(Attachment&& other) noexcept = default;
  Attachment& operator=(Attachment&& other) noexcept {
    std::swap(all_, other.all_);
    std::swap(resource_, other.resource_);
    std::swap(activity_, other.activity_);
    return *this;
  }
  ~Attachment() {
    if (all_ != nullptr) all_->Leave(resource_);
  }
  /** Of all connections of the resource. Only of an attachment to one. */
  Activity& activity() const { return *activity_; }

 private:
  std::shared_ptr<Attachments> all_;
  ResourceId resource_ = 0;
  std::shared_ptr<Activity> activity_;
};

}  // namespace skerry::nbd
