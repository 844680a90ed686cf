#include "layered_read.h"

#include <algorithm>
#include <cstring>

#include "../blocks/errand.h"
#include "../env/mutants.h"

namespace skerry {
namespace {

constexpr uint32_t kRunPagesMax = kPagesPerBlock;

/** Copies from what was read ahead; false where that does not hold all of it. */
bool CopyAhead(std::span<const JournalStretch> ahead, Lsn place, Bytes into) {
  const auto after = std::upper_bound(ahead.begin(), ahead.end(), place, [](Lsn wanted, const JournalStretch& stretch) { return wanted < stretch.place; });
  if (after == ahead.begin()) return false;
  const JournalStretch& stretch = *std::prev(after);
  if (!stretch.ok || place + into.size() > stretch.place + stretch.into.size()) return false;
  std::memcpy(into.data(), stretch.into.data() + (place - stretch.place), into.size());
  return true;
}

/** From the device, past the page cache. True where the bytes were read and fail; `into` is filled where they do not. */
Result<bool> PieceIsRotten(Journal& journal, ResourceId resource, uint64_t volume_offset, const PageSlot& slot, Bytes into) {
  const Lsn place = journal.PlaceOf(slot.place.lsn());
  const Lsn start = place / kSectorBytes * kSectorBytes;
  const Lsn end = (place + into.size() + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  AlignedBuffer sectors(end - start);
  JournalStretch stretch{start, sectors.bytes(), false};
  journal.ReadMany({&stretch, 1});
  // What still stands in the ring is not at rest yet.
  if (!stretch.ok) return Status(Code::kCorrupt, std::string(kJournalRot) + std::to_string(slot.place.lsn()) + " fail their sum and cannot be read again");
  const ConstBytes bytes = ConstBytes(sectors.bytes()).subspan(place - start, into.size());
  if (PieceSum(resource, volume_offset, bytes) != slot.check) return true;
  std::memcpy(into.data(), bytes.data(), bytes.size());
  return false;
}

Status ReadJournalPiece(ReadContext& context, ResourceId resource, uint64_t volume_offset, const PageSlot& slot, Bytes into, bool may_block) {
  const Lsn place = slot.place.lsn();
  if (CopyAhead(context.ahead, place, into) && PieceSum(resource, volume_offset, into) == slot.check) return Status::Ok();
  const Status status = context.journal.Read(place, into, may_block);
  if (!status.ok()) return status;
  if (PieceSum(resource, volume_offset, into) == slot.check || IsMutant(Mutant::kJournalSumUnchecked)) return Status::Ok();
  // The page cache may be what is wrong.
  const Result<bool> rotten = may_block ? PieceIsRotten(context.journal, resource, volume_offset, slot, into) : true;
  if (rotten.ok() && !*rotten) return Status::Ok();
  return Status(Code::kCorrupt, std::string(kJournalRot) + std::to_string(place) + " fail their sum");
}

/** Asks for all that a request wants of the journal before it waits for the first of it. */
void AskJournal(ReadContext& context, const std::vector<PageSource>& sources) {
  std::vector<Lsn> places;
  const auto want = [&](const PageSlot& slot) {
    if (slot.place.kind() == Place::Kind::kJournal) places.push_back(slot.place.lsn());
  };
  for (const PageSource& source : sources) {
    if (source.done) want(source.base);
    for (const PageSource::Piece& piece : source.pieces) want(piece.piece.slot);
  }
  if (!places.empty()) context.journal.ReadAhead(places);
}

/** Length of the run of pages from `at` on that rest in one pack record, one after the other. */
size_t PackRun(const std::vector<PageSource>& sources, size_t at, PageIndex first) {
  const PageSlot& head = sources[at].base;
  const size_t room = kPagesPerBlock - (first + at) % kPagesPerBlock;
  size_t run = 1;
  while (run < room && at + run < sources.size()) {
    const PageSlot& next = sources[at + run].base;
    if (next.place.kind() != Place::Kind::kPack || next.place.pack() != head.place.pack() ||
        next.place.cell() != head.place.cell() + run * CellStep(head.place.cell()) || next.check != head.check + run) {
      break;
    }
    ++run;
  }
  return run;
}

/** Pages of one pack record, known by the place and seed of the first: no index is asked unless they are not there any more. */
Status ReadPackRun(ReadContext& context, const PageSlot& head, uint32_t count, Bytes into, bool may_block) {
  if (count == 1) {
    Status status = context.pool.packs->ReadCell(head.place.pack(), head.place.cell(), head.check, into, may_block);
    if (status.code() != Code::kCorrupt && status.code() != Code::kNotFound) return status;
  }
  const std::optional<PageOfRecord> place = PageAt(head.place.pack(), head.place.cell());
  if (!place) return {Code::kCorrupt, "a page is said to be where none can be"};
  const uint64_t prefix = head.check - place->page;
  BlockId id;
  std::memcpy(id.bytes.data(), &prefix, sizeof(prefix));
  return context.pool.packs->ReadBlock(place->at, id, place->page, count, into, may_block);
}

/** Pages that only the map knows, all within one block. */
Status ReadMapped(ReadContext& context, const TreeRoot& root, PageIndex page, uint32_t count, Bytes into, bool may_block) {
  Result<MapSlot> slot = context.pool.tree->Lookup(root, page / kPagesPerBlock, may_block);
  if (!slot.ok()) return slot.status();
  if (slot->hole()) {
    std::memset(into.data(), 0, into.size());
    return Status::Ok();
  }
  const auto first = static_cast<uint32_t>(page % kPagesPerBlock);
  return context.pool.packs->ReadBlock(slot->at, slot->id, first, count, into, may_block);
}

/**
 * Asks for the records of all blocks in the range, where they are on a backend: what one request needs comes together.
 * What cannot be told here is found out, and told, by the reads that follow.
 */
void AskTogether(ReadContext& context, const TreeRoot& root, PageIndex first, const std::vector<PageSource>& sources, bool may_block) {
  if (!may_block || !context.pool.packs->remote()) return;
  const BlockIndex first_block = first / kPagesPerBlock, last_block = (first + sources.size() - 1) / kPagesPerBlock;
  if (first_block == last_block) return;
  std::vector<MapSlot> slots(last_block - first_block + 1);
  if (!context.pool.tree->LookupRun(root, first_block, static_cast<uint32_t>(slots.size()), slots, may_block).ok()) return;
  std::vector<Location> places;
  for (size_t i = 0; i < sources.size(); ++i) {
    const MapSlot& slot = slots[(first + i) / kPagesPerBlock - first_block];
    if (!sources[i].done && slot.at.known() && (places.empty() || !(places.back() == slot.at))) places.push_back(slot.at);
  }
  context.pool.packs->FetchAhead(places);
}

Status ApplyPieces(ReadContext& context, PageIndex page, const PageSource& source, Bytes into, bool may_block) {
  for (auto it = source.pieces.rbegin(); it != source.pieces.rend(); ++it) {
    const PagePiece& piece = it->piece;
    Bytes part = into.subspan(piece.offset, piece.length);
    if (piece.slot.place.kind() == Place::Kind::kZero) {
      std::memset(part.data(), 0, part.size());
      continue;
    }
    const uint64_t at = page * kPageBytes + piece.offset;
    if (Status status = ReadJournalPiece(context, it->resource, at, piece.slot, part, may_block); !status.ok()) return status;
  }
  return Status::Ok();
}

/** A run of pages that one source tells of. */
Status FetchRun(ReadContext& context, const TreeRoot& root, PageIndex page, const PageSource& source, Bytes pages, bool may_block) {
  const auto count = static_cast<uint32_t>(pages.size() / kPageBytes);
  if (!source.done) return ReadMapped(context, root, page, count, pages, may_block);
  switch (source.base.place.kind()) {
    case Place::Kind::kJournal:
      return ReadJournalPiece(context, source.base_resource, page * kPageBytes, source.base, pages, may_block);
    case Place::Kind::kPack:
      return ReadPackRun(context, source.base, count, pages, may_block);
    case Place::Kind::kNone:
    case Place::Kind::kZero:
      break;
  }
  std::memset(pages.data(), 0, pages.size());
  return Status::Ok();
}

/** Where the pages of a run lie, if the map's hint or the overlay knows; count 0 where not. */
CellRun RunAt(ReadContext& context, const TreeRoot& root, PageIndex first, const std::vector<PageSource>& sources, size_t at, size_t count) {
  const PageSource& source = sources[at];
  if (source.done) return {source.base.place.pack(), source.base.place.cell(), static_cast<uint32_t>(count)};
  const PageIndex page = first + at;
  Result<MapSlot> slot = context.pool.tree->Lookup(root, page / kPagesPerBlock, true);
  if (!slot.ok() || slot->hole() || !slot->at.known()) return {};
  const auto in_block = static_cast<uint32_t>(page % kPagesPerBlock);
  return {slot->at.pack, CellAddress(slot->at, in_block), static_cast<uint32_t>(count)};
}

/** Length of the run of pages from `at` on that one read can fetch; 1 where it rests in no pack. */
size_t RunLength(const std::vector<PageSource>& sources, size_t at, PageIndex first) {
  if (sources[at].done) return sources[at].base.place.kind() == Place::Kind::kPack ? PackRun(sources, at, first) : 1;
  const size_t room = kRunPagesMax - (first + at) % kRunPagesMax;
  size_t run = 1;
  while (run < room && at + run < sources.size() && !sources[at + run].done) ++run;
  return run;
}

/** Asks for the long runs together, before the first of them is waited for. */
void AskPacks(ReadContext& context, const TreeRoot& root, PageIndex first, const std::vector<PageSource>& sources) {
  std::vector<CellRun> runs;
  for (size_t at = 0, run = 0; at < sources.size(); at += run) {
    run = RunLength(sources, at, first);
    if (run < kLargeReadPages) continue;
    const CellRun cells = RunAt(context, root, first, sources, at, run);
    if (cells.count > 0) runs.push_back(cells);
  }
  context.pool.packs->ReadAhead(runs);
}

}  // namespace

void AskLayer(const Generation& generation, PageIndex page, PageSource& source) {
  const PageState state = generation.Lookup(page);
  if (state.kind == PageState::Kind::kBelow) return;
  if (state.kind == PageState::Kind::kPieces) {
    for (auto it = state.pieces.rbegin(); it != state.pieces.rend(); ++it) source.pieces.push_back({*it, generation.resource});
    if (state.base.place.kind() == Place::Kind::kNone) return;
  }
  source.base = state.base;
  source.base_resource = generation.resource;
  source.hole = state.hole;
  source.done = true;
}

Status FetchPages(ReadContext context, const TreeRoot& root, PageIndex first, std::vector<PageSource>& sources, Bytes into, bool may_block) {
  AskTogether(context, root, first, sources, may_block);
  // Nothing is copied twice: this read comes again when what it lacks has come.
  if (const ReadWaits* const waits = ReadWaits::Current(); may_block && waits != nullptr && waits->any()) return {Code::kTryAgain, {}};
  if (may_block && context.ahead.empty()) AskJournal(context, sources);
  if (may_block && sources.size() >= kLargeReadPages) AskPacks(context, root, first, sources);
  for (size_t at = 0; at < sources.size();) {
    const PageSource& source = sources[at];
    const PageIndex page = first + at;
    const size_t run = RunLength(sources, at, first);
    const Bytes pages = into.subspan(at * kPageBytes, run * kPageBytes);
    Status status = FetchRun(context, root, page, source, pages, may_block);
    if (!status.ok()) return status;
    for (size_t i = 0; i < run; ++i) {
      if (sources[at + i].pieces.empty()) continue;
      status = ApplyPieces(context, page + i, sources[at + i], into.subspan((at + i) * kPageBytes, kPageBytes), may_block);
      if (!status.ok()) return status;
    }
    at += run;
  }
  return Status::Ok();
}

bool AskAhead(ReadContext context, const TreeRoot& root, BlockIndex first, uint32_t count) {
  ReadWaits nobody;
  const ReadWaits::Guard guard(&nobody);
  std::vector<MapSlot> slots(count);
  if (context.pool.tree->LookupRun(root, first, count, slots, true).code() == Code::kTryAgain) return false;
  std::vector<Location> places;
  for (const MapSlot& slot : slots) {
    if (slot.at.known()) places.push_back(slot.at);
  }
  context.pool.packs->FetchLater(places);
  return true;
}

namespace {

Result<bool> JournalledIsRotten(ReadContext& context, ResourceId resource, uint64_t volume_offset, const PageSlot& slot, Bytes into) {
  const Status status = ReadJournalPiece(context, resource, volume_offset, slot, into, true);
  if (status.ok()) return false;
  if (status.code() != Code::kCorrupt) return status;
  return PieceIsRotten(context.journal, resource, volume_offset, slot, into);
}

/** True where every place that is known of the page's block was read and fails. */
Result<bool> MappedIsRotten(ReadContext& context, const TreeRoot& root, PageIndex page, Bytes into) {
  Result<MapSlot> slot = context.pool.tree->Lookup(root, page / kPagesPerBlock, true);
  if (!slot.ok()) return slot.status();
  if (slot->hole()) {
    std::memset(into.data(), 0, into.size());
    return false;
  }
  const Status status = context.pool.packs->ReadBlock(slot->at, slot->id, static_cast<uint32_t>(page % kPagesPerBlock), 1, into, true);
  if (status.code() == Code::kCorrupt) return true;
  return status.ok() ? Result<bool>(false) : Result<bool>(status);
}

Result<bool> BaseIsRotten(ReadContext& context, const TreeRoot& root, PageIndex page, const PageSource& source, Bytes into) {
  if (!source.done) return MappedIsRotten(context, root, page, into);
  switch (source.base.place.kind()) {
    case Place::Kind::kJournal:
      return JournalledIsRotten(context, source.base_resource, page * kPageBytes, source.base, into);
    case Place::Kind::kPack: {
      const Status status = ReadPackRun(context, source.base, 1, into, true);
      if (status.code() == Code::kCorrupt) return true;
      return status.ok() ? Result<bool>(false) : Result<bool>(status);
    }
    case Place::Kind::kNone:
    case Place::Kind::kZero:
      break;
  }
  std::memset(into.data(), 0, into.size());
  return false;
}

/** A page that is in part rotten is rotten: it has one sum where it comes to rest. */
Result<bool> PageIsRotten(ReadContext& context, const TreeRoot& root, PageIndex page, const PageSource& source, Bytes into) {
  Result<bool> rotten = BaseIsRotten(context, root, page, source, into);
  for (auto it = source.pieces.rbegin(); it != source.pieces.rend() && rotten.ok() && !*rotten; ++it) {
    const Bytes part = into.subspan(it->piece.offset, it->piece.length);
    if (it->piece.slot.place.kind() == Place::Kind::kZero) {
      std::memset(part.data(), 0, part.size());
    } else {
      rotten = JournalledIsRotten(context, it->resource, page * kPageBytes + it->piece.offset, it->piece.slot, part);
    }
  }
  return rotten;
}

}  // namespace

Status FetchWhatHolds(ReadContext context, const TreeRoot& root, PageIndex first, std::vector<PageSource>& sources, Bytes into, uint32_t& lost) {
  lost = 0;
  context.ahead = {};
  for (size_t i = 0; i < sources.size(); ++i) {
    Result<bool> rotten = PageIsRotten(context, root, first + i, sources[i], into.subspan(i * kPageBytes, kPageBytes));
    if (!rotten.ok()) return rotten.status();
    if (*rotten) lost |= 1u << i;
  }
  return Status::Ok();
}

}  // namespace skerry
