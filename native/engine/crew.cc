#include "crew.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>

namespace skerry {

Crew::Crew(unsigned threads, int nice) {
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this, nice] { Loop(nice); });
    ::pthread_setname_np(threads_.back().native_handle(), "skerry-crew");
  }
}

Crew::~Crew() {
  { std::lock_guard lock(mutex_); stops_ = true; }
  wanted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

uint64_t Crew::cpu_nanos() const {
  uint64_t total = 0;
  for (const std::thread& thread : threads_) {
    clockid_t clock;
    timespec used{};
    if (::pthread_getcpuclockid(const_cast<std::thread&>(thread).native_handle(), &clock) != 0 || ::clock_gettime(clock, &used) != 0) continue;
    total += static_cast<uint64_t>(used.tv_sec) * 1000000000ull + static_cast<uint64_t>(used.tv_nsec);
  }
  return total;
}

void Crew::Run(size_t parts, const std::function<void(size_t)>& part) {
  if (parts <= 1 || threads_.empty()) {
    for (size_t i = 0; i < parts; ++i) part(i);
    return;
  }
  const auto job = std::make_shared<Job>();
  job->part = &part;
  job->parts = parts;
  { std::lock_guard lock(mutex_); jobs_.push_back(job); }
  if (parts > 2) {
    wanted_.notify_all();
  } else {
    wanted_.notify_one();
  }
  Work(*job);
  std::unique_lock lock(mutex_);
  std::erase(jobs_, job);
  finished_.wait(lock, [&] { return job->done.load(std::memory_order_acquire) == parts; });
}

// A thread that comes late finds no part left and does not touch `part`, which may be gone by then.
void Crew::Work(Job& job) {
  for (size_t i = job.next.fetch_add(1); i < job.parts; i = job.next.fetch_add(1)) {
    (*job.part)(i);
    if (job.done.fetch_add(1, std::memory_order_acq_rel) + 1 < job.parts) continue;
    { std::lock_guard lock(mutex_); }
    finished_.notify_all();
  }
}

void Crew::Loop(int nice) {
  // On Linux this is of the calling thread alone. Where it is refused the thread is as the others.
  if (nice != 0) (void)::setpriority(PRIO_PROCESS, 0, nice);
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [this] { return stops_ || !jobs_.empty(); });
    if (stops_) return;
    const std::shared_ptr<Job> job = jobs_.front();
    lock.unlock();
    Work(*job);
    lock.lock();
    std::erase(jobs_, job);  // no part of it is left to take
  }
}

}  // namespace skerry
