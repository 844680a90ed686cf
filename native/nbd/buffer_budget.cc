#include "buffer_budget.h"

#include <bit>

namespace skerry::nbd {

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  Release();
  budget_ = std::move(other.budget_);
  memory_ = std::move(other.memory_);
  size_class_ = other.size_class_;
  return *this;
}

void Buffer::Release() {
  if (memory_ == nullptr) return;
  const std::shared_ptr<BufferBudget> budget = std::move(budget_);
  budget->Return(std::move(memory_), size_class_);
}

unsigned BufferBudget::ClassOf(size_t bytes) {
  const auto log2 = static_cast<unsigned>(std::bit_width(bytes > 1 ? bytes - 1 : size_t{1}));
  return log2 < kClassLog2Min ? kClassLog2Min : log2 > kClassLog2Max ? kClassLog2Max : log2;
}

Buffer BufferBudget::Try(size_t bytes) {
  const unsigned size_class = ClassOf(bytes);
  std::vector<std::unique_ptr<AlignedBuffer>> evicted;
  std::unique_ptr<AlignedBuffer> cached;
  {
    const std::lock_guard lock(mutex_);
    if (!waiters_.empty() || used() + ClassBytes(size_class) > bytes_max_) return {};
    used_.store(used() + ClassBytes(size_class), std::memory_order_relaxed);
    cached = TakeCached(size_class, evicted);
  }
  return Make(size_class, std::move(cached));
}

Buffer BufferBudget::Force(size_t bytes) {
  const unsigned size_class = ClassOf(bytes);
  std::vector<std::unique_ptr<AlignedBuffer>> evicted;
  std::unique_ptr<AlignedBuffer> cached;
  {
    const std::lock_guard lock(mutex_);
    used_.store(used() + ClassBytes(size_class), std::memory_order_relaxed);
    cached = TakeCached(size_class, evicted);
  }
  return Make(size_class, std::move(cached));
}

void BufferBudget::Wait(uint64_t lane, size_t bytes, std::function<void(Buffer)> granted) {
  const unsigned size_class = ClassOf(bytes);
  std::vector<std::unique_ptr<AlignedBuffer>> evicted;
  std::unique_ptr<AlignedBuffer> cached;
  {
    const std::lock_guard lock(mutex_);
    if (!waiters_.empty() || used() + ClassBytes(size_class) > bytes_max_) {
      waiters_.Push(lane, ClassBytes(size_class), {size_class, std::move(granted)});
      waiting_.store(static_cast<unsigned>(waiters_.size()), std::memory_order_relaxed);
      return;
    }
    used_.store(used() + ClassBytes(size_class), std::memory_order_relaxed);
    cached = TakeCached(size_class, evicted);
  }
  granted(Make(size_class, std::move(cached)));
}

Buffer BufferBudget::Make(unsigned size_class, std::unique_ptr<AlignedBuffer> cached) {
  if (cached == nullptr) cached = std::make_unique<AlignedBuffer>(ClassBytes(size_class));
  return Buffer(shared_from_this(), std::move(cached), size_class);
}

// Called with the lock held and the space already counted in used_. Evicted buffers are freed by the caller, unlocked.
std::unique_ptr<AlignedBuffer> BufferBudget::TakeCached(unsigned size_class, std::vector<std::unique_ptr<AlignedBuffer>>& evicted) {
  if (!cached_[size_class].empty()) {
    std::unique_ptr<AlignedBuffer> memory = std::move(cached_[size_class].back());
    cached_[size_class].pop_back();
    cached_bytes_ -= ClassBytes(size_class);
    return memory;
  }
  // Cached buffers count against the limit as well; the largest go first.
  for (unsigned other = kClassLog2Max; other >= kClassLog2Min && used() + cached_bytes_ > bytes_max_; --other) {
    while (!cached_[other].empty() && used() + cached_bytes_ > bytes_max_) {
      evicted.push_back(std::move(cached_[other].back()));
      cached_[other].pop_back();
      cached_bytes_ -= ClassBytes(other);
    }
  }
  return nullptr;
}

void BufferBudget::Return(std::unique_ptr<AlignedBuffer> memory, unsigned size_class) {
  struct Grant {
    Waiter waiter;
    std::unique_ptr<AlignedBuffer> cached;
  };
  std::vector<Grant> grants;
  std::vector<std::unique_ptr<AlignedBuffer>> evicted;
  {
    const std::lock_guard lock(mutex_);
    used_.store(used() - ClassBytes(size_class), std::memory_order_relaxed);
    if (cached_bytes_ + ClassBytes(size_class) <= kBudgetCachedBytesMax) {
      cached_bytes_ += ClassBytes(size_class);
      cached_[size_class].push_back(std::move(memory));
    }
    while (!waiters_.empty() && used() + ClassBytes(waiters_.Front().size_class) <= bytes_max_) {
      Waiter waiter = waiters_.Pop();
      used_.store(used() + ClassBytes(waiter.size_class), std::memory_order_relaxed);
      std::unique_ptr<AlignedBuffer> cached = TakeCached(waiter.size_class, evicted);
      grants.push_back({std::move(waiter), std::move(cached)});
    }
    waiting_.store(static_cast<unsigned>(waiters_.size()), std::memory_order_relaxed);
  }
  for (Grant& grant : grants) grant.waiter.granted(Make(grant.waiter.size_class, std::move(grant.cached)));
}

}  // namespace skerry::nbd
