#pragma once
// The newest part of a volume's journal on its way to the pool, for a volume whose flushes promise that it survives this host. Records
// gather here in order; when somebody waits for them, or they are many, they are sealed as a log chunk and put. Chunks are numbered
// without gaps under the fence of this life, and what one holds never changes. docs/decisions/0056-durability-pool.md.
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "foresight.h"
#include "log_entry.h"

namespace skerry {

struct LogChunk {
  ResourceId volume = 0;
  uint64_t fence = 0, number = 0;
  uint64_t first_sequence = 0, last_sequence = 0;
  uint64_t settled = 0;   // chunks below this number were in the pool, or in a root, when this one was sealed: whoever misses one has lost it
  std::shared_ptr<const std::vector<uint8_t>> entries{};
};

/** Whoever puts log chunks into a pool: JavaScript with the pool's driver, or the simulator. */
class LogBackend {
 public:
  virtual ~LogBackend() = default;
  /**
   * Calls `done` once, on any thread, perhaps before it returns: Ok once the chunk is durable, however often that has to be tried. What
   * else it says is that the daemon ends.
   */
  virtual void PutLog(const LogChunk& chunk, std::function<void(Status)> done) = 0;
};

/** Where a log begins that a root does not hold: a chunk that is, or will be, the first with anything past that root. */
struct LogMark {
  uint64_t fence = 0, number = 0;
};

/** What the tails of one pool's volumes hold in memory together: where its backend is away, they all grow. */
struct LogBudget {
  std::atomic<size_t> bytes{0};
};

/** Thread-safe. Held by its volume and by the puts under way. */
class LogTail : public std::enable_shared_from_this<LogTail> {
 public:
  static constexpr size_t kSealBytes = 2 << 20;          // a chunk is sealed at this size, whoever waits
  static constexpr size_t kTailsBytesMax = 32 << 20;     // of a pool, of what it does not have yet: beyond it, writes wait
  static constexpr size_t kShareBytesMin = 128 << 10;    // that each volume may have all the same
  static constexpr unsigned kPutsInFlightMax = 4;
  static constexpr uint64_t kChunksMax = 16384;          // between two freezes: a start without a journal reads them all

  /** `rooted`: the sequence that the catalog's root holds. Nothing is taken, and every flush waits, until Begin. */
  LogTail(ResourceId volume, uint64_t rooted, std::shared_ptr<LogBudget> budget) : volume_(volume), budget_(std::move(budget)), rooted_(rooted) {}
  ~LogTail() { Uncount(bytes_); }

  /** What is added from here on follows `last_sequence`, which ends at `end` in the journal. What came before is vouched for by a root alone. */
  void Begin(std::shared_ptr<LogBackend> backend, uint64_t fence, uint64_t last_sequence, Lsn end);
  /** No flush is answered until Resume or MoveTo: all that was answered before lies at or below what the volume holds now. Puts go on. */
  void Suspend();
  void Resume();
  /** The same as Begin in another pool, whose root holds what was answered. What is on its way to the pool before matters no more. */
  void MoveTo(std::shared_ptr<LogBackend> backend, std::shared_ptr<LogBudget> budget, uint64_t fence, uint64_t last_sequence, Lsn end);
  bool begun() const { return begun_.load(std::memory_order_acquire); }
  /** In the order of sequences. */
  void Add(const LogEntry& entry, Lsn end);
  /** Too much waits for the pool. What this volume has of that is on its way from now on, whoever waits for it. */
  bool IsFull();
  /** `done` once whatever ends at or before `target` is in the pool: in log chunks, or in the root. At once, or on another thread. */
  void WhenLogged(Lsn target, std::function<void(Status)> done);
  /** The catalog has a root with all up to `sequence`, and says that the log goes on from `mark`: chunks before that need not come about. */
  void Rooted(uint64_t sequence, const std::optional<LogMark>& mark);
  /** Whether what the volume was cloned from is a root: before that its log is worth nothing to who has only the pool. */
  void SetBased(bool based);
  /** Who waits now is told that it takes too long. What was put goes on. */
  void GiveUpWaiting(const Status& why);
  /** The volume is gone. */
  void Close();

  /** nullopt before Begin. It may be asked before the root with all up to `sequence` is in the catalog. */
  std::optional<LogMark> MarkAfter(uint64_t sequence) const;
  /** Whether so many chunks have come since the last Froze that a root should be made. */
  bool long_since_frozen() const;
  void Froze();

 private:
  enum class State : uint8_t { kWaiting, kInFlight, kPut };
  struct Sealed {
    LogChunk chunk;
    Lsn end = 0;
    State state = State::kWaiting;
  };
  struct Ready {
    std::shared_ptr<LogBackend> backend;
    std::vector<std::function<void(Status)>> waiters;
    std::vector<LogChunk> puts;
  };
  void BeginLocked(std::shared_ptr<LogBackend> backend, uint64_t fence, uint64_t last_sequence, Lsn end);
  bool VouchedLocked(Lsn target) const;
  void Count(size_t bytes);
  void Uncount(size_t bytes);
  void SealLocked();
  void SettleLocked();
  Ready CollectLocked();
  /** Without the lock. */
  void Send(Ready ready);
  void Done(uint64_t fence, uint64_t number, const Status& status);

  const ResourceId volume_;
  std::shared_ptr<LogBudget> budget_;   // changed under the volume's lock, too
  std::atomic<bool> begun_{false};
  std::atomic<size_t> bytes_{0};     // of open_ and of what is sealed

  mutable std::mutex mutex_;
  std::shared_ptr<LogBackend> backend_;
  uint64_t fence_ = 0;
  uint64_t before_ = 0;              // the last sequence before this log
  uint64_t rooted_;
  bool based_ = true;
  bool suspended_ = false;
  bool closed_ = false;              // the volume is gone
  bool ended_ = false;               // nobody puts anything any more
  std::vector<uint8_t> open_;
  uint64_t open_first_ = 0, open_last_ = 0;
  Lsn open_end_ = 0;
  Foresight foresight_;
  std::deque<Sealed> sealed_;        // that are not in the pool, nor all those before them; oldest first
  struct Mark {
    uint64_t number, last_sequence;
  };
  std::deque<Mark> marks_;           // of every chunk that the root does not hold whole; oldest first
  uint64_t next_number_ = 0, frozen_number_ = 0;
  uint64_t first_number_ = 0;        // that a start would ask for: without it, it would take the log to end there
  Lsn sealed_end_ = 0;               // of what is sealed, or was before Begin
  Lsn logged_end_ = 0;               // the same of what is in the pool, without gaps
  unsigned in_flight_ = 0;
  std::multimap<Lsn, std::function<void(Status)>> waiters_;
};

}  // namespace skerry
