#pragma once
// A pack: a file of 64 MiB that holds block and node records, and once sealed a footer that lists them. See
// docs/formats/pack.md. A record's payload is laid down in cells, one a page: up to 4096 bytes, then the XXH3 of these
// seeded with CellSeed(id, page): one read of one cell gives a page and its proof; another block's cell never passes.
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "../env/env.h"
#include "block_id.h"
#include "codec.h"
#include "pack_backend.h"
#include "put_gate.h"
#include "record_cipher.h"

namespace skerry {

class BlockCache;
class LocalCache;
struct PackFooterEntry;

inline constexpr uint32_t kPackVersion = 1;
/** Of a record that is encrypted: all records of a pool are, or none. */
inline constexpr uint8_t kEncryptedRecordVersion = 2;
inline constexpr uint32_t kPackMagic = 0x50504b53;        // "SKPP", file header
inline constexpr uint32_t kPackRecordMagic = 0x52504b53;  // "SKPR"
inline constexpr uint32_t kPackFooterMagic = 0x46504b53;  // "SKPF"
inline constexpr uint32_t kPackBytes = 64 << 20;
inline constexpr uint32_t kPackAlignBytes = 512;
inline constexpr uint32_t kCellBytes = kPageBytes + 8;
/** Pages in a row that make a read a large one. */
inline constexpr uint32_t kLargeReadPages = 8;

enum class RecordKind : uint8_t { kBlock = 1, kNode = 2, kPaged = 3 /* room: not written yet */ };
enum class HashAlgorithm : uint8_t { kHmacSha256 = 1 };

/** Flag: pages of the payload were lost before the record was written. Filler stands in their cells, under the complement of its sum. */
inline constexpr uint32_t kRecordLostPages = 1;
/** A compressed record has at most so many frames (frames.h). */
inline constexpr uint32_t kFramesMax = 16;
/** One that is encrypted besides at most so many, for the rest of their lengths' room is the salt's. */
inline constexpr uint32_t kEncryptedFramesMax = 4;
inline constexpr uint32_t kSaltBytes = (kFramesMax - kEncryptedFramesMax) * 2;

struct PackRecordHeader {
  uint32_t magic;
  uint8_t version;
  RecordKind kind;
  Codec codec;
  HashAlgorithm algorithm;
  uint32_t key_id;          // of the pool's domain key
  uint32_t raw_bytes;       // payload as the reader wants it
  uint64_t domain;          // of a block's id; of a node the pool's own
  uint32_t stored_bytes;    // header, cells and padding: what the record takes in the pack
  uint32_t flags;
  uint8_t id[32];
  uint64_t pack;            // number of the pack it was written to
  uint8_t proof[16];        // HeaderProof under the pool's domain key: what a guest writes into a payload is no header (cell.h)
  // Stored bytes of each frame; all zero where the codec is kRaw. Of an encrypted record kEncryptedFramesMax of them, then the salt.
  uint16_t frame_bytes[kFramesMax];
  uint64_t sum;             // XXH3 of the bytes before, seeded with the record's offset

  bool encrypted() const { return version == kEncryptedRecordVersion; }
  uint8_t* salt() { return reinterpret_cast<uint8_t*>(frame_bytes + kEncryptedFramesMax); }
};
static_assert(sizeof(PackRecordHeader) == 128);

/** Whether pages of the record are found by frames (frames.h): those of a compressed block, and those of any encrypted one. */
inline bool IsInFrames(RecordKind kind, Codec codec, bool encrypted) { return codec != Codec::kRaw || (encrypted && kind == RecordKind::kBlock); }

/** Where a record is, and whether it is in frames, for that decides how a page is found in it. Pack 0 means unknown: ask the index. */
struct Location {
  uint32_t pack = 0;
  uint32_t offset = 0;         // of the record header
  uint32_t stored_bytes : 31 = 0;
  uint32_t framed : 1 = 0;
  bool known() const { return pack != 0; }
  bool operator==(const Location&) const = default;
};
static_assert(sizeof(Location) == 12);

/** `stored_bytes` and `framed` in one number, as journal records and map nodes keep them. */
inline constexpr uint32_t kFramedBit = 1u << 31;
inline uint32_t LengthWord(const Location& at) { return at.stored_bytes | (at.framed ? kFramedBit : 0); }
inline Location PlaceOf(uint32_t pack, uint32_t offset, uint32_t length_word) {
  return {pack, offset, length_word & ~kFramedBit, (length_word & kFramedBit) != 0};
}

inline uint64_t CellSeed(const BlockId& id, uint32_t page) { return id.prefix() + page; }
/** Of a record that is not in frames. */
inline uint32_t CellOffset(const Location& at, uint32_t page) { return at.offset + uint32_t{sizeof(PackRecordHeader)} + page * kCellBytes; }

/**
 * A page's place in a pack in 30 bits, for whoever keeps one of each page. Of a record in cells the offset of its cell; of one in
 * frames: bit 29, the record's offset (17 bits) and length (8), both in units of kPackAlignBytes, and the page (4). The next
 * page's address is CellStep more.
 */
inline constexpr uint32_t kFramedCell = 1u << 29;
inline bool IsFramedCell(uint32_t cell) { return (cell & kFramedCell) != 0; }
inline uint32_t CellStep(uint32_t cell) { return IsFramedCell(cell) ? 1 : kCellBytes; }
inline uint32_t CellAddress(const Location& at, uint32_t page) {
  if (!at.framed) return CellOffset(at, page);
  return kFramedCell | (at.offset / kPackAlignBytes & 0x1ffff) << 12 | (at.stored_bytes / kPackAlignBytes & 0xff) << 4 | (page & 0xf);
}
/** The record and the page of it that an address means. Of a record in cells the length is not told. */
struct PageOfRecord {
  Location at;
  uint32_t page = 0;
};
/** nullopt for what is no address that CellAddress gives: of blocks of up to 64 pages. */
std::optional<PageOfRecord> PageAt(uint32_t pack, uint32_t cell);

/** For a pool whose packs rest on a backend that only `backend` reaches. */
struct RemotePackOptions {
  std::shared_ptr<PackBackend> backend;
  std::shared_ptr<BlockCache> cache;
  std::shared_ptr<LocalCache> local{};     // the tier on this host's disk; null: there is none
  uint32_t pool = 0;                       // its number in the caches
  uint64_t staged_bytes_max = 1ull << 30;  // sealed packs that wait to be shipped: beyond it, writes that are not urgent wait
  uint64_t kept_bytes_max = 1ull << 30;    // copies on this host of packs that the backend has
  unsigned ships_in_flight_max = 2;
  unsigned fetches_in_flight_max = 16;
};

struct PackStoreOptions {
  std::string directory;            // pack files: NNNNNNNN.pack sealed, NNNNNNNN.open not yet, NNNNNNNN.kept a copy
  std::string checkpoint;           // path of the location index's checkpoint, on local disk
  uint32_t pack_bytes = kPackBytes;
  uint64_t reserve_bytes = 64 << 20;  // free space that only kNode records and urgent ones may use
  uint64_t domain = 1;                // the pool's own
  uint32_t key_id = 1;
  DomainKey key{ConstBytes{}};        // of that; proves record headers, and ids where a header has no proof
  std::optional<RecordCipher> cipher{};  // of an encrypted pool: no record without it is written, or believed
  std::optional<RemotePackOptions> remote{};  // absent: `directory` is where the packs rest
};

struct PackReport {
  uint64_t packs = 0, records = 0;
  uint64_t recovered_open = 0;      // open packs found and sealed
  bool index_from_checkpoint = false;
  std::vector<std::string> notes;
};

/** A record to put; `at` and `reused` are the answer. */
struct PackPut {
  RecordKind kind = RecordKind::kBlock;
  BlockId id;
  ConstBytes raw;
  Location at;
  bool reused = false;   // the pool knew it
  /** Bit i: page i of a block is lost, and `raw` has filler there that no other block has. Its cell fails its sum for ever. */
  uint32_t lost = 0;
  /** A wish: what is no block of 64 KiB, has lost pages or hardly shrinks is stored raw. */
  Compression compression{};
  /** That a block's id is of; 0: the pool's own. */
  uint64_t domain = 0;
};

/** Pages in a row of one record. */
struct CellRun {
  uint32_t pack = 0, cell = 0;   // CellAddress of the first
  uint32_t count = 0;
};

/**
 * The packs of one pool, and the index over them. Where the pool is remote, a pack is a file here until it is sealed and
 * shipped; then records of it are fetched, through a cache. A read that may block waits for that, or, where its thread has
 * ReadWaits (errand.h), is kTryAgain with these telling when. Thread-safe.
 */
class PackStore {
 public:
  /** Opens the packs, scans and seals those left open, loads or rebuilds the index. Pack numbers are never reused. */
  static Result<std::unique_ptr<PackStore>> Open(Env& env, const PackStoreOptions& options, PackReport& report);
  ~PackStore();

  /** The record of this id, if the index knows one. A hint: readers verify. */
  std::optional<Location> Find(const BlockId& id) const;

  /**
   * Appends the records that the index does not know yet (dedup). Their bytes survive the process when this returns, and
   * become durable with Sync. Records put together lie together, in few writes. kNoSpace when the disk is full: then some of
   * them may be there. `urgent` ones, and nodes, may use the reserve.
   */
  Status PutAll(std::span<PackPut> puts, bool urgent = false);
  /** The same for one record. */
  Result<Location> Put(RecordKind kind, const BlockId& id, ConstBytes raw, bool* reused, bool urgent = false);

  /**
   * All that Put returned before this call becomes durable; several callers share one fdatasync. A failure is final: the
   * pack takes no more records, those of it that were not synced leave the index, and this and every later Sync is kIo
   * until the store is opened again, for what was lost may be what any caller has put or found.
   */
  Status Sync();
  /** Ok until a sync failed; then what every later one answers. */
  Status failure() const;
  bool unsynced() const;
  /** Seals full packs; writes the index checkpoint when enough has changed. */
  Status Checkpoint(bool force);
  /** Seals the open pack (footer, sync, rename): for shutdown, and to have all of it shipped. */
  Status Seal();

  bool remote() const;
  /** Of a remote pool: all that Put returned before this call is in packs up to the mark that is returned. */
  uint32_t Mark() const;
  /** Every pack up to the mark is durable on the backend (always so where the pool is not remote). An error: never will be. */
  Result<bool> ShippedUpTo(uint32_t mark) const;
  /** A pack up to the mark still takes records: Seal would get it on its way. */
  bool OpenUpTo(uint32_t mark) const;
  /** As much waits to be shipped as may. */
  bool crowded() const;
  /** Ships what is sealed, drops copies there is no room for. Called often, by one thread. */
  Status Upkeep();
  /** `changed` is called, from any thread, when a pack was shipped or could not be. Empty: no more. */
  void OnShipped(std::function<void()> changed);
  /** Asks for records that are not on this host, so that they come together and not one after the other. */
  void FetchAhead(std::span<const Location> places);
  /** The same for what nobody waits for: it comes after all that is waited for, and nobody is told if it does not. */
  void FetchLater(std::span<const Location> places);
  /** Of records that came and were not asked for yet, as many as are sure to be kept until they are; 0 where all packs are here. */
  uint64_t ahead_bytes_max() const;
  /** Where the index may lack something: looks again which packs there are. Ok at once where it is known to be whole. */
  Status RefreshIndex();

  /**
   * Reads the page at `cell` (CellAddress), verified against `seed` (CellSeed). kTryAgain when it would block and may not; kCorrupt when the sum
   * fails (after one direct re-read, if it may block), kNotFound when the pack is gone.
   */
  Status ReadCell(uint32_t pack, uint32_t cell, uint64_t seed, Bytes page, bool may_block);
  /** Reads pages [first, first + count) of a block record at `at`, one system call, every page verified. */
  Status ReadPages(const Location& at, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block);
  /**
   * The same wherever the block can be read: at `hint`, which may be unknown or stale, where the index knows it, in what else is left
   * of it, page by page from several where none is whole. kNotFound where no place is known.
   */
  Status ReadBlock(const Location& hint, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block);
  /** All that are known of a record, the index's first. Whoever reads there checks the id. */
  std::vector<Location> Places(const BlockId& id) const;
  /** Has the long ones of these runs brought into the page cache, together. Returns before they are. */
  void ReadAhead(std::span<const CellRun> runs);
  /**
   * Reads a whole record's payload (nodes, blocks), header verified against `id`. kNotFound when the record there is
   * another's: the hint is stale, Find may know better. `domain`: gets what the header says.
   */
  Result<std::vector<uint8_t>> ReadRecord(const Location& at, const BlockId& id, bool may_block, uint64_t* domain = nullptr);
  /**
   * The domain of a block, as a whole header of it says, at `hint` or wherever else it is. May block. kCorrupt where no place has such a
   * header, kNotFound where no place is known; kIo where it cannot be looked at.
   */
  Result<uint64_t> DomainOf(const Location& hint, const BlockId& id);
  /** The id in the record header at `at` (stored_bytes unknown there), verified by the header's own sum; `full` gets the whole location. */
  Result<BlockId> IdAt(const Location& at, Location* full);
  /** True if the record at `at` is whole and is `id`: every sum read and checked, or known to have been when it was shipped. */
  bool Verify(const Location& at, const BlockId& id);
  /**
   * The record at `at` was durable before this start. How many of its pages fail all the same: these are rot, no torn write, and
   * are counted as such. Only of records that this start found in open packs; 0 for all others, which are told when they are read.
   */
  uint32_t RottenPages(const Location& at, const BlockId& id);
  /** Verify for the replay of REF records, to which a backend that does not answer is no answer: kIo, kClosed. */
  Result<bool> Confirm(const Location& at, const BlockId& id);

  /** put_: what was written; dedup_: what was known already. Bytes are of payload, but stored_bytes, which is of files. */
  // Removing packs (gc/collector.h).
  /** Whoever puts records in order to name them is inside from before the first put until the name stands. */
  PutGate& gate();
  struct Sealed {
    uint32_t pack = 0;
    uint64_t bytes = 0;
    bool damaged = false;   // a page of it is lost, or was found rotten
    uint64_t records = 0;   // that it is known to hold
  };
  /**
   * Packs that may be removed, ascending: all that are sealed but the newest, whose number tells the next. Of a remote pool: that
   * the backend has.
   */
  std::vector<Sealed> Removable() const;
  Result<std::vector<PackFooterEntry>> EntriesOf(uint32_t pack);
  /** From here on PutAll puts again what only these packs hold. Reads go on. */
  void Condemn(std::span<const uint32_t> packs);
  void Pardon(uint32_t pack);
  /**
   * Takes condemned packs, of which nothing is wanted any more, out of the index and away. Those of a remote pool are gone from
   * there once Sweep says so.
   */
  Status Remove(std::span<const uint32_t> packs);
  /** Of a remote pool: it has the list of what was removed so far. Before that nothing goes from there, and no other is removed. */
  bool GoneListed() const;
  /** Goes on taking removed packs off the backend. True while there is more to do, and the backend does it. */
  bool Sweep();

  // Reading everything (check/scrub.h). kTryAgain: the backend does not answer, which says nothing of what rests there.
  std::vector<Sealed> SealedHere() const;
  /** Whether the file begins as it should: as the disk or the backend has it, past every cache, like the next three. */
  Status HeaderAtRest(uint32_t pack);
  Result<std::vector<PackFooterEntry>> FooterAtRest(uint32_t pack, uint64_t file_bytes);
  /** Of a pack whose footer is damaged: what its records say, or what is known of it here. */
  Result<std::vector<PackFooterEntry>> ScannedEntries(uint32_t pack);
  /** A record that was read whole, and what its header says besides. */
  struct Payload {
    std::vector<uint8_t> raw;
    uint64_t domain = 0;
  };
  /** kNotFound: the pack is gone. Anything else but Ok: the record is damaged, and from now on known as such. */
  Result<Payload> ReadAtRest(uint32_t pack, const PackFooterEntry& entry);
  /** The same from a copy of the pack, or a cache, which may still have what has rotted. */
  Result<Payload> ReadCached(uint32_t pack, const PackFooterEntry& entry);
  /** Its content is not what its id says, though its sums hold. */
  void NoteDamaged(const Location& at);
  /** What was damaged there stands elsewhere by now, durably, and the index leads to that: it is not counted any more. */
  void NoteRepaired(const Location& at);
  /** The index knows the record from now on, unless it knows a whole one already. */
  void Adopt(uint32_t pack, const PackFooterEntry& entry);

  struct Usage {
    /** Of the records that the index knows: what they take, how many of them are in frames, and what these take. */
    uint64_t record_bytes = 0, framed_records = 0, framed_bytes = 0;
    uint64_t put_record_bytes = 0, put_framed_records = 0;   // of put_records: what they took, how many were put in frames
    /** What the records would take if none were in frames. */
    uint64_t uncompressed_record_bytes() const;
    uint64_t packs = 0, stored_bytes = 0, blocks = 0, nodes = 0, put_bytes = 0, put_records = 0, dedup_hits = 0, dedup_bytes = 0,
             index_bytes = 0, corrupt_cells = 0, free_bytes = 0;
    uint64_t room_bytes = 0;   // what records that may not use the reserve can still take: in the open pack and in whole new ones
    /** Of a remote pool. */
    uint64_t staged_packs = 0, staged_bytes = 0, kept_packs = 0, kept_bytes = 0, shipped_packs = 0, shipped_bytes = 0, ship_failures = 0,
             fetches = 0, fetched_bytes = 0, fetch_failures = 0, fetches_waiting = 0, removals = 0, removals_waiting = 0, removal_failures = 0;
    bool backend_full = false;
  };
  Usage usage() const;
  /** What the records that the index knows take in packs: usage().stored_bytes without headers, footers and padding. */
  uint64_t RecordBytes() const;

  class Impl;

 private:
  explicit PackStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
