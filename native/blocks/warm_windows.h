#pragma once
// Which stretches of packs are read again and again. One that was missed before is worth reading whole: random reads of
// what fits in memory then warm up in a few reads a stretch, and those of what does not fit read no more than they ask for.
#include <array>
#include <atomic>
#include <cstdint>

namespace skerry {

inline constexpr uint32_t kWarmWindowBytes = 64u << 10;

class WarmWindows {
 public:
  /** Notes a miss at this place; how many were noted of its window before, as far as is remembered. */
  unsigned Note(uint32_t pack, uint32_t offset) {
    const uint64_t mixed = Mixed(pack, offset);
    std::atomic<uint32_t>& slot = slots_[mixed >> (64 - kSlotBits)];
    const uint32_t before = slot.load(std::memory_order_relaxed);
    const unsigned misses = (before ^ Tag(mixed)) <= kMissesMax ? before & kMissesMax : 0;
    if (misses < kMissesMax) slot.store(Tag(mixed) | (misses + 1), std::memory_order_relaxed);
    return misses;
  }
  /** How many were noted. */
  unsigned Misses(uint32_t pack, uint32_t offset) const {
    const uint64_t mixed = Mixed(pack, offset);
    const uint32_t slot = slots_[mixed >> (64 - kSlotBits)].load(std::memory_order_relaxed);
    return (slot ^ Tag(mixed)) <= kMissesMax ? slot & kMissesMax : 0;
  }

 private:
  static constexpr unsigned kSlotBits = 17;       // 8 GiB of windows in 512 KiB
  static constexpr uint32_t kMissesMax = 15;      // the low bits of a slot; the others tell its window
  static uint64_t Mixed(uint32_t pack, uint32_t offset) {
    return ((uint64_t{pack} << 32 | offset / kWarmWindowBytes) + 1) * 0x9e3779b97f4a7c15ull;
  }
  static uint32_t Tag(uint64_t mixed) { return static_cast<uint32_t>(mixed >> 15) & ~kMissesMax; }
  std::array<std::atomic<uint32_t>, 1u << kSlotBits> slots_{};
};

}  // namespace skerry
