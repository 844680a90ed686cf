// Resizing and rolling back volumes of a world.
#include <algorithm>

#include "../volume/changes.h"
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
    if (!other.history && !other.deleting && named != nullptr && store_->Find(id)->pool() == store_->Find(named->spec.volume.id)->pool()) {
      snapshots.push_back(&other);
    }
  }
  if (named == nullptr || snapshots.empty()) return;
  const Named& snapshot = *snapshots[Dice(snapshots.size())];
  const ResourceId id = named->spec.volume.id, to = snapshot.spec.volume.id;
  named->history->Begin(snapshot.content, true);
  bool apart = false;
  const auto attempt = [&] {
    // One of the two may have changed its pool while this waited.
    apart = store_->Find(id)->pool() != store_->Find(to)->pool();
    return apart ? Status() : store_->Rollback(id, to).status();
  };
  if (!Retry(attempt)) return;
  if (apart) return named->history->Abandon();
  named->history->Acknowledge(store_->Find(id)->sequence());
  ++outcome_.rollbacks;
  Say("rollback " + std::to_string(id) + " to " + std::to_string(to));
}

// What is told as equal must be; what is told as zero too. What is told as changed may be equal: blocks are coarse.
void World::Compare() {
  std::vector<ResourceId> ids;
  for (const auto& [id, named] : catalog_) {
    if (!named.deleting) ids.push_back(id);
  }
  if (ids.size() < 2) return;
  const ResourceId from = ids[Dice(ids.size())], to = ids[Dice(ids.size())];
  if (store_->Find(from)->pool() != store_->Find(to)->pool()) return;
  Result<std::vector<uint8_t>> old = ReadAll(from), now = ReadAll(to);
  if (!old.ok() || !now.ok()) {
    return Blame("comparing", old.ok() ? now.status() : old.status());
  }
  old->resize(std::max(old->size(), now->size()));   // past its end the older one counts as zeroes
  VolumeChanges changes(store_->Find(from), store_->Find(to));
  const uint64_t offset = Dice(4) == 0 ? Dice(now->size()) : 0;
  uint64_t at = offset, unequal = 0, told = 0;
  while (at < now->size()) {
    Result<std::vector<ChangedExtent>> extents = changes.Extents(at, now->size() - at, 1 + Dice(8), true);
    if (!extents.ok()) {
      return Blame("comparing " + std::to_string(from) + " with " + std::to_string(to), extents.status());
    }
    for (const ChangedExtent& extent : *extents) {
      if (extent.offset != at || extent.length == 0) return Fail("changes are told with gaps");
      const auto begin = now->begin() + static_cast<long>(at), end = begin + static_cast<long>(extent.length);
      const bool equal = std::equal(begin, end, old->begin() + static_cast<long>(at));
      if (!extent.changed && !equal) {
        return Fail("a change from " + std::to_string(from) + " to " + std::to_string(to) + " is not told, from byte " + std::to_string(at));
      }
      if (extent.zero && !std::all_of(begin, end, [](uint8_t byte) { return byte == 0; })) return Fail("data is told as zeroes");
      unequal += equal ? 0 : 1;
      told += extent.changed ? 1 : 0;
      at += extent.length;
    }
  }
  if (from == to && told > 0) return Fail("a resource is told to differ from itself");
  ++outcome_.compares;
  Say("compare " + std::to_string(from) + " with " + std::to_string(to) + ": " + std::to_string(told) + " changed, " + std::to_string(unequal) + " unequal");
}

}  // namespace skerry::simulation
