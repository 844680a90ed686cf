// A few threads for calls of the library that block. Each ends by itself once its Workers is gone and the queue is empty.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace skerry_gluster {

class Workers {
 public:
  explicit Workers(size_t threads_max) : state_(std::make_shared<State>()) { state_->threads_max = threads_max; }
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Runs it on one of the threads, in order of arrival; from any thread. What it holds is freed there.
  template <typename Work>
  void Do(Work work) {
    Push(std::make_unique<Holding<Work>>(std::move(work)));
  }

 private:
  struct Task {
    virtual ~Task() = default;
    virtual void Run() = 0;
  };
  template <typename Work>
  struct Holding final : Task {
    explicit Holding(Work held) : work(std::move(held)) {}
    void Run() override { work(); }
    Work work;
  };
  // Outlives the Workers for as long as a thread is in a call that does not end.
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::unique_ptr<Task>> queue;
    size_t threads_max = 0;
    size_t threads = 0;
    size_t idle = 0;
    bool ended = false;
  };

  void Push(std::unique_ptr<Task> task);
  static void Serve(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

}  // namespace skerry_gluster
