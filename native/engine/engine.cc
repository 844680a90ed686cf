#include "engine.h"

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
  for (const auto& pool : engine->store_->pools()) engine->Equip(*pool);
  Result<std::unique_ptr<NbdServer>> nbd = NbdServer::Start(options.nbd, *engine, nbd_events);
  if (!nbd.ok()) return nbd.status();
  engine->nbd_ = std::move(*nbd);
  engine->flusher_ = std::thread([raw = engine.get()] { raw->FlusherLoop(); });
  engine->preparer_ = std::thread([raw = engine.get()] { raw->PreparerLoop(); });
  for (const auto& pool : engine->store_->pools()) engine->StartDestager(pool);
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

void Engine::KickWhenMuch() {
  if (store_->journal().appended() - store_->journal().written() >= kGatherBytes) Kick();
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
  WakeDestagers();
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

void Engine::Pace() {
  if (store_->Pace()) {
    std::lock_guard lock(destage_mutex_);
    for (const auto& destager : destagers_) destager->retry_nanos.store(0);
  }
  WakeDestagers();
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

/** True when there may be more to move. */
bool Engine::MoveRecords(Code& told) {
  const Result<Store::Moved> moved = store_->MoveStep();
  if (!moved.ok() && moved.code() != told) listener_.OnLog(LogLevel::kWarn, "moving records to the journal's end: " + moved.status().detail());
  told = moved.code();
  if (!moved.ok() || *moved == Store::Moved::kNothing) return false;
  // Nobody else may be waiting for durability, and the segment goes only then.
  if (*moved == Store::Moved::kSegment) {
    WhenDurable(store_->journal().appended(), [this](const Status& status) {
      if (!status.ok()) return;
      store_->Trim();
      WakePreparer();
    });
  }
  return true;
}

void Engine::PreparerLoop() {
  Code last_failure = Code::kOk, last_move_failure = Code::kOk;  // told once, not at each attempt
  while (true) {
    Result<bool> prepared = Failed() ? Result<bool>(false) : store_->journal().PrepareSegment();
    if (!prepared.ok() && prepared.code() != last_failure) listener_.OnLog(LogLevel::kWarn, "preparing a journal segment: " + prepared.status().detail());
    last_failure = prepared.code();
    const bool more = prepared.ok() && *prepared;
    if (more) RunAdmitted();
    const bool moved = !more && prepared.ok() && MoveRecords(last_move_failure);
    std::unique_lock lock(prepare_mutex_);
    if (prepare_stops_) return;
    if (more || moved) continue;
    prepare_wanted_ = false;
    prepare_wake_.wait_for(lock, prepared.ok() ? kIdleTick : kPrepareTick, [this] { return prepare_wanted_ || prepare_stops_; });
    if (prepare_stops_) return;
  }
}

void Engine::Equip(Pool& pool) {
  pool.rot.Listen([this](const std::string& what) { listener_.OnLog(LogLevel::kError, what); });
  pool.parallel = crew_.get();
  // A thread that waits for a backend must not be one that other pools are destaged with.
  if (!pool.packs->remote()) pool.background = destage_crew_.get();
}

void Engine::StartDestager(std::shared_ptr<Pool> pool) {
  auto destager = std::make_unique<Destager>();
  Destager& raw = *destager;
  raw.pool = std::move(pool);
  raw.pool->packs->OnShipped([this] { WakeDestagers(); });
  std::lock_guard lock(destage_mutex_);
  if (destage_stops_) return;  // a pool that came as the engine stopped
  raw.thread = std::thread([this, &raw] { DestagerLoop(raw); });
  destagers_.push_back(std::move(destager));
}

void Engine::WakeDestagers() {
  {
    std::lock_guard lock(destage_mutex_);
    ++destage_round_;
  }
  destage_wake_.notify_all();
}

void Engine::DestagerLoop(Destager& destager) {
  while (true) {
    {
      std::unique_lock lock(destage_mutex_);
      destage_wake_.wait_for(lock, kIdleTick, [&] { return destage_round_ != destager.seen || destage_stops_ || destager.stops; });
      if (destage_stops_ || destager.stops) return;
      destager.seen = destage_round_;
    }
    CheckSettled(*destager.pool, DestageRound(destager));
  }
}

Status Engine::DestageRound(Destager& destager) {
  PackStore& packs = *destager.pool->packs;
  // Attempts differ in the numbers they name, not in what is wrong.
  const auto tell = [this, &destager](Code& told, LogLevel level, const char* doing, const Status& status) {
    if (!status.ok() && status.code() != told) listener_.OnLog(level, std::string(doing) + " of pool " + destager.pool->name + ": " + status.detail());
    told = status.code();
  };
  while (env_.NowNanos() >= destager.retry_nanos.load()) {
    Result<std::optional<RootCommit>> commit = store_->DestageStep(*destager.pool);
    const uint64_t cpu = env_.ThreadCpuNanos();
    destage_cpu_nanos_ += cpu - std::exchange(destager.cpu_nanos, cpu);
    if (!commit.ok()) {
      if (Failed()) break;
      destager.failure = commit.status();
      tell(destager.told, LogLevel::kError, "destage", destager.failure);
      destager.retry_nanos.store(env_.NowNanos() + kDestageRetryNanos);
      break;
    }
    destager.failure = Status::Ok();
    destager.told = Code::kOk;
    if (!commit->has_value()) break;
    if (!(*commit)->damage.empty()) listener_.OnLog(LogLevel::kError, "destage: " + (*commit)->damage);
    listener_.OnCommit(**commit);
    std::lock_guard lock(destage_mutex_);
    if (destage_stops_) return Status::Ok();
  }
  if (!Failed()) {
    tell(destager.told_upkeep, LogLevel::kWarn, "shipping packs", packs.Upkeep());
    tell(destager.told_save, LogLevel::kWarn, "writing the location index's checkpoint", packs.Checkpoint(false));
  }
  // Who waits for a disk or a backend that is full would wait until somebody frees some of it, which may be never.
  if (destager.failure.code() == Code::kNoSpace) return destager.failure;
  if (packs.remote() && packs.usage().backend_full) return {Code::kNoSpace, "the backend of pool " + destager.pool->name + " is full"};
  return Status::Ok();
}

Status Engine::AddPool(const PoolOptions& options, PackReport& report) {
  Result<std::shared_ptr<Pool>> pool = store_->AddPool(options, report);
  if (!pool.ok()) return pool.status();
  Equip(**pool);
  StartDestager(std::move(*pool));
  return Status::Ok();
}

Status Engine::RemovePool(const std::string& name) {
  const std::shared_ptr<Pool> pool = store_->FindPool(name);
  if (Status status = store_->RemovePool(name); !status.ok()) return status;
  pool->packs->OnShipped({});
  std::unique_ptr<Destager> ended;
  {
    std::lock_guard lock(destage_mutex_);
    const auto found = std::find_if(destagers_.begin(), destagers_.end(), [&](const auto& each) { return each->pool == pool; });
    if (found == destagers_.end()) return Status::Ok();
    ended = std::move(*found);
    ended->stops = true;
    destagers_.erase(found);
  }
  destage_wake_.notify_all();
  ended->thread.join();
  return Status::Ok();
}

void Engine::CheckSettled(const Pool& pool, const Status& failure) {
  const Status failed = store_->failure();
  const auto outcome = [&](const SettleWaiter& waiter) -> std::optional<Status> {
    if (!failed.ok()) return failed;
    if (std::optional<Status> settled = Settled(waiter)) return settled;
    if (failure.ok()) return std::nullopt;
    const std::shared_ptr<LiveVolume> volume = store_->Find(waiter.id);
    return waiter.id == 0 || (volume && volume->pool().get() == &pool) ? std::optional(failure) : std::nullopt;
  };
  std::vector<std::pair<SettleWaiter, Status>> settled;
  {
    std::lock_guard lock(destage_mutex_);
    for (auto it = settle_waiters_.begin(); it != settle_waiters_.end();) {
      if (std::optional<Status> status = outcome(*it)) {
        settled.emplace_back(std::move(*it), std::move(*status));
        it = settle_waiters_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (auto& [waiter, status] : settled) waiter.done(std::move(status));
}

void Engine::Snapshot(ResourceId volume, ResourceId snapshot, std::function<void(Status, uint64_t)> done) {
  uint64_t sequence = 0;
  Result<WriteOutcome> outcome = store_->Snapshot(volume, snapshot, &sequence);
  if (!outcome.ok()) return done(outcome.status(), 0);
  WhenDurable(outcome->end, [done = std::move(done), sequence](Status status) { done(std::move(status), sequence); });
  WakeDestagers();
}

void Engine::Drop(ResourceId id, std::function<void(Status)> done) {
  nbd_->Disconnect(id);
  Result<WriteOutcome> outcome = store_->Drop(id);
  if (!outcome.ok()) return done(outcome.status());
  // What it held need no longer find room: who was refused, or waits, need not wait until somebody looks.
  Pace();
  RunAdmitted();
  if (outcome->end == 0) return done(Status::Ok());
  WhenDurable(outcome->end, [this, done = std::move(done)](const Status& status) {
    // Its records wait for the word of its deletion, and no commit may come after that.
    if (status.ok()) {
      store_->Trim();
      WakePreparer();
    }
    done(status);
  });
}

void Engine::DestageAll(ResourceId id, std::function<void(Status)> done) {
  uint64_t sequence = 0;
  if (id != 0) {
    if (Status status = store_->Freeze(id, &sequence); !status.ok()) return done(status);
  } else {
    store_->FreezeAll();
  }
  {
    std::lock_guard lock(destage_mutex_);
    settle_waiters_.push_back({id, std::move(done), sequence});
  }
  WakeDestagers();
}

void Engine::DestageTrims(const Pool& pool) {
  store_->FreezeTrims(pool);
  WakeDestagers();
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
  std::vector<std::unique_ptr<Destager>> destagers;
  {
    std::lock_guard lock(destage_mutex_);
    destage_stops_ = true;
    destagers.swap(destagers_);
  }
  destage_wake_.notify_all();
  for (const auto& destager : destagers) {
    destager->pool->packs->OnShipped({});
    destager->thread.join();
  }
  for (const auto& pool : store_ ? store_->pools() : std::vector<std::shared_ptr<Pool>>()) {
    // Sealed packs need no scan at the next start.
    Status saved = pool->packs->Seal();
    if (saved.ok()) saved = pool->packs->Checkpoint(true);
    if (!saved.ok() && status.ok()) status = saved;
  }
  std::vector<SettleWaiter> waiters;
  waiters.swap(settle_waiters_);
  for (SettleWaiter& waiter : waiters) waiter.done(Status(Code::kClosed, "the engine stops"));
  return status;
}

}  // namespace skerry
