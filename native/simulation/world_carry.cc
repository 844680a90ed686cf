// Trees go from pool to pool while everything else goes on, both pools are collected and lives end: what arrives is compared with
// what it was made of, and what begins with it is compared as ever.
#include <algorithm>

#include "world.h"

namespace skerry::simulation {
void World::Carry() {
  if (!carrying_ && !(kept_ && Resume())) BeginCarrying();
  if (!carrying_) return;
  for (uint64_t steps = 1 + Dice(4); steps > 0; --steps) {
    Pool& target = *carrying_->order.target;
    // The newest pack is never collected: so that what was carried is in older ones soon.
    if (const Status sealed = Dice(3) == 0 ? target.packs->Seal() : Status::Ok(); !sealed.ok()) return Blame("sealing", sealed);
    const Result<Carrier::Progress> progress = carrying_->carrier->Next([this] { return !Crashed(); });
    if (!progress.ok()) {
      Say("carrying ended: " + progress.status().detail());
      carrying_.reset();
      if (!(progress.code() == Code::kCorrupt && outcome_.rotten > 0)) Blame("carrying", progress.status());
      return;
    }
    const CarryPoint& durable = carrying_->carrier->durable();
    const CarryOrder& order = carrying_->order;
    if (durable.hold && order.from.id.empty() && Dice(3) == 0) {
      kept_ = KeptPoint{order.source->name, order.target->name, order.to, durable.root, durable.next, order.blocks, carrying_->content, durable.hold};
    }
    if (*progress == Carrier::Progress::kDone) return CheckCarried();
    if (*progress == Carrier::Progress::kMore) continue;
    if (!target.packs->remote() || Dice(8) == 0 || !WaitForBackend()) return;
    if (!carrying_) return;
    ++steps;
  }
}

void World::BeginCarrying() {
  std::vector<const Named*> sources;
  for (const auto& [id, named] : catalog_) {
    if (move_ && move_->id == id) continue;   // the catalog and the store may say different things of it
    if (!named.deleting && named.spec.pending_of == 0 && !named.spec.root.id.empty()) sources.push_back(&named);
  }
  if (sources.empty()) return;
  const Named& of = *sources[Dice(sources.size())];
  const uint64_t bytes = (of.spec.volume.size_bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  Carrying fresh;
  CarryOrder& order = fresh.order;
  order.source = store_->FindPool(of.spec.pool);
  order.target = store_->FindPool(of.spec.pool == kSecondPool ? store_->pools().front()->name : kSecondPool);
  order.to = of.spec.root;
  order.blocks = bytes / kBlockBytes;
  if (carried_ && carried_->order.source == order.source && Dice(3) != 0) {
    order.from = carried_->order.to;
    order.have = carried_->carrier->point().root;
  }
  fresh.content.resize(bytes);
  if (backend_) backend_->SetWeather(false);
  const bool read = ReadRoot(*order.source, order.to, fresh.content);
  if (backend_) backend_->SetWeather(BadWeather());
  if (!read) return;
  if (!of.history) {
    const auto page = of.content.Differs(ConstBytes(fresh.content).first(of.spec.volume.size_bytes), losses_);
    if (page) return Fail("the root of snapshot " + std::to_string(of.spec.volume.id) + " differs from it at page " + std::to_string(*page));
  }
  const CarryLimits limits{1 + Dice(3), 1 + Dice(3), (1 + Dice(4)) * kBlockBytes};
  Result<std::unique_ptr<Carrier>> carrier = Carrier::Begin(*store_, order, limits);
  if (!carrier.ok()) return Blame("beginning to carry", carrier.status());
  fresh.carrier = std::move(*carrier);
  Say("carry " + std::to_string(of.spec.volume.id) + " to " + order.target->name + (order.from.id.empty() ? "" : " by differences"));
  carrying_ = std::move(fresh);
}

bool World::Resume() {
  const KeptPoint kept = *std::exchange(kept_, std::nullopt);
  Carrying fresh;
  fresh.order = {store_->FindPool(kept.source), store_->FindPool(kept.target), {}, kept.to, kept.root, kept.next, kept.blocks};
  fresh.content = kept.content;
  Result<std::unique_ptr<Carrier>> carrier = Carrier::Begin(*store_, fresh.order, {1 + Dice(3), 1 + Dice(3), (1 + Dice(4)) * kBlockBytes});
  // What it was made of has gone since.
  if (carrier.code() == Code::kNotFound) return false;
  if (!carrier.ok()) {
    Blame("carrying on", carrier.status());
    return false;
  }
  fresh.carrier = std::move(*carrier);
  carrying_ = std::move(fresh);
  ++outcome_.resumed;
  Say("carry on from block " + std::to_string(kept.next));
  return true;
}

void World::CheckCarried() {
  carried_ = std::move(carrying_);
  carrying_.reset();
  kept_.reset();
  const CarryPoint& durable = carried_->carrier->durable();
  std::vector<uint8_t> content(carried_->content.size());
  if (backend_) backend_->SetWeather(false);
  const bool read = ReadRoot(*carried_->order.target, durable.root, content);
  if (backend_) backend_->SetWeather(BadWeather());
  if (!read) return;
  // What comes short twice in a row counts as rotten: then it is told as lost.
  const bool excused = backend_ && BadWeather() && carried_->carrier->report().lost_pages > 0;
  if (content != carried_->content && !excused) return Fail("what was carried to " + carried_->order.target->name + " is not what it was carried from");
  ++outcome_.carried;
  Say("carried, " + std::to_string(carried_->carrier->report().found_blocks) + " of " + std::to_string(carried_->carrier->report().carried_blocks) + " blocks found");
  if (!excused && !Losses::Any(content) && Dice(3) != 0) Adopt(content, carried_->order.target->name, durable.root);
}

void World::Adopt(ConstBytes content, const std::string& pool, const TreeRoot& root) {
  if (catalog_.size() >= kResourcesMax) return;
  const ResourceId id = next_id_++;
  Named named;
  named.spec.volume = {id, content.size(), false, false, 0, 1, 0};
  named.spec.volume.domain = DomainOfVolume(id);
  named.spec.pool = pool;
  named.spec.root = root;
  named.history = std::make_unique<History>(content.size());
  named.history->Reset(0, Image::Of(content));
  const Status added = store_->Add(named.spec);
  if (!added.ok()) return Fail("a volume of what was made: " + added.detail());
  catalog_.emplace(id, std::move(named));
  Say("adopt as " + std::to_string(id));
  // From here on the catalog has it.
  if (Dice(3) == 0) Crash(Dice(3) != 0);
}

}  // namespace skerry::simulation
