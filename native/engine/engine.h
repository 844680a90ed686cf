#pragma once
// The store with its threads: a flusher that moves the ring to segments and answers flushes, a preparer of segments, a
// destager, the NBD server. Whoever embeds it (the addon) hears of roots to commit and of what an operator should know.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../nbd/server.h"
#include "../volume/store.h"
#include "crew.h"

namespace skerry {

enum class LogLevel : uint8_t { kInfo, kWarn, kError };

/** Called from engine threads; must not block and must not call back into the engine. */
class EngineListener {
 public:
  virtual ~EngineListener() = default;
  virtual void OnCommit(const RootCommit& commit) = 0;
  virtual void OnLog(LogLevel level, const std::string& message) = 0;
};

struct EngineOptions {
  StoreOptions store;
  NbdOptions nbd;
  unsigned crew_threads = 0;   // that help with large requests; 0: one for each processor but one, at least one
};

class Engine : public NbdBackend {
 public:
  static Result<std::unique_ptr<Engine>> Start(Env& env, const EngineOptions& options, const std::vector<ResourceSpec>& resources, EngineListener& listener,
                                               NbdEvents& nbd_events, StoreReport& report);
  ~Engine() override;

  /** Opens one pool more, and destages for it. */
  Status AddPool(const PoolOptions& options, PackReport& report);
  /** Forgets a pool that no resource is in. */
  Status RemovePool(const std::string& name);

  Store& store() { return *store_; }
  NbdServer& nbd() { return *nbd_; }

  /** Freezes `volume` as `snapshot`; `done` once the barrier is durable, with the last sequence in it. */
  void Snapshot(ResourceId volume, ResourceId snapshot, std::function<void(Status, uint64_t sequence)> done);
  void Drop(ResourceId id, std::function<void(Status)> done);
  /** `done` once the new size is durable; it holds for new requests at once. */
  void Resize(ResourceId volume, uint64_t size_bytes, std::function<void(Status)> done);
  /** `done` once all that was written to the volume so far is where a flush of it has to be. */
  void Flush(ResourceId volume, std::function<void(Status)> done);
  /** Store::BeginLog. */
  Status BeginLog(ResourceId volume, uint64_t fence, uint64_t sequence);
  /** Makes the volume what `snapshot` is; `done` once that is durable. Store::Rollback says when it is kTryAgain. */
  void Rollback(ResourceId volume, ResourceId snapshot, std::function<void(Status)> done);
  // How a resource changes its pool while it is read and written: Store says what each of these asks and promises.
  /** `done` once all that the resource held is in a committed root of its pool. Where that fails, it is held no longer. */
  void HoldForSwitch(ResourceId id, const std::string& to_pool, std::function<void(Result<Store::HeldResource>)> done);
  Status Expect(ResourceId id, const TreeRoot& root) { return store_->Expect(id, root); }
  Result<uint64_t> Switch(ResourceId id, uint64_t log_fence);
  void Release(ResourceId id);
  /** Destages all that the volume (0: every volume) holds; `done` once its roots are committed. */
  void DestageAll(ResourceId id, std::function<void(Status)> done);
  /** The same for what the pool's volumes have given back; Store::trims tells how far that is. */
  void DestageTrims(const Pool& pool);
  void Committed(uint64_t token, bool ok);

  void WhenDurable(Lsn target, std::function<void(Status)> done) override;
  void Kick() override;
  /** Kick() once there is much to write: for who writes little, and flushes it soon. */
  void KickWhenMuch();
  void WhenAdmitted(ResourceId volume, std::function<void()> retry) override;

  /** CPU time of the destager and those who help it, in seconds. */
  double destage_cpu_seconds() const { return static_cast<double>(destage_cpu_nanos_.load() + destage_crew_->cpu_nanos()) / 1e9; }
  /** Answers what has been read, makes the journal durable, joins every thread. Idempotent. */
  Status Stop();

 private:
  Engine(Env& env, EngineListener& listener) : env_(env), listener_(listener) {}
  void FlusherLoop();
  void PreparerLoop();
  bool MoveRecords(Code& told);
  void WhenReshaped(ResourceId volume, Lsn end, std::function<void(Status)> done);
  struct Destager;
  void StartDestager(std::shared_ptr<Pool> pool);
  void DestagerLoop(Destager& destager);
  /** One look at what a pool has to destage and to ship. Not ok where nothing more will be settled until something is made free. */
  Status DestageRound(Destager& destager);
  void Equip(Pool& pool);
  void WakeDestagers();
  bool FlushRound();
  bool WaitForWork();
  void WakePreparer();
  /** Paces the store; where room has come back, destage that failed for want of it is tried again at once. */
  void Pace();
  void AnswerDurable(const Status& failure);
  /** Whether nothing is written any more. Logs that, once. */
  bool Failed();
  void RunAdmitted();
  /** Answers those whose destage is done, and with `failure`, where that is not ok, those who wait for this pool. */
  void CheckSettled(const Pool& pool, const Status& failure);

  Env& env_;
  EngineListener& listener_;
  std::unique_ptr<Crew> crew_, destage_crew_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<NbdServer> nbd_;

  std::mutex flush_mutex_;
  std::condition_variable flush_wake_;
  std::multimap<Lsn, std::function<void(Status)>> durable_waiters_;
  std::vector<std::function<void()>> admitted_;
  std::atomic<bool> flusher_sleeps_{false};
  std::atomic<Lsn> wake_at_{0};               // a sleeping flusher is not woken before this much is appended
  std::atomic<uint64_t> flushed_nanos_{0};    // when somebody last asked for durability who shall find his data on the way next time
  std::atomic<bool> failed_{false};
  bool flusher_stops_ = false;

  std::mutex destage_mutex_;
  std::condition_variable destage_wake_;
  bool destage_stops_ = false;
  uint64_t destage_round_ = 0;       // grows whenever there may be something to do
  /** A pool has a thread of its own: one whose backend is away must not hold up the others. */
  struct Destager {
    std::shared_ptr<Pool> pool;
    std::thread thread;
    bool stops = false;
    uint64_t seen = 0;               // of destage_round_
    uint64_t cpu_nanos = 0;
    std::atomic<uint64_t> retry_nanos{0};   // after a failure; 0: at once
    Status failure;                  // of the last attempt
    Code told = Code::kOk, told_upkeep = Code::kOk, told_save = Code::kOk;
  };
  std::vector<std::unique_ptr<Destager>> destagers_;
  struct SettleWaiter {
    ResourceId id;
    std::function<void(Status)> done;
    uint64_t sequence = 0;   // of one volume: what is written after it is not waited for
    bool held = false;   // waits for what a held resource had when it was held, not for what is written to it since
  };
  /** nullopt: it waits on. */
  std::optional<Status> Settled(const SettleWaiter& waiter) const;
  std::vector<SettleWaiter> settle_waiters_;
  std::atomic<uint64_t> destage_cpu_nanos_{0};

  std::mutex prepare_mutex_;
  std::condition_variable prepare_wake_;
  bool prepare_stops_ = false, prepare_wanted_ = true;
  uint64_t prepared_for_ = 0;   // segment that was being written when the preparer was last woken

  std::thread flusher_, preparer_;
  bool stopped_ = false;
};

}  // namespace skerry
