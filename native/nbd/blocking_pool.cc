#include "blocking_pool.h"

namespace skerry::nbd {

BlockingPool::BlockingPool(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

void BlockingPool::Submit(std::unique_ptr<Job> job, std::shared_ptr<Mailbox> reply_to, ConnectionId connection) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    items_.push_back({std::move(job), std::move(reply_to), connection});
  }
  wanted_.notify_one();
}

void BlockingPool::Stop() {
  std::deque<Item> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(items_);
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void BlockingPool::Run() {
  for (;;) {
    Item item;
    {
      std::unique_lock lock(mutex_);
      wanted_.wait(lock, [this] { return stopping_ || !items_.empty(); });
      if (stopping_) return;
      item = std::move(items_.front());
      items_.pop_front();
    }
    item.job->Work();
    item.reply_to->Post(JobDone{item.connection, std::move(item.job)});
  }
}

}  // namespace skerry::nbd
