#include "connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace skerry_nfs {

namespace {

// What the server, or the library, says of a call that did not reach its procedure.
int ErrnoOfRefusal(int status, const void* answer) {
  const char* words = status == RPC_STATUS_ERROR && answer != nullptr ? static_cast<const char*>(answer) : "";
  // It does not take our user, or our port.
  if (std::strstr(words, "not accepted") != nullptr) return EACCES;
  // It does not speak this protocol, or not so.
  if (std::strstr(words, "Server responded") != nullptr) return EPROTO;
  return ECONNRESET;
}

}  // namespace

Connection::Connection(const Options& options)
    : options_(options), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), rpc_(rpc_init_context()) {
  if (rpc_ != nullptr) {
    rpc_set_uid(rpc_, options.uid);
    rpc_set_gid(rpc_, options.gid);
  }
  thread_ = std::thread([this] { Run(); });
}

void Connection::Post(std::unique_ptr<Call> call) {
  {
    std::lock_guard lock(mutex_);
    if (!closed_) posted_.push_back(std::move(call));
  }
  if (call != nullptr) skerry_driver::Operation::End(std::move(call), ECONNRESET);
  else eventfd_write(wake_, 1);
}

void Connection::Close() {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  eventfd_write(wake_, 1);
  thread_.join();
  close(wake_);
}

void Connection::Run() {
  for (bool closed = false; !closed;) {
    std::vector<std::unique_ptr<Call>> posted;
    {
      std::lock_guard lock(mutex_);
      posted.swap(posted_);
      closed = closed_;
    }
    for (auto& call : posted) Send(std::move(call));
    EndLate();
    if (closed) break;
    pollfd polled[2] = {{wake_, POLLIN, 0}, {-1, 0, 0}};
    if (rpc_ != nullptr) polled[1] = {rpc_get_fd(rpc_), static_cast<short>(rpc_which_events(rpc_)), 0};
    poll(polled, 2, PollMilliseconds());
    eventfd_t woken;
    if (polled[0].revents != 0) eventfd_read(wake_, &woken);
    if (polled[1].revents != 0 && (rpc_service(rpc_, polled[1].revents) != 0 || refused_)) Break();
  }
  Break();
}

void Connection::Send(std::unique_ptr<Call> call) {
  if (rpc_ == nullptr) {
    skerry_driver::Operation::End(std::move(call), ECONNRESET);
    return;
  }
  Waiting& waiting = waiting_.emplace_back(Waiting{this, std::move(call), Clock::now() + options_.timeout, {}});
  waiting.position = std::prev(waiting_.end());
  if (waiting.call->Send(rpc_, Answered, &waiting) == 0) return;
  std::unique_ptr<Call> refused = std::move(waiting.call);
  waiting_.pop_back();
  skerry_driver::Operation::End(std::move(refused), connected_ ? ENOMEM : ECONNREFUSED);
  if (!connected_) Break();
}

void Connection::EndLate() {
  const auto now = Clock::now();
  bool late = false;
  for (Waiting& waiting : waiting_) {
    if (waiting.deadline > now) break;
    late = true;
    skerry_driver::Operation::End(std::move(waiting.call), ETIMEDOUT);
  }
  if (late) Break();
}

void Connection::Break() {
  if (rpc_ == nullptr) return;
  // While it connects the library forgets whom to tell, and what it keeps for that, unless it is told of a failure.
  if (!connected_ && !waiting_.empty()) rpc_service(rpc_, -1);
  // Tells all who wait.
  rpc_destroy_context(rpc_);
  rpc_ = nullptr;
}

int Connection::PollMilliseconds() const {
  if (waiting_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(waiting_.front().deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

void Connection::Answered(rpc_context*, int status, void* answer, void* context) {
  auto* waiting = static_cast<Waiting*>(context);
  Connection& self = *waiting->connection;
  std::unique_ptr<Call> call = std::move(waiting->call);
  self.waiting_.erase(waiting->position);
  if (call == nullptr) return;
  int error = 0;
  if (status == RPC_STATUS_SUCCESS) error = call->Take(answer);
  else error = self.connected_ ? ErrnoOfRefusal(status, answer) : ECONNREFUSED;
  if (error == 0) self.connected_ = true;
  self.refused_ = !self.connected_;
  skerry_driver::Operation::End(std::move(call), error);
}

}  // namespace skerry_nfs
