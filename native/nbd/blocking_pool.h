#pragma once
// Threads for what must wait for a device or takes long, shared fairly by volumes. A job that waits for a backend waits without a
// thread, and comes back to the end of its line. What it holds is bounded by the requests in flight of all connections.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fair_queue.h"
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
    ConnectionId connection = 0;
  };
  /** Outlives the pool where a job waits for a backend. */
  struct Line {
    std::mutex mutex;
    std::condition_variable wanted;
    FairQueue<Item> items;
    bool stopping = false;
    void Push(Item item);
  };
  static void Run(Line& line, const std::shared_ptr<Line>& shared);

  const std::shared_ptr<Line> line_ = std::make_shared<Line>();
  std::vector<std::thread> threads_;
};

}  // namespace skerry::nbd
