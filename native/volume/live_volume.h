#pragma once
// A volume with its generations: [active | frozen, newest first | base]. Writes are journalled and published under one
// lock, so that the overlay takes effect in journal order. A snapshot or image is the same with nothing of its own.
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "admission.h"
#include "base.h"
#include "layered_read.h"
#include "load_book.h"
#include "log_tail.h"
#include "volume.h"

namespace skerry {

struct VolumeSpec {
  ResourceId id = 0;
  uint64_t size_bytes = 0;      // of the root at applied_sequence; records after it may change it
  bool read_only = false;
  bool writethrough = false;
  uint64_t applied_sequence = 0;
  uint64_t fence = 0;
  uint64_t lineage = 0;         // grows with each rollback
  RateLimitSpec limit{};
  std::optional<Compression> compression{};   // absent: the pool's
  bool flushes_to_pool = false; // durability `pool`: see LogTail
  uint64_t domain = 0;          // of its blocks; 0: its pool's own
};

inline constexpr size_t kPendingSnapshotsMax = 1024;  // of one volume: each holds a list of the generations before it

/** A generation that takes no more writes; `snapshot` is the one whose barrier closed it, or 0. */
struct FrozenGeneration {
  std::shared_ptr<const Generation> generation;
  ResourceId snapshot = 0;
  uint64_t last_sequence = 0;   // of the record that closed it: the barrier's, where there is one
  uint64_t size_bytes = 0;      // of the volume as of then
  std::shared_ptr<Base> base;   // what `snapshot` reads: these generations since the snapshot before, over that one's base
};

/** Whole frozen generations, oldest first, that become one root. */
struct DestageGroup {
  std::vector<FrozenGeneration> generations;
  std::shared_ptr<Base> base;   // resolved
  uint64_t applied_sequence = 0;
  uint64_t size_bytes = 0;      // of the volume in that root
  uint64_t lineage = 0;         // a root of another one than the volume's is not its root any more
  Compression compression{};    // of the blocks that it becomes
  uint64_t domain = 0;          // likewise, as in VolumeSpec
};

/** What one block of a large write became. */
struct WrittenBlock {
  bool zero = false;
  RefPlace place{};
};

/** Whether `generation` holds `page`; `pages` becomes the length of the run from it, at most what it was, of which that is so. */
bool TouchedRun(const Generation& generation, PageIndex page, uint64_t& pages);

class LiveVolume : public Volume {
 public:
  /** `changed` hears of each change before it is made. */
  LiveVolume(VolumeSpec spec, std::shared_ptr<Base> base, Journal& journal, Admission& admission, ChangedVolumes& changed);

  ResourceId id() const override { return spec_.id; }
  uint64_t size() const override { return size_.load(std::memory_order_acquire); }
  /** As it began: what the root that it was cloned from has. */
  uint64_t initial_size() const { return spec_.size_bytes; }
  bool read_only() const override { return spec_.read_only; }
  bool writethrough() const override { return spec_.writethrough; }
  uint64_t fence() const { return spec_.fence; }
  /** That of its base: another one after Switch. */
  std::shared_ptr<Pool> pool() const;
  uint64_t sequence() const { return sequence_; }   // of the last record; for recovery, which is single-threaded

  /** Whether these bytes hold a whole block, which goes to a pack and not through the journal. */
  static bool HoldsBlocks(uint64_t offset, uint64_t length);
  Result<WriteOutcome> Write(uint64_t offset, ConstBytes data) override;
  bool Stages(uint64_t offset, uint64_t length) const override;
  Result<std::unique_ptr<StagedWrite>> Stage(uint64_t offset, ConstBytes data) override;
  Result<WriteOutcome> Publish(uint64_t offset, ConstBytes data, const StagedWrite& staged) override;
  Result<WriteOutcome> Zero(uint64_t offset, uint64_t length, bool punch_hole) override;
  Status Read(uint64_t offset, Bytes into, bool may_block) override;
  Result<std::vector<Extent>> BlockStatus(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) override;
  Lsn FlushTarget() const override { return last_end_.load(std::memory_order_acquire); }
  bool flushes_to_pool() const override { return tail_ != nullptr; }
  void WhenInPool(Lsn target, std::function<void(Status)> done) override;

  /** Puts a replayed record in the overlay. Records that the root holds already are skipped. `gaps`: missing ones are bearable. */
  Status Replay(const ReplayedRecord& record, bool gaps);
  /** Journals that earlier records past what was replayed are void: the log of this volume ends here and goes on anew. */
  RecordDraft RewindDraft() const;
  void Rewound(const Appended& appended);

  // Of a volume that flushes to its pool; what each life of the daemon does first, before anybody writes to it.

  /**
   * Journals again what a log chunk holds past the last sequence that is here and up to `until`, where the journal of the life before is
   * gone. How many bytes of `entries` are done with: fewer than there are where there is no room for more right now. kCorrupt where one
   * is missing.
   */
  Result<size_t> Restore(ConstBytes entries, uint64_t until);
  /** Begins the log of this life after the record `sequence`. kTryAgain where that is not the last one any more. */
  Status BeginLog(uint64_t fence, uint64_t sequence);
  const std::shared_ptr<LogTail>& tail() const { return tail_; }

  /**
   * Journals a barrier and freezes what is active as `snapshot`; returns the base that reads as of now, and in
   * `outcome` what to wait for.
   */
  Result<std::shared_ptr<Base>> Snapshot(ResourceId snapshot, WriteOutcome& outcome, uint64_t* sequence);
  /** On replay: the same for a barrier that is already in the journal. */
  std::shared_ptr<Base> ReplaySnapshot(ResourceId snapshot, uint64_t sequence);
  /**
   * Journals that the resource is gone, then forgets all it holds. Later writes are kReadOnly. `first`: of the records that no
   * root holds, and that must not go before it is durable that the resource has gone.
   */
  Result<WriteOutcome> Drop(Lsn& first);
  /** Journals the new size. What it had past a smaller one is given back, and reads zero should it grow again. */
  Result<WriteOutcome> Resize(uint64_t size_bytes);
  /**
   * Journals that the volume is from here on what `root` holds, of `size_bytes`; what it held is forgotten. kTryAgain while a
   * snapshot of it, or what it was cloned from, still waits for its root.
   */
  Result<WriteOutcome> Rollback(ResourceId snapshot, const TreeRoot& root, uint64_t size_bytes);
  uint64_t lineage() const;
  /** Of blocks that are written from now on; absent: as its pool does. */
  void SetCompression(std::optional<Compression> wish) { compression_.Set(wish); }
  Compression CompressionIn(const Pool& pool) const { return compression_.wish().value_or(pool.compression.wish().value_or(Compression{})); }
  bool dropped() const;
  /**
   * Closes the active generation, if it holds anything and the volume is not held. @returns the sequence of the last record, whether that
   * is closed or not
   */
  uint64_t Freeze();
  /** Whether the volume rests on a root with all up to `sequence`, as far as it was not rolled back. What is written since does not count. */
  bool Destaged(uint64_t sequence) const;

  /** What a held volume was at the moment of Hold, and the root that holds all of that. */
  struct HeldAt {
    TreeRoot root;
    uint64_t applied_sequence = 0, size_bytes = 0, lineage = 0;
  };
  /**
   * Closes what is active. From here on whatever is written goes through the journal with its bytes, so that nothing of it names a
   * pack, and stays in one generation. kTryAgain where it is held already.
   */
  Status Hold();
  /** nullopt where it is not held, or something from before Hold is in no root of its own. */
  std::optional<HeldAt> Held() const;
  bool held() const;
  /** As before Hold. */
  void Release();
  /**
   * After Held: rests on `root` in `pool`, which equals what Held told, and is held no longer. Its log, where it has one, goes on there
   * under `log_fence`, after the sequence that is returned; flushes are answered once a root there holds all up to that.
   */
  uint64_t Switch(const std::shared_ptr<Pool>& pool, const TreeRoot& root, uint64_t log_fence);

  /** The oldest frozen generations up to the first with a snapshot; empty when there are none, or the base is pending. */
  std::optional<DestageGroup> OldestGroup() const;
  /**
   * The catalog has taken the group's root, and `mark` with it: the volume now rests on it, unless it was rolled back meanwhile, and so do the bases of the snapshots that
   * it resolves, which are returned. No base refers to the group's generations any more; whoever flattened one before has to Restack.
   */
  std::vector<ResourceId> Commit(const DestageGroup& group, const TreeRoot& root, const std::optional<LogMark>& mark);
  /** The catalog has a root for what began on a snapshot that had none. One of its own may have come there first. */
  void Took(const TreeRoot& root);
  /** Rebuilds the flattened stack after the base changed elsewhere. */
  void Restack();

  /** What is under the active generation, and, of the same moment, TouchedRun of that generation. */
  std::shared_ptr<const Stack> StackAt(PageIndex page, uint64_t& pages, bool& touched) const;
  std::shared_ptr<Base> base() const;
  /** All that the volume reads from. `active` goes on changing under the volume's lock: see Still. */
  struct Content {
    std::shared_ptr<const Generation> active;
    std::shared_ptr<const Stack> stack;
    TreeRoot committed;   // what the catalog has: a start begins with it
  };
  Content content() const;
  /** Roots in `pool` that only the log leads by, for who has that and the catalog's root. */
  void AddForgone(const Pool& pool, std::vector<TreeRoot>& roots) const;
  /** Runs `look` while nothing is written to the volume: short work only. */
  void Still(const std::function<void()>& look) const;
  VolumeLoad load() const;
  /** Whether it gave something back that no root knows of: in what takes writes, and in what is closed. */
  struct Trims {
    bool active = false, closed = false;
  };
  Trims trims() const;
  /** The same for the book: from here on the next change is announced again. */
  VolumeLoad TakeLoad();
  /** False where the flattened stack is not what the base says: a bug, which the simulator looks for. */
  bool StackIsCurrent() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  /** kReadOnly for one that takes no writes; the journal's failure once it failed. */
  Status TakesChangesLocked() const;
  Status AdmitLocked(uint64_t bytes);
  /** Whether a record of this thread may come next: before the log of this life begins, only of one that restores what the pool has of it. */
  Status GoesOnLocked() const;
  /** Whether bytes up to `end` may be changed now: the size may have shrunk since the caller looked. */
  Status CheckEndLocked(uint64_t end) const;
  /** What is refused while the volume is held. */
  static Status HeldStatus() { return {Code::kTryAgain, "the volume is being moved to another pool: try again in a moment"}; }
  void ResizeLocked(uint64_t size_bytes);
  void RollbackLocked(const RollbackPlace& place);
  Result<Lsn> AppendLocked(RecordType type, uint64_t offset, uint64_t length, ConstBytes payload);
  Result<Lsn> WriteJournalled(uint64_t offset, ConstBytes data);
  /** To the log of a volume that flushes to its pool: the record that was appended last. */
  void LogLocked(RecordType type, uint64_t offset, uint64_t length, ConstBytes payload, Lsn end);
  Status RestoreEntry(const LogEntry& entry);
  /** The write's bytes go through the journal, however many they are. */
  bool JournalsAllLocked() const { return held_.has_value() || tail_ != nullptr; }
  struct Blocks;
  /** Publishes some of a large write from `at` on, which becomes where to go on. */
  Result<Lsn> PublishPart(uint64_t offset, ConstBytes data, const Blocks& staged, uint64_t& at);
  /** nullopt where no record may name packs of `pool`: the volume is in another one, or it is held. */
  Result<std::optional<Lsn>> PublishRefs(uint64_t offset, std::span<const RefPlace> places, const std::shared_ptr<Pool>& pool);
  Status ReadOnce(uint64_t offset, Bytes into, bool may_block);
  Status ReadPagesOnce(PageIndex first, Bytes into, bool may_block);
  void PublishWrite(uint64_t offset, ConstBytes data, Lsn payload, std::span<const uint64_t> sums, uint64_t length);
  void PublishRef(uint64_t offset, std::span<const RefPlace> places);
  void NoteLocked(Lsn record, Lsn end);
  std::shared_ptr<const Generation> CloseActiveLocked(ResourceId snapshot, uint64_t last_sequence);
  std::shared_ptr<Base> FreezeAsLocked(ResourceId snapshot);
  Base PendingBaseLocked(size_t frozen_index) const;
  void AnnounceLocked();
  VolumeLoad LoadLocked() const;
  void RestackLocked();

  const VolumeSpec spec_;
  Journal& journal_;
  Admission& admission_;
  ChangedVolumes& changed_;
  AdmissionShare share_;
  const std::shared_ptr<LogTail> tail_;     // null: a flush promises what this host's journal does

  mutable std::mutex mutex_;
  std::shared_ptr<Generation> active_;
  std::deque<FrozenGeneration> frozen_;     // oldest first
  std::shared_ptr<Base> base_;
  TreeRoot committed_;                      // the last root that the catalog took; a rollback leaves it
  /** What a volume with a log rested on before the rollback of this sequence, which the catalog's root does not hold yet; oldest first. */
  struct Forgone {
    uint64_t sequence;
    std::shared_ptr<Pool> pool;
    TreeRoot root;
  };
  std::deque<Forgone> forgone_;
  std::shared_ptr<const Stack> stack_;
  uint64_t sequence_ = 0;                   // of the last record
  uint64_t closed_sequence_ = 0;            // what is active came after it
  uint64_t lineage_ = 0;
  uint64_t frozen_journal_bytes_ = 0, frozen_overlay_bytes_ = 0, frozen_pages_ = 0, frozen_blocks_bound_ = 0;
  size_t pending_snapshots_ = 0;
  bool announced_ = false;                  // since the load was last taken
  bool dropped_ = false;
  std::optional<HeldAt> held_;              // without the root
  std::thread::id restorer_{};              // while it restores a record
  std::atomic<uint64_t> size_{0};           // changed under the lock
  CompressionSetting compression_;
  std::atomic<Lsn> last_end_{0};
};

}  // namespace skerry
