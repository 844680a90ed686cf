#pragma once
// A socket thread: polls its connections and its mailbox, and gives each connection that something happened to its turn.
#include <atomic>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "acceptor.h"
#include "blocking_pool.h"
#include "connection.h"
#include "fair_queue.h"

namespace skerry::nbd {

inline constexpr unsigned kReactorsMax = 64;
inline constexpr uint64_t kRetryNanos = 20ull * 1000 * 1000;          // a parked write is tried again even if nobody called
inline constexpr uint64_t kTickNanos = 1000ull * 1000 * 1000;
inline constexpr uint64_t kStopNanosMax = 2ull * 1000 * 1000 * 1000;  // for requests already received

/** What all threads of a server share. Outlives them. */
struct ServerContext {
  ServerContext(const NbdOptions& options, NbdBackend& backend, NbdEvents& events);
  const NbdOptions options;
  NbdBackend& backend;
  NbdEvents& events;
  // Apart, so that connections which hold received bytes while they wait for memory cannot be all there is to wait for.
  std::shared_ptr<BufferBudget> receive_budget, data_budget;
  std::shared_ptr<Attachments> attachments = std::make_shared<Attachments>();
  BlockingPool blocking;
  std::vector<std::shared_ptr<Mailbox>> mailboxes;  // one a reactor; fixed before the threads start
  std::atomic<uint64_t> connections{0}, connections_total{0};
};

class Reactor {
 public:
  Reactor(ServerContext& context, unsigned index);
  ~Reactor();
  Status Start();
  /** After StopServing was posted. */
  void Join();
  const Latency& latency() const { return latency_; }

  // For connections and the acceptor, on the reactor's thread.
  ServerContext& context() { return context_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return context_.mailboxes[index_]; }
  ArenaSource& arenas() { return arenas_; }
  Latency& counters() { return latency_; }
  uint64_t now() const { return now_; }
  /** Reads the clock. */
  uint64_t Now();
  void SetWritable(Connection& connection, int socket, bool wanted);
  void Parked(int by) { parked_ += by; }
  Buffer TakeReceiveBuffer();
  void GiveReceiveBuffer(Buffer buffer);
  /** Ends the other connections of the resource whose client has gone; says how many reactors were asked for the same. */
  unsigned FenceFor(ResourceId resource, ConnectionId connection);
  static unsigned IndexOf(ConnectionId connection) { return static_cast<unsigned>(connection % kReactorsMax); }

 private:
  void Run();
  void Handle(Message& message);
  void HandlePoll(uint64_t tag, uint32_t events);
  void HandleAdopt(Adopt& adopt);
  Connection* Find(ConnectionId connection);
  void Touch(Connection& connection);
  void TakeTurns();
  void TakeTurn(Connection& connection);
  /** What the volumes may spend that want something and are all in debt, they may spend at once. */
  void SkipRounds();
  void Remove(Connection& connection);
  void EndGone(ResourceId resource, ConnectionId but);
  void Tick();
  int TimeoutMillis() const;
  void BeginStop();

  ServerContext& context_;
  const unsigned index_;
  /** Of one volume: what is left of its quanta, less than nothing where its last request took more. */
  struct Share {
    int64_t left = 0;
    uint64_t round = 0;          // up to which it has had them
  };
  Share& ShareOf(ResourceId lane);

  Descriptor poll_;
  Latency latency_;
  ArenaSource arenas_;
  Buffer spare_receive_;
  Acceptor acceptor_;
  std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> turns_, turning_, indebted_;
  std::unordered_map<ResourceId, Share> shares_;
  uint64_t round_ = 1, ticked_round_ = 0;
  std::vector<Message> messages_;
  uint64_t next_connection_ = 1;
  uint64_t now_ = 0, last_tick_ = 0, stop_deadline_ = 0;
  int parked_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace skerry::nbd
