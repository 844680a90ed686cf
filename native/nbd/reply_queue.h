#pragma once
// Replies that wait to be sent, in order, gathered into as few sendmsg as possible. Small ones are written one after the
// other into an arena, so that a batch of them is one piece of memory.
#include <memory>
#include <vector>

#include "buffer_budget.h"
#include "tls_session.h"

namespace skerry::nbd {

inline constexpr size_t kArenaBytes = 256u << 10;

/** Where a connection borrows its arena from, and brings it back to when idle. One thread. */
class ArenaSource {
 public:
  explicit ArenaSource(std::shared_ptr<BufferBudget> budget) : budget_(std::move(budget)) {}
  /** Null when the budget has no room. */
  std::shared_ptr<Buffer> Take();
  /** A page, room or not: for answers to requests already taken, whose number is bounded. */
  std::shared_ptr<Buffer> TakeSmall();
  void Give(std::shared_ptr<Buffer> arena);

 private:
  std::shared_ptr<BufferBudget> budget_;
  std::shared_ptr<Buffer> spare_;
};

class ReplyQueue {
 public:
  explicit ReplyQueue(ArenaSource& arenas) : arenas_(arenas) {}
  ~ReplyQueue();

  /** Room for `bytes` (at most kArenaBytes) in the arena, or null when there is none to be had. Commit() what was written. */
  uint8_t* Reserve(size_t bytes);
  /** The same for at most a page, and never null. */
  uint8_t* ReserveSmall(size_t bytes);
  void Commit(size_t bytes);

  /** Sends `bytes`, which lie in `buffer`. */
  void Push(Buffer buffer, ConstBytes bytes);
  void Push(std::vector<uint8_t> bytes);

  enum class Outcome : uint8_t { kDrained, kBlocked, kFailed };
  Outcome Send(int socket);
  /** The same, encrypted. kDrained: what was encrypted has left as well. */
  Outcome Send(TlsSession& session);
  /** Gives the arena back once nothing waits in it. */
  void Rest();

  size_t bytes() const { return bytes_; }

 private:
  struct Segment {
    std::shared_ptr<const void> owner;
    const uint8_t* data;
    size_t bytes;
  };
  /** The first `bytes` have left, or lie encrypted elsewhere. */
  void Drop(size_t bytes);
  void Drained();
  /** Encrypts a record or more of what waits. */
  bool EncryptSome(TlsSession& session);
  ArenaSource& arenas_;
  std::shared_ptr<Buffer> arena_;
  size_t arena_used_ = 0;
  std::vector<Segment> segments_;
  size_t first_ = 0;   // segments before it are sent
  size_t bytes_ = 0;
};

}  // namespace skerry::nbd
