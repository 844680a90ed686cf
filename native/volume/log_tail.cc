#include "log_tail.h"

#include <algorithm>
#include <string>
#include <utility>

#include "../env/mutants.h"

namespace skerry {
namespace {

constexpr size_t kEntryBytes = sizeof(LogEntryHeader);

}  // namespace

void LogTail::Begin(std::shared_ptr<LogBackend> backend, uint64_t fence, uint64_t last_sequence, Lsn end) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    BeginLocked(std::move(backend), fence, last_sequence, end);
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

void LogTail::BeginLocked(std::shared_ptr<LogBackend> backend, uint64_t fence, uint64_t last_sequence, Lsn end) {
  backend_ = std::move(backend);
  fence_ = fence;
  before_ = last_sequence;
  open_end_ = sealed_end_ = logged_end_ = end;
  begun_.store(true, std::memory_order_release);
}

void LogTail::Suspend() {
  std::lock_guard lock(mutex_);
  suspended_ = !IsMutant(Mutant::kMovedLogUnheld);
}

void LogTail::Resume() {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    suspended_ = false;
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

void LogTail::MoveTo(std::shared_ptr<LogBackend> backend, std::shared_ptr<LogBudget> budget, uint64_t fence, uint64_t last_sequence, Lsn end) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || ended_) return;
    Uncount(bytes_);
    budget_ = std::move(budget);
    open_.clear();
    sealed_.clear();
    marks_.clear();
    next_number_ = frozen_number_ = first_number_ = 0;
    in_flight_ = 0;
    suspended_ = false;
    BeginLocked(std::move(backend), fence, IsMutant(Mutant::kMovedLogUnrooted) ? 0 : last_sequence, end);
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

void LogTail::Add(const LogEntry& entry, Lsn end) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    if (!begun() || closed_ || ended_) return;
    const size_t before = open_.size();
    if (before == 0) {
      open_.reserve(std::max<size_t>(kSealBytes / 16, kEntryBytes + entry.payload.size()));
      open_first_ = entry.sequence;
    }
    EncodeLogEntry(volume_, entry, open_);
    open_last_ = entry.sequence;
    open_end_ = end;
    Count(open_.size() - before);
    // A flush that is foreseen finds its chunk on the way; only where that makes nobody wait.
    const bool foreseen = foresight_.Record() && sealed_.empty();
    if (open_.size() < kSealBytes && !foreseen) return;
    SealLocked();
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

bool LogTail::IsFull() {
  if (bytes_.load(std::memory_order_relaxed) < kShareBytesMin || budget_->bytes.load(std::memory_order_relaxed) < kTailsBytesMax) return false;
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || ended_) return true;
    if (!open_.empty()) SealLocked();
    ready = CollectLocked();
  }
  Send(std::move(ready));
  return true;
}

void LogTail::Count(size_t bytes) {
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  budget_->bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void LogTail::Uncount(size_t bytes) {
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  budget_->bytes.fetch_sub(bytes, std::memory_order_relaxed);
}

void LogTail::WhenLogged(Lsn target, std::function<void(Status)> done) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    if (closed_) {
      ready.waiters.push_back([done = std::move(done)](const Status&) { done(Status(Code::kClosed, "the volume takes no flushes any more")); });
    } else {
      waiters_.emplace(target, std::move(done));
      foresight_.Flush();
      ready = CollectLocked();
    }
  }
  Send(std::move(ready));
}

void LogTail::Rooted(uint64_t sequence, const std::optional<LogMark>& mark) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    rooted_ = std::max(rooted_, sequence);
    if (mark && mark->fence == fence_) first_number_ = std::max(first_number_, mark->number);
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

void LogTail::SetBased(bool based) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(based_, based) == based) return;
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

void LogTail::GiveUpWaiting(const Status& why) {
  std::multimap<Lsn, std::function<void(Status)>> waiters;
  {
    std::lock_guard lock(mutex_);
    waiters.swap(waiters_);
  }
  for (const auto& [target, done] : waiters) done(why);
}

void LogTail::Close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    open_.clear();
    sealed_.clear();
    Uncount(bytes_);
  }
  GiveUpWaiting(Status(Code::kClosed, "the volume is gone"));
}

std::optional<LogMark> LogTail::MarkAfter(uint64_t sequence) const {
  std::lock_guard lock(mutex_);
  if (!begun()) return std::nullopt;
  const auto past = std::ranges::upper_bound(marks_, sequence, {}, &Mark::last_sequence);
  return LogMark{fence_, past == marks_.end() ? next_number_ : past->number};
}

bool LogTail::long_since_frozen() const {
  std::lock_guard lock(mutex_);
  return next_number_ - frozen_number_ >= kChunksMax;
}

void LogTail::Froze() {
  std::lock_guard lock(mutex_);
  frozen_number_ = next_number_;
}

/** What the log of this life holds is worth something only over a root with all that came before it. */
bool LogTail::VouchedLocked(Lsn target) const {
  if (!begun() || !based_ || suspended_) return false;
  if (rooted_ < before_ && !IsMutant(Mutant::kLogUnrooted)) return false;
  return target <= logged_end_ || IsMutant(Mutant::kFlushBeforePool);
}

void LogTail::SealLocked() {
  const uint64_t number = next_number_++, settled = sealed_.empty() ? number : sealed_.front().chunk.number;
  LogChunk chunk{volume_, fence_, number, open_first_, open_last_, settled, std::make_shared<const std::vector<uint8_t>>(std::exchange(open_, {}))};
  marks_.push_back({chunk.number, chunk.last_sequence});
  sealed_.push_back({std::move(chunk), open_end_});
  sealed_end_ = open_end_;
}

/** Takes off what the pool has, in log chunks or in the root. */
void LogTail::SettleLocked() {
  while (!marks_.empty() && marks_.front().last_sequence <= rooted_) marks_.pop_front();
  while (!sealed_.empty() && (sealed_.front().state == State::kPut || sealed_.front().chunk.number < first_number_)) {
    logged_end_ = sealed_.front().end;
    Uncount(sealed_.front().chunk.entries->size());
    sealed_.pop_front();
  }
  if (sealed_.empty() && !open_.empty() && open_last_ <= rooted_) {
    logged_end_ = sealed_end_ = open_end_;
    Uncount(open_.size());
    open_.clear();
  }
}

LogTail::Ready LogTail::CollectLocked() {
  Ready ready;
  if (!begun() || closed_ || ended_) return ready;
  ready.backend = backend_;
  SettleLocked();
  while (!waiters_.empty() && VouchedLocked(waiters_.begin()->first)) {
    ready.waiters.push_back(std::move(waiters_.begin()->second));
    waiters_.erase(waiters_.begin());
  }
  while (in_flight_ < kPutsInFlightMax) {
    const auto waiting = std::ranges::find(sealed_, State::kWaiting, &Sealed::state);
    if (waiting != sealed_.end()) {
      waiting->state = State::kInFlight;
      ++in_flight_;
      ready.puts.push_back(waiting->chunk);
      continue;
    }
    // Whoever comes while all puts are under way shares the next chunk with those that come after him.
    const bool wanted = !waiters_.empty() && waiters_.rbegin()->first > sealed_end_;
    if (open_.empty() || !wanted) break;
    SealLocked();
  }
  return ready;
}

void LogTail::Send(Ready ready) {
  for (const LogChunk& chunk : ready.puts) {
    ready.backend->PutLog(chunk, [self = shared_from_this(), fence = chunk.fence, number = chunk.number](const Status& status) { self->Done(fence, number, status); });
  }
  for (const auto& done : ready.waiters) done(Status::Ok());
}

void LogTail::Done(uint64_t fence, uint64_t number, const Status& status) {
  Ready ready;
  {
    std::lock_guard lock(mutex_);
    // Of the pool that the volume has left.
    if (fence != fence_) return;
    --in_flight_;
    const auto found = std::ranges::find(sealed_, number, [](const Sealed& sealed) { return sealed.chunk.number; });
    if (found != sealed_.end()) found->state = status.ok() ? State::kPut : State::kWaiting;
    // The daemon ends. A client whose flush is not answered asks the next one; one that is told of a failure may give its disk up.
    if (!status.ok()) {
      ended_ = true;
      waiters_.clear();
    }
    ready = CollectLocked();
  }
  Send(std::move(ready));
}

}  // namespace skerry
