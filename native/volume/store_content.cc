// What all resources are made of at one moment: where a mark begins.
#include "store.h"

namespace skerry {

LiveVolume::Content LiveVolume::content() const {
  Lock lock(mutex_);
  return {active_, stack_};
}

void LiveVolume::Still(const std::function<void()>& look) const {
  Lock lock(mutex_);
  look();
}

std::vector<Store::ResourceContent> Store::Contents() const {
  std::shared_lock lock(mutex_);  // no commit between two of them
  std::vector<ResourceContent> contents;
  contents.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) contents.push_back({entry.volume, entry.volume->content()});
  return contents;
}

}  // namespace skerry
