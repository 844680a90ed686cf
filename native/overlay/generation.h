#pragma once
// One generation of a volume's overlay: what the journal holds and the map does not, for a span of the write sequence.
// An open-addressing table maps a block to its page slots; ranges of zeroes stand beside it. A write kills what it
// covers at once, so a slot that is present is newer than any range over it. Once frozen, nothing changes.
// Not thread-safe while active (the volume's lock guards it); freely shared once frozen.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "../env/env.h"

namespace skerry {

using PageIndex = uint64_t;
using BlockIndex = uint64_t;
inline constexpr uint32_t kPagesPerBlock = 16;
inline constexpr uint32_t kBlockBytes = kPagesPerBlock * kPageBytes;

/** Where a page's bytes rest. Two tag bits, then a journal Lsn, or a cell in a pack. */
struct Place {
  uint64_t raw = 0;
  enum class Kind : uint8_t { kNone = 0, kJournal = 1, kPack = 2, kZero = 3 };
  Kind kind() const { return static_cast<Kind>(raw >> 62); }
  uint64_t lsn() const { return raw & ((1ull << 62) - 1); }
  uint32_t pack() const { return static_cast<uint32_t>(raw >> 30); }          // kPack: pack number (32 bits)
  uint32_t cell() const { return static_cast<uint32_t>(raw & 0x3fffffff); }   // kPack: byte offset of the page's cell
  static Place Journal(uint64_t lsn) { return {lsn | (1ull << 62)}; }
  static Place Pack(uint32_t pack, uint32_t cell) { return {(2ull << 62) | (uint64_t{pack} << 30) | cell}; }
  static Place Zero() { return {3ull << 62}; }
  bool operator==(const Place&) const = default;
};

/** `check`: for kJournal the expected PieceSum; for kPack the seed of the cell's sum (blocks/cell.h). */
struct PageSlot {
  Place place;
  uint64_t check = 0;
};

/** Part of a page: bytes [offset, offset + length) of it. The place is kJournal or kZero. */
struct PagePiece {
  uint16_t offset;
  uint16_t length;
  PageSlot slot;
};

/** What a generation knows of one page. */
struct PageState {
  enum class Kind : uint8_t {
    kBelow,    // nothing: ask the older generation, then the map
    kWhole,    // base holds the page
    kPieces,   // pieces, oldest first, over base; a base of kind kNone means over what is below
  };
  Kind kind = Kind::kBelow;
  PageSlot base;                     // kZero for a page under a range of zeroes
  bool hole = false;                 // zero and given back (TRIM), for BLOCK_STATUS
  std::span<const PagePiece> pieces; // valid until the generation changes
};

class Generation {
 public:
  Generation();
  ~Generation();
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  void PutPage(PageIndex page, PageSlot slot);
  /** `piece` must not cover the whole page. Pieces wholly under a newer one are dropped. */
  void PutPiece(PageIndex page, PagePiece piece);
  /** Bytes [offset, offset + length) read zero from now on; `hole` where they are also given back. Kills what it covers. */
  void PutZero(uint64_t offset, uint64_t length, bool hole);

  PageState Lookup(PageIndex page) const;
  /** Length in pages, at most `pages_max`, of the run from `page` on about which nothing at all is known (kBelow). At least 0. */
  uint64_t RunBelow(PageIndex page, uint64_t pages_max) const;
  /** Length in pages, at most `pages_max`, of the run from `page` that one zero range covers with no slot over it; 0 if none does. */
  uint64_t RunZero(PageIndex page, uint64_t pages_max, bool* hole) const;

  bool empty() const;
  uint64_t bytes() const;         // memory held, to within a tenth
  uint64_t page_count() const;    // slots held
  /** At most this many blocks must be written when this is destaged: those with a page that no pack holds, and cut ones. */
  uint64_t unstored_blocks_bound() const;
  uint64_t range_count() const;   // a volume freezes before this passes kOverlayRangesMax

  /** Blocks with at least one slot, ascending. */
  std::vector<BlockIndex> Blocks() const;
  struct ZeroRange {
    PageIndex start;
    uint64_t count;
    bool hole;
  };
  std::vector<ZeroRange> ZeroRanges() const;  // ascending, disjoint, pages

  // The span of the volume's write sequence and of the journal that this generation holds. Set by the volume.
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t first_lsn = 0;          // no record of this generation lies below
  uint64_t journal_bytes = 0;
  uint64_t resource = 0;           // the volume whose writes these are: journal sums are seeded with it

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

inline constexpr uint64_t kOverlayRangesMax = 65536;

}  // namespace skerry
