#include "page_pieces.h"

#include <algorithm>
#include <array>

namespace skerry {

namespace {

/** The bytes of a page that something newer covers, 64 to a word: a guest may write thousands of pieces to one page. */
class Coverage {
 public:
  /** Covers [from, to); true where some of it was not covered yet. */
  bool Cover(uint32_t from, uint32_t to) {
    bool fresh = false;
    for (uint32_t word = from / 64; word * 64 < to; ++word) {
      const uint32_t low = from > word * 64 ? from - word * 64 : 0;
      const uint32_t high = std::min(to - word * 64, 64u);
      const uint64_t bits = (high == 64 ? ~0ull : (1ull << high) - 1) & (~0ull << low);
      fresh |= (bits & ~words_[word]) != 0;
      words_[word] |= bits;
    }
    return fresh;
  }
  bool Full() const {
    return std::all_of(words_.begin(), words_.end(), [](uint64_t word) { return word == ~0ull; });
  }

 private:
  std::array<uint64_t, kPageBytes / 64> words_{};
};

}  // namespace

void PagePieces::Add(const PagePiece& piece) {
  const uint32_t end = uint32_t{piece.offset} + piece.length;
  std::erase_if(pieces, [&](const PagePiece& old) { return old.offset >= piece.offset && uint32_t{old.offset} + old.length <= end; });
  pieces.push_back(piece);
  uint32_t sum = 0;
  const bool base_shows = base.place.kind() != Place::Kind::kZero;
  if (base_shows) {
    for (const PagePiece& each : pieces) sum += each.length;
  }
  if (pieces.size() >= prune_at || (base_shows && sum >= kPageBytes)) Prune();
}

void PagePieces::Prune() {
  // From the newest back: a piece under the union of newer ones goes, and so does a base under them all.
  Coverage coverage;
  std::vector<PagePiece> kept;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    if (coverage.Cover(piece->offset, uint32_t{piece->offset} + piece->length)) kept.push_back(*piece);
  }
  std::reverse(kept.begin(), kept.end());
  pieces = std::move(kept);
  if (coverage.Full()) base = {Place::Zero(), 0};
  prune_at = std::max<uint32_t>(16, static_cast<uint32_t>(pieces.size()) * 2);
}

bool PagePieces::AllZero() const {
  return base.place.kind() == Place::Kind::kZero &&
         std::all_of(pieces.begin(), pieces.end(), [](const PagePiece& piece) { return piece.slot.place.kind() == Place::Kind::kZero; });
}

uint32_t PiecesStore::Make(const PageSlot& base) {
  uint32_t index = static_cast<uint32_t>(sets_.size());
  if (free_.empty()) {
    sets_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  sets_[index].base = base;
  return index;
}

void PiecesStore::Drop(uint32_t index) {
  piece_bytes_ -= sets_[index].pieces.capacity() * sizeof(PagePiece);
  sets_[index] = PagePieces{};
  free_.push_back(index);
}

void PiecesStore::Add(uint32_t index, const PagePiece& piece) {
  PagePieces& set = sets_[index];
  piece_bytes_ -= set.pieces.capacity() * sizeof(PagePiece);
  set.Add(piece);
  piece_bytes_ += set.pieces.capacity() * sizeof(PagePiece);
}

}  // namespace skerry
