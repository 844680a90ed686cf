#pragma once
// What it costs to bring data into the page cache. Little, but where memory must first be got from somebody else: a guest whose
// host takes free pages back pays for each that it uses again, several times what reading past the cache costs.
#include <atomic>
#include <cstdint>

#include "../env/env.h"

namespace skerry {

class FillCost {
 public:
  /**
   * Of reads through the page cache by one thread, the copying included: it is there that fresh memory is paid for, not where it is
   * taken. What found its data in the cache, or brought little, tells nothing.
   */
  void Note(const ThreadUse& before, const ThreadUse& after) {
    const uint64_t bytes = after.device_read_bytes - before.device_read_bytes;
    if (bytes < kSampleBytesMin) return;
    const uint64_t cost = (after.cpu_nanos - before.cpu_nanos) * 1024 / bytes;
    const uint64_t old = nanos_a_kib_.load(std::memory_order_relaxed);
    // Threads may overwrite each other's samples: it is an estimate.
    nanos_a_kib_.store((old * (kWeight - 1) + cost) / kWeight, std::memory_order_relaxed);
  }
  bool dear() const { return nanos_a_kib_.load(std::memory_order_relaxed) > kDearNanosAKib; }
  /** Whether a large read should go past the cache. One of many does not, to learn whether it is still dear. */
  bool Bypass() { return dear() && (asked_.fetch_add(1, std::memory_order_relaxed) + 1) % kProbeEvery != 0; }

 private:
  static constexpr uint64_t kSampleBytesMin = 32u << 10;
  static constexpr uint64_t kWeight = 8;
  static constexpr uint64_t kProbeEvery = 64;
  /** 1 ms of processor a MiB. Recycled memory: 0.1 to 0.4; fresh: 1.4 to 3; past the cache: 0.1. */
  static constexpr uint64_t kDearNanosAKib = 1000;
  std::atomic<uint64_t> nanos_a_kib_{0};
  std::atomic<uint64_t> asked_{0};
};

}  // namespace skerry
