// Threads of their own: work never waits for other work, threads are used again, and what was asked for is done when all ends.
#include "../engine/own_threads.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "check.h"

using namespace skerry;

namespace {

/** Opens once so many have come; each of them shares in it, for none knows who is the last to leave. */
class Gate {
 public:
  explicit Gate(size_t wanted) : wanted_(wanted) {}
  void Come() {
    std::unique_lock lock(mutex_);
    if (++come_ == wanted_) open_.notify_all();
    open_.wait(lock, [this] { return come_ >= wanted_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable open_;
  size_t come_ = 0;
  const size_t wanted_;
};

}  // namespace

TEST("work that waits for work asked for later ends, however much of it there is") {
  OwnThreads threads;
  // Twice: threads that are left over from the first must not be counted on by more than one.
  for (int round = 0; round < 2; ++round) {
    const auto gate = std::make_shared<Gate>(65);
    for (int i = 0; i < 64; ++i) threads.Run([gate] { gate->Come(); });
    gate->Come();
  }
}

TEST("one piece of work after another needs no second thread") {
  OwnThreads threads;
  std::mutex mutex;
  std::set<std::thread::id> seen;
  for (int i = 0; i < 100; ++i) {
    const auto done = std::make_shared<Gate>(2);
    threads.Run([&, done] {
      { std::lock_guard lock(mutex); seen.insert(std::this_thread::get_id()); }
      done->Come();
    });
    done->Come();
  }
  // The thread that is just done may not be idle yet when the next comes.
  std::lock_guard lock(mutex);
  CHECK(seen.size() < 100);
}

TEST("all that was asked for is done when it stops, from any thread") {
  std::atomic<int> done{0};
  {
    OwnThreads threads;
    std::thread other([&] {
      for (int i = 0; i < 500; ++i) threads.Run([&done] { ++done; });
    });
    for (int i = 0; i < 500; ++i) threads.Run([&done] { ++done; });
    other.join();
    threads.Stop();
    CHECK(done == 1000);
  }
  CHECK(done == 1000);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
