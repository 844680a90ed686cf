#pragma once
// One seed, one world: volumes, snapshots and clones over the shipped store, on simulated files, with crashes. Every read
// is compared with the oracle; after a crash each volume must be a prefix of its history that keeps what was promised.
// Every second world keeps its packs on a backend: then a committed root must be there, whatever becomes of the host. Every third
// compresses, with another setting in each life; every fifth is encrypted. Of three worlds one has a second pool, and resources move
// between the two while they are written; of five one, and trees are carried from one to the other. Of five one makes volumes of parts
// of others. In one of sixteen volumes flush to their pool, and hosts are lost with all that is on them: then each volume must be what
// pool and catalog promised, in whichever pool it is by then.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../carry/carrier.h"
#include "../carry/splicer.h"
#include "../gc/collector.h"
#include "copy_root.h"
#include "log_book.h"
#include "oracle.h"
#include "sim_backend.h"
#include "sim_env.h"
#include "sim_log_shelf.h"

namespace skerry::simulation {

inline constexpr size_t kResourcesMax = 12;
inline constexpr const char* kSecondPool = "second";
/** Of a volume's blocks: half of them are of the pool's own domain, and two accounts share the others. */
inline constexpr uint64_t DomainOfVolume(ResourceId id) { return id % 4 < 2 ? 0 : (1 << 20) + id % 2; }

/** What worlds turn to again and again, for bugs that show only where rare things meet. */
enum class Theme : uint8_t {
  kAll,            // everything in turn
  kFailingSyncs,   // the journal's device refuses to sync
  kShortJournal,   // its few segments change hands all the time, and the host dies soon
  kLostHosts,      // volumes flush to their pool, and nothing is left of the host but that
};

struct WorldOptions {
  uint64_t seed = 1;
  unsigned steps = 250;
  bool trace = false;
  std::vector<bool> left_out{};   // steps that are not taken; the others are what they would be in the whole world
  Theme theme = Theme::kAll;
};

struct WorldOutcome {
  std::string failure;     // empty: all held
  unsigned failed_step = 0;
  uint64_t digest = 0;
  uint64_t process_crashes = 0, host_crashes = 0, writes = 0, flushes = 0, roots = 0, snapshots = 0, clones = 0, resizes = 0, rollbacks = 0, compares = 0, moves = 0, switches = 0, rotten = 0, framed = 0, damaged = 0, faults = 0, refusals = 0, removed = 0, copied = 0, scrubs = 0, repaired = 0, carried = 0, resumed = 0, spliced = 0, hosts_lost = 0, orderly_ends = 0, pool_flushes = 0, cached = 0, cache_damaged = 0;
  std::vector<std::string> trace;
};

class World {
 public:
  explicit World(WorldOptions options);
  WorldOutcome Run();

 private:
  struct Named {
    ResourceSpec spec;
    bool deleting = false, dropped = false;   // the store was told, in this life; the name goes once that is durable
    std::unique_ptr<History> history;   // volumes
    Image content;                      // snapshots
    LogBook log{};                      // volumes that flush to their pool
  };

  uint64_t Dice(uint64_t sides);
  void Say(std::string line);
  void Fail(std::string why);
  /** An operation did not succeed: excused by a crash, and, where a fault was asked for, by that; else the world has failed. */
  void Blame(const std::string& doing, const Status& status);
  StoreOptions Options();
  PoolOptions SecondPool(PoolOptions like) const;
  std::shared_ptr<Pool> PickPool();
  /** That the catalog names. */
  std::vector<TreeRoot> RootsIn(const Pool& pool) const;
  void ForgetBackends();
  void UpkeepBackends();
  void ListFaults(bool wanted);
  bool Open();
  PackStore& Packs();
  void EquipCaches(PackStoreOptions& packs);
  void PumpCache();
  /** That of the life that ended; it is counted. */
  void CloseCache();
  void Crash(bool host);
  void MaybeArm();
  bool Crashed() const;
  void CheckRecovered(bool host);

  /** Each step has dice of its own, so that leaving one out changes no other. */
  void BeginStep(unsigned step);
  void Step();
  void Create();
  void Write();
  void Zero();
  /** Writes till the ring takes no more, then zeroes some: these have to wait. */
  void FillRing();
  void Read();
  void Flush();
  void Snapshot();
  void Clone();
  void Resize();
  void Rollback();
  void Compare();
  /** The next step of a resource's way to the other pool; the first, where none is on its way. */
  void Move();
  void BeginMove();
  void GiveUpMove();
  bool CopyMoved();
  bool HasMoved();
  void CollectBetween();
  void TakeMoved();
  /** The store changes pools; of a volume with a log the catalog does not know yet where that goes on. */
  void SwitchMoved(Named& named);
  void LearnWhereLogGoesOn(Named& named);
  bool Moves() const { return options_.seed % 3 == 2; }
  void Rot();
  /** A bit of a pack flips, or some of its bytes stand elsewhere too; all is read, and the disk heals. */
  void RotAtRest();
  /** What a large write puts into a pack goes over what stands there at `at`; all is read, and the disk heals. */
  void WriteAstray(const std::string& pack, uint64_t at);
  /** A bit of what the backend holds flips. */
  void RotAtBackend();
  /** Rot is told as such, and nothing else is read wrong. */
  void CheckRotIsTold();
  /** The disk refuses something soon: a write, a sync, a read, or more bytes. */
  void Fault();
  /** After a fault that was met: what can be read still is right, nothing more is acknowledged, and the process is started anew. */
  void Restart();
  bool FaultyDisk() const { return options_.theme == Theme::kFailingSyncs || options_.seed % 5 == 3; }
  /** Whether a death is the host's. */
  bool HostDies() { return options_.theme == Theme::kShortJournal || Dice(2) == 0; }
  bool Carries() const { return options_.theme == Theme::kAll && options_.seed % 5 == 1 && !Logs(); }
  bool Splices() const { return options_.theme == Theme::kAll && options_.seed % 5 == 2 && !Logs(); }
  bool Logs() const { return options_.theme == Theme::kLostHosts || (options_.theme == Theme::kAll && options_.seed % 16 == 10); }
  // Of worlds whose volumes flush to their pool.
  SimLogShelf& ShelfOf(const Named& named) { return named.spec.pool == kSecondPool ? *second_shelf_ : *shelf_; }
  void LoseHost();
  /** What each life does first: reads logs where the host is another one, and begins the next. False where this life is over. */
  bool BeginLogs();
  bool BeginLog(Named& named);
  bool RestoreLog(Named& named);
  bool MakeRoom();
  void ShortenLog(Named& named, const RootTaker& taker);
  void FirstLog(Named& named);
  void FlushToPool();
  bool EndInOrder();
  bool DistrustPartialJournal();
  /** The machine dies, or the process alone; with the machine its disk may go. */
  void Die(bool host);
  bool TwoPools() const { return Moves() || Carries(); }
  bool BadWeather() const { return options_.seed % 8 == 6; }
  bool RotsAtRest() const { return options_.seed % 4 == 1 || options_.seed % 8 == 2; }
  std::string SegmentFile(uint64_t number);
  /** What is left of a lost page that is written in part. */
  void LoseParts(const Image& before, const Image& after, uint64_t offset, uint64_t length);
  void Remove();
  void Collect();
  /** Goes on carrying a tree to the other pool, or begins to. */
  void Carry();
  void BeginCarrying();
  /** The same in a later life, where the catalog kept a point. */
  bool Resume();
  void CheckCarried();
  /** Goes on making a tree of parts of others, or begins to. */
  void Splice();
  void BeginSplicing();
  bool CollectMeanwhile(Pool& pool);
  void CheckSpliced();
  /** What was carried or spliced begins a life of its own. */
  void Adopt(ConstBytes content, const std::string& pool, const TreeRoot& root);
  /** Lets it do something, and all else go on. False where this life is over. */
  bool WaitForBackend();
  /** Everything is scrubbed at once; what the scrub says is so must be so. */
  void ScrubAll();
  void CheckScrub();
  void Destage();
  void Take(const RootCommit& commit);
  void TakeRoot(const RootCommit& commit);
  void CheckRoot(const RootCommit& commit);
  bool ReadRoot(PackStore& packs, Tree& tree, const TreeRoot& root, Bytes content);
  bool ReadRoot(Pool& pool, const TreeRoot& root, Bytes content) { return ReadRoot(*pool.packs, *pool.tree, root, content); }
  void CheckElsewhere(const TreeRoot& root, ConstBytes content);
  bool MakeDurable();
  bool Retry(const std::function<Status()>& attempt);
  void Pump();

  Named* PickVolume();
  bool Compresses() const { return options_.seed % 3 == 0; }
  bool Encrypts() const { return options_.seed % 5 == 4; }
  std::vector<uint8_t> Content(uint64_t length);
  Result<std::vector<uint8_t>> ReadAll(ResourceId id);

  const WorldOptions options_;
  SimEnv env_;
  uint64_t dice_;
  unsigned step_ = 0;
  std::shared_ptr<SimBackend> backend_, second_backend_;   // of a remote world; of a remote second pool
  std::shared_ptr<SimLogShelf> shelf_, second_shelf_;   // of a world with logs; of its second pool
  std::string home_ = "/sim";             // of the host that there is
  uint64_t hosts_lost_ = 0;
  bool host_lost_ = false;                // since the last recovery that was looked at
  bool ended_in_order_ = false;           // the life before that recovery
  uint64_t elsewhere_ = 0;                // other hosts that a root was read on
  std::shared_ptr<LocalCache> local_;   // of this life, where there is one
  std::unique_ptr<Store> store_;
  std::unique_ptr<Collector> collector_;   // under way, of this life
  /** A tree on its way to the other pool. */
  struct Carrying {
    CarryOrder order;
    std::vector<uint8_t> content;   // of the source
    std::unique_ptr<Carrier> carrier;
  };
  std::optional<Carrying> carrying_, carried_;   // under way; the last that arrived, whose roots are held yet
  struct Splicing {
    std::shared_ptr<Pool> pool;
    bool wide = false;
    std::vector<uint8_t> content;   // of the parts, in their places
    std::unique_ptr<Splicer> splicer;
  };
  std::optional<Splicing> splicing_;   // under way, of this life
  /** What the catalog keeps of one, so that a later life goes on with it. */
  struct KeptPoint {
    std::string source, target;
    TreeRoot to, root;
    BlockIndex next = 0;
    uint64_t blocks = 0;
    std::vector<uint8_t> content{};
    std::shared_ptr<const HeldRoot> hold{};   // in the life that kept it
  };
  std::optional<KeptPoint> kept_;
  std::vector<std::pair<ResourceId, uint64_t>> rewound_;   // by the last recovery
  std::map<ResourceId, Named> catalog_;   // durable by itself: its own crashes are another test's matter
  ResourceId next_id_ = 1;
  bool fault_asked_ = false, fault_met_ = false;   // in this life
  bool sync_failed_ = false;
  /** A resource on its way to another pool, in this life. */
  struct Moving {
    ResourceId id = 0;
    std::string to;
    std::optional<Store::HeldResource> held;
    std::optional<CopiedRoot> copied;
    uint32_t mark = 0;   // packs of the other pool that the copy needs
    bool expected = false, taken = false;
    std::optional<uint64_t> switched{};   // after which sequence the volume's log goes on; the catalog does not know it yet
  };
  std::optional<Moving> move_;
  std::optional<RootCommit> held_;   // on its way to the catalog while other things happen
  Losses losses_;
  Lsn durable_ = 0, vouched_ = 0;   // at the last flush, at the one before it
  uint64_t lives_ = 0;   // an operation under way when the world crashed belongs to the life before
  WorldOutcome outcome_;
};

}  // namespace skerry::simulation
