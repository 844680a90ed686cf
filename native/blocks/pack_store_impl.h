#pragma once
// The pack store's inside, shared by its files: writing (pack_writer.cc), making durable (pack_sync.cc), reading
// (pack_reader.cc, pack_read_framed.cc, pack_places.cc), opening (pack_recovery.cc), packs that rest on a backend (pack_remote.cc).
//
// One pack is current and takes records; those that became full wait to be sealed by the next Sync. A record counts, that
// is, it is in the index and in its pack's entries, only once its bytes are written, and never in a pack whose sync failed.
#include <atomic>
#include <condition_variable>
#include <list>
#include <set>
#include <unordered_map>

#include "cell.h"
#include "index_checkpoint.h"
#include "location_index.h"
#include "pack_footer.h"
#include "pack_handles.h"
#include "pack_scan.h"
#include "remote_packs.h"
#include "warm_windows.h"

namespace skerry {

/** Full packs that wait for a Sync to seal them. Past this many, the Put that filled one seals it itself. */
inline constexpr size_t kFullPacksMax = 2;
/** Records are written in whole stretches of this many bytes, at multiples of it: what direct I/O asks of any disk. */
inline constexpr uint32_t kWriteAlignBytes = kSectorBytes;
/** Records that one write takes, together, unless one alone is larger. */
inline constexpr uint32_t kGroupBytesMax = 1088u << 10;
/** Memory of ended writes, kept for the next ones: fresh memory is dear. */
inline constexpr size_t kSpareBuffersMax = 4;
/** Free space is looked at again once this much has been put, and at each new pack. */
inline constexpr uint64_t kFreeSampleBytes = 4u << 20;
/** How long a disk that was found full is believed to be. */
inline constexpr uint64_t kFreeSampleNanosMax = 100'000'000;
/** New packs sealed before a checkpoint is worth its writing. */
inline constexpr uint64_t kCheckpointPacksMin = 16;
inline constexpr uint32_t kPackBytesMin = 16u << 10;
/** An urgent record may open a pack as small as this where there is no room for a whole one. */
inline constexpr uint32_t kUrgentPackBytesMin = 256u << 10;

/** A pack that is not sealed. Guarded by the store's mutex, but for what never changes. */
struct OpenPack {
  uint32_t number = 0;
  uint32_t capacity = 0;                  // records and footer together
  std::shared_ptr<File> file;             // through the page cache: header, footer, reads, syncs
  std::unique_ptr<File> direct;           // past it: records
  uint32_t tail = kWriteAlignBytes;       // where the next record goes
  uint32_t synced_to = 0;                 // every record below it is durable
  std::vector<uint32_t> writing;          // offsets of groups that are being written, ascending
  uint32_t reserved_records = 0;          // the footer's room is kept free
  std::vector<PackFooterEntry> entries;
  uint32_t blocks = 0, nodes = 0;
  bool damaged = false;                   // some of its records were put with lost pages
  bool full = false;                      // takes no more records
  bool busy = false;                      // one thread syncs or seals it
  bool named = false;                     // its directory entry is durable
  bool sealed = false;
  bool poisoned = false;                  // a sync failed: what lies at or after synced_to may be lost
};

struct SealedTotals {
  uint64_t bytes = 0, blocks = 0, nodes = 0;
};

class PackStore::Impl {
 public:
  Impl(Env& env, const PackStoreOptions& options);
  ~Impl();

  Status Recover(PackReport& report);
  Status PutAll(std::span<PackPut> puts, bool urgent);
  Status Sync();
  Status failure() const;
  bool unsynced() const;
  Status Checkpoint(bool force);
  Status Seal();
  Status ReadCell(uint32_t pack, uint32_t cell, uint64_t seed, Bytes page, bool may_block);
  Status ReadPages(const Location& at, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block);
  Status ReadBlock(const Location& hint, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block);
  std::vector<Location> Places(const BlockId& id) const;
  void ReadAhead(std::span<const CellRun> runs);
  Result<std::vector<uint8_t>> ReadRecord(const Location& at, const BlockId& id, bool may_block, uint64_t* domain = nullptr);
  Result<uint64_t> DomainOf(const Location& hint, const BlockId& id);
  Result<BlockId> IdAt(const Location& at, Location* full);
  Result<bool> Confirm(const Location& at, const BlockId& id);
  uint32_t RottenPages(const Location& at, const BlockId& id);
  Usage usage() const;
  bool remote() const { return remote_ != nullptr; }
  uint32_t Mark() const;
  Result<bool> ShippedUpTo(uint32_t mark) const;
  bool OpenUpTo(uint32_t mark) const;
  bool Crowded() const { return remote_ && remote_->shipper->Crowded(); }
  Status Upkeep();
  void OnShipped(std::function<void()> changed);
  void FetchAhead(std::span<const Location> places);
  void FetchLater(std::span<const Location> places);
  uint64_t AheadBytesMax() const;
  Status RefreshIndex();
  std::optional<Location> Find(const BlockId& id) const { return index_.Find(id.prefix()); }
  uint64_t RecordBytes() const { return index_.totals().stored_bytes; }
  PutGate& gate() { return gate_; }
  std::vector<Sealed> Removable() const;
  Result<std::vector<PackFooterEntry>> EntriesOf(uint32_t pack);
  void Condemn(std::span<const uint32_t> packs);
  void Pardon(uint32_t pack);
  Status Remove(std::span<const uint32_t> packs);
  bool GoneListed() const { return !remote_ || remote_->sweeper->Listed(); }
  bool Sweep();
  std::vector<Sealed> SealedHere() const;
  Status HeaderAtRest(uint32_t pack);
  Result<std::vector<PackFooterEntry>> FooterAtRest(uint32_t pack, uint64_t file_bytes);
  Result<std::vector<PackFooterEntry>> ScannedEntries(uint32_t pack);
  Result<Payload> ReadAtRest(uint32_t pack, const PackFooterEntry& entry);
  Result<Payload> ReadCached(uint32_t pack, const PackFooterEntry& entry);
  void NoteDamaged(const Location& at) { NotePage(at, 0); }
  void NoteRepaired(const Location& at);
  void Adopt(uint32_t pack, const PackFooterEntry& entry) { AdoptEntry(pack, entry); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Reservation {
    std::shared_ptr<OpenPack> pack;
    uint32_t offset = 0;
  };
  /** A record that no pack holds yet. */
  struct Fresh {
    PackPut* put;
    PackRecordHeader header;
    bool replace;   // of a damaged record that the index knows
    std::vector<uint8_t> body;   // of one in frames: all that follows its header; else empty
  };
  enum class Hit : uint8_t { kSame, kOther, kBad };

  /** nullptr where the pool is not encrypted. */
  const RecordCipher* Cipher() const { return options_.cipher ? &*options_.cipher : nullptr; }
  /** Of an encrypted pool every block is read by its frames, whatever a place or a footer says: cells prove nothing there. */
  bool ReadsFrames(const Location& at) const { return at.framed || options_.cipher; }

  // pack_put.cc
  Result<bool> Known(PackPut& put, bool& replace);
  Hit CheckHit(const Location& at, const PackPut& put);
  bool LacksOnly(const Location& at, const PackRecordHeader& header, uint32_t lost);
  Status PutFresh(std::span<Fresh> fresh, bool may_use_reserve);
  Status WriteGroup(std::span<Fresh> group, uint32_t stored_bytes, bool may_use_reserve);
  bool LayDown(const Fresh& one, Bytes record) const;
  AlignedBuffer TakeBuffer(uint32_t bytes);
  void GiveBuffer(AlignedBuffer buffer);

  // pack_writer.cc
  Result<Reservation> Reserve(uint32_t stored_bytes, uint32_t records, bool may_use_reserve);
  Status CreatePack(Lock& lock, uint32_t need_bytes, bool may_use_reserve);
  Status MakePackFile(OpenPack& pack, bool may_shrink, uint32_t need_bytes);
  bool Count(const Reservation& place, std::span<const Fresh> group, bool written);
  Status CheckSpace(uint64_t need, bool fresh);
  void SealOverdue();

  // pack_sync.cc
  Status SyncPack(Lock& lock, const std::shared_ptr<OpenPack>& pack, uint32_t goal);
  Status SealPack(Lock& lock, const std::shared_ptr<OpenPack>& pack);
  Status MakeDurable(OpenPack& pack, bool named);
  /** Not under the store's mutex. Once it fails the store takes no more. */
  Status SyncNames();
  Status WriteFooter(OpenPack& pack);
  void Poison(const std::shared_ptr<OpenPack>& pack, const Status& cause);
  Status SealFull(Lock& lock);

  // pack_reader.cc
  Status ReadCellsBlocking(File& file, uint32_t pack, uint32_t cell_offset, uint64_t seed, uint32_t count, Bytes into);
  Status ReadDirect(uint32_t pack, uint64_t offset, Bytes into);
  Status ReadRange(uint32_t pack, uint64_t offset, Bytes into, bool may_block);
  Result<PackRecordHeader> ReadHeader(const Location& at, bool may_block);
  void NoteDamage(uint32_t pack, uint32_t offset);
  /** NoteDamage of one page of a record. */
  void NotePage(const Location& at, uint32_t page);
  /** So that no new data is given up for it; false where no more can be remembered. */
  bool MarkDamaged(uint32_t pack, uint32_t offset);
  bool IsDamaged(const Location& at) const;

  // pack_scrub.cc
  Status ReadResting(uint32_t pack, uint64_t offset, Bytes into);
  Status FetchWindow(uint32_t pack, uint64_t offset, uint32_t bytes);
  Result<Payload> PayloadOf(ConstBytes record, uint32_t pack, const PackFooterEntry& entry, uint32_t* page) const;

  // pack_removal.cc
  bool IsCondemned(uint32_t pack) const;
  void FindMovedAgain();
  /** Whatever of the pack is on this host. */
  Status RemoveFiles(uint32_t pack);

  // pack_read_ahead.cc
  bool MayBeCached(uint32_t pack, uint32_t offset) const;

  // pack_read_framed.cc
  Status ReadFramed(const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into, bool may_block);
  Status ReadFramedNow(File& file, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into);
  Status ReadFramedBlocking(File& file, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into);

  // pack_remote.cc
  void OpenRemote();
  bool Elsewhere(uint32_t pack) const { return remote_ && !remote_->shipper->IsLocal(pack); }
  /** The backend has it whole; there may be a copy here. */
  bool OnBackend(uint32_t pack) const { return remote_ && (Elsewhere(pack) || remote_->shipper->IsKept(pack)); }
  /** The pack's file was dropped while it was about to be read. */
  bool WentAway(const Status& status, uint32_t pack) const { return status.code() == Code::kNotFound && Elsewhere(pack); }
  bool KnowsPack(uint32_t pack) const;
  RecordKey KeyOf(uint32_t pack, uint32_t offset) const { return {options_.remote->pool, pack, offset}; }
  RecordWish WishOf(uint32_t pack, uint32_t offset, uint32_t bytes, bool again) const;
  /** For records of these places that are neither here nor wished for by the read that runs. */
  std::vector<RecordWish> WishesOf(std::span<const Location> places);
  Result<std::shared_ptr<const RecordImage>> Record(const Location& at, uint32_t first, uint32_t count, bool may_block, bool again);
  Result<std::shared_ptr<const RecordImage>> Outcome(const std::shared_ptr<RecordFetch>& fetch, bool may_block);
  Result<std::shared_ptr<const RecordImage>> LookAgain(const std::shared_ptr<RecordFetch>& fetch);
  Status RemotePages(const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into, bool may_block);
  Status RemoteCells(uint32_t pack, uint32_t cell, uint64_t seed, uint32_t count, Bytes into, bool may_block);
  Result<std::vector<uint8_t>> RemoteRecord(const Location& at, const BlockId& id, bool may_block, uint64_t* domain);
  Result<PackRecordHeader> RemoteHeader(const Location& at, bool may_block);
  /** Of what came from the backend, in every tier; of what proved wrong, from every tier. */
  void Keep(const RecordKey& key, const std::shared_ptr<const RecordImage>& record);
  void Forget(const RecordKey& key);
  std::shared_ptr<const RecordImage> FromDisk(const RecordKey& key);
  std::optional<PackFooterEntry> KnownEntry(const Location& at);
  Status Drop(uint32_t pack, uint64_t bytes);
  void Learn(uint32_t pack, uint64_t bytes, const std::vector<PackFooterEntry>& entries);
  void AddRemoteUsage(Usage& usage) const;
  struct LocalPack {
    std::string path;
    uint64_t bytes = 0;
    bool kept = false;
  };
  /** What lies in the directory, by number. */
  struct Found {
    std::map<uint32_t, LocalPack> sealed;
    std::set<uint32_t> footers;
    std::vector<uint32_t> open;
    uint32_t newest = 0;
  };
  using Listed = std::optional<std::map<uint32_t, uint64_t>>;  // number to bytes; absent where the backend did not answer
  /** kCorrupt: what the pool has of what is gone cannot be read. */
  Result<Listed> ListRemote(PackReport& report);
  void RecoverRemote(const Found& found, const Listed& listed, PackReport& report);
  /** The list of what is gone, as this host has it. */
  Status LoadGone();
  /** Nothing of what is gone is believed, here or there, and all of it is removed. */
  void LeaveGone(Found& found, Listed& listed);

  // pack_recovery.cc
  Status RecoverSealed(uint32_t number, const std::string& path, uint64_t file_bytes, PackReport& report);
  Status RecoverOpen(uint32_t number, bool newest, PackReport& report);
  Result<uint64_t> SealOpen(File& file, uint32_t number, const PackScan& scan);
  void AddSealed(uint32_t number, const SealedPack& pack);
  void Adopt(uint32_t number, uint64_t file_bytes, const std::vector<PackFooterEntry>& entries);
  void AdoptEntry(uint32_t pack, const PackFooterEntry& entry);

  // pack_places.cc
  void AdoptRecord(const BlockId& id, const Location& at, bool damaged);
  /** That a record has this place too. */
  void KeepOther(const BlockId& id, const Location& at);
  bool HasOthers() const;

  Env& env_;
  const PackStoreOptions options_;
  LocationIndex index_;
  PackHandles handles_, direct_handles_;
  WarmWindows warm_;
  std::unique_ptr<RemotePacks> remote_;             // of a pool that rests on a backend; set at the beginning, or never

  mutable std::mutex mutex_;
  std::condition_variable changed_;                 // of anything below that someone may wait for
  std::shared_ptr<OpenPack> current_;
  std::list<std::shared_ptr<OpenPack>> open_;       // current and full ones, oldest first
  SealedPacks sealed_;
  SealedTotals sealed_totals_;                      // of sealed_: usage() is asked often
  uint64_t next_pack_ = 1;
  bool creating_ = false;                           // one thread makes a new pack
  Status lost_;                                     // not ok once a sync has failed: every later one fails
  uint64_t free_bytes_ = 0;                         // as sampled
  uint64_t free_sampled_nanos_ = 0;
  uint64_t put_since_sample_ = 0;
  uint64_t poisoned_packs_ = 0;

  std::mutex spare_mutex_;
  std::vector<AlignedBuffer> spare_;                // each of kGroupBytesMax

  std::mutex checkpoint_mutex_;                     // one checkpoint at a time; taken before mutex_
  uint64_t sealed_since_checkpoint_ = 0;            // under mutex_

  PutGate gate_;
  mutable std::mutex condemned_mutex_;
  std::set<uint32_t> condemned_;
  std::set<uint32_t> emptied_;                      // those that were at any time: the index may know their records elsewhere
  std::atomic<size_t> condemned_count_{0};          // to be looked at without the lock

  mutable std::mutex damage_mutex_;
  std::set<std::pair<uint32_t, uint32_t>> damaged_; // pack, offset of a cell that failed for good
  std::set<std::pair<uint32_t, uint32_t>> counted_; // of these those that corrupt_cells_ counts
  std::atomic<uint64_t> damaged_count_{0};          // of damaged_, to be looked at without the lock
  std::multimap<uint64_t, Location> others_;        // places of records besides the index's, by the id's prefix

  // Records of the packs that this start found open, by pack and offset: each was verified then. Never changes after.
  std::unordered_map<uint32_t, std::map<uint32_t, BlockId>> recovered_;
  /** Of the same packs: records with pages that fail, torn or rotten. An entry goes when it is counted as rot. */
  struct Suspect {
    BlockId id;
    std::vector<uint32_t> bad_cells;
  };
  std::map<std::pair<uint32_t, uint32_t>, Suspect> suspects_;   // by pack and offset; under damage_mutex_
  std::set<uint32_t> unread_footers_;               // packs of which this start found a footer's copy that is damaged
  uint64_t refresh_nanos_ = 0;                      // when Upkeep looks again for packs it does not know

  std::atomic<uint64_t> put_bytes_{0}, put_records_{0}, put_record_bytes_{0}, put_framed_records_{0}, dedup_hits_{0}, dedup_bytes_{0}, corrupt_cells_{0};
};

}  // namespace skerry
