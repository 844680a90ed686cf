#pragma once
// What the connections of one volume may use together: requests and bytes a second, as two buckets of tokens. A request
// goes when neither is empty and may leave a debt, so that one larger than a bucket goes too. Off, it costs one load.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace skerry {

struct RateLimitSpec {
  uint64_t iops = 0;               // requests a second; 0: no limit
  uint64_t bytes_per_second = 0;   // 0: no limit
  uint64_t burst_seconds = 0;      // of either, that a volume which rested may use at once
};

class RateLimit {
 public:
  bool on() const { return on_.load(std::memory_order_relaxed); }

  void Set(const RateLimitSpec& spec) {
    const std::lock_guard lock(mutex_);
    spec_ = spec;
    // Full at first; what is used is taken from there.
    requests_ = Capacity(spec.iops);
    bytes_ = Capacity(spec.bytes_per_second);
    filled_nanos_ = 0;
    on_.store(spec.iops != 0 || spec.bytes_per_second != 0, std::memory_order_relaxed);
  }

  /** True where a request of `bytes` may go now, and is charged; else ask again later. `now_nanos` of one clock, any thread's. */
  bool Take(uint64_t bytes, uint64_t now_nanos) {
    const std::lock_guard lock(mutex_);
    if (filled_nanos_ == 0) filled_nanos_ = now_nanos;
    if (now_nanos > filled_nanos_) {
      const double seconds = static_cast<double>(now_nanos - filled_nanos_) / 1e9;
      requests_ = std::min(Capacity(spec_.iops), requests_ + seconds * static_cast<double>(spec_.iops));
      bytes_ = std::min(Capacity(spec_.bytes_per_second), bytes_ + seconds * static_cast<double>(spec_.bytes_per_second));
      filled_nanos_ = now_nanos;
    }
    if ((spec_.iops != 0 && requests_ <= 0) || (spec_.bytes_per_second != 0 && bytes_ <= 0)) return false;
    requests_ -= 1;
    bytes_ -= static_cast<double>(bytes);
    return true;
  }

 private:
  /** At least what flows in between two looks of a held connection, several times over. */
  double Capacity(uint64_t rate) const { return static_cast<double>(rate) * std::max(static_cast<double>(spec_.burst_seconds), 0.1); }

  std::atomic<bool> on_{false};
  std::mutex mutex_;
  RateLimitSpec spec_;
  double requests_ = 0, bytes_ = 0;
  uint64_t filled_nanos_ = 0;
};

}  // namespace skerry
