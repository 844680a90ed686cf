#pragma once
// Ranges of writes that were taken and are not visible yet. What overlaps one waits, so that overlapping requests take
// effect in the order in which they came.
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace skerry {

class WriteGate {
 public:
  /** One write inside; leaves with its holder. */
  class Pass {
   public:
    Pass(WriteGate& gate, uint64_t offset, uint64_t length) : gate_(gate), offset_(offset), end_(offset + length) { gate_.Enter(this); }
    ~Pass() { gate_.Leave(this); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    friend class WriteGate;
    WriteGate& gate_;
    const uint64_t offset_, end_;
  };

  /** True while a write inside overlaps these bytes. */
  bool Blocks(uint64_t offset, uint64_t length) const {
    if (inside_.load(std::memory_order_acquire) == 0) return false;
    const std::lock_guard lock(mutex_);
    for (const Pass* pass : passes_) {
      if (offset < pass->end_ && pass->offset_ < offset + length) return true;
    }
    return false;
  }

 private:
  void Enter(const Pass* pass) {
    const std::lock_guard lock(mutex_);
    passes_.push_back(pass);
    inside_.store(passes_.size(), std::memory_order_release);
  }
  void Leave(const Pass* pass) {
    const std::lock_guard lock(mutex_);
    std::erase(passes_, pass);
    inside_.store(passes_.size(), std::memory_order_release);
  }

  mutable std::mutex mutex_;
  std::vector<const Pass*> passes_;
  std::atomic<size_t> inside_{0};
};

}  // namespace skerry
