// Rot in the journal of a world: a bit flips in a page that nothing but a segment holds any more.
#include <algorithm>

#include "../journal/layout.h"
#include "world.h"

namespace skerry::simulation {

std::string World::SegmentFile(uint64_t number) {
  for (const std::string& path : env_.Paths()) {
    if (!path.ends_with(".segment")) continue;
    Result<std::unique_ptr<File>> file = env_.Open(path, {});
    SegmentHeader header{};
    if (!file.ok() || !(*file)->Read({reinterpret_cast<uint8_t*>(&header), sizeof(header)}, 0).ok()) continue;
    if (header.magic == kSegmentMagic && header.number == number) return path;
  }
  return {};
}

// Only below what a durable mark vouches for: above it, rot and a torn write are one.
void World::Rot() {
  if (fault_asked_) return;   // one trouble at a time: it would be met while looking for what may rot
  const Named* named = PickVolume();
  if (named == nullptr) return;
  const ResourceId id = named->spec.volume.id;
  if (const Status frozen = store_->Freeze(id); !frozen.ok()) return Fail("freeze: " + frozen.detail());
  const uint64_t pages = named->history->bytes() / kPageBytes;
  uint64_t run = pages;
  bool touched = false;
  const std::shared_ptr<const Stack> stack = store_->Find(id)->StackAt(0, run, touched);
  std::vector<std::pair<PageIndex, Lsn>> candidates;
  for (PageIndex page = 0; page < pages; ++page) {
    PageSource source;
    for (size_t i = 0; i < stack->layers.size() && !source.done; ++i) AskLayer(*stack->layers[i], page, source);
    const bool journalled = source.done && source.pieces.empty() && source.base.place.kind() == Place::Kind::kJournal;
    if (!journalled) continue;
    const Lsn place = store_->journal().PlaceOf(source.base.place.lsn());
    if (place + kPageBytes <= vouched_) candidates.emplace_back(page, place);
  }
  if (candidates.empty()) return;
  const auto [page, lsn] = candidates[Dice(candidates.size())];
  const uint64_t segment_bytes = Options().journal.segment_bytes;
  const std::string path = SegmentFile(lsn / segment_bytes);
  if (path.empty()) return Fail("no file holds segment " + std::to_string(lsn / segment_bytes));
  const Status flipped = env_.FlipBit(path, lsn % segment_bytes + Dice(kPageBytes), static_cast<unsigned>(Dice(8)));
  if (!flipped.ok()) return Fail("rot: " + flipped.detail());
  // What was lost once goes on as its marker, in states that begin at a recovery.
  losses_.Add(page, std::make_shared<const std::vector<uint8_t>>(Losses::Marker().begin(), Losses::Marker().end()));
  // Snapshots and clones may read the same bytes of the journal, and a volume may be thrown back to where it did.
  for (const auto& [other, entry] : catalog_) {
    if (entry.history) {
      entry.history->Lose(page, losses_);
    } else if (page < entry.content.pages.size()) {
      losses_.Add(page, entry.content.pages[page]);
    }
  }
  ++outcome_.rotten;
  Say("rot in page " + std::to_string(page) + " of " + std::to_string(id));
}

void World::LoseParts(const Image& before, const Image& after, uint64_t offset, uint64_t length) {
  for (const uint64_t edge : {offset, offset + length}) {
    const size_t page = edge / kPageBytes;
    if (edge % kPageBytes == 0 || page >= before.pages.size() || !losses_.Holds(page, before.pages[page])) continue;
    losses_.Add(page, after.pages[page]);
  }
}

}  // namespace skerry::simulation
