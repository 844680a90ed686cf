#include "workers.h"

#include <thread>

namespace skerry_gluster {

Workers::~Workers() {
  std::lock_guard lock(state_->mutex);
  state_->ended = true;
  state_->changed.notify_all();
}

void Workers::Push(std::unique_ptr<Task> task) {
  std::lock_guard lock(state_->mutex);
  state_->queue.push_back(std::move(task));
  // The idle ones may each have a task already that they have not woken up for.
  if (state_->queue.size() <= state_->idle || state_->threads == state_->threads_max) {
    state_->changed.notify_one();
    return;
  }
  ++state_->threads;
  // Nobody may wait for it: a call into a cluster that does not answer ends when it likes, and the process must be able to
  // end before. It owns all that it touches.
  std::thread([state = state_] { Serve(state); }).detach();
}

void Workers::Serve(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (true) {
    ++state->idle;
    state->changed.wait(lock, [&] { return state->ended || !state->queue.empty(); });
    --state->idle;
    if (state->queue.empty()) return;
    std::unique_ptr<Task> task = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    task->Run();
    task.reset();
    lock.lock();
  }
}

}  // namespace skerry_gluster
