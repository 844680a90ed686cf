#pragma once
// Operation counters of one reactor. Only its thread writes, so relaxed loads and stores do; any thread may sum.
#include <atomic>
#include <bit>
#include <cstddef>

#include "server.h"

namespace skerry::nbd {

inline constexpr size_t kOperations = static_cast<size_t>(NbdOperation::kCount);
static_assert(kOperations == std::size(NbdCounters{}.operations));

class Latency {
 public:
  /** `count` operations that took `nanos` each, and moved `bytes` together. */
  void Record(NbdOperation operation, uint64_t count, uint64_t bytes, uint64_t errors, uint64_t nanos) {
    Row& row = rows_[static_cast<size_t>(operation)];
    Add(row.operations, count);
    Add(row.bytes, bytes);
    Add(row.errors, errors);
    Add(row.nanos, nanos * count);
    const auto bucket = static_cast<size_t>(std::bit_width(nanos / 1000));  // under 2^bucket microseconds
    Add(row.buckets[bucket < NbdCounters::kBuckets ? bucket : NbdCounters::kBuckets - 1], count);
  }

  void AddTo(NbdCounters& into) const {
    for (size_t i = 0; i < kOperations; ++i) {
      const Row& row = rows_[i];
      into.operations[i] += row.operations.load(std::memory_order_relaxed);
      into.bytes[i] += row.bytes.load(std::memory_order_relaxed);
      into.errors[i] += row.errors.load(std::memory_order_relaxed);
      into.latency_nanos[i] += row.nanos.load(std::memory_order_relaxed);
      for (size_t b = 0; b < NbdCounters::kBuckets; ++b) into.latency[i][b] += row.buckets[b].load(std::memory_order_relaxed);
    }
  }

 private:
  using Counter = std::atomic<uint64_t>;
  static void Add(Counter& counter, uint64_t by) {
    if (by != 0) counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  struct Row {
    Counter operations{0}, bytes{0}, errors{0}, nanos{0};
    Counter buckets[NbdCounters::kBuckets] = {};
  };
  Row rows_[kOperations];
};

}  // namespace skerry::nbd
