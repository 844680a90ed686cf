#pragma once
// Threads for what may take long. Each piece of work has one to itself from the moment it is asked for, so that none waits for what
// another waits for; a few stay when they are done, since making one costs more than most reads do.
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace skerry {

class OwnThreads {
 public:
  ~OwnThreads() { Stop(); }
  void Run(std::function<void()> work);
  /** Returns when all that was asked for is done. Nothing may be asked for any more. */
  void Stop();

 private:
  using Running = std::list<std::thread>;
  void Loop(Running::iterator self);

  std::mutex mutex_;
  std::condition_variable wanted_, left_;
  std::deque<std::function<void()>> waiting_;   // no more than there are idle threads
  size_t idle_ = 0;
  bool stops_ = false;
  Running running_, ended_;                     // the latter are to be joined
};

}  // namespace skerry
