#pragma once
// How fast long work goes that nobody waits for.
#include <atomic>
#include <chrono>
#include <thread>

namespace skerry::addon {

/** Works some milliseconds, then rests as long, so that disk and processor are left to those who are served. Of one thread. */
class Pace {
 public:
  Pace(const std::atomic<bool>& cancelled, bool hurry) : cancelled_(cancelled), hurry_(hurry) {}

  /** Rests where that is due; false once the work is cancelled. */
  bool GoOn() {
    const Clock::duration worked = Clock::now() - begun_;
    if (!hurry_ && worked >= kWork) {
      std::this_thread::sleep_for(std::min<Clock::duration>(worked, 4 * kWork));
      begun_ = Clock::now();
    }
    return !cancelled_.load();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kWork{5};

  const std::atomic<bool>& cancelled_;
  const bool hurry_;
  Clock::time_point begun_ = Clock::now();
};

}  // namespace skerry::addon
