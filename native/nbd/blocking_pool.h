#pragma once
// Threads for what must wait for a device or takes long. What it holds is bounded by the requests in flight of all connections.
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "mailbox.h"

namespace skerry::nbd {

class BlockingPool {
 public:
  explicit BlockingPool(unsigned threads);
  ~BlockingPool() { Stop(); }
  /** Runs the job to its end and posts JobDone. Dropped after Stop. */
  void Submit(std::unique_ptr<Job> job, std::shared_ptr<Mailbox> reply_to, ConnectionId connection);
  /** Finishes what runs, drops what waits, joins. */
  void Stop();

 private:
  struct Item {
    std::unique_ptr<Job> job;
    std::shared_ptr<Mailbox> reply_to;
    ConnectionId connection;
  };
  void Run();

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<Item> items_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace skerry::nbd
