// Volumes are made of parts of others in the same pool while everything else goes on: what they hold is compared with what they were made
// of, and what begins with one is compared as ever.
#include <algorithm>

#include "world.h"

namespace skerry::simulation {

void World::Splice() {
  if (!splicing_) BeginSplicing();
  if (!splicing_) return;
  for (uint64_t steps = 1 + Dice(splicing_->wide ? 8 : 4); steps > 0; --steps) {
    Pool& pool = *splicing_->pool;
    // The newest pack is never collected: so that what was put is in older ones soon.
    if (const Status sealed = Dice(3) == 0 ? pool.packs->Seal() : Status::Ok(); !sealed.ok()) return Blame("sealing", sealed);
    const Result<Splicer::Progress> progress = splicing_->splicer->Next([this] { return !Crashed(); });
    if (!progress.ok()) {
      Say("splicing ended: " + progress.status().detail());
      splicing_.reset();
      if (!(progress.code() == Code::kCorrupt && outcome_.rotten > 0)) Blame("splicing", progress.status());
      return;
    }
    if (*progress == Splicer::Progress::kDone) return CheckSpliced();
    if (*progress == Splicer::Progress::kMore) {
      if (splicing_->wide && Dice(2) == 0 && !CollectMeanwhile(pool)) return;
      continue;
    }
    if (!pool.packs->remote() || Dice(8) == 0 || !WaitForBackend()) return;
    ++steps;
  }
}

/** All of it at once, for lives are short. False where this one is over. */
bool World::CollectMeanwhile(Pool& pool) {
  if (const Status sealed = pool.packs->Seal(); !sealed.ok()) {
    Blame("sealing", sealed);
    return false;
  }
  const uint64_t life = lives_;
  for (int turns = 0; turns < 4; ++turns) {
    Collect();
    if (life != lives_ || !splicing_ || Crashed() || fault_met_ || !outcome_.failure.empty()) return false;
  }
  return true;
}

/** Of one to three resources that rest in the same pool, parts of any length with room between them. */
void World::BeginSplicing() {
  constexpr uint64_t kNarrowBlocks = 24, kWideBlocks = kNodeSlots + 8;
  Splicing fresh;
  fresh.pool = PickPool();
  // Of two leaves, the first of which is done with long before the last step.
  fresh.wide = Dice(3) == 0;
  const uint64_t blocks_max = fresh.wide ? kWideBlocks : kNarrowBlocks;
  std::vector<const Named*> sources;
  for (const auto& [id, named] : catalog_) {
    if (move_ && move_->id == id) continue;   // the catalog and the store may say different things of it
    if (named.spec.pool == fresh.pool->name && !named.deleting && named.spec.pending_of == 0 && !named.spec.root.id.empty()) sources.push_back(&named);
  }
  if (sources.empty()) return;
  SpliceOrder order{fresh.pool, {}, blocks_max};
  fresh.content.resize(blocks_max * kBlockBytes);
  BlockIndex at = Dice(3);
  for (uint64_t parts = 1 + Dice(3); parts > 0 && at < blocks_max; --parts) {
    const Named& of = *sources[Dice(sources.size())];
    const uint64_t blocks = (of.spec.volume.size_bytes + kBlockBytes - 1) / kBlockBytes;
    std::vector<uint8_t> content(blocks * kBlockBytes);
    if (backend_) backend_->SetWeather(false);
    const bool read = ReadRoot(*fresh.pool, of.spec.root, content);
    if (backend_) backend_->SetWeather(BadWeather());
    if (!read || Losses::Any(content)) return;
    const BlockIndex first = Dice(blocks);
    const uint64_t count = 1 + Dice(std::min(blocks - first, blocks_max - at));
    std::copy_n(content.begin() + static_cast<ptrdiff_t>(first * kBlockBytes), count * kBlockBytes,
                fresh.content.begin() + static_cast<ptrdiff_t>(at * kBlockBytes));
    order.parts.push_back({of.spec.root, first, count, at});
    at += count + Dice(3);
    if (fresh.wide && at < kNodeSlots) at = kNodeSlots;
  }
  Result<std::unique_ptr<Splicer>> splicer = Splicer::Begin(*store_, std::move(order), 1 + Dice(fresh.wide ? 2 : 6));
  if (!splicer.ok()) return Blame("beginning to splice", splicer.status());
  fresh.splicer = std::move(*splicer);
  Say("splice in " + fresh.pool->name + (fresh.wide ? ", wide" : ""));
  splicing_ = std::move(fresh);
}

void World::CheckSpliced() {
  const Splicing spliced = std::move(*splicing_);
  splicing_.reset();
  const TreeRoot root = spliced.splicer->durable().root;
  std::vector<uint8_t> content(spliced.content.size());
  if (backend_) backend_->SetWeather(false);
  // Nodes as they are in packs, and not as a cache has them still.
  Tree uncached(*spliced.pool->packs, *spliced.pool->key, 0);
  const bool read = ReadRoot(*spliced.pool->packs, uncached, root, content);
  if (backend_) backend_->SetWeather(BadWeather());
  if (!read) return;
  // What they were made of may have rotted since.
  if (Image::Of(spliced.content).Differs(content, losses_)) return Fail("what was spliced is not what it was made of");
  ++outcome_.spliced;
  Say("spliced");
  if (!spliced.wide && !Losses::Any(content) && Dice(3) != 0) Adopt(content, spliced.pool->name, root);
}

}  // namespace skerry::simulation
