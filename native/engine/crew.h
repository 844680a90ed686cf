#pragma once
// Threads that help with the parts of large requests. Whoever asks does parts too, so nothing waits for a thread that is busy.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../volume/parallel.h"

namespace skerry {

class Crew : public Parallel {
 public:
  /** `nice`: how much of its processor each thread leaves to others, as nice(1) says it. */
  Crew(unsigned threads, int nice);
  ~Crew() override;
  void Run(size_t parts, const std::function<void(size_t)>& part) override;
  /** Processor time of its threads so far. */
  uint64_t cpu_nanos() const;

 private:
  struct Job {
    const std::function<void(size_t)>* part;   // of the asker, who stays until the last part is done
    size_t parts;
    std::atomic<size_t> next{0}, done{0};
  };
  void Loop(int nice);
  void Work(Job& job);

  std::mutex mutex_;
  std::condition_variable wanted_, finished_;
  std::deque<std::shared_ptr<Job>> jobs_;
  bool stops_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace skerry
