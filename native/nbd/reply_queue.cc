#include "reply_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace skerry::nbd {

inline constexpr size_t kSendSegmentsMax = 64;
inline constexpr size_t kSentSegmentsKept = 256;

std::shared_ptr<Buffer> ArenaSource::Take() {
  if (spare_ != nullptr) return std::move(spare_);
  Buffer buffer = budget_->Try(kArenaBytes);
  return buffer ? std::make_shared<Buffer>(std::move(buffer)) : nullptr;
}

std::shared_ptr<Buffer> ArenaSource::TakeSmall() { return std::make_shared<Buffer>(budget_->Force(kPageBytes)); }

void ArenaSource::Give(std::shared_ptr<Buffer> arena) {
  // Kept by a thread it would be of no use to those who wait for the budget.
  if (spare_ == nullptr && (*arena).size() >= kArenaBytes && !budget_->contended()) spare_ = std::move(arena);
}

ReplyQueue::~ReplyQueue() {
  segments_.clear();
  bytes_ = 0;
  Rest();
}

uint8_t* ReplyQueue::Reserve(size_t bytes) {
  if (arena_ == nullptr || arena_->size() - arena_used_ < bytes) {
    std::shared_ptr<Buffer> arena = arenas_.Take();
    if (arena == nullptr) return nullptr;
    arena_ = std::move(arena);
    arena_used_ = 0;
  }
  return arena_->data() + arena_used_;
}

uint8_t* ReplyQueue::ReserveSmall(size_t bytes) {
  if (uint8_t* at = Reserve(bytes)) return at;
  arena_ = arenas_.TakeSmall();
  arena_used_ = 0;
  return arena_->data();
}

void ReplyQueue::Commit(size_t bytes) {
  const uint8_t* const data = arena_->data() + arena_used_;
  arena_used_ += bytes;
  bytes_ += bytes;
  if (segments_.size() > first_) {
    Segment& last = segments_.back();
    if (last.owner == arena_ && last.data + last.bytes == data) {
      last.bytes += bytes;
      return;
    }
  }
  segments_.push_back({arena_, data, bytes});
}

void ReplyQueue::Push(Buffer buffer, ConstBytes bytes) {
  segments_.push_back({std::make_shared<Buffer>(std::move(buffer)), bytes.data(), bytes.size()});
  bytes_ += bytes.size();
}

void ReplyQueue::Push(std::vector<uint8_t> bytes) {
  if (bytes.empty()) return;
  auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  bytes_ += owner->size();
  const uint8_t* data = owner->data();
  const size_t size = owner->size();
  segments_.push_back({std::move(owner), data, size});
}

ReplyQueue::Outcome ReplyQueue::Send(int socket) {
  while (bytes_ > 0) {
    iovec pieces[kSendSegmentsMax];
    const size_t count = std::min(segments_.size() - first_, kSendSegmentsMax);
    for (size_t i = 0; i < count; ++i) {
      const Segment& segment = segments_[first_ + i];
      pieces[i] = {const_cast<uint8_t*>(segment.data), segment.bytes};
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kBlocked : Outcome::kFailed;
    }
    Drop(static_cast<size_t>(sent));
  }
  Drained();
  return Outcome::kDrained;
}

ReplyQueue::Outcome ReplyQueue::Send(TlsSession& session) {
  for (;;) {
    switch (session.Send()) {
      case TlsSession::Outcome::kDone: break;
      case TlsSession::Outcome::kBlocked: return Outcome::kBlocked;
      default: return Outcome::kFailed;
    }
    if (bytes_ == 0) break;
    // As much as one send takes, and no more: what lies encrypted cannot be given back when memory is short.
    for (const size_t before = bytes_; bytes_ > 0 && before - bytes_ < kTlsSendBytes;) {
      if (!EncryptSome(session)) return Outcome::kFailed;
    }
  }
  Drained();
  return Outcome::kDrained;
}

bool ReplyQueue::EncryptSome(TlsSession& session) {
  const Segment& first = segments_[first_];
  if (first.bytes >= kTlsRecordBytes) {
    const size_t bytes = kTlsRecordBytes;
    if (!session.Encrypt({first.data, bytes})) return false;
    Drop(bytes);
    return true;
  }
  // A record costs its receiver as much as many small replies do, so these share one.
  uint8_t gathered[kTlsRecordBytes];
  size_t filled = 0;
  for (size_t i = first_; i < segments_.size() && filled < sizeof(gathered); ++i) {
    const size_t taken = std::min(segments_[i].bytes, sizeof(gathered) - filled);
    std::memcpy(gathered + filled, segments_[i].data, taken);
    filled += taken;
  }
  if (!session.Encrypt({gathered, filled})) return false;
  Drop(filled);
  return true;
}

void ReplyQueue::Drop(size_t bytes) {
  bytes_ -= bytes;
  for (size_t left = bytes; left > 0;) {
    Segment& segment = segments_[first_];
    const size_t taken = std::min(left, segment.bytes);
    segment.data += taken;
    segment.bytes -= taken;
    left -= taken;
    if (segment.bytes > 0) break;
    segment.owner.reset();
    ++first_;
  }
  // A client that always keeps a backlog must not let the list of what is long sent grow.
  if (first_ >= kSentSegmentsKept) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
}

void ReplyQueue::Drained() {
  segments_.clear();
  first_ = 0;
  arena_used_ = 0;
}

void ReplyQueue::Rest() {
  if (bytes_ == 0 && arena_ != nullptr) arenas_.Give(std::move(arena_));
}

}  // namespace skerry::nbd
