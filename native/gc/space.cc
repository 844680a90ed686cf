#include "space.h"

#include <algorithm>
#include <bit>
#include <map>

namespace skerry {
namespace {

/** Blocks of an overlay that are looked at while its volume stands still. */
constexpr size_t kBlocksAtOnce = 256;

/** Pages that journalled writes left with content, however often they were written: what newer generations say goes over what older do. */
class PagesHeld {
 public:
  void Set(BlockIndex block, uint16_t known, uint16_t held) {
    uint16_t& pages = blocks_[block];
    count_ -= static_cast<uint64_t>(std::popcount(pages));
    pages = static_cast<uint16_t>((pages & ~known) | held);
    count_ += static_cast<uint64_t>(std::popcount(pages));
  }
  void Clear(const Generation::ZeroRange& range) {
    const PageIndex end = range.start + range.count;
    for (auto at = blocks_.lower_bound(range.start / kPagesPerBlock); at != blocks_.end() && at->first * kPagesPerBlock < end; ++at) {
      const PageIndex first = at->first * kPagesPerBlock;
      uint16_t zero = 0;
      for (uint32_t page = 0; page < kPagesPerBlock; ++page) {
        if (first + page >= range.start && first + page < end) zero = static_cast<uint16_t>(zero | 1u << page);
      }
      count_ -= static_cast<uint64_t>(std::popcount(static_cast<uint16_t>(at->second & zero)));
      at->second = static_cast<uint16_t>(at->second & ~zero);
    }
  }
  uint64_t count() const { return count_; }

 private:
  std::map<BlockIndex, uint16_t> blocks_;
  uint64_t count_ = 0;
};

/** What a generation holds: pages that are not zero, and blocks that are in packs already. */
class GenerationLook {
 public:
  GenerationLook(const Generation& generation, const LiveVolume* writer) : generation_(generation), writer_(writer) {}

  Status Run(const Mark::GoOn& go_on, PagesHeld& held, std::vector<uint64_t>& fingerprints) {
    std::vector<BlockIndex> blocks;
    Still([&] {
      blocks = generation_.Blocks();
      for (const Generation::ZeroRange& range : generation_.ZeroRanges()) held.Clear(range);
    });
    for (size_t first = 0; first < blocks.size(); first += kBlocksAtOnce) {
      if (!go_on()) return Status(Code::kClosed, "cancelled");
      Still([&] {
        for (size_t i = first; i < std::min(first + kBlocksAtOnce, blocks.size()); ++i) LookAt(blocks[i], held, fingerprints);
      });
    }
    return Status::Ok();
  }

 private:
  /** Only an active generation changes; its volume's lock holds it still. */
  void Still(const std::function<void()>& look) const {
    writer_ != nullptr ? writer_->Still(look) : look();
  }
  void LookAt(BlockIndex block, PagesHeld& held, std::vector<uint64_t>& fingerprints) {
    uint64_t last = 0;
    uint16_t known = 0, with_content = 0;
    for (uint32_t page = 0; page < kPagesPerBlock; ++page) {
      const PageState state = generation_.Lookup(block * kPagesPerBlock + page);
      if (state.kind == PageState::Kind::kBelow) continue;
      known = static_cast<uint16_t>(known | 1u << page);
      if (state.base.place.kind() != Place::Kind::kZero || !state.pieces.empty()) with_content = static_cast<uint16_t>(with_content | 1u << page);
      if (state.base.place.kind() != Place::Kind::kPack) continue;
      const uint64_t fingerprint = state.base.check - page;  // the cell's seed: CellSeed
      if (fingerprint != last) fingerprints.push_back(fingerprint);
      last = fingerprint;
    }
    held.Set(block, known, with_content);
  }

  const Generation& generation_;
  const LiveVolume* writer_;
};

/** Generations that several resources read, a pending snapshot and its volume, are looked at once: volumes come first. */
class Overlays {
 public:
  Overlays(Mark& mark, const Mark::GoOn& go_on) : mark_(mark), go_on_(go_on) {}

  Status Add(size_t member, const LiveVolume& volume, const LiveVolume::Content& content, uint64_t& pages) {
    const Layers& layers = content.stack->layers;
    bool idle = false;
    volume.Still([&] { idle = content.active->empty(); });
    if (!idle || layers.empty() || !seen_.contains(layers.front().get())) {
      if (Status status = Look(volume, content); !status.ok()) return status;
    }
    const auto top = seen_.find(content.active.get());
    pages = top != seen_.end() ? top->second.pages : seen_.at(layers.front().get()).pages;
    if (top != seen_.end()) Reach(member, top->second);
    for (const auto& layer : layers) Reach(member, seen_.at(layer.get()));
    return Status::Ok();
  }

 private:
  struct Seen {
    std::shared_ptr<const Generation> generation;
    std::vector<uint64_t> blocks;
    uint64_t pages = 0;   // of this one and all that are older
  };

  void Reach(size_t member, const Seen& seen) {
    for (const uint64_t fingerprint : seen.blocks) mark_.AddBlock(member, fingerprint);
  }
  Status Look(const LiveVolume& volume, const LiveVolume::Content& content) {
    PagesHeld held;
    const Layers& layers = content.stack->layers;
    for (size_t i = layers.size(); i-- > 0;) {
      if (Status status = LookAt(layers[i], nullptr, held); !status.ok()) return status;
    }
    return LookAt(content.active, &volume, held);
  }
  Status LookAt(const std::shared_ptr<const Generation>& generation, const LiveVolume* writer, PagesHeld& held) {
    Seen seen{generation, {}, 0};
    if (Status status = GenerationLook(*generation, writer).Run(go_on_, held, seen.blocks); !status.ok()) return status;
    seen.pages = held.count();
    seen_[generation.get()] = std::move(seen);
    return Status::Ok();
  }

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

Result<std::shared_ptr<const SpaceReport>> MeasureSpace(Store& store, Pool& pool, const MarkLimits& limits, const Mark::GoOn& go_on) {
  const PackStore& packs = *pool.packs;
  auto report = std::make_shared<SpaceReport>();
  // Before the roots are: what is put from here on is in none of them, and must not count as dead.
  report->pool.record_bytes = packs.RecordBytes();
  report->pool.stored_bytes = packs.usage().stored_bytes;
  std::vector<Store::ResourceContent> contents = store.Contents();
  std::erase_if(contents, [&](const auto& one) { return one.volume->pool().get() != &pool; });
  std::sort(contents.begin(), contents.end(), [](const auto& a, const auto& b) { return a.volume->id() < b.volume->id(); });
  Mark mark(packs, *pool.tree, contents.size(), packs.usage().blocks, limits);
  Overlays overlays(mark, go_on);
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
