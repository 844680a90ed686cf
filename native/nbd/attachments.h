#pragma once
// How many connections are in transmission on each resource. Counted from the moment the handshake says so, and by
// holding an Attachment, so that an answer which is dropped on its way to a dead connection is not counted for ever.
#include <memory>
#include <mutex>
#include <unordered_map>

#include "../journal/record.h"

namespace skerry::nbd {

class Attachments {
 public:
  unsigned Count(ResourceId resource) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(resource);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  friend class Attachment;
  void Change(ResourceId resource, int by) {
    const std::lock_guard lock(mutex_);
    const auto at = counts_.try_emplace(resource, 0).first;
    at->second += static_cast<unsigned>(by);
    if (at->second == 0) counts_.erase(at);
  }
  mutable std::mutex mutex_;
  std::unordered_map<ResourceId, unsigned> counts_;
};

class Attachment {
 public:
  Attachment() = default;
  Attachment(std::shared_ptr<Attachments> all, ResourceId resource) : all_(std::move(all)), resource_(resource) {
    all_->Change(resource_, 1);
  }
  Attachment(Attachment&& other) noexcept = default;
  Attachment& operator=(Attachment&& other) noexcept {
    std::swap(all_, other.all_);
    std::swap(resource_, other.resource_);
    return *this;
  }
  ~Attachment() {
    if (all_ != nullptr) all_->Change(resource_, -1);
  }

 private:
  std::shared_ptr<Attachments> all_;
  ResourceId resource_ = 0;
};

}  // namespace skerry::nbd
