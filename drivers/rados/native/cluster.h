// One client of a Ceph cluster with one of its pools open. It lives until it was closed, or until the JavaScript environment
// that made it ends: then calls under way are cancelled first, for a read that ended later would write into freed memory.
#pragma once
#include <rados/librados.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../../native/operation.h"

namespace skerry_rados {

using skerry_driver::Completions;
using skerry_driver::Operation;

class Cluster;

// A call for which librados has no asynchronous form. Returns 0 or a negative errno, as librados does.
class BlockingCall : public Operation {
 public:
  using Operation::Operation;
  virtual int Run(Cluster& cluster) = 0;
};

// Where a listing has come to. The cursors are librados's.
struct Listing {
  std::string prefix;
  rados_object_list_cursor at;
  rados_object_list_cursor end;
};

class Cluster : public std::enable_shared_from_this<Cluster> {
 public:
  // A blocking call that waited longer than this for its turn fails with ETIMEDOUT unmade. Null where librados or the system
  // refuses, for want of memory or threads.
  static std::shared_ptr<Cluster> Create(Napi::Env env, const std::string& user, std::chrono::seconds waiting_max);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  rados_t handle() const { return handle_; }
  rados_ioctx_t io() const { return io_; }
  const std::shared_ptr<Completions>& completions() const { return completions_; }

  // One after another, on the one thread of ours. After Close none is taken.
  void Enqueue(std::unique_ptr<BlockingCall> call);

  // On that thread.
  int OpenPool(const std::string& pool, const std::string& name_space);
  // Or once it has ended.
  void Shutdown();
  // On the JavaScript thread, after Shutdown.
  void Close();

  // An asynchronous call begins, before it is handed to librados; and has ended, after its promise was told.
  void Began(rados_completion_t completion);
  void Ending(rados_completion_t completion);
  void Ended();

  // A listing is used by one call at a time, and not after it was ended.
  uint32_t BeginListing(const std::string& prefix);
  Listing* FindListing(uint32_t id);
  void EndListing(uint32_t id);

 private:
  struct Waiting {
    std::unique_ptr<BlockingCall> call;
    std::chrono::steady_clock::time_point deadline;
  };

  Cluster(Napi::Env env, rados_t handle, std::chrono::seconds waiting_max);
  void RunBlockingCalls();
  void StopThread();
  void CancelAll();
  void WaitForCalls();
  void FreeListing(Listing& listing);
  static void OnEnvironmentEnds(void* cluster);

  const Napi::Env env_;
  const rados_t handle_;
  const std::chrono::seconds waiting_max_;
  rados_ioctx_t io_ = nullptr;
  bool shut_down_ = false;
  std::shared_ptr<Completions> completions_;
  // Keeps it alive whoever lets go of it.
  std::shared_ptr<Cluster> self_;

  std::mutex mutex_;
  std::condition_variable enqueued_;
  std::condition_variable idle_;   // by itself, else the end of each call would wake the thread above for nothing
  std::deque<Waiting> waiting_;
  bool stopping_ = false;
  std::set<rados_completion_t> cancellable_;
  size_t under_way_ = 0;
  std::map<uint32_t, Listing> listings_;
  uint32_t listings_begun_ = 0;
  std::thread thread_;
};

}  // namespace skerry_rados
