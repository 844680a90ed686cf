#include "cluster.h"

#include <cerrno>

namespace skerry_rados {

std::shared_ptr<Cluster> Cluster::Create(Napi::Env env, const std::string& user, std::chrono::seconds waiting_max) {
  rados_t handle = nullptr;
  if (rados_create2(&handle, "ceph", user.c_str(), 0) < 0) return nullptr;
  std::shared_ptr<Cluster> cluster(new Cluster(env, handle, waiting_max));
  try {
    cluster->thread_ = std::thread([raw = cluster.get()] { raw->RunBlockingCalls(); });
  } catch (const std::system_error&) {
    rados_shutdown(handle);
    return nullptr;
  }
  // Hooks run in reverse: this one before that of the completions' function, which is still there for what is cancelled.
  napi_add_env_cleanup_hook(env, &OnEnvironmentEnds, cluster.get());
  cluster->self_ = cluster;
  return cluster;
}

Cluster::Cluster(Napi::Env env, rados_t handle, std::chrono::seconds waiting_max)
    : env_(env), handle_(handle), waiting_max_(waiting_max), completions_(std::make_shared<Completions>(env, "rados")) {}

void Cluster::Enqueue(std::unique_ptr<BlockingCall> call) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      waiting_.push_back({std::move(call), std::chrono::steady_clock::now() + waiting_max_});
      enqueued_.notify_all();
      return;
    }
  }
  Operation::End(std::move(call), ESHUTDOWN);
}

void Cluster::RunBlockingCalls() {
  std::unique_lock lock(mutex_);
  for (;;) {
    enqueued_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const bool late = std::chrono::steady_clock::now() > next.deadline;
    const int result = late ? -ETIMEDOUT : next.call->Run(*this);
    Operation::End(std::move(next.call), result < 0 ? -result : 0);
    lock.lock();
  }
}

int Cluster::OpenPool(const std::string& pool, const std::string& name_space) {
  if (const int error = rados_ioctx_create(handle_, pool.c_str(), &io_); error < 0) return error;
  rados_ioctx_set_namespace(io_, name_space.c_str());
  // Else librados would hold writes back while the pool is full, instead of telling.
  rados_set_pool_full_try(io_);
  return 0;
}

void Cluster::Shutdown() {
  // Once: an environment may end after a call to close was made, and before its promise was told.
  if (shut_down_) return;
  shut_down_ = true;
  WaitForCalls();
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, listing] : listings_) FreeListing(listing);
    listings_.clear();
  }
  if (io_ != nullptr) rados_ioctx_destroy(io_);
  io_ = nullptr;
  rados_shutdown(handle_);
}

void Cluster::Close() {
  napi_remove_env_cleanup_hook(env_, &OnEnvironmentEnds, this);
  StopThread();
  // Here, for a function of an environment that has ended could not be released any more.
  completions_.reset();
  self_.reset();
}

void Cluster::OnEnvironmentEnds(void* cluster) {
  // Held until the end of this function, else the first reset would be the last.
  const std::shared_ptr<Cluster> self = static_cast<Cluster*>(cluster)->self_;
  self->CancelAll();
  self->StopThread();
  self->Shutdown();
  self->completions_.reset();
  self->self_.reset();
}

void Cluster::StopThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    enqueued_.notify_all();
  }
  thread_.join();
  // Only an ending environment leaves calls here, and it takes their promises with it: they may not be touched any more.
  for (Waiting& left : waiting_) static_cast<void>(left.call.release());
  waiting_.clear();
}

void Cluster::Began(rados_completion_t completion) {
  std::lock_guard lock(mutex_);
  cancellable_.insert(completion);
  under_way_ += 1;
}

void Cluster::Ending(rados_completion_t completion) {
  std::lock_guard lock(mutex_);
  cancellable_.erase(completion);
}

void Cluster::Ended() {
  std::lock_guard lock(mutex_);
  under_way_ -= 1;
  if (under_way_ == 0) idle_.notify_all();
}

void Cluster::CancelAll() {
  // Under the lock none of them can be released meanwhile. librados tells of their end from threads of its own, never from here.
  std::lock_guard lock(mutex_);
  for (rados_completion_t completion : cancellable_) rados_aio_cancel(io_, completion);
}

void Cluster::WaitForCalls() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return under_way_ == 0; });
}

uint32_t Cluster::BeginListing(const std::string& prefix) {
  std::lock_guard lock(mutex_);
  listings_[++listings_begun_] = {prefix, rados_object_list_begin(io_), rados_object_list_end(io_)};
  return listings_begun_;
}

Listing* Cluster::FindListing(uint32_t id) {
  std::lock_guard lock(mutex_);
  const auto found = listings_.find(id);
  return found == listings_.end() ? nullptr : &found->second;
}

void Cluster::EndListing(uint32_t id) {
  std::lock_guard lock(mutex_);
  const auto found = listings_.find(id);
  if (found == listings_.end()) return;
  FreeListing(found->second);
  listings_.erase(found);
}

void Cluster::FreeListing(Listing& listing) {
  rados_object_list_cursor_free(io_, listing.at);
  rados_object_list_cursor_free(io_, listing.end);
}

}  // namespace skerry_rados
