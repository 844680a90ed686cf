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
  /** Notes a miss at this place; true if its window was missed before, as far as is remembered. */
  bool Missed(uint32_t pack, uint32_t offset) {
    const uint64_t window = (uint64_t{pack} << 32 | offset / kWarmWindowBytes) + 1;
    const uint64_t mixed = window * 0x9e3779b97f4a7c15ull;
    std::atomic<uint32_t>& tag = tags_[mixed >> (64 - kTagBits)];
    const auto wanted = static_cast<uint32_t>(mixed >> 16 | 1);
    return tag.exchange(wanted, std::memory_order_relaxed) == wanted;
  }

 private:
  static constexpr unsigned kTagBits = 16;
  std::array<std::atomic<uint32_t>, 1u << kTagBits> tags_{};
};

}  // namespace skerry
