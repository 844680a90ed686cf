#include "slot_table.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace skerry {

namespace {

constexpr size_t kEntriesMin = 64;
constexpr uint64_t kBlockIndexMax = (1ull << 48) - 1;

/** Presence bits of the pages of `block` that lie in [first, end). */
uint32_t MaskWithin(BlockIndex block, PageIndex first, PageIndex end) {
  const PageIndex start = block * kPagesPerBlock;
  const uint64_t low = first > start ? first - start : 0;
  const uint64_t high = std::min<uint64_t>(end > start ? end - start : 0, kPagesPerBlock);
  if (low >= high) return 0;
  return ((1u << high) - 1) & ~((1u << low) - 1);
}

}  // namespace

uint32_t SlotSlabs::ClassOf(uint32_t slots) { return static_cast<uint32_t>(std::bit_width(slots - 1)); }

PageSlot* SlotSlabs::At(uint32_t cell_class, uint32_t cell) const {
  const uint32_t per_chunk_log2 = kChunkSlotsLog2 - cell_class;
  const uint32_t within = cell & ((1u << per_chunk_log2) - 1);
  return classes_[cell_class].chunks[cell >> per_chunk_log2].get() + (size_t{within} << cell_class);
}

uint32_t SlotSlabs::Take(uint32_t cell_class) {
  Class& of = classes_[cell_class];
  if (of.free_head != kNoCell) {
    const uint32_t cell = of.free_head;
    of.free_head = static_cast<uint32_t>(At(cell_class, cell)->check);
    return cell;
  }
  const uint32_t per_chunk = kChunkSlots >> cell_class;
  if (of.used == of.chunks.size() * per_chunk) {
    of.chunks.push_back(std::make_unique<PageSlot[]>(kChunkSlots));
    bytes_ += kChunkSlots * sizeof(PageSlot) + 32;  // 32: the pointer and what the allocator adds
  }
  return of.used++;
}

void SlotSlabs::Free(uint32_t cell_class, uint32_t cell) {
  Class& of = classes_[cell_class];
  *At(cell_class, cell) = {Place{}, of.free_head};
  of.free_head = cell;
}

size_t SlotTable::Home(BlockIndex block) const {
  uint64_t mixed = (block ^ seed_) * 0x9e3779b97f4a7c15ull;
  mixed ^= mixed >> 32;
  mixed *= 0xd6e8feb86659fd93ull;
  return mixed >> shift_;
}

size_t SlotTable::FindEntry(BlockIndex block) const {
  if (entry_count_ == 0) return kNowhere;
  const size_t wrap = entries_.size() - 1;
  for (size_t index = Home(block);; index = (index + 1) & wrap) {
    const Entry& entry = entries_[index];
    if (entry.empty()) return kNowhere;
    if (entry.block() == block) return index;
  }
}

PageSlot* SlotTable::SlotsOf(const Entry& entry) const {
  return slabs_.At(SlotSlabs::ClassOf(std::popcount(entry.mask())), static_cast<uint32_t>(entry.cell));
}

PageSlot* SlotTable::Find(PageIndex page) const {
  const size_t index = FindEntry(page / kPagesPerBlock);
  if (index == kNowhere) return nullptr;
  const Entry& entry = entries_[index];
  const uint32_t bit = 1u << (page % kPagesPerBlock);
  if ((entry.mask() & bit) == 0) return nullptr;
  return SlotsOf(entry) + std::popcount(entry.mask() & (bit - 1));
}

PageSlot* SlotTable::Insert(PageIndex page, bool* fresh) {
  const BlockIndex block = page / kPagesPerBlock;
  const uint32_t bit = 1u << (page % kPagesPerBlock);
  assert(block <= kBlockIndexMax);
  // Three quarters full at most: probes stay short, and the mean over a doubling is 28 bytes an entry.
  if ((entry_count_ + 1) * 4 > entries_.size() * 3) Grow();
  const size_t wrap = entries_.size() - 1;
  size_t index = Home(block);
  while (!entries_[index].empty() && entries_[index].block() != block) index = (index + 1) & wrap;
  Entry& entry = entries_[index];
  *fresh = (entry.mask() & bit) == 0;
  if (entry.empty()) {
    entry = {block << 16 | bit, slabs_.Take(0)};
    ++entry_count_;
    ++slot_count_;
    PageSlot* slot = SlotsOf(entry);
    *slot = {};
    return slot;
  }
  const uint32_t rank = std::popcount(entry.mask() & (bit - 1));
  if (!*fresh) return SlotsOf(entry) + rank;

  const uint32_t count = std::popcount(entry.mask());
  const uint32_t old_class = SlotSlabs::ClassOf(count);
  const uint32_t new_class = SlotSlabs::ClassOf(count + 1);
  PageSlot* slots = SlotsOf(entry);
  if (new_class == old_class) {
    std::copy_backward(slots + rank, slots + count, slots + count + 1);
  } else {
    const uint32_t cell = slabs_.Take(new_class);
    PageSlot* moved = slabs_.At(new_class, cell);
    std::copy(slots, slots + rank, moved);
    std::copy(slots + rank, slots + count, moved + rank + 1);
    slabs_.Free(old_class, static_cast<uint32_t>(entry.cell));
    entry.cell = cell;
    slots = moved;
  }
  entry.key |= bit;
  ++slot_count_;
  slots[rank] = {};
  return slots + rank;
}

void SlotTable::Grow() {
  std::vector<Entry> old = std::move(entries_);
  entries_ = std::vector<Entry>(old.empty() ? kEntriesMin : old.size() * 2);
  shift_ = 64 - static_cast<uint32_t>(std::bit_width(entries_.size() - 1));
  const size_t wrap = entries_.size() - 1;
  for (const Entry& entry : old) {
    if (entry.empty()) continue;
    size_t index = Home(entry.block());
    while (!entries_[index].empty()) index = (index + 1) & wrap;
    entries_[index] = entry;
  }
}

void SlotTable::RemoveEntry(size_t index) {
  // Backward shift: what probed past the hole moves into it, so no tombstone ever lengthens a probe.
  const size_t wrap = entries_.size() - 1;
  size_t hole = index;
  for (size_t next = (hole + 1) & wrap; !entries_[next].empty(); next = (next + 1) & wrap) {
    const size_t home = Home(entries_[next].block());
    if (((next - home) & wrap) < ((next - hole) & wrap)) continue;
    entries_[hole] = entries_[next];
    hole = next;
  }
  entries_[hole] = {};
  --entry_count_;
}

bool SlotTable::Kill(size_t index, uint32_t kill, const std::function<void(const PageSlot&)>& killed) {
  Entry& entry = entries_[index];
  kill &= entry.mask();
  if (kill == 0) return false;
  const uint32_t old_class = SlotSlabs::ClassOf(std::popcount(entry.mask()));
  const PageSlot* slots = SlotsOf(entry);
  PageSlot kept[kPagesPerBlock];
  uint32_t kept_count = 0;
  for (uint32_t rest = entry.mask(), rank = 0; rest != 0; rest &= rest - 1, ++rank) {
    if (kill & (rest & -rest)) {
      killed(slots[rank]);
      --slot_count_;
    } else {
      kept[kept_count++] = slots[rank];
    }
  }
  if (kept_count == 0) {
    slabs_.Free(old_class, static_cast<uint32_t>(entry.cell));
    RemoveEntry(index);
    return true;
  }
  const uint32_t new_class = SlotSlabs::ClassOf(kept_count);
  if (new_class != old_class) {
    slabs_.Free(old_class, static_cast<uint32_t>(entry.cell));
    entry.cell = slabs_.Take(new_class);
  }
  entry.key &= ~uint64_t{kill};
  std::copy(kept, kept + kept_count, SlotsOf(entry));
  return false;
}

void SlotTable::Erase(PageIndex first, PageIndex end, const std::function<void(const PageSlot&)>& killed) {
  if (first >= end || entry_count_ == 0) return;
  const BlockIndex first_block = first / kPagesPerBlock;
  const BlockIndex last_block = (end - 1) / kPagesPerBlock;
  if (last_block - first_block < entries_.size()) {
    for (BlockIndex block = first_block; block <= last_block && entry_count_ != 0; ++block) {
      const size_t index = FindEntry(block);
      if (index != kNowhere) Kill(index, MaskWithin(block, first, end), killed);
    }
    return;
  }
  // When an entry goes, only entries ahead of the scan, or some already seen, can move into its place: look there again.
  for (size_t index = 0; index < entries_.size();) {
    const Entry& entry = entries_[index];
    const bool within = !entry.empty() && entry.block() >= first_block && entry.block() <= last_block;
    if (!within || !Kill(index, MaskWithin(entry.block(), first, end), killed)) ++index;
  }
}

uint64_t SlotTable::RunAbsent(PageIndex page, uint64_t pages_max) const {
  if (entry_count_ == 0 || pages_max == 0) return pages_max;
  const PageIndex end = page + pages_max;
  const BlockIndex first_block = page / kPagesPerBlock;
  const BlockIndex last_block = (end - 1) / kPagesPerBlock;
  // Look ahead block by block while that is cheaper than one pass over the table; near slots are found at once.
  const BlockIndex probe_end = std::min<BlockIndex>(last_block + 1, first_block + entries_.size() / 4);
  for (BlockIndex block = first_block; block < probe_end; ++block) {
    const size_t index = FindEntry(block);
    if (index == kNowhere) continue;
    const uint32_t mask = entries_[index].mask() & MaskWithin(block, page, end);
    if (mask != 0) return block * kPagesPerBlock + std::countr_zero(mask) - page;
  }
  if (probe_end == last_block + 1) return pages_max;
  uint64_t nearest = ~uint64_t{0};  // the smallest key at or past the probed blocks; the block stands in its upper bits
  const uint64_t least = probe_end << 16;
  for (const Entry& entry : entries_) {
    if (entry.key >= least && entry.key < nearest && !entry.empty()) nearest = entry.key;
  }
  const BlockIndex block = nearest >> 16;
  if (nearest == ~uint64_t{0} || block > last_block) return pages_max;
  const uint32_t mask = static_cast<uint32_t>(nearest & 0xffff) & MaskWithin(block, page, end);
  return mask == 0 ? pages_max : block * kPagesPerBlock + std::countr_zero(mask) - page;
}

std::vector<BlockIndex> SlotTable::Blocks() const {
  std::vector<BlockIndex> blocks;
  blocks.reserve(entry_count_);
  for (const Entry& entry : entries_) {
    if (!entry.empty()) blocks.push_back(entry.block());
  }
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

}  // namespace skerry
