#pragma once
// Memory for payloads and replies, pooled and bounded: what does not fit waits its turn, fairly by volume, so that neither a large
// request is starved by small ones nor a volume by one with more connections. Thread-safe.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "../env/env.h"
#include "fair_queue.h"

namespace skerry::nbd {

class BufferBudget;

inline constexpr size_t kBufferHeadBytes = 4096;               // room before data(), for reply headers
inline constexpr uint64_t kBudgetCachedBytesMax = 32u << 20;   // free buffers kept for reuse, of one budget

/** Page-aligned memory that returns to its budget with the holder. */
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept = default;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { Release(); }
  explicit operator bool() const { return memory_ != nullptr; }
  /** kBufferHeadBytes before it are the holder's too. */
  uint8_t* data() { return memory_->data() + kBufferHeadBytes; }
  size_t size() const { return memory_->size() - kBufferHeadBytes; }
  void Release();

 private:
  friend class BufferBudget;
  Buffer(std::shared_ptr<BufferBudget> budget, std::unique_ptr<AlignedBuffer> memory, unsigned size_class)
      : budget_(std::move(budget)), memory_(std::move(memory)), size_class_(size_class) {}
  std::shared_ptr<BufferBudget> budget_;
  std::unique_ptr<AlignedBuffer> memory_;
  unsigned size_class_ = 0;
};

class BufferBudget : public std::enable_shared_from_this<BufferBudget> {
 public:
  static constexpr unsigned kClassLog2Min = 12, kClassLog2Max = 25;  // 4 KiB to 32 MiB
  explicit BufferBudget(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /** At least `bytes` (up to 32 MiB); empty when there is no room, or others have waited longer. */
  Buffer Try(size_t bytes);
  /** Room or not. Only for what is small and bounded otherwise, such as the answers to requests already taken. */
  Buffer Force(size_t bytes);
  /** Calls `granted` once there is room: at once, or from the thread that released it. `lane`: the volume it is for. */
  void Wait(uint64_t lane, size_t bytes, std::function<void(Buffer)> granted);

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t free() const { return bytes_max_ - std::min(used(), bytes_max_); }
  bool contended() const { return waiting_.load(std::memory_order_relaxed) > 0; }

 private:
  friend class Buffer;
  struct Waiter {
    unsigned size_class;
    std::function<void(Buffer)> granted;
  };
  static unsigned ClassOf(size_t bytes);
  static uint64_t ClassBytes(unsigned size_class) { return (uint64_t{1} << size_class) + kBufferHeadBytes; }
  Buffer Make(unsigned size_class, std::unique_ptr<AlignedBuffer> cached);
  std::unique_ptr<AlignedBuffer> TakeCached(unsigned size_class, std::vector<std::unique_ptr<AlignedBuffer>>& evicted);
  void Return(std::unique_ptr<AlignedBuffer> memory, unsigned size_class);

  const uint64_t bytes_max_;
  std::atomic<uint64_t> used_{0};  // written under the lock
  std::atomic<unsigned> waiting_{0};
  std::mutex mutex_;
  uint64_t cached_bytes_ = 0;
  std::array<std::vector<std::unique_ptr<AlignedBuffer>>, kClassLog2Max + 1> cached_;
  FairQueue<Waiter> waiters_;
};

}  // namespace skerry::nbd
