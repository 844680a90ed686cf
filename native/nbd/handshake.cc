// The handshake as a connection sees it: messages of a length that was asked for go up, what comes down is sent.
#include <sys/socket.h>

#include "connection.h"
#include "reactor.h"

namespace skerry::nbd {

void Connection::OnAnswer(HandshakeReply reply, Attachment attachment) {
  // A second answer to one message has nothing to answer.
  if (phase_ != Phase::kHandshake || reading_message_ || close_after_send_) return;
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
      attachment_ = std::move(attachment);
      return BeginFence(std::move(reply.transmit));
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
    if (replies_.bytes() == 0) Linger();
    return;
  }
  // Never a byte more than was asked for: what follows may belong to the transmission phase.
  while (reading_message_ && message_filled_ < message_.size()) {
    if (!readable_) return;
    size_t received = 0;
    if (!ReceiveInto(message_.data() + message_filled_, message_.size() - message_filled_, &received)) return;
    message_filled_ += received;
  }
  if (!reading_message_) return replies_.Rest();
  // A full read says nothing of what else the socket holds.
  readable_ = true;
  reading_message_ = false;
  progress_nanos_ = reactor_.now();
  reactor_.context().events.OnMessage(id_, std::exchange(message_, {}));
}

// Closing with bytes unread would reset a TCP connection and could take the last reply with it.
void Connection::Linger() {
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
