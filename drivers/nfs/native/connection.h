// One TCP connection to one RPC program of a server, and the thread that alone uses the library for it.
//
// Of libnfs only its RPC layer is used, and neither its timeouts nor its reconnecting: in 4.0 a request that times out can
// leave a queue with a dangling tail or a record half sent, and reconnecting to a port where nobody listens spins. Here an
// answer that is late ends the connection, as any failure of it does, and who wants to go on makes another one.
#pragma once
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "call.h"

namespace skerry_nfs {

class Connection {
 public:
  struct Options {
    int uid;
    int gid;
    // For the answer to each call.
    std::chrono::milliseconds timeout;
  };

  explicit Connection(const Options& options);
  ~Connection() { Close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The call is ended with ETIMEDOUT where no answer comes in time, and with ECONNRESET where the connection ended. The
  // first one makes the connection: what fails then is ECONNREFUSED.
  void Post(std::unique_ptr<Call> call);

  // Ends what is under way with ECONNRESET and waits for the thread, which never blocks for long. Idempotent; on one thread.
  void Close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    Connection* connection;
    // Null once it was told that it is late.
    std::unique_ptr<Call> call;
    Clock::time_point deadline;
    std::list<Waiting>::iterator position;
  };

  void Run();
  void Send(std::unique_ptr<Call> call);
  void EndLate();
  void Break();
  int PollMilliseconds() const;
  static void Answered(rpc_context* rpc, int status, void* answer, void* context);

  const Options options_;
  const int wake_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Call>> posted_;
  bool closed_ = false;

  // Of the thread alone. Null once the connection has ended.
  rpc_context* rpc_;
  bool connected_ = false;
  // It could not be made. The library may still hold what it has freed then, and must not be asked again.
  bool refused_ = false;
  // In the order in which they were sent, which is that of their deadlines.
  std::list<Waiting> waiting_;

  std::thread thread_;
};

}  // namespace skerry_nfs
