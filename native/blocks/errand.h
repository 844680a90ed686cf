#pragma once
// Something that a backend was asked for, and those who wait for it. A thread of its own (destage, a copy) may stand still
// until it is done; a request of a guest may not, for a backend that is away would soon hold every thread: it notes in its
// ReadWaits what it lacks, gives its thread back, and runs again once all of that is done.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "../env/status.h"
#include "block_cache.h"

namespace skerry {

class Errand {
 public:
  virtual ~Errand() = default;
  bool done() const { return done_.load(std::memory_order_acquire); }
  /** Only once done. */
  const Status& status() const { return status_; }
  void Finish(Status status) {
    std::vector<std::function<void()>> next;
    {
      std::lock_guard lock(mutex_);
      if (done()) return;
      status_ = std::move(status);
      done_.store(true, std::memory_order_release);
      next.swap(next_);
    }
    changed_.notify_all();
    for (auto& run : next) run();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done(); });
  }
  /** Runs `next` once it is done: at once, or on the thread that finishes it. */
  void Then(std::function<void()> next) {
    {
      std::lock_guard lock(mutex_);
      if (!done()) {
        next_.push_back(std::move(next));
        return;
      }
    }
    next();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> done_{false};
  Status status_;
  std::vector<std::function<void()>> next_;
};

/** A record that is wanted of a pack on a backend. */
class RecordFetch : public Errand {
 public:
  RecordFetch(RecordKey key, uint32_t bytes, uint64_t pack_end, bool again, bool planned)
      : key(key), bytes(bytes), pack_end(pack_end), again(again), planned(planned) {}
  const RecordKey key;
  /** As far as is known before its header was seen. Of the fetcher, under its lock. */
  uint32_t bytes;
  const uint64_t pack_end;
  /** Asked for a second time: what is wrong with it now is wrong for good. */
  const bool again;
  /** Nothing is fetched with it on a guess. */
  const bool planned;
  /** Once done, and where that went well. It stands here whether or not the cache kept it. */
  std::shared_ptr<const RecordImage> record;
};

/** What one read waits for, and what came of it: so that it gets on when it runs again, however small the cache. One thread at a time. */
class ReadWaits {
 public:
  /** The waits of the read that runs on this thread; nullptr where the thread may stand still. */
  static ReadWaits* Current() { return current_; }
  class Guard {
   public:
    explicit Guard(ReadWaits* waits) : before_(current_) { current_ = waits; }
    ~Guard() { current_ = before_; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    ReadWaits* const before_;
  };

  void Add(std::shared_ptr<RecordFetch> fetch) {
    pending_.push_back(fetch);
    for (auto& held : fetches_) {
      if (held->key == fetch->key) {
        held = std::move(fetch);
        return;
      }
    }
    fetches_.push_back(std::move(fetch));
  }
  void AddRefresh(std::shared_ptr<Errand> refresh) {
    pending_.push_back(refresh);
    refresh_ = std::move(refresh);
  }
  std::shared_ptr<RecordFetch> Find(const RecordKey& key) const {
    for (const auto& fetch : fetches_) {
      if (fetch->key == key) return fetch;
    }
    return nullptr;
  }
  /** The refresh of the index that this read asked for, if it did. */
  const std::shared_ptr<Errand>& refresh() const { return refresh_; }
  /** Something was asked for since the last WhenDone: running again makes sense. */
  bool any() const { return !pending_.empty(); }
  /** Calls `next` once all of it is done: at once, or on another thread. */
  void WhenDone(std::function<void()> next) {
    auto left = std::make_shared<std::atomic<size_t>>(pending_.size() + 1);
    const auto one = [left, next = std::move(next)] {
      if (left->fetch_sub(1, std::memory_order_acq_rel) == 1) next();
    };
    // Whoever runs `next` may run the read, and that may use what stands here: it is let go first.
    const std::vector<std::shared_ptr<Errand>> pending = std::move(pending_);
    pending_.clear();
    for (const auto& errand : pending) errand->Then(one);
    one();
  }
  /** What was read is read: nothing of it is held any more. */
  void Clear() {
    pending_.clear();
    fetches_.clear();
    refresh_.reset();
  }

 private:
  static inline thread_local ReadWaits* current_ = nullptr;
  std::vector<std::shared_ptr<Errand>> pending_;
  std::vector<std::shared_ptr<RecordFetch>> fetches_;
  std::shared_ptr<Errand> refresh_;
};

}  // namespace skerry
