// The reads, writes and syncs of one JavaScript environment that the library has. Their buffers end with the environment, which
// therefore waits for them at its end, as long as the library lets a call wait; those that have not begun yet then never do.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace skerry_gluster {

class Transfers {
 public:
  // Before the library is handed one. False where the environment has ended.
  [[nodiscard]] bool Begin() {
    std::lock_guard lock(mutex_);
    if (!ended_) ++under_way_;
    return !ended_;
  }
  // Once the library is done with its buffer.
  void End() {
    std::lock_guard lock(mutex_);
    --under_way_;
    changed_.notify_all();
  }

  void EndEnvironment() {
    std::unique_lock lock(mutex_);
    ended_ = true;
    changed_.wait(lock, [this] { return under_way_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t under_way_ = 0;
  bool ended_ = false;
};

}  // namespace skerry_gluster
