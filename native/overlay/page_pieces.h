#pragma once
// Pages written in parts: a base and the pieces over it, oldest first. Pieces that newer ones hide are
// looked for whenever their number has doubled, so a page holds at most two for each of its bytes.
#include <cstdint>
#include <vector>

#include "generation.h"

namespace skerry {

struct PagePieces {
  PageSlot base;                   // kNone: what is below
  std::vector<PagePiece> pieces;   // oldest first
  uint32_t prune_at = 16;          // pieces at which hidden ones are looked for again

  void Add(const PagePiece& piece);
  /** Nothing of the page is anything but zero. */
  bool AllZero() const;

 private:
  void Prune();
};

/** The pages in pieces of one generation, by a small number that stands in the page's slot. */
class PiecesStore {
 public:
  uint32_t Make(const PageSlot& base);
  void Drop(uint32_t index);
  const PagePieces& At(uint32_t index) const { return sets_[index]; }
  void Add(uint32_t index, const PagePiece& piece);
  uint64_t bytes() const { return sets_.capacity() * sizeof(PagePieces) + free_.capacity() * sizeof(uint32_t) + piece_bytes_; }

 private:
  std::vector<PagePieces> sets_;
  std::vector<uint32_t> free_;
  uint64_t piece_bytes_ = 0;
};

}  // namespace skerry
