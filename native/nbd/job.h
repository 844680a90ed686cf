#pragma once
// What a request asks of another thread, because it may wait for a device or takes long. See blocking_pool.h.
#include <functional>
#include <memory>

#include "server.h"
#include "wire.h"

namespace skerry::nbd {

class Job {
 public:
  Job(const Request& request, std::shared_ptr<Volume> volume, uint64_t started_nanos)
      : request_(request), volume_(std::move(volume)), started_nanos_(started_nanos) {}
  virtual ~Job() = default;
  /** Does all of it, however long it takes. False: it lacks what a backend has, and is to be called again when Await says so. */
  virtual bool Work() = 0;
  /** After a Work that was false: calls `again`, at once or on another thread, when what it lacks has come. */
  virtual void Await(std::function<void()> again) { again(); }

  const Request& request() const { return request_; }
  const Volume& volume() const { return *volume_; }
  /** Of the request: what it carries to the client or from it. */
  uint32_t moved_bytes() const { return MovedBytes(request_); }
  uint64_t started_nanos() const { return started_nanos_; }

 protected:
  Request request_;
  std::shared_ptr<Volume> volume_;

 private:
  uint64_t started_nanos_;
};

}  // namespace skerry::nbd
