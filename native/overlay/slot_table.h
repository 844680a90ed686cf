#pragma once
// Page slots by block: an open-addressing table of 16-byte entries {block index, presence mask; cell}, and the slots
// themselves packed by rank in cells of 1, 2, 4, 8 or 16. Random pages cost about 45 bytes each, sequential ones about 18.
// A present slot is never of kind kNone for the reader: that kind marks a page in pieces (page_pieces.h).
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "generation.h"

namespace skerry {

/** Cells of 1, 2, 4, 8 or 16 slots (class 0 to 4), freed ones reused. Cells never move. */
class SlotSlabs {
 public:
  static constexpr uint32_t kClasses = 5;
  static uint32_t ClassOf(uint32_t slots);  // slots: 1 to 16
  uint32_t Take(uint32_t cell_class);
  void Free(uint32_t cell_class, uint32_t cell);
  PageSlot* At(uint32_t cell_class, uint32_t cell) const;
  uint64_t bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kChunkSlotsLog2 = 10;
  static constexpr uint32_t kChunkSlots = 1u << kChunkSlotsLog2;
  static constexpr uint32_t kNoCell = 0xffffffffu;
  struct Class {
    std::vector<std::unique_ptr<PageSlot[]>> chunks;
    uint32_t used = 0;             // cells ever handed out
    uint32_t free_head = kNoCell;  // the next one stands in the first slot's `check`
  };
  Class classes_[kClasses];
  uint64_t bytes_ = 0;
};

class SlotTable {
 public:
  /** `seed` keeps a guest from choosing blocks that collide. Nothing visible depends on it. */
  explicit SlotTable(uint64_t seed) : seed_(seed) {}

  PageSlot* Find(PageIndex page) const;
  /** The page's slot, a new one of kind kNone where there was none. Valid until the next Insert or Erase. */
  PageSlot* Insert(PageIndex page, bool* fresh);
  /** Removes the slots of pages [first, end); `killed` sees each. Costs the smaller of the range's blocks and the table. */
  void Erase(PageIndex first, PageIndex end, const std::function<void(const PageSlot&)>& killed);
  /** Length of the run from `page` on, at most `pages_max`, that has no slot. Costs the smaller of its blocks and the table. */
  uint64_t RunAbsent(PageIndex page, uint64_t pages_max) const;

  uint64_t slot_count() const { return slot_count_; }
  uint64_t block_count() const { return entry_count_; }
  uint64_t bytes() const { return entries_.capacity() * sizeof(Entry) + slabs_.bytes(); }
  std::vector<BlockIndex> Blocks() const;

 private:
  struct Entry {
    uint64_t key = 0;   // block << 16 | presence mask; an empty entry has no presence
    uint64_t cell = 0;
    BlockIndex block() const { return key >> 16; }
    uint32_t mask() const { return static_cast<uint32_t>(key & 0xffff); }
    bool empty() const { return (key & 0xffff) == 0; }
  };
  static_assert(sizeof(Entry) == 16);
  static constexpr size_t kNowhere = ~size_t{0};

  size_t Home(BlockIndex block) const;
  size_t FindEntry(BlockIndex block) const;
  PageSlot* SlotsOf(const Entry& entry) const;
  void Grow();
  void RemoveEntry(size_t index);
  /** True when the entry itself went, so that another may stand at `index` now. */
  bool Kill(size_t index, uint32_t kill, const std::function<void(const PageSlot&)>& killed);

  std::vector<Entry> entries_;  // a power of two, or none
  SlotSlabs slabs_;
  uint64_t seed_;
  uint32_t shift_ = 64;
  uint64_t entry_count_ = 0;
  uint64_t slot_count_ = 0;
};

}  // namespace skerry
