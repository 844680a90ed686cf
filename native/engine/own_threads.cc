#include "own_threads.h"

#include <pthread.h>

#include <utility>

namespace skerry {
namespace {

constexpr size_t kIdleMax = 16;

}  // namespace

void OwnThreads::Run(std::function<void()> work) {
  Running ended;
  {
    std::lock_guard lock(mutex_);
    ended.swap(ended_);
    waiting_.push_back(std::move(work));
    if (waiting_.size() <= idle_) {
      wanted_.notify_one();
    } else {
      const auto self = running_.emplace(running_.end());
      *self = std::thread([this, self] { Loop(self); });
      ::pthread_setname_np(self->native_handle(), "skerry-own");
    }
  }
  for (std::thread& thread : ended) thread.join();
}

void OwnThreads::Loop(Running::iterator self) {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!waiting_.empty()) {
      std::function<void()> work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work();
      work = nullptr;   // what it holds is let go without the lock
      lock.lock();
    }
    if (stops_ || idle_ == kIdleMax) break;
    ++idle_;
    wanted_.wait(lock, [this] { return stops_ || !waiting_.empty(); });
    --idle_;
  }
  ended_.splice(ended_.end(), running_, self);
  if (running_.empty()) left_.notify_all();
}

void OwnThreads::Stop() {
  Running ended;
  {
    std::unique_lock lock(mutex_);
    stops_ = true;
    wanted_.notify_all();
    left_.wait(lock, [this] { return running_.empty(); });
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

}  // namespace skerry
