// Volumes, snapshots and clones of a world come and go.
#include <algorithm>
#include <utility>

#include "world.h"

namespace skerry::simulation {
namespace {

constexpr uint64_t kVolumeBytes = 8 * kBlockBytes;   // at first

}  // namespace

void World::Create() {
  if (catalog_.size() >= kResourcesMax) return;
  const ResourceId id = next_id_++;
  Named named;
  named.spec.volume = {id, kVolumeBytes, false, false, 0, 1, 0};
  named.spec.volume.flushes_to_pool = shelf_ != nullptr;
  named.spec.volume.domain = DomainOfVolume(id);
  named.history = std::make_unique<History>(kVolumeBytes);
  const Status added = store_->Add(named.spec);
  if (!added.ok()) return Fail("create: " + added.detail());
  FirstLog(named);
  catalog_.emplace(id, std::move(named));
  Say("create " + std::to_string(id));
}

void World::Snapshot() {
  Named* named = PickVolume();
  if (named == nullptr || catalog_.size() >= kResourcesMax) return;
  const ResourceId volume = named->spec.volume.id, id = next_id_++;
  uint64_t sequence = 0;
  named->history->Begin(named->history->last().image);
  if (!Retry([&] { return store_->Snapshot(volume, id, &sequence).status(); })) return;
  named->history->Acknowledge(sequence);
  // The barrier is durable before the name is: a crash between leaves a barrier without a name.
  if (!MakeDurable()) return;
  for (auto& [other, entry] : catalog_) {
    if (entry.history && !entry.deleting) entry.history->Flushed(entry.history->last().sequence);
  }
  Named snapshot;
  snapshot.spec.volume = {id, named->history->bytes(), true, false, 0, 0, 0};
  snapshot.spec.kind = ResourceKind::kSnapshot;
  snapshot.spec.pending_of = volume;
  snapshot.spec.pool = named->spec.pool;
  snapshot.content = named->history->last().image;
  catalog_.emplace(id, std::move(snapshot));
  ++outcome_.snapshots;
  Say("snapshot " + std::to_string(volume) + " as " + std::to_string(id));
}

void World::Clone() {
  std::vector<Named*> sources;
  for (auto& [id, named] : catalog_) {
    if (!named.history && !named.deleting) sources.push_back(&named);
  }
  if (sources.empty() || catalog_.size() >= kResourcesMax) return;
  const Named& source = *sources[Dice(sources.size())];
  const ResourceId id = next_id_++;
  Named clone;
  clone.spec.volume = {id, source.content.bytes(), false, false, 0, 1, 0};
  clone.spec.volume.flushes_to_pool = shelf_ != nullptr;
  clone.spec.volume.domain = DomainOfVolume(id);
  clone.spec.root = source.spec.root;
  clone.spec.pool = source.spec.pool;
  clone.spec.pending_of = source.spec.pending_of != 0 ? source.spec.volume.id : 0;
  clone.history = std::make_unique<History>(source.content.bytes());
  clone.history->Reset(0, source.content);
  const ResourceSpec spec = clone.spec;
  Named& made = catalog_.emplace(id, std::move(clone)).first->second;
  const Status added = store_->Add(spec);
  if (!added.ok()) return Fail("clone: " + added.detail());
  FirstLog(made);
  ++outcome_.clones;
  Say("clone " + std::to_string(source.spec.volume.id) + " as " + std::to_string(id));
}

void World::Remove() {
  if (catalog_.size() < 3) return;
  // What a crash left half deleted comes first.
  auto it = std::ranges::find_if(catalog_, [](const auto& entry) { return entry.second.deleting && !entry.second.dropped; });
  if (it == catalog_.end()) {
    it = catalog_.begin();
    std::advance(it, static_cast<long>(Dice(catalog_.size())));
  }
  if (it->second.dropped) return;
  const ResourceId id = it->first;
  for (const auto& [other, named] : catalog_) {
    if (named.spec.pending_of == id) return;
  }
  it->second.deleting = true;
  if (!Retry([&] { return store_->Drop(id).status(); })) return;
  it->second.dropped = true;
  Say("remove " + std::to_string(id));
  // Others write meanwhile, into what the deleted one held of the journal if it is given away too soon.
  if (!it->second.history || Dice(2) == 0) (void)MakeDurable();
}

}  // namespace skerry::simulation
