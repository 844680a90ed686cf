// The handshake as a connection sees it: messages of a length that was asked for go up, what comes down is sent.
#include <sys/socket.h>

#include "connection.h"
#include "reactor.h"

namespace skerry::nbd {

void Connection::OnAnswer(Answer answer) {
  HandshakeReply& reply = answer.reply;
  // A second answer to one message has nothing to answer.
  if (phase_ != Phase::kHandshake || reading_message_ || close_after_send_ || secure_after_send_ != nullptr) return;
  progress_nanos_ = reactor_.now();
  replies_.Push(std::move(reply.send));
  switch (reply.next) {
    case HandshakeReply::Next::kRead:
      if (reply.read_bytes > kHandshakeMessageBytesMax) return End("the handshake asked for a message over the limit");
      message_.resize(reply.read_bytes);
      message_filled_ = 0;
      reading_message_ = true;
      return;
    case HandshakeReply::Next::kTransmit:
      if (reply.transmit.volume == nullptr) return End("the handshake named no volume");
      attachment_ = std::move(answer.attachment);
      return BeginFence(std::move(reply.transmit));
    case HandshakeReply::Next::kSecure:
      if (answer.tls == nullptr || tls_ != nullptr) return End("the handshake asked for TLS that cannot be had");
      secure_after_send_ = std::move(answer.tls);
      return;
    case HandshakeReply::Next::kClose:
      close_after_send_ = true;
      return;
  }
}

// A client that lost its connection repeats what was not answered on a new one. Its old requests may still wait in an old
// socket; applied after the repetition they would undo later writes. So no request of the new connection is taken before
// every reactor has ended the connections of the volume whose client is gone.
void Connection::BeginFence(TransmissionSpec spec) {
  volume_ = std::move(spec.volume);
  structured_ = spec.structured_replies;
  read_only_ = spec.read_only;
  size_bytes_ = spec.size_bytes != 0 ? spec.size_bytes : volume_->size();
  auto contexts = std::make_shared<StatusContexts>();
  if (structured_ && spec.base_allocation) contexts->base_id = spec.base_allocation_id;
  if (structured_) contexts->changed = std::move(spec.changed);
  contexts_ = std::move(contexts);
  phase_ = Phase::kFencing;
  fences_ = reactor_.FenceFor(volume_->id(), id_);
  if (fences_ == 0) phase_ = Phase::kTransmission;
}

void Connection::OnFenced() {
  if (phase_ == Phase::kFencing && --fences_ == 0) phase_ = Phase::kTransmission;
  progress_nanos_ = reactor_.now();
}

void Connection::HandshakeTurn() {
  Flush();
  if (ended() || phase_ != Phase::kHandshake) return;
  if (close_after_send_) {
    if (AllSent()) Linger();
    return;
  }
  if (secure_after_send_ != nullptr) {
    if (AllSent()) BeginSecuring();
    return;
  }
  // Never a byte more than was asked for: what follows may belong to the transmission phase.
  while (reading_message_ && message_filled_ < message_.size()) {
    if (!readable_) return;
    size_t received = 0;
    if (!ReceiveInto(message_.data() + message_filled_, message_.size() - message_filled_, &received)) return;
    message_filled_ += received;
  }
  if (!reading_message_) return RestBuffers();
  // A full read says nothing of what else the socket holds.
  readable_ = true;
  reading_message_ = false;
  progress_nanos_ = reactor_.now();
  reactor_.context().events.OnMessage(id_, std::exchange(message_, {}));
}

// All that was received is what was asked for, to the byte: nothing that somebody on the way slipped in behind STARTTLS can
// be taken for what came under TLS. It would be read as part of the TLS handshake, which then fails.
void Connection::BeginSecuring() {
  tls_ = TlsSession::Begin(std::exchange(secure_after_send_, nullptr), socket_.get(), reactor_.context().data_budget);
  if (tls_ == nullptr) return End("there is no memory for TLS");
  phase_ = Phase::kSecuring;
  secured_since_nanos_ = reactor_.now();
  SecureTurn();
}

void Connection::SecureTurn() {
  const TlsSession::Outcome outcome = send_blocked_ ? TlsSession::Outcome::kBlocked : tls_->Accept();
  if (outcome == TlsSession::Outcome::kFailed) Drain(tls_->why());
  Flush();
  if (ended()) return;
  switch (outcome) {
    case TlsSession::Outcome::kBlocked: return;
    case TlsSession::Outcome::kClosed: return End("the client closed the connection in the TLS handshake");
    case TlsSession::Outcome::kFailed: return Linger();  // an alert is on its way, which tells the client why
    case TlsSession::Outcome::kDone: break;
  }
  phase_ = Phase::kHandshake;
  progress_nanos_ = reactor_.now();
  readable_ = true;
  tls_->Rest();
  reactor_.context().events.OnSecured(id_, tls_->peer());
}

// Closing with bytes unread would reset a TCP connection and could take the last reply with it.
void Connection::Linger() {
  if (tls_ != nullptr) tls_->SayGoodbye();
  ::shutdown(socket_.get(), SHUT_WR);
  phase_ = Phase::kLinger;
  progress_nanos_ = reactor_.now();
  readable_ = true;
  LingerTurn();
}

void Connection::LingerTurn() {
  uint8_t ignored[4096];
  for (unsigned round = 0; readable_ && round < kRoundsPerTurnMax; ++round) {
    size_t received = 0;
    if (!ReceiveInto(ignored, sizeof(ignored), &received)) return;
  }
  again_ = readable_;
}

}  // namespace skerry::nbd
