#include "connection.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "reactor.h"

namespace skerry::nbd {

Connection::Connection(Reactor& reactor, ConnectionId id, Descriptor socket)
    : reactor_(reactor), id_(id), socket_(std::move(socket)), progress_nanos_(reactor.now()), replies_(reactor.arenas()),
      mailbox_(reactor.mailbox()) {}

Connection::~Connection() {
  SetHold(Hold::kNone);
  SetPublishWaits(false);
}

void Connection::OnPoll(uint32_t events) {
  if ((events & EPOLLOUT) != 0) send_blocked_ = false;
  if ((events & EPOLLIN) != 0) readable_ = true;
  if ((events & EPOLLRDHUP) != 0) half_closed_ = readable_ = true;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && phase_ == Phase::kSecuring) {
    // Its last words may say why: the turn reads them, and then finds the end.
    send_blocked_ = false;
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    // Nobody is left to answer. What was received and not yet appended must not be: the client may already have
    // repeated it on another connection, and gone on from there.
    End("the client closed the connection");
  }
}

void Connection::OnRetry() {
  admission_registered_ = false;
  retry_ = true;
  SetPublishWaits(false);
}

void Connection::OnGranted(Buffer buffer, bool receive) {
  grant_awaited_ = false;
  if (hold_ == Hold::kBudget) SetHold(Hold::kNone);
  if (draining_ || phase_ != Phase::kTransmission) return;
  if (!receive) {
    granted_ = std::move(buffer);
  } else if (!receive_) {
    receive_ = std::move(buffer);
    begin_ = end_ = 0;
  }
}

void Connection::OnTick(uint64_t now) {
  const uint64_t idle_nanos = now > progress_nanos_ ? now - progress_nanos_ : 0;
  if (phase_ == Phase::kHandshake && idle_nanos > kHandshakeStallNanosMax) return End("the handshake stalled");
  if (phase_ == Phase::kSecuring && now > secured_since_nanos_ + reactor_.context().options.tls_handshake_nanos_max) {
    return End("the TLS handshake took too long");
  }
  if (phase_ == Phase::kLinger && idle_nanos > kLingerNanosMax) return End("closed by the server");
  if (phase_ != Phase::kTransmission) return;
  if (hold_ == Hold::kAdmission) retry_ = true;
  SetPublishWaits(false);
  if (draining_ && send_blocked_ && idle_nanos > kLingerNanosMax) return End(why_);
  if (idle_nanos <= kMemoryStallNanosMax) return;
  const ServerContext& context = reactor_.context();
  if (!context.data_budget->contended() && !context.receive_budget->contended()) return;
  // A client that stopped in the middle of a request, or does not take its replies, may keep the memory while nobody else
  // wants it; not longer.
  const bool mid_request = parser_.mid_payload() || end_ > begin_;
  const bool waits_for_client = send_blocked_ || (mid_request && hold_ == Hold::kNone && !head_ && in_flight_ == 0);
  if (waits_for_client) End("the client stalled while others waited for the memory it held");
}

void Connection::OnStop() {
  stopping_ = true;
  if (phase_ != Phase::kTransmission) End("the server stops");
}

void Connection::Turn(uint64_t allowed) {
  again_ = false;
  allowed_ = allowed;
  spent_ = 0;
  switch (phase_) {
    case Phase::kHandshake:
    case Phase::kFencing: return HandshakeTurn();
    case Phase::kSecuring: return SecureTurn();
    case Phase::kTransmission: return TransmissionTurn();
    case Phase::kLinger: return LingerTurn();
    case Phase::kEnded: return;
  }
}

void Connection::TransmissionTurn() {
  for (unsigned round = 0;; ++round) {
    PublishStaged();
    const bool wants_bytes = DispatchReceived();
    EndBatch();
    if (ended() || draining_ || again_ || hold_ != Hold::kNone || Full()) break;
    if (round == kRoundsPerTurnMax) {
      again_ = true;
      break;
    }
    if (!wants_bytes) continue;
    if (stopping_) break;
    // A client that keeps several requests under way has likely sent more since; one that waits for each reply has not.
    if (!readable_ && batch_requests_ <= 1) break;
    batch_requests_ = 0;
    if (!Receive()) break;
  }
  if (ended()) return;
  const bool idle = in_flight_ == 0 && AllSent();
  if (draining_ && idle) return End(why_);
  if (stopping_ && idle && hold_ == Hold::kNone && !again_) return End("the server stops");
  RestBuffers();
}

// Whoever holds something takes no more than is left for all others. So those who hold and do not let go come to rest at equal parts,
// however many they are, and as much as each of them has stays free (Choudhury and Hahne, 1998).
bool Connection::Full() const {
  if (Held() > reactor_.context().data_budget->free()) return true;
  return publish_waits_ || in_flight_ >= kInFlightRequestsMax || staged_bytes_ >= kStagedBytesMax || replies_.bytes() > kReplyBacklogBytesMax;
}

bool Connection::Receive() {
  size_t received = 0;
  if (const Bytes rest = parser_.rest(); !rest.empty()) {
    if (!ReceiveInto(rest.data(), rest.size(), &received)) return false;
    head_ = parser_.Received(received) == RequestParser::Step::kRequest;
  } else {
    if (!TakeReceiveBuffer()) return false;
    if (begin_ == end_) begin_ = end_ = 0;
    // What is left is less than a request in place, so that a whole one always fits behind it.
    if (begin_ > 0 && receive_.size() - end_ < kInPlacePayloadBytesMax + kRequestHeaderBytes) {
      std::memmove(receive_.data(), receive_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    const size_t room = large_stream_ ? std::min(receive_.size() - end_, kReceiveBesideLargeBytes) : receive_.size() - end_;
    if (!ReceiveInto(receive_.data() + end_, room, &received)) return false;
    end_ += received;
  }
  batch_nanos_ = progress_nanos_ = reactor_.Now();
  return true;
}

bool Connection::ReceiveInto(uint8_t* at, size_t bytes, size_t* received) {
  if (tls_ != nullptr && phase_ != Phase::kLinger) return ReceiveDecrypted(at, bytes, received);
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), at, bytes, MSG_DONTWAIT);
    if (got > 0) {
      *received = static_cast<size_t>(got);
      // A short read has emptied the socket, and what comes later is a new edge. Not so the end of the stream, which may
      // have been reported together with the bytes.
      if (*received < bytes) readable_ = half_closed_;
      return true;
    }
    if (got < 0 && errno == EINTR) continue;
    readable_ = false;
    if (got == 0) {
      PeerClosed("the client closed the connection");
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
      End(std::string("the connection failed: ") + std::strerror(errno));
    }
    return false;
  }
}

// A record may hold more than there was room for, so that only the session knows when the socket must be waited for.
bool Connection::ReceiveDecrypted(uint8_t* at, size_t bytes, size_t* received) {
  bytes = std::min(bytes, kReceiveBytes);  // others want their turn
  size_t filled = 0;
  TlsSession::Outcome outcome = TlsSession::Outcome::kDone;
  while (filled < bytes && outcome == TlsSession::Outcome::kDone) {
    size_t got = 0;
    outcome = tls_->Read(at + filled, bytes - filled, &got);
    if (outcome == TlsSession::Outcome::kDone) filled += got;
  }
  *received = filled;
  // What came before an end is dealt with first; the session says the same again when it is asked the next time.
  const bool over = outcome == TlsSession::Outcome::kClosed || outcome == TlsSession::Outcome::kFailed;
  readable_ = outcome == TlsSession::Outcome::kDone || (over && filled > 0);
  if (tls_->unsent() > 0) Flush();
  if (ended() || filled > 0) return !ended();
  if (outcome == TlsSession::Outcome::kClosed) PeerClosed("the client closed the connection");
  if (outcome == TlsSession::Outcome::kFailed) End(tls_->why());
  return false;
}

void Connection::PeerClosed(const std::string& why) {
  if (phase_ == Phase::kTransmission) {
    Drain(why);
  } else {
    End(why);
  }
}

bool Connection::TakeReceiveBuffer() {
  if (receive_) return true;
  receive_ = reactor_.TakeReceiveBuffer();
  begin_ = end_ = 0;
  if (receive_) return true;
  if (!grant_awaited_) {
    grant_awaited_ = true;
    SetHold(Hold::kBudget);
    reactor_.context().receive_budget->Wait(
        lane(), kReceiveBytes, [mailbox = mailbox_, id = id_](Buffer buffer) { mailbox->Post(Granted{id, std::move(buffer), true}); });
  }
  return false;
}

Buffer Connection::TakeBuffer(size_t bytes) {
  if (granted_ && granted_.size() >= bytes) return std::move(granted_);
  granted_.Release();
  Buffer buffer = reactor_.context().data_budget->Try(bytes);
  if (!buffer && !grant_awaited_) {
    grant_awaited_ = true;
    SetHold(Hold::kBudget);
    reactor_.context().data_budget->Wait(
        lane(), bytes, [mailbox = mailbox_, id = id_](Buffer granted) { mailbox->Post(Granted{id, std::move(granted), false}); });
  }
  return buffer;
}

// An idle connection holds no buffer at all.
void Connection::RestBuffers() {
  if (receive_ && begin_ == end_ && !head_) reactor_.GiveReceiveBuffer(std::move(receive_));
  if (hold_ != Hold::kBudget) granted_.Release();
  replies_.Rest();
  if (tls_ != nullptr) tls_->Rest();
}

void Connection::Flush() {
  if (AllSent() || send_blocked_) return;
  const auto left = [this] { return replies_.bytes() + (tls_ == nullptr ? 0 : tls_->unsent()); };
  const size_t before = left();
  const ReplyQueue::Outcome outcome = tls_ == nullptr ? replies_.Send(socket_.get()) : replies_.Send(*tls_);
  if (left() != before) progress_nanos_ = reactor_.now();
  switch (outcome) {
    case ReplyQueue::Outcome::kFailed: return End("the client no longer takes replies");
    case ReplyQueue::Outcome::kBlocked: send_blocked_ = true; break;
    case ReplyQueue::Outcome::kDrained: break;
  }
  // Polled for only while it matters: otherwise every read of the client would wake this thread.
  if (writable_armed_ != send_blocked_) {
    writable_armed_ = send_blocked_;
    reactor_.SetWritable(*this, socket_.get(), writable_armed_);
  }
}

void Connection::SetHold(Hold hold) {
  if (hold == hold_) return;
  if (hold_ == Hold::kAdmission) reactor_.Parked(-1);
  if (hold == Hold::kAdmission) reactor_.Parked(1);
  hold_ = hold;
}

void Connection::SetPublishWaits(bool waits) {
  if (waits == publish_waits_) return;
  publish_waits_ = waits;
  reactor_.Parked(waits ? 1 : -1);
}

void Connection::Drain(std::string why) {
  if (ended() || draining_) return;
  draining_ = true;
  why_ = std::move(why);
  head_ = false;
  begin_ = end_ = 0;
  payload_.Release();
  SetHold(Hold::kNone);
}

void Connection::End(std::string why) {
  if (ended()) return;
  phase_ = Phase::kEnded;
  if (!draining_) why_ = std::move(why);
  SetHold(Hold::kNone);
  SetPublishWaits(false);
}

bool Connection::PeerGone() const {
  if (half_closed_) return true;
  pollfd probe{socket_.get(), POLLRDHUP, 0};
  return ::poll(&probe, 1, 0) > 0 && (probe.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

}  // namespace skerry::nbd
