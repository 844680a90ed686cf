// Resizing and rolling back volumes of a world.
#include "world.h"

namespace skerry::simulation {
namespace {

constexpr uint64_t kPagesMin = 4 * kPagesPerBlock, kPagesMax = 12 * kPagesPerBlock;

}  // namespace

void World::Resize() {
  Named* named = PickVolume();
  if (named == nullptr) return;
  uint64_t pages = kPagesMin + Dice(kPagesMax - kPagesMin + 1);
  if (Dice(3) == 0) pages -= pages % kPagesPerBlock;
  Image image = named->history->last().image;
  image.Resize(pages * kPageBytes);
  named->history->Begin(std::move(image), true);
  const ResourceId id = named->spec.volume.id;
  if (!Retry([&] { return store_->Resize(id, pages * kPageBytes).status(); })) return;
  named->history->Acknowledge(store_->Find(id)->sequence());
  ++outcome_.resizes;
  Say("resize " + std::to_string(id) + " to " + std::to_string(pages) + " pages");
}

// To any snapshot, not only one of its own: what a snapshot is of makes no difference to the engine.
void World::Rollback() {
  Named* named = PickVolume();
  std::vector<const Named*> snapshots;
  for (const auto& [id, other] : catalog_) {
    if (!other.history && !other.deleting) snapshots.push_back(&other);
  }
  if (named == nullptr || snapshots.empty()) return;
  const Named& snapshot = *snapshots[Dice(snapshots.size())];
  const ResourceId id = named->spec.volume.id, to = snapshot.spec.volume.id;
  named->history->Begin(snapshot.content, true);
  if (!Retry([&] { return store_->Rollback(id, to).status(); })) return;
  named->history->Acknowledge(store_->Find(id)->sequence());
  ++outcome_.rollbacks;
  Say("rollback " + std::to_string(id) + " to " + std::to_string(to));
}

}  // namespace skerry::simulation
