#pragma once
// What the connections of one resource did since the first of them attached. Gone with the last of them: an idle volume costs
// nothing, and who compares two looks takes a smaller number for a new beginning. Any thread may add and read.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "server.h"

namespace skerry::nbd {

class Activity {
 public:
  /** As Latency::Record. */
  void Record(NbdOperation operation, uint64_t count, uint64_t bytes, uint64_t errors, uint64_t nanos) {
    Row& row = rows_[static_cast<size_t>(KindOf(operation))];
    row.operations.fetch_add(count, std::memory_order_relaxed);
    row.bytes.fetch_add(bytes, std::memory_order_relaxed);
    if (errors != 0) row.errors.fetch_add(errors, std::memory_order_relaxed);
    row.nanos.fetch_add(nanos * count, std::memory_order_relaxed);
  }

  void AddTo(ResourceActivity& into) const {
    for (size_t i = 0; i < ResourceActivity::kKinds; ++i) {
      ResourceActivity::Row& row = into.rows[i];
      row.operations += rows_[i].operations.load(std::memory_order_relaxed);
      row.bytes += rows_[i].bytes.load(std::memory_order_relaxed);
      row.errors += rows_[i].errors.load(std::memory_order_relaxed);
      row.latency_nanos += rows_[i].nanos.load(std::memory_order_relaxed);
    }
  }

 private:
  static ResourceActivity::Kind KindOf(NbdOperation operation) {
    switch (operation) {
      case NbdOperation::kWrite: return ResourceActivity::kWrite;
      case NbdOperation::kFlush: return ResourceActivity::kFlush;
      case NbdOperation::kTrim:
      case NbdOperation::kZero: return ResourceActivity::kTrim;
      default: return ResourceActivity::kRead;
    }
  }
  struct Row {
    std::atomic<uint64_t> operations{0}, bytes{0}, errors{0}, nanos{0};
  };
  Row rows_[ResourceActivity::kKinds];
};

}  // namespace skerry::nbd
