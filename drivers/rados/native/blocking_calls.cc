#include "blocking_calls.h"

#include <cerrno>
#include <string_view>
#include <utility>

namespace skerry_rados {

int NextNames::Run(Cluster& cluster) {
  Listing* listing = cluster.FindListing(listing_);
  if (listing == nullptr) return -EINVAL;
  at_end_ = rados_object_list_is_end(cluster.io(), listing->at) != 0;
  if (at_end_) return 0;
  std::vector<rados_object_list_item> items(listing_names_max);
  // librados writes over a cursor that is there.
  rados_object_list_cursor next = rados_object_list_begin(cluster.io());
  const int count =
      rados_object_list(cluster.io(), listing->at, listing->end, items.size(), nullptr, 0, items.data(), &next);
  if (count >= 0) std::swap(listing->at, next);
  rados_object_list_cursor_free(cluster.io(), next);
  if (count < 0) return count;
  for (int i = 0; i < count; ++i) {
    const std::string_view name(items[i].oid, items[i].oid_length);
    // An object with a locator is somebody else's: it could not be found by its name alone.
    if (items[i].locator_length == 0 && name.starts_with(listing->prefix)) names_.emplace_back(name);
  }
  rados_object_list_free(static_cast<size_t>(count), items.data());
  return 0;
}

Napi::Value NextNames::Result(Napi::Env env) {
  if (at_end_) return env.Null();
  Napi::Array names = Napi::Array::New(env, names_.size());
  for (uint32_t i = 0; i < names_.size(); ++i) names.Set(i, Napi::String::New(env, names_[i]));
  return names;
}

}  // namespace skerry_rados
