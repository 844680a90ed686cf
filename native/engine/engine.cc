#include "engine.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace skerry {
namespace {

constexpr std::chrono::milliseconds kAdmissionTick{2};   // how long a held-back writer waits at most for another look
constexpr std::chrono::milliseconds kIdleTick{500};
constexpr std::chrono::milliseconds kFullTick{100};      // while the disk is full: how soon room that somebody made is seen
constexpr std::chrono::milliseconds kGatherTime{2};      // what is appended waits at most this long to be written
constexpr uint64_t kGatherBytes = 256 << 10;
constexpr uint64_t kEagerNanos = 20000000;               // since durability was last asked for
constexpr uint64_t kPaceNanos = 5000000;
constexpr std::chrono::milliseconds kPrepareTick{50};
constexpr uint64_t kDestageRetryNanos = 1000000000;
constexpr unsigned kCrewThreadsMax = 8;
constexpr unsigned kDestageThreads = 1;   // beside the destager: one waits for the device while the other hashes
constexpr int kDestageNice = 5;

uint64_t ThreadCpuNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000ull + static_cast<uint64_t>(now.tv_nsec);
}

unsigned DefaultCrew() { return std::clamp(std::thread::hardware_concurrency(), 2u, kCrewThreadsMax + 1) - 1; }

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Start(Env& env, const EngineOptions& options, const std::vector<ResourceSpec>& resources,
                                              EngineListener& listener, NbdEvents& nbd_events, StoreReport& report) {
  std::unique_ptr<Engine> engine(new Engine(env, listener));
  Result<std::unique_ptr<Store>> store = Store::Open(env, options.store, resources, report);
  if (!store.ok()) return store.status();
  engine->store_ = std::move(*store);
  engine->crew_ = std::make_unique<Crew>(options.crew_threads != 0 ? options.crew_threads : DefaultCrew(), 0);
  engine->destage_crew_ = std::make_unique<Crew>(kDestageThreads, kDestageNice);
  engine->store_->pool().parallel = engine->crew_.get();
  engine->store_->pool().background = engine->destage_crew_.get();
  Result<std::unique_ptr<NbdServer>> nbd = NbdServer::Start(options.nbd, *engine, nbd_events);
  if (!nbd.ok()) return nbd.status();
  engine->nbd_ = std::move(*nbd);
  engine->flusher_ = std::thread([raw = engine.get()] { raw->FlusherLoop(); });
  engine->preparer_ = std::thread([raw = engine.get()] { raw->PreparerLoop(); });
  engine->destager_ = std::thread([raw = engine.get()] { raw->DestagerLoop(); });
  return engine;
}

Engine::~Engine() {
  // A failure was logged where it happened; what matters here is that no thread outlives the engine.
  const Status status = Stop();
  if (!status.ok()) listener_.OnLog(LogLevel::kError, "stopping: " + status.detail());
}

void Engine::Kick() {
  // The order of these loads and the flusher's stores keeps one of the two from missing what the other did.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!flusher_sleeps_.load(std::memory_order_relaxed) || store_->journal().appended() < wake_at_.load(std::memory_order_relaxed)) return;
  { std::lock_guard lock(flush_mutex_); }
  flush_wake_.notify_one();
}

void Engine::WhenDurable(Lsn target, std::function<void(Status)> done) {
  if (Status failed = store_->failure(); !failed.ok()) return done(std::move(failed));
  if (store_->journal().durable() >= target) return done(Status::Ok());
  {
    std::lock_guard lock(flush_mutex_);
    durable_waiters_.emplace(target, std::move(done));
    flushed_nanos_.store(env_.NowNanos(), std::memory_order_relaxed);
  }
  flush_wake_.notify_one();
}

void Engine::WhenAdmitted(ResourceId, std::function<void()> retry) {
  {
    std::lock_guard lock(flush_mutex_);
    admitted_.push_back(std::move(retry));
  }
  WakeDestager();
  flush_wake_.notify_one();
}

// One round: write what was appended meanwhile, sync if somebody waits for it, answer. True when there may be more to do.
bool Engine::FlushRound() {
  Result<bool> wrote = store_->WriteStep();
  if (!wrote.ok()) {
    AnswerDurable(store_->failure());
    return false;
  }
  bool waits;
  {
    std::lock_guard lock(flush_mutex_);
    waits = !durable_waiters_.empty();
  }
  if (waits) {
    const Status synced = store_->SyncStep();
    AnswerDurable(synced.ok() ? synced : store_->failure());
    if (!synced.ok()) return false;
  }
  const uint64_t segment = store_->journal().written() / store_->options().journal.segment_bytes;
  if (std::exchange(prepared_for_, segment) != segment) WakePreparer();
  return *wrote;
}

void Engine::WakePreparer() {
  { std::lock_guard lock(prepare_mutex_); prepare_wanted_ = true; }
  prepare_wake_.notify_one();
}

void Engine::WakeDestager() {
  { std::lock_guard lock(destage_mutex_); destage_wanted_ = true; }
  destage_wake_.notify_one();
}

void Engine::Pace() {
  if (store_->Pace()) destage_retry_at_.store(0);
  WakeDestager();
}

void Engine::AnswerDurable(const Status& failure) {
  std::vector<std::function<void(Status)>> ready;
  {
    std::lock_guard lock(flush_mutex_);
    const auto end = failure.ok() ? durable_waiters_.upper_bound(store_->journal().durable()) : durable_waiters_.end();
    for (auto it = durable_waiters_.begin(); it != end; ++it) ready.push_back(std::move(it->second));
    durable_waiters_.erase(durable_waiters_.begin(), end);
  }
  for (auto& done : ready) done(failure);
}

// The data path is refused by the journal itself; this tells the operator, and those who wait for what will not come.
bool Engine::Failed() {
  const Status failure = store_->failure();
  if (failure.ok()) return false;
  if (failed_.exchange(true)) return true;
  listener_.OnLog(LogLevel::kError, "the daemon is READ-ONLY, every flush fails: " + failure.detail());
  // Another thread than the flusher may have met it.
  AnswerDurable(failure);
  return true;
}

void Engine::RunAdmitted() {
  std::vector<std::function<void()>> retries;
  {
    std::lock_guard lock(flush_mutex_);
    retries.swap(admitted_);
  }
  for (auto& retry : retries) retry();
}

void Engine::FlusherLoop() {
  uint64_t paced = 0;
  do {
    FlushRound();
    (void)Failed();
    const uint64_t now = env_.NowNanos();
    if (now - paced > kPaceNanos) {
      paced = now;
      Pace();
    }
    RunAdmitted();
  } while (WaitForWork());
}

// Where durability was asked for of late, the flusher is eager, so that a flush finds its data on the way. Otherwise it lets
// some gather: a write of one record costs the machine about as much as one of many. False: stop.
bool Engine::WaitForWork() {
  const Journal& journal = store_->journal();
  std::unique_lock lock(flush_mutex_);
  std::optional<std::chrono::steady_clock::time_point> gather_end;
  while (true) {
    if (failed_.load() || flusher_stops_) {
      if (flusher_stops_ && (failed_.load() || (durable_waiters_.empty() && journal.appended() <= journal.written()))) return false;
      if (!failed_.load()) return true;
    }
    const bool waits = !failed_.load() && !durable_waiters_.empty();
    const Lsn appended = journal.appended(), written = journal.written();
    const bool eager = env_.NowNanos() - flushed_nanos_.load(std::memory_order_relaxed) < kEagerNanos;
    const bool pending = !failed_.load() && appended > written;
    if (waits || (pending && (eager || appended - written >= kGatherBytes))) return true;
    const auto now = std::chrono::steady_clock::now();
    if (pending && !gather_end) gather_end = now + kGatherTime;
    if (pending && now >= *gather_end) return true;
    wake_at_.store(pending ? written + kGatherBytes : 0, std::memory_order_relaxed);
    flusher_sleeps_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // What was appended since it was looked at above did not see anyone asleep.
    const bool missed = journal.appended() != appended;
    std::cv_status woken = std::cv_status::no_timeout;
    if (!missed && pending) woken = flush_wake_.wait_until(lock, *gather_end);
    if (!missed && !pending) woken = flush_wake_.wait_for(lock, !admitted_.empty() ? kAdmissionTick : store_->has_room() ? kIdleTick : kFullTick);
    flusher_sleeps_.store(false, std::memory_order_relaxed);
    // Held-back writers look again, and the store is paced, even where nothing is to be written.
    if (woken == std::cv_status::timeout || !admitted_.empty()) return true;
  }
}

void Engine::PreparerLoop() {
  Code last_failure = Code::kOk;  // told once, not at each attempt
  while (true) {
    Result<bool> prepared = Failed() ? Result<bool>(false) : store_->journal().PrepareSegment();
    if (!prepared.ok() && prepared.code() != last_failure) listener_.OnLog(LogLevel::kWarn, "preparing a journal segment: " + prepared.status().detail());
    last_failure = prepared.code();
    const bool more = prepared.ok() && *prepared;
    if (more) RunAdmitted();
    std::unique_lock lock(prepare_mutex_);
    if (prepare_stops_) return;
    if (more) continue;
    prepare_wanted_ = false;
    prepare_wake_.wait_for(lock, prepared.ok() ? kIdleTick : kPrepareTick, [this] { return prepare_wanted_ || prepare_stops_; });
    if (prepare_stops_) return;
  }
}

void Engine::DestagerLoop() {
  Status last_failure;
  Code last_told = Code::kOk, last_save = Code::kOk;
  while (true) {
    {
      std::unique_lock lock(destage_mutex_);
      destage_wake_.wait_for(lock, kIdleTick, [this] { return destage_wanted_ || destage_stops_; });
      if (destage_stops_) return;
      destage_wanted_ = false;
    }
    while (env_.NowNanos() >= destage_retry_at_.load()) {
      Result<std::optional<RootCommit>> commit = store_->DestageStep();
      destage_cpu_nanos_.store(ThreadCpuNanos());
      if (!commit.ok()) {
        if (Failed()) break;
        last_failure = commit.status();
        // Attempts differ in the numbers they name, not in what is wrong.
        if (last_failure.code() != last_told) listener_.OnLog(LogLevel::kError, "destage: " + last_failure.detail());
        last_told = last_failure.code();
        destage_retry_at_.store(env_.NowNanos() + kDestageRetryNanos);
        break;
      }
      if (!commit->has_value()) break;
      last_failure = Status::Ok();
      last_told = Code::kOk;
      if (!(*commit)->damage.empty()) listener_.OnLog(LogLevel::kError, "destage: " + (*commit)->damage);
      listener_.OnCommit(**commit);
      std::lock_guard lock(destage_mutex_);
      if (destage_stops_) return;
    }
    const Status saved = Failed() ? Status::Ok() : store_->pool().packs->Checkpoint(false);
    if (!saved.ok() && saved.code() != last_save) listener_.OnLog(LogLevel::kWarn, "writing the location index's checkpoint: " + saved.detail());
    last_save = saved.code();
    // Who waits for a disk that is full would wait until somebody frees some of it, which may be never.
    CheckSettled(last_failure.code() == Code::kNoSpace ? last_failure : store_->failure());
  }
}

void Engine::CheckSettled(const Status& failure) {
  std::vector<SettleWaiter> settled;
  {
    std::lock_guard lock(destage_mutex_);
    for (auto it = settle_waiters_.begin(); it != settle_waiters_.end();) {
      if (!failure.ok() || store_->Settled(it->id)) {
        settled.push_back(std::move(*it));
        it = settle_waiters_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (SettleWaiter& waiter : settled) waiter.done(failure);
}

void Engine::Snapshot(ResourceId volume, ResourceId snapshot, std::function<void(Status, uint64_t)> done) {
  uint64_t sequence = 0;
  Result<WriteOutcome> outcome = store_->Snapshot(volume, snapshot, &sequence);
  if (!outcome.ok()) return done(outcome.status(), 0);
  WhenDurable(outcome->end, [done = std::move(done), sequence](Status status) { done(std::move(status), sequence); });
  std::lock_guard lock(destage_mutex_);
  destage_wanted_ = true;
  destage_wake_.notify_one();
}

void Engine::Drop(ResourceId id, std::function<void(Status)> done) {
  nbd_->Disconnect(id);
  Result<WriteOutcome> outcome = store_->Drop(id);
  if (!outcome.ok()) return done(outcome.status());
  // What it held need no longer find room: who was refused, or waits, need not wait until somebody looks.
  Pace();
  RunAdmitted();
  if (outcome->end == 0) return done(Status::Ok());
  WhenDurable(outcome->end, std::move(done));
}

void Engine::Resize(ResourceId volume, uint64_t size_bytes, std::function<void(Status)> done) {
  Result<WriteOutcome> outcome = store_->Resize(volume, size_bytes);
  if (!outcome.ok()) return done(outcome.status());
  WhenDurable(outcome->end, std::move(done));
}

void Engine::Rollback(ResourceId volume, ResourceId snapshot, std::function<void(Status)> done) {
  Result<WriteOutcome> outcome = store_->Rollback(volume, snapshot);
  if (!outcome.ok()) return done(outcome.status());
  WhenDurable(outcome->end, std::move(done));
}

void Engine::DestageAll(ResourceId id, std::function<void(Status)> done) {
  if (id != 0) {
    if (Status status = store_->Freeze(id); !status.ok()) return done(status);
  } else {
    store_->FreezeAll();
  }
  std::lock_guard lock(destage_mutex_);
  settle_waiters_.push_back({id, std::move(done)});
  destage_wanted_ = true;
  destage_wake_.notify_one();
}

void Engine::Committed(uint64_t token, bool ok) {
  store_->Committed(token, ok);
  // The journal forgets only what is durable, and where nobody asks for durability nobody else would see to that.
  if (const Lsn written = store_->journal().written(); ok && store_->journal().durable() < written) {
    WhenDurable(written, [this](const Status& status) {
      if (!status.ok()) return;
      store_->Trim();
      WakePreparer();
    });
  }
  Pace();
  RunAdmitted();
  WakePreparer();
}

Status Engine::Stop() {
  if (stopped_) return Status::Ok();
  stopped_ = true;
  if (nbd_) nbd_->Stop();
  Status status = Status::Ok();
  if (flusher_.joinable()) {
    // What is only in the ring survives the process, not the host: leave nothing there.
    if (!failed_.load()) {
      std::mutex mutex;
      std::condition_variable wake;
      bool answered = false;
      WhenDurable(store_->journal().appended(), [&](Status durable) {
        std::lock_guard lock(mutex);
        status = std::move(durable);
        answered = true;
        wake.notify_one();
      });
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return answered; });
    }
    { std::lock_guard lock(flush_mutex_); flusher_stops_ = true; }
    flush_wake_.notify_one();
    flusher_.join();
  }
  { std::lock_guard lock(prepare_mutex_); prepare_stops_ = true; }
  prepare_wake_.notify_one();
  if (preparer_.joinable()) preparer_.join();
  { std::lock_guard lock(destage_mutex_); destage_stops_ = true; }
  destage_wake_.notify_one();
  if (destager_.joinable()) destager_.join();
  if (store_) {
    // Sealed packs need no scan at the next start.
    Status saved = store_->pool().packs->Seal();
    if (saved.ok()) saved = store_->pool().packs->Checkpoint(true);
    if (!saved.ok() && status.ok()) status = saved;
  }
  std::vector<SettleWaiter> waiters;
  waiters.swap(settle_waiters_);
  for (SettleWaiter& waiter : waiters) waiter.done(Status(Code::kClosed, "the engine stops"));
  return status;
}

}  // namespace skerry
