#include "blocking_pool.h"

namespace skerry::nbd {

BlockingPool::BlockingPool(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([line = line_] { Run(*line, line); });
}

void BlockingPool::Line::Push(Item item) {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    const ResourceId volume = item.job->volume().id();
    const uint64_t cost = uint64_t{kRequestCostBytes} + item.job->moved_bytes();
    items.Push(volume, cost, std::move(item));
  }
  wanted.notify_one();
}

void BlockingPool::Submit(std::unique_ptr<Job> job, std::shared_ptr<Mailbox> reply_to, ConnectionId connection) {
  line_->Push({std::move(job), std::move(reply_to), connection});
}

void BlockingPool::Stop() {
  FairQueue<Item> dropped;
  {
    const std::lock_guard lock(line_->mutex);
    line_->stopping = true;
    std::swap(dropped, line_->items);
  }
  line_->wanted.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void BlockingPool::Run(Line& line, const std::shared_ptr<Line>& shared) {
  for (;;) {
    // Shared, for a job that waits is held by all that it waits for.
    auto item = std::make_shared<Item>();
    {
      std::unique_lock lock(line.mutex);
      line.wanted.wait(lock, [&line] { return line.stopping || !line.items.empty(); });
      if (line.stopping) return;
      *item = line.items.Pop();
    }
    if (item->job->Work()) {
      item->reply_to->Post(JobDone{item->connection, std::move(item->job)});
    } else {
      Job& job = *item->job;
      job.Await([shared, item] { shared->Push(std::move(*item)); });
    }
  }
}

}  // namespace skerry::nbd
