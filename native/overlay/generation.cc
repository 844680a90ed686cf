#include "generation.h"

#include <algorithm>
#include <cassert>

#include "page_pieces.h"
#include "slot_table.h"
#include "zero_range_map.h"

namespace skerry {

// A range of zeroes kills the slots of the pages it covers as it is put, so a slot is newer than any range over its page.
// A slot of kind kNone stands for a page in pieces; its `check` is the number of the set.
struct Generation::Impl {
  Impl() : slots(reinterpret_cast<uintptr_t>(this)) {}

  static bool InPieces(const PageSlot& slot) { return slot.place.kind() == Place::Kind::kNone; }
  static bool Unstored(const PageSlot& slot) { return InPieces(slot) || slot.place.kind() == Place::Kind::kJournal; }
  void DropPieces(const PageSlot& slot) {
    if (InPieces(slot)) pieces.Drop(static_cast<uint32_t>(slot.check));
  }
  void Kill(const PageSlot& slot) {
    if (Unstored(slot)) --unstored;
    DropPieces(slot);
  }

  SlotTable slots;
  PiecesStore pieces;
  ZeroRangeMap ranges;
  uint64_t unstored = 0;   // slots whose bytes are in no pack
};

Generation::Generation() : impl_(std::make_unique<Impl>()) {}
Generation::~Generation() = default;

void Generation::PutPage(PageIndex page, PageSlot slot) {
  assert(!Impl::InPieces(slot));
  bool fresh = false;
  PageSlot* held = impl_->slots.Insert(page, &fresh);
  if (!fresh) impl_->Kill(*held);
  *held = slot;
  if (Impl::Unstored(slot)) ++impl_->unstored;
}

void Generation::PutPiece(PageIndex page, PagePiece piece) {
  assert(uint32_t{piece.offset} + piece.length <= kPageBytes);
  if (piece.length == 0) return;
  if (piece.length == kPageBytes) return PutPage(page, piece.slot);
  const bool zero = piece.slot.place.kind() == Place::Kind::kZero;
  PageSlot* held = impl_->slots.Find(page);
  if (held == nullptr || !Impl::InPieces(*held)) {
    PageSlot base;
    if (held != nullptr) {
      base = *held;
    } else if (impl_->ranges.Covering(page).end != 0) {
      base = {Place::Zero(), 0};
    }
    if (zero && base.place.kind() == Place::Kind::kZero) return;
    if (held == nullptr || !Impl::Unstored(*held)) ++impl_->unstored;
    bool fresh = false;
    held = impl_->slots.Insert(page, &fresh);
    *held = {Place{}, impl_->pieces.Make(base)};
  }
  const uint32_t index = static_cast<uint32_t>(held->check);
  impl_->pieces.Add(index, piece);
  if (zero && impl_->pieces.At(index).AllZero()) {
    impl_->Kill(*held);
    *held = {Place::Zero(), 0};
  }
}

void Generation::PutZero(uint64_t offset, uint64_t length, bool hole) {
  if (length == 0) return;
  const uint64_t end = offset + length;
  const PageIndex first_whole = (offset + kPageBytes - 1) / kPageBytes;
  const PageIndex end_whole = end / kPageBytes;
  const auto put_part = [this](PageIndex page, uint64_t from, uint64_t to) {
    PutPiece(page, {static_cast<uint16_t>(from), static_cast<uint16_t>(to - from), {Place::Zero(), 0}});
  };
  const uint64_t head = offset % kPageBytes;
  const uint64_t tail = end % kPageBytes;
  if (first_whole > end_whole) return put_part(offset / kPageBytes, head, tail);  // inside one page
  if (head != 0) put_part(offset / kPageBytes, head, kPageBytes);
  if (first_whole < end_whole) {
    impl_->slots.Erase(first_whole, end_whole, [this](const PageSlot& slot) { impl_->Kill(slot); });
    impl_->ranges.Put(first_whole, end_whole, hole);
  }
  if (tail != 0) put_part(end_whole, 0, tail);
}

PageState Generation::Lookup(PageIndex page) const {
  PageState state;
  if (const PageSlot* held = impl_->slots.Find(page)) {
    if (!Impl::InPieces(*held)) {
      state.kind = PageState::Kind::kWhole;
      state.base = *held;
      return state;
    }
    const PagePieces& set = impl_->pieces.At(static_cast<uint32_t>(held->check));
    state.kind = PageState::Kind::kPieces;
    state.base = set.base;
    state.pieces = set.pieces;
    return state;
  }
  if (impl_->ranges.empty()) return state;
  const ZeroRangeMap::Span span = impl_->ranges.Covering(page);
  if (span.end == 0) return state;
  state.kind = PageState::Kind::kWhole;
  state.base = {Place::Zero(), 0};
  state.hole = span.hole;
  return state;
}

uint64_t Generation::RunBelow(PageIndex page, uint64_t pages_max) const {
  return impl_->slots.RunAbsent(page, impl_->ranges.RunBetween(page, pages_max));
}

uint64_t Generation::RunZero(PageIndex page, uint64_t pages_max, bool* hole) const {
  const ZeroRangeMap::Span span = impl_->ranges.Covering(page);
  if (span.end == 0) return 0;
  *hole = span.hole;
  return impl_->slots.RunAbsent(page, std::min(pages_max, span.end - page));
}

bool Generation::empty() const { return impl_->slots.slot_count() == 0 && impl_->ranges.empty(); }

uint64_t Generation::bytes() const {
  return sizeof(Generation) + sizeof(Impl) + impl_->slots.bytes() + impl_->pieces.bytes() + impl_->ranges.bytes();
}

uint64_t Generation::page_count() const { return impl_->slots.slot_count(); }
// A range of zeroes cuts two blocks at most; those that it covers whole leave the map and take nothing.
uint64_t Generation::unstored_blocks_bound() const { return std::min(impl_->unstored, impl_->slots.block_count()) + 2 * impl_->ranges.count(); }
uint64_t Generation::range_count() const { return impl_->ranges.count(); }
std::vector<BlockIndex> Generation::Blocks() const { return impl_->slots.Blocks(); }
std::vector<Generation::ZeroRange> Generation::ZeroRanges() const { return impl_->ranges.All(); }

}  // namespace skerry
