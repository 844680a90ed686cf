#include "addon_fetched.h"

#include <pthread.h>

#include "addon_values.h"

namespace skerry::addon {

void FetchedBuffers::HandOn(uint64_t errand, const Napi::Uint8Array& buffer, Take take) {
  if (stopped_) return;
  // Nobody waits for it, and it is given back all the same.
  if (!take) return GiveBack(errand);
  held_.emplace(errand, Napi::Persistent(buffer.As<Napi::Object>()));
  const std::shared_ptr<const void> holder(buffer.Data(), [this, errand](const void*) { GiveBack(errand); });
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back({FetchedBytes({buffer.Data(), buffer.ByteLength()}, holder), std::move(take)});
  }
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { Run(); });
    ::pthread_setname_np(thread_.native_handle(), "skerry-fetched");
  }
  changed_.notify_one();
}

void FetchedBuffers::GiveBack(uint64_t errand) {
  mailbox_.Post([this, errand](Napi::Env env, Napi::Array& events) {
    held_.erase(errand);
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "fetched");
    Set(event, "errand", errand);
    events.Set(events.Length(), event);
  });
}

void FetchedBuffers::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stops_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    {
      // Let go without the lock.
      const Waiting next = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      next.take(next.bytes);
    }
    lock.lock();
  }
}

void FetchedBuffers::Stop() {
  if (stopped_) return;
  stopped_ = true;
  {
    std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  held_.clear();
}

}  // namespace skerry::addon
