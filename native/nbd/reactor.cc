#include "reactor.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

namespace skerry::nbd {

inline constexpr uint64_t kMailboxTag = 0;
inline constexpr uint32_t kPollEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;
inline constexpr int kPollEventsMax = 128;
inline constexpr uint64_t kRoundsOwedMax = 1u << 20;  // that a volume is given at once: more than any request costs

ServerContext::ServerContext(const NbdOptions& nbd_options, NbdBackend& nbd_backend, NbdEvents& nbd_events)
    : options(nbd_options), backend(nbd_backend), events(nbd_events),
      receive_budget(std::make_shared<BufferBudget>(nbd_options.buffer_bytes_max / 4)),
      data_budget(std::make_shared<BufferBudget>(nbd_options.buffer_bytes_max / 4 * 3)), blocking(nbd_options.blocking_threads) {}

Reactor::Reactor(ServerContext& context, unsigned index)
    : context_(context), index_(index), arenas_(context.data_budget), acceptor_([this](Adopt adopt) {
        if (context_.connections.fetch_add(1) >= context_.options.connections_max) {
          context_.connections.fetch_sub(1);
          return false;
        }
        const uint64_t serial = context_.connections_total.fetch_add(1);
        const auto target = static_cast<unsigned>(serial % context_.mailboxes.size());
        if (target == index_) {
          HandleAdopt(adopt);
        } else {
          context_.mailboxes[target]->Post(std::move(adopt));
        }
        return true;
      }) {}

Reactor::~Reactor() { Join(); }

Status Reactor::Start() {
  poll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll_.open()) return {Code::kIo, std::string("cannot make an epoll instance: ") + std::strerror(errno)};
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // edges: the counter is never read
  event.data.u64 = kMailboxTag;
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, mailbox()->descriptor(), &event) != 0) {
    return {Code::kIo, std::string("cannot poll an eventfd: ") + std::strerror(errno)};
  }
  thread_ = std::thread([this] { Run(); });
  return Status::Ok();
}

void Reactor::Join() {
  if (thread_.joinable()) thread_.join();
}

uint64_t Reactor::Now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  now_ = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
  return now_;
}

void Reactor::Run() {
  // Signals are for the threads that expect them.
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  ::pthread_setname_np(::pthread_self(), ("skerry-nbd-" + std::to_string(index_)).c_str());
  Now();
  epoll_event events[kPollEventsMax];
  for (;;) {
    mailbox()->Take(messages_);
    for (Message& message : messages_) Handle(message);
    messages_.clear();
    TakeTurns();
    if (stopping_ && (connections_.empty() || now_ >= stop_deadline_)) break;
    int timeout = turns_.empty() ? TimeoutMillis() : 0;
    if (timeout != 0 && !mailbox()->Sleep()) timeout = 0;
    const int count = ::epoll_wait(poll_.get(), events, kPollEventsMax, timeout);
    if (timeout != 0) mailbox()->Awake();
    Now();
    for (int i = 0; i < count; ++i) HandlePoll(events[i].data.u64, events[i].events);
    Tick();
  }
  while (!connections_.empty()) {
    Connection& connection = *connections_.begin()->second;
    connection.End("the server stops");
    Remove(connection);
  }
  acceptor_.Close();
  mailbox()->Close();
}

void Reactor::HandlePoll(uint64_t tag, uint32_t events) {
  if (tag == kMailboxTag) return;
  if ((tag & Acceptor::kTag) != 0) return acceptor_.OnReady(tag, now_);
  if (Connection* connection = Find(tag)) {
    connection->OnPoll(events);
    Touch(*connection);
  }
}

void Reactor::Handle(Message& message) {
  const auto reach = [this](ConnectionId id, auto&& act) {
    if (Connection* connection = Find(id)) {
      act(*connection);
      Touch(*connection);
    }
  };
  if (auto* durable = std::get_if<Durable>(&message)) {
    reach(durable->connection, [&](Connection& c) { c.OnDurable(durable->group, durable->code); });
  } else if (auto* job = std::get_if<JobDone>(&message)) {
    reach(job->connection, [&](Connection& c) { c.OnJob(std::move(job->job)); });
  } else if (auto* retry = std::get_if<Retry>(&message)) {
    reach(retry->connection, [&](Connection& c) { c.OnRetry(); });
  } else if (auto* granted = std::get_if<Granted>(&message)) {
    reach(granted->connection, [&](Connection& c) { c.OnGranted(std::move(granted->buffer), granted->receive); });
  } else if (auto* answer = std::get_if<std::unique_ptr<Answer>>(&message)) {
    reach((*answer)->connection, [&](Connection& c) { c.OnAnswer(std::move(**answer)); });
  } else if (auto* fenced = std::get_if<Fenced>(&message)) {
    reach(fenced->connection, [&](Connection& c) { c.OnFenced(); });
  } else if (auto* fence = std::get_if<Fence>(&message)) {
    EndGone(fence->resource, fence->connection);
    fence->from->Post(Fenced{fence->connection});
  } else if (auto* adopt = std::get_if<Adopt>(&message)) {
    HandleAdopt(*adopt);
  } else if (auto* listener = std::get_if<AddListener>(&message)) {
    if (!stopping_) acceptor_.Add(poll_.get(), std::move(listener->listener));
  } else if (auto* end = std::get_if<EndResource>(&message)) {
    for (auto& [id, connection] : connections_) {
      if (!connection->Serves(end->resource)) continue;
      connection->End("the resource is gone");
      Touch(*connection);
    }
  } else if (std::holds_alternative<StopServing>(message)) {
    BeginStop();
  }
}

void Reactor::HandleAdopt(Adopt& adopt) {
  const int socket = adopt.socket.get();
  const ConnectionId id = next_connection_++ * kReactorsMax + index_;
  epoll_event event{};
  event.events = kPollEvents;
  event.data.u64 = id;
  if (stopping_ || ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) {
    context_.connections.fetch_sub(1);
    return;
  }
  connections_.emplace(id, std::make_unique<Connection>(*this, id, std::move(adopt.socket)));
  context_.events.OnConnected(id, adopt.listener, adopt.user);
}

Connection* Reactor::Find(ConnectionId connection) {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : found->second.get();
}

void Reactor::Touch(Connection& connection) {
  if (connection.queued) return;
  connection.queued = true;
  turns_.push_back(&connection);
}

// Deficit round robin by volume (fair_queue.h): a round gives each volume a quantum, however many connections it has. Who has to wait
// for the next round goes first in it.
void Reactor::TakeTurns() {
  ++round_;
  turning_.swap(turns_);
  for (Connection* connection : turning_) {
    if (ShareOf(connection->lane()).left > 0) {
      TakeTurn(*connection);
    } else {
      indebted_.push_back(connection);
    }
  }
  if (indebted_.size() == turning_.size() && !indebted_.empty()) SkipRounds();
  turning_.clear();
  turns_.insert(turns_.begin(), indebted_.begin(), indebted_.end());
  indebted_.clear();
}

void Reactor::TakeTurn(Connection& connection) {
  connection.queued = false;
  const ResourceId lane = connection.lane();
  Share& share = ShareOf(lane);
  connection.Turn(static_cast<uint64_t>(share.left));
  // What is done before the volume is known moves nothing.
  if (lane != 0) share.left -= static_cast<int64_t>(connection.spent());
  if (connection.ended()) {
    Remove(connection);
  } else if (connection.wants_turn()) {
    Touch(connection);
  }
}

void Reactor::SkipRounds() {
  int64_t least = INT64_MAX;
  for (const Connection* connection : indebted_) least = std::min(least, -ShareOf(connection->lane()).left);
  round_ += static_cast<uint64_t>(least / kQuantumBytes);
}

Reactor::Share& Reactor::ShareOf(ResourceId lane) {
  Share& share = shares_[lane];
  const auto rounds = static_cast<int64_t>(std::min<uint64_t>(round_ - share.round, kRoundsOwedMax));
  share.left = std::min(share.left + rounds * kQuantumBytes, kQuantumBytes);
  share.round = round_;
  return share;
}

void Reactor::Remove(Connection& connection) {
  const ConnectionId id = connection.id();
  const std::string why = connection.why();
  connections_.erase(id);
  context_.connections.fetch_sub(1);
  context_.events.OnClosed(id, why);
}

unsigned Reactor::FenceFor(ResourceId resource, ConnectionId connection) {
  EndGone(resource, connection);
  unsigned asked = 0;
  for (unsigned i = 0; i < context_.mailboxes.size(); ++i) {
    if (i == index_) continue;
    context_.mailboxes[i]->Post(Fence{resource, mailbox(), connection});
    ++asked;
  }
  return asked;
}

void Reactor::EndGone(ResourceId resource, ConnectionId but) {
  for (auto& [id, connection] : connections_) {
    if (id == but || connection->ended() || !connection->Serves(resource) || !connection->PeerGone()) continue;
    connection->End("the client closed the connection");
    Touch(*connection);
  }
}

void Reactor::SetWritable(Connection& connection, int socket, bool wanted) {
  epoll_event event{};
  event.events = kPollEvents | (wanted ? static_cast<uint32_t>(EPOLLOUT) : 0);
  event.data.u64 = connection.id();
  ::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, socket, &event);
}

Buffer Reactor::TakeReceiveBuffer() {
  if (spare_receive_) return std::move(spare_receive_);
  return context_.receive_budget->Try(kReceiveBytes);
}

void Reactor::GiveReceiveBuffer(Buffer buffer) {
  if (!spare_receive_ && !context_.receive_budget->contended()) spare_receive_ = std::move(buffer);
}

int Reactor::TimeoutMillis() const {
  uint64_t until = connections_.empty() ? UINT64_MAX : last_tick_ + kTickNanos;
  if (parked_ > 0) until = std::min(until, last_tick_ + kRetryNanos);
  if (acceptor_.paused()) until = std::min(until, now_ + kAcceptPauseNanos);
  if (stopping_) until = std::min(until, stop_deadline_);
  if (until == UINT64_MAX) return -1;
  return until <= now_ ? 1 : static_cast<int>((until - now_) / 1'000'000) + 1;
}

void Reactor::Tick() {
  acceptor_.OnTick(now_);
  if (now_ < last_tick_ + (parked_ > 0 ? kRetryNanos : kTickNanos)) return;
  last_tick_ = now_;
  // Who has wanted nothing since has nothing saved, and owes nothing.
  std::erase_if(shares_, [this](const auto& one) { return one.second.round <= ticked_round_; });
  ticked_round_ = round_;
  for (auto& [id, connection] : connections_) {
    connection->OnTick(now_);
    Touch(*connection);
  }
}

void Reactor::BeginStop() {
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ = Now() + kStopNanosMax;
  acceptor_.Close();
  for (auto& [id, connection] : connections_) {
    connection->OnStop();
    Touch(*connection);
  }
}

}  // namespace skerry::nbd
