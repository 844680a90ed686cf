#include "overlay_blocks.h"

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

}  // namespace

Status OverlayBlocks::Add(size_t member, const LiveVolume& volume, const LiveVolume::Content& content, uint64_t& pages) {
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

void OverlayBlocks::Reach(size_t member, const Seen& seen) {
  for (const uint64_t fingerprint : seen.blocks) mark_.AddBlock(member, fingerprint);
  uses_ += seen.blocks.size();
}

Status OverlayBlocks::Look(const LiveVolume& volume, const LiveVolume::Content& content) {
  PagesHeld held;
  const Layers& layers = content.stack->layers;
  const auto look_at = [&](const std::shared_ptr<const Generation>& generation, const LiveVolume* writer) {
    Seen seen{generation, {}, 0};
    Status status = GenerationLook(*generation, writer).Run(go_on_, held, seen.blocks);
    seen.pages = held.count();
    if (status.ok()) seen_[generation.get()] = std::move(seen);
    return status;
  };
  for (size_t i = layers.size(); i-- > 0;) {
    if (Status status = look_at(layers[i], nullptr); !status.ok()) return status;
  }
  return look_at(content.active, &volume);
}

}  // namespace skerry
