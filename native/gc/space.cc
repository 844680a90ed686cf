#include "space.h"

#include <algorithm>

namespace skerry {
namespace {

/** Blocks of an overlay that are looked at while its volume stands still. */
constexpr size_t kBlocksAtOnce = 256;

/** What a generation holds: pages that are not zero, and blocks that are in packs already. */
class GenerationLook {
 public:
  GenerationLook(const Generation& generation, const LiveVolume* writer) : generation_(generation), writer_(writer) {}

  Status Run(const Mark::GoOn& go_on, const std::function<void(uint64_t)>& on_block) {
    std::vector<BlockIndex> blocks;
    Still([&] { blocks = generation_.Blocks(); });
    std::vector<uint64_t> found;
    for (size_t first = 0; first < blocks.size(); first += kBlocksAtOnce) {
      if (!go_on()) return Status(Code::kClosed, "cancelled");
      found.clear();
      Still([&] {
        for (size_t i = first; i < std::min(first + kBlocksAtOnce, blocks.size()); ++i) LookAt(blocks[i], found);
      });
      for (const uint64_t fingerprint : found) on_block(fingerprint);
    }
    return Status::Ok();
  }
  uint64_t pages() const { return pages_; }

 private:
  /** Only an active generation changes; its volume's lock holds it still. */
  void Still(const std::function<void()>& look) const {
    writer_ != nullptr ? writer_->Still(look) : look();
  }
  void LookAt(BlockIndex block, std::vector<uint64_t>& found) {
    uint64_t last = 0;
    for (uint32_t page = 0; page < kPagesPerBlock; ++page) {
      const PageState state = generation_.Lookup(block * kPagesPerBlock + page);
      if (state.kind == PageState::Kind::kBelow) continue;
      if (state.base.place.kind() != Place::Kind::kZero || !state.pieces.empty()) ++pages_;
      if (state.base.place.kind() != Place::Kind::kPack) continue;
      const uint64_t fingerprint = state.base.check - page;  // the cell's seed: CellSeed
      if (fingerprint != last) found.push_back(fingerprint);
      last = fingerprint;
    }
  }

  const Generation& generation_;
  const LiveVolume* writer_;
  uint64_t pages_ = 0;
};

/** Generations that several resources read, a pending snapshot and its volume, are looked at once. */
class Overlays {
 public:
  Overlays(Mark& mark, const Mark::GoOn& go_on) : mark_(mark), go_on_(go_on) {}

  Status Add(size_t member, const std::shared_ptr<const Generation>& generation, const LiveVolume* writer, uint64_t& pages) {
    Seen& seen = seen_[generation.get()];
    if (!seen.generation) {
      GenerationLook look(*generation, writer);
      if (Status status = look.Run(go_on_, [&](uint64_t fingerprint) { seen.blocks.push_back(fingerprint); }); !status.ok()) return status;
      seen.generation = generation;
      seen.pages = look.pages();
    }
    for (const uint64_t fingerprint : seen.blocks) mark_.AddBlock(member, fingerprint);
    pages += seen.pages;
    return Status::Ok();
  }

 private:
  struct Seen {
    std::shared_ptr<const Generation> generation;
    std::vector<uint64_t> blocks;
    uint64_t pages = 0;
  };
  Mark& mark_;
  const Mark::GoOn& go_on_;
  std::unordered_map<const Generation*, Seen> seen_;
};

void Distribute(const ReachSets& sets, const std::vector<Reached>& by_set, std::vector<ResourceSpace>& resources, Reached& all) {
  for (ReachSets::Set set = 0; set < by_set.size(); ++set) {
    all += by_set[set];
    sets.ForEach(set, [&](size_t member) { resources[member].reached += by_set[set]; });
  }
  for (size_t member = 0; member < resources.size(); ++member) resources[member].alone = by_set[sets.Only(member)];
}

}  // namespace

Result<std::shared_ptr<const SpaceReport>> MeasureSpace(Store& store, const MarkLimits& limits, const Mark::GoOn& go_on) {
  const PackStore& packs = *store.pool().packs;
  auto report = std::make_shared<SpaceReport>();
  // Before the roots are: what is put from here on is in none of them, and must not count as dead.
  report->pool.record_bytes = packs.RecordBytes();
  report->pool.stored_bytes = packs.usage().stored_bytes;
  std::vector<Store::ResourceContent> contents = store.Contents();
  std::sort(contents.begin(), contents.end(), [](const auto& a, const auto& b) { return a.volume->id() < b.volume->id(); });
  Mark mark(packs, *store.pool().tree, contents.size(), packs.usage().blocks, limits);
  Overlays overlays(mark, go_on);
  for (size_t member = 0; member < contents.size(); ++member) {
    const auto& [volume, content] = contents[member];
    ResourceSpace& resource = report->resources.emplace_back();
    resource.id = volume->id();
    resource.size_bytes = volume->size();
    uint64_t pages = 0;
    if (Status status = overlays.Add(member, content.active, volume.get(), pages); !status.ok()) return status;
    for (const auto& layer : content.stack->layers) {
      if (Status status = overlays.Add(member, layer, nullptr, pages); !status.ok()) return status;
    }
    resource.journalled_bytes = pages * kPageBytes;
    mark.AddRoot(member, content.stack->root);
  }
  if (Status status = mark.Run(go_on); !status.ok()) return status;
  for (size_t member = 0; member < contents.size(); ++member) {
    report->resources[member].mapped_bytes = mark.MappedBlocks(contents[member].content.stack->root) * kBlockBytes;
  }
  report->nodes_read = mark.nodes_read();
  report->nodes_unread = mark.nodes_unread();
  report->patterns_cut = mark.sets().overflowed();
  report->sets_ = std::make_unique<ReachSets>(mark.TakeSets());
  report->by_set_ = mark.reached();
  Distribute(*report->sets_, report->by_set_, report->resources, report->pool.reached);
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
