#include "space.h"

#include "../blocks/cell.h"
#include "overlay_blocks.h"

#include <algorithm>

namespace skerry {
namespace {

void Distribute(const ReachSets& sets, const std::vector<Reached>& by_set, std::vector<ResourceSpace>& resources, Reached& all) {
  for (ReachSets::Set set = 0; set < by_set.size(); ++set) {
    all += by_set[set];
    sets.ForEach(set, [&](size_t member) { resources[member].reached += by_set[set]; });
  }
  for (size_t member = 0; member < resources.size(); ++member) resources[member].alone = by_set[sets.Only(member)];
}

}  // namespace

Result<std::shared_ptr<const SpaceReport>> MeasureSpace(Store& store, Pool& pool, const MarkLimits& limits, const Mark::GoOn& go_on) {
  const PackStore& packs = *pool.packs;
  auto report = std::make_shared<SpaceReport>();
  // Before the roots are: what is put from here on is in none of them, and must not count as dead.
  report->pool.record_bytes = packs.RecordBytes();
  report->pool.stored_bytes = packs.usage().stored_bytes;
  std::vector<Store::ResourceContent> contents = store.Contents();
  std::erase_if(contents, [&](const auto& one) { return one.content.stack->pool.get() != &pool; });
  std::sort(contents.begin(), contents.end(), [](const auto& a, const auto& b) { return a.volume->id() < b.volume->id(); });
  Mark mark(packs, *pool.tree, contents.size(), packs.usage().blocks, limits);
  OverlayBlocks overlays(mark, go_on);
  for (size_t member = 0; member < contents.size(); ++member) {
    const auto& [volume, content] = contents[member];
    ResourceSpace& resource = report->resources.emplace_back();
    resource.id = volume->id();
    resource.size_bytes = volume->size();
    uint64_t pages = 0;
    if (Status status = overlays.Add(member, *volume, content, pages); !status.ok()) return status;
    resource.journalled_bytes = pages * kPageBytes;
    mark.AddRoot(member, content.stack->root);
  }
  if (Status status = mark.Run(go_on); !status.ok()) return status;
  for (size_t member = 0; member < contents.size(); ++member) {
    report->resources[member].mapped_bytes = mark.MappedBlocks(contents[member].content.stack->root) * kBlockBytes;
  }
  report->pool.journalled_uses = overlays.uses();
  report->nodes_read = mark.nodes_read();
  report->nodes_unread = mark.nodes_unread();
  report->patterns_cut = mark.sets().overflowed();
  report->sets_ = std::make_unique<ReachSets>(mark.TakeSets());
  report->by_set_ = mark.reached();
  Distribute(*report->sets_, report->by_set_, report->resources, report->pool.reached);
  report->pool.uncompressed_bytes = report->pool.reached.blocks * RecordStoredBytes(kBlockBytes);
  const uint64_t live = report->pool.reached.stored_bytes();
  report->pool.dead_bytes = report->pool.record_bytes > live ? report->pool.record_bytes - live : 0;
  return std::shared_ptr<const SpaceReport>(std::move(report));
}

std::vector<Reached> SpaceReport::ByGroup(const std::unordered_map<ResourceId, uint32_t>& group_of, size_t groups) const {
  constexpr uint32_t kNone = ~0u;
  std::vector<uint32_t> group(resources.size(), kNone);
  for (size_t member = 0; member < resources.size(); ++member) {
    if (const auto found = group_of.find(resources[member].id); found != group_of.end()) group[member] = found->second;
  }
  std::vector<Reached> reached(groups);
  for (ReachSets::Set set = 0; set < by_set_.size(); ++set) {
    uint32_t of = kNone;
    bool one = true, any = false;
    sets_->ForEach(set, [&](size_t member) {
      if (any && group[member] != of) one = false;
      of = group[member];
      any = true;
    });
    if (any && one && of < groups) reached[of] += by_set_[set];
  }
  return reached;
}

std::vector<SharedWith> SpaceReport::Shared(ResourceId id, size_t count) const {
  const auto self = std::lower_bound(resources.begin(), resources.end(), id, [](const ResourceSpace& resource, ResourceId wanted) { return resource.id < wanted; });
  if (self == resources.end() || self->id != id) return {};
  const size_t member = static_cast<size_t>(self - resources.begin());
  std::vector<SharedWith> shared(resources.size());
  for (size_t i = 0; i < resources.size(); ++i) shared[i].id = resources[i].id;
  for (ReachSets::Set set = 0; set < by_set_.size(); ++set) {
    if (by_set_[set].blocks == 0 || !sets_->Has(set, member)) continue;
    sets_->ForEach(set, [&](size_t other) { shared[other].blocks += by_set_[set].blocks; });
  }
  shared[member].blocks = 0;
  std::erase_if(shared, [](const SharedWith& one) { return one.blocks == 0; });
  std::stable_sort(shared.begin(), shared.end(), [](const SharedWith& a, const SharedWith& b) { return a.blocks > b.blocks; });
  if (shared.size() > count) shared.resize(count);
  return shared;
}

}  // namespace skerry
