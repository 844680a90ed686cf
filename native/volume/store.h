#pragma once
// Every resource of a daemon over one journal and its pools. It starts no threads: the engine's threads, or the simulator,
// call its steps. Locks are taken in the order store, volume, journal.
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "held_roots.h"
#include "live_volume.h"
#include "pending_links.h"
#include "rewinds.h"

namespace skerry {

struct StoreOptions {
  JournalOptions journal;
  std::vector<PoolOptions> pools;            // at least one
  uint64_t overlay_bytes_max = 192ull << 20;
  uint64_t node_cache_bytes_max = 64ull << 20;   // of all pools together
  /** What pins the log's tail is copied to its end once the log takes this part of its window and less than that part of it is wanted. */
  double move_at = 0.7, move_wanted_max = 0.5;
  uint64_t idle_destage_nanos = 30ull * 1000000000;  // a volume that rests is destaged after this, so that starting stays quick
};

enum class ResourceKind : uint8_t { kVolume, kSnapshot, kImage };

/** What the catalog knows of a resource. */
struct ResourceSpec {
  VolumeSpec volume;
  ResourceKind kind = ResourceKind::kVolume;
  TreeRoot root;
  ResourceId pending_of = 0;   // snapshot with a pending root: its volume. Clone of a pending snapshot: that snapshot
  std::string pool = "default";
};

struct RootTaker {
  ResourceId id;
  uint64_t applied_sequence;
  uint64_t fence;
  uint64_t size_bytes;   // of the taker with this root
  uint64_t lineage;
  std::optional<LogMark> log{};   // of one that flushes to its pool: what of its log the root does not hold
};

/** A root whose packs are durable, waiting for its catalog transaction. */
struct RootCommit {
  uint64_t token = 0;
  std::vector<RootTaker> takers;   // the destaged volume first
  TreeRoot root;
  std::string pool{};              // its name
  std::string damage{};            // a sentence for the operator where pages were lost in it; else empty
};

struct StoreReport {
  ReplayReport journal;
  PackReport packs;            // of all pools
  std::vector<std::string> notes;
  /** Volumes whose log ended early, with the sequence of the last write they kept. */
  std::vector<std::pair<ResourceId, uint64_t>> rewound;
  /** Salvage: what waited for a root of which the journal lost a part. The store does not know them; whoever names them must not. */
  std::vector<ResourceId> lost;
};

class Store {
 public:
  /** `resources`: a snapshot or clone stands after what it is pending on. */
  static Result<std::unique_ptr<Store>> Open(Env& env, const StoreOptions& options, const std::vector<ResourceSpec>& resources, StoreReport& report);

  /** Opens one pool more. kInvalid where there is one of that name. */
  Result<std::shared_ptr<Pool>> AddPool(const PoolOptions& options, PackReport& report);
  /** Forgets a pool. kInvalid while a resource is in it or on its way there, or a root in it is held. */
  Status RemovePool(const std::string& name);
  std::shared_ptr<Pool> FindPool(const std::string& name) const;
  /** In the order in which they came. */
  std::vector<std::shared_ptr<Pool>> pools() const { return *PoolsNow(); }

  Status Add(const ResourceSpec& spec);
  std::shared_ptr<LiveVolume> Find(ResourceId id) const;
  /** Freezes `volume` as `snapshot`, which is readable at once. `end`: what to wait for before it is named. */
  Result<WriteOutcome> Snapshot(ResourceId volume, ResourceId snapshot, uint64_t* sequence);
  Result<WriteOutcome> Drop(ResourceId id);
  Result<WriteOutcome> Resize(ResourceId volume, uint64_t size_bytes);
  /**
   * The volume becomes what `snapshot` is. kTryAgain while that, or another snapshot of the volume, waits for its root, or the volume
   * is held; kInvalid where the two are in different pools.
   */
  Result<WriteOutcome> Rollback(ResourceId volume, ResourceId snapshot);

  // A resource changes its pool while it is read and written: Hold; once Held tells what the old pool has of it, somebody brings that
  // to the other pool; Expect; the catalog takes the other pool and root in one transaction; Switch. Before that transaction Release
  // makes everything as it was, and so does a restart. A held volume takes no snapshot and no rollback (kTryAgain); resizing and
  // deleting it goes on.

  /** kNotFound where there is no such resource or pool, kInvalid where it is in that pool, kTryAgain where it is held already. */
  Status Hold(ResourceId id, const std::string& to_pool);
  struct HeldResource {
    LiveVolume::HeldAt at;
    uint64_t fence = 0;
    std::string pool;   // that it is in
  };
  /** nullopt until its pool has a committed root of all up to Hold. kNotFound where it is not held. */
  Result<std::optional<HeldResource>> Held(ResourceId id) const;
  /**
   * `root` equals what Held told, and is durable in the other pool: from here on a collection leaves it there. Whatever could keep Switch
   * from succeeding is told here: kInvalid before Held told anything, kNoSpace where the other pool takes no writes, kTryAgain where
   * a clone came meanwhile that the catalog says to wait for the resource.
   */
  Status Expect(ResourceId id, const TreeRoot& root);
  /**
   * After Expect, and only once the catalog says so. kNotFound where the resource was deleted meanwhile. The sequence after which the
   * resource's log goes on there, under `log_fence`, where it flushes to its pool.
   */
  Result<uint64_t> Switch(ResourceId id, uint64_t log_fence = 0);
  /** Only where the catalog did not take the other pool. Idempotent. */
  void Release(ResourceId id);

  const StoreOptions& options() const { return options_; }
  Journal& journal() { return *journal_; }

  /** LiveVolume::Restore and BeginLog; with the latter all that was replayed is closed, for flushes wait for a root that has it. kNotFound. */
  Result<size_t> RestoreLog(ResourceId volume, ConstBytes entries, uint64_t until);
  Status BeginLog(ResourceId volume, uint64_t fence, uint64_t sequence);

  /** Writes what was appended; then, if `target` is not yet durable, makes everything written durable (packs first). */
  Result<bool> WriteStep() { return journal_->Write(); }
  Status SyncStep();
  /**
   * An orderly end: takes no more changes (kClosed), makes all that there were durable, and has the journal say so. Where anything of that
   * fails it does not. By the one that calls WriteStep.
   */
  Status End();
  /** Ok until a write or sync of journal or packs failed. Then kIo for every change there will ever be; reads go on. */
  Status failure() const { return journal_->failure(); }

  /**
   * Closes generations whose time has come, and refreshes admission. Cheap; called after writes and now and then. True where
   * a pool has markedly more room than when destage last failed: it is worth another attempt at once.
   */
  bool Pace();
  /** False while writes wait or are refused for want of room. */
  bool has_room() const;
  /** Closes the volume's active generation now. `sequence`: of its last record. */
  Status Freeze(ResourceId id, uint64_t* sequence = nullptr);
  void FreezeAll();
  /** Closes active generations of the pool's volumes that give something back. */
  void FreezeTrims(const Pool& pool);
  /** Volumes of the pool that gave something back which no root knows of, so that it is still wanted; and those where it only waits for destage. */
  struct Trims {
    size_t volumes = 0, closed = 0;
  };
  Trims trims(const Pool& pool) const;
  /** True when nothing of the volume (or of any, for 0) waits to be destaged or committed. */
  bool Settled(ResourceId id);
  /** The same of all up to the record `sequence`, whatever was written since; true of a volume that is gone. */
  bool Settled(ResourceId id, uint64_t sequence);

  /**
   * Destages the oldest group of one volume of the pool that has one and no commit under way. A root of a remote pool comes
   * back once all it needs is shipped; meanwhile others are destaged. nullopt: nothing to do, or nothing but waiting. The
   * returned commit waits for Committed. One thread at a time for each pool.
   */
  Result<std::optional<RootCommit>> DestageStep(Pool& pool);
  /** The catalog has (or has not) taken the root. On success the journal is trimmed. */
  void Committed(uint64_t token, bool ok);
  enum class Moved : uint8_t { kNothing, kSome, kSegment };
  /**
   * Where the log fills although little of it is wanted, because a volume that cannot be destaged pins its tail: copies some of
   * that to the log's end. kSegment: a whole segment may go once what was appended is durable, and Trim was called. One thread
   * at a time. kCorrupt: a record has rotted, and must be destaged.
   */
  Result<Moved> MoveStep();
  /** Lets the journal forget what roots hold and what has become durable since the last Committed. */
  void Trim();

  struct ResourceContent {
    std::shared_ptr<LiveVolume> volume;
    LiveVolume::Content content;
  };
  /** Of every resource, at one moment, in no order. */
  std::vector<ResourceContent> Contents() const;
  /**
   * The same, and, of that same moment, roots in `pool` that no resource has: that the catalog did not take, though what keeps a copy of
   * them may have; that it may take yet; and that are held. A root that goes from hand to hand is in one or the other.
   */
  std::vector<ResourceContent> Contents(const Pool& pool, std::vector<TreeRoot>& untaken) const;
  /**
   * What `root` reaches in the pool is wanted until nobody has what is returned. The caller sees to it that it is wanted until now.
   * kNotFound where the pool has gone.
   */
  Result<std::shared_ptr<const HeldRoot>> HoldRoot(const std::shared_ptr<Pool>& pool, const TreeRoot& root);
  /** The same where it is seen to here: kNotFound too where no resource in the pool has the root now, and nobody holds it. */
  Result<std::shared_ptr<const HeldRoot>> HoldKnownRoot(const std::shared_ptr<Pool>& pool, const TreeRoot& root);
  /** Packs of the pool that a start would look for when it replays the journal. */
  std::set<uint32_t> NamedPacks(Pool& pool) const;

  struct Usage {
    uint64_t overlay_bytes = 0, overlay_pages = 0, journal_bytes = 0, generations = 0, destaged_generations = 0, destaged_bytes = 0;
  };
  Usage usage();
  /** Compares what is kept up to date step by step with what every volume says. Slow: for the simulator and tests. */
  Status Audit();

 private:
  struct UnderWay {
    RootCommit commit;
    ResourceId volume;
    DestageGroup group;
    std::shared_ptr<Pool> pool;
    uint32_t mark = 0;           // packs that must be durable in the pool before it is committed
    PutGate::Hold hold{};        // on what it found in packs
  };
  struct Entry {
    std::shared_ptr<LiveVolume> volume;
    ResourceKind kind = ResourceKind::kVolume;
    std::shared_ptr<Base> base;     // of a pending snapshot: shared with its clones
  };
  Store(Env& env, const StoreOptions& options);
  /** Where a held resource is on its way to. */
  struct Destination {
    std::shared_ptr<Pool> pool;
    std::optional<TreeRoot> root{};   // that it is expected to rest on
  };
  bool HasCommitLocked(ResourceId id) const;
  bool IsOfferedLocked(const TreeRoot& root) const;
  std::optional<HeldResource> HeldLocked(ResourceId id) const;
  Status AddLocked(const ResourceSpec& spec);
  Status SyncPacks(Pool& pool);
  using Pools = std::vector<std::shared_ptr<Pool>>;
  /** Without the store's lock: a flush asks it. */
  std::shared_ptr<const Pools> PoolsNow() const;
  void SetPoolsLocked(Pools pools);
  std::vector<ResourceContent> ContentsLocked() const;
  std::vector<TreeRoot> UntakenRootsLocked(const Pool& pool) const;
  bool HasRootLocked(const std::shared_ptr<Pool>& pool, const TreeRoot& root) const;
  void OfferRootLocked(ResourceId taker, const LiveVolume& volume, const TreeRoot& root);
  Status Replay(const std::vector<ResourceSpec>& resources, StoreReport& report);
  /** nullopt: nobody takes the root any more. */
  Result<std::optional<UnderWay>> DestageGroupOf(ResourceId id, const DestageGroup& group);
  /** A root that may be committed now: one that needs no packs, or whose packs are all in their pool. */
  Result<std::optional<RootCommit>> TakeShipped(Pool& pool);
  /** What roots wait for is sealed, so that it can be shipped; only now, so that one pack serves as many roots as possible. */
  Status GetOnTheWay(Pool& pool);
  std::optional<std::pair<ResourceId, DestageGroup>> NextGroupLocked(Pool& pool);
  void GiveUp(ResourceId volume);
  RootCommit CommitLocked(UnderWay under_way);
  bool LookForRoomLocked(Pool& pool);
  bool FrozenWaitsLocked() const;
  bool DestageAwaitsLocked(ResourceId id) const;
  std::vector<RootTaker> TakersLocked(ResourceId volume, const DestageGroup& group) const;
  void ResolveLocked(ResourceId snapshot, const RootCommit& commit);
  void RefreshLocked();
  void FreezeLocked(std::optional<ResourceId> id);
  void TrimLocked();
  bool MustMoveLocked();
  bool WantedLocked(const SegmentRecord& record) const;
  /** The packs that a large write names are wanted for as long as its record is. */
  void NoteNamedLocked(const RecordHeader& header, ConstBytes payload, Lsn end);

  Env& env_;
  const StoreOptions options_;
  std::unique_ptr<Journal> journal_;
  Admission admission_;
  const std::shared_ptr<NodeCache> node_cache_;
  mutable std::mutex pools_mutex_;
  std::shared_ptr<const Pools> pools_ = std::make_shared<const Pools>();   // changed under the store's lock too
  mutable std::shared_mutex mutex_;
  std::unordered_map<ResourceId, Entry> entries_;
  PendingLinks links_;
  HeldRoots held_;
  ChangedVolumes changed_;
  LoadBook book_;
  std::unordered_map<ResourceId, Destination> leaving_;   // what Hold was called for
  std::unordered_set<ResourceId> busy_;   // a group of these is being destaged or committed
  std::unordered_map<uint64_t, UnderWay> under_way_;
  std::vector<UnderWay> shipping_;  // roots whose packs are not all in their pool yet, oldest first
  /** Deleted, but the journal's word of it may not be durable: their records must not go before that is. */
  struct Dropping {
    Lsn first, end;
  };
  std::vector<Dropping> dropping_;
  /** What a volume rested on before it was deleted or rolled back: a start begins with it if the journal's word of that, up to `end`, is lost. */
  struct Forgone {
    Lsn end;
    std::shared_ptr<Pool> pool;
    TreeRoot base, committed;
  };
  std::vector<Forgone> forgone_;
  void ForgoLocked(const LiveVolume::Content& before, Lsn end);
  /** The segment whose records are on the move, and how many of them have been looked at. */
  struct Moving {
    uint64_t segment = 0;
    std::vector<SegmentRecord> records;
    size_t next = 0;
  };
  std::optional<Moving> moving_;
  Rewinds rewinds_;   // that the journal had when it was opened; none come later
  uint64_t next_token_ = 1;
  std::unordered_map<ResourceId, std::vector<RootCommit>> refused_;   // since the last that was taken
  std::vector<RootCommit> offered_;  // commits without destage: clones that came while their snapshot's root was on its way
  std::atomic<uint64_t> destaged_generations_{0}, destaged_bytes_{0};
};

}  // namespace skerry
