#pragma once
// The daemon's ordered log of acknowledged writes. Append() puts a record in the ring, which survives the process; Write()
// moves whole batches from the ring to segments; Sync() makes what was written survive the host. The class starts no
// threads: the engine's flusher, or the simulator, calls Write and Sync.
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../env/env.h"
#include "record.h"

namespace skerry {

struct JournalOptions {
  std::string directory;             // of segment files
  std::string ring_name;             // shared memory region
  size_t ring_bytes = 64 << 20;      // a multiple of a sector
  uint64_t segment_bytes = 32 << 20; // a multiple of a sector; at most ring_bytes / 2
  uint64_t journal_bytes_max = 4ull << 30;
  bool salvage = false;              // go on past corruption instead of refusing: the operator said so
  uint64_t keep_free_bytes = 0;      // growing must leave this much of the file system: destage needs room to free the journal
};

/** A record as the caller describes it; payload pieces are gathered. Sums are computed by the journal. */
struct RecordDraft {
  RecordType type;
  uint16_t flags = 0;
  ResourceId resource = 0;
  uint64_t sequence = 0;
  uint64_t fence = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  ConstBytes payload{};
  Lsn origin = 0;                    // with kRecordMoved in `flags`
  std::span<const uint64_t> sums{};  // of the payload's pieces where the caller has them already; else the journal computes them
};

/** What a caller must know of an appended record to publish it: piece i covers the bytes of page (offset / 4096 + i). */
struct Appended {
  Lsn record = 0;
  Lsn end = 0;           // a flush that wants this record durable waits for durable() >= end
  Lsn payload = 0;       // place of the first payload byte; pieces follow each other
};

/** XXH3 of a piece, seeded so that a piece of another volume, page or place in the page fails. */
uint64_t PieceSum(ResourceId resource, uint64_t volume_offset, ConstBytes piece);

/** A record met on replay, in order of where it stands; `record` and `payload` are what it is known by. `payload` is empty when it was not read (sealed segments): read it on demand. */
struct ReplayedRecord {
  RecordHeader header;
  Lsn record = 0;
  Lsn payload = 0;
  bool below_durable = false;          // at or below a durable mark: what fails here is corruption, not a torn end
  std::span<const uint64_t> sums;      // a piece each
  ConstBytes payload_bytes;            // where the type NamesPlaces, and then always
};

struct ReplayReport {
  uint64_t epoch = 0;             // the new one
  Lsn end = 0;
  uint64_t records = 0;
  uint64_t ring_records = 0;      // of these, found only in the ring
  bool ring_used = false;
  bool ended_in_order = false;    // nothing that was ever appended can be missing: see MarkEnd
  uint64_t segments = 0;
  bool salvaged = false;          // this opening gave something up
  Lsn gaps_below = 0;             // what is missing below this was given up, by this opening or an earlier one
  std::vector<std::string> notes; // torn tail, salvaged damage, ...: a sentence each
};

/** A stretch to be read by ReadMany. */
struct JournalStretch {
  Lsn place = 0;
  Bytes into;
  bool ok = false;
};

/** A record of a segment that is full and durable. */
struct SegmentRecord {
  RecordHeader header;
  Lsn record = 0;              // what it is known by
  Lsn place = 0;               // where it stands
  std::vector<uint64_t> sums;  // of its pieces
};

class Journal {
 public:
  /**
   * Opens or creates the journal in `options.directory` and calls `replay` for each surviving record in order (a failing
   * Status ends the opening). Nothing that the log holds has changed then; Begin must follow. Corruption at or below a durable mark is kCorrupt, naming file and offset, unless
   * `salvage`.
   */
  static Result<std::unique_ptr<Journal>> Open(Env& env, const JournalOptions& options,
                                               const std::function<Status(const ReplayedRecord&)>& replay, ReplayReport& report);
  ~Journal();

  /**
   * Begins a new epoch durably: what was found only in the ring is moved to segments, then one batch is written that vouches for
   * everything before it and holds `records` (few and small), so that recovery's own decisions stand in the log or nothing does.
   * Returns their places. Append may be called afterwards. What Open gave up (or the caller, who then says `salvaged`) is
   * recorded there too, so that later openings need not be told again.
   */
  Result<std::vector<Appended>> Begin(std::span<const RecordDraft> records, bool salvaged = false);

  /** Thread-safe. kTryAgain when ring or segments have no room: the caller waits for Written or Trim. As failure() says once failed. */
  Result<Appended> Append(const RecordDraft& draft);

  /** Cuts the open batch and writes it to its segment; false where there was nothing to write. One caller at a time. */
  Result<bool> Write();
  /** Makes all that is written durable and advances durable(). One caller at a time, the one that calls Write. */
  Status Sync();
  /** From here on every Append is kClosed. Thread-safe. */
  void StopAppends();
  /**
   * After StopAppends, once all that was appended is durable: says so durably, at the log's end. Whoever finds that there needs no ring to know that
   * nothing is missing; the batch that begins the next epoch stands behind it, and it is the end no more. The caller is the one that calls Write.
   */
  Status MarkEnd();
  /** Prepares (prewrites or recycles) one segment ahead of need; false where enough are ready. Any thread. */
  Result<bool> PrepareSegment();

  std::array<uint8_t, 16> id() const;   // made with the journal; no other has it
  Lsn appended() const;  // end of the last record
  Lsn written() const;   // all records that end at or before this are in segments
  Lsn durable() const;
  bool failed() const;   // an fsync or write failed: read-only from then on
  /** Ok until the journal failed; then kIo, with the first cause and what to do, for whoever is refused. Thread-safe. */
  Status failure() const;
  /**
   * As after a failed write of its own: the caller could not make something durable that acknowledged records stand on, so no
   * more may be acknowledged. What the ring holds stays there. Thread-safe; the first cause is kept.
   */
  void Poison(const Status& cause);

  /**
   * Reads payload bytes of a record by place, from the ring or else from its segment. `may_block` false: kTryAgain
   * where the bytes are not in memory. No sum is checked here. kNotFound once the place was trimmed and recycled.
   */
  Status Read(Lsn place, Bytes into, bool may_block);
  /** Says that Read will want these places soon. What lies around them comes along; a hint, which waits for nothing. */
  void ReadAhead(std::span<Lsn> places);
  /**
   * Reads stretches of segments at once, past the page cache: for destage, which reads a thing once. Places and lengths are
   * whole sectors, memory is aligned. `ok` is false for what lies in the ring, in two segments, or cannot be read: Read tells.
   */
  void ReadMany(std::span<JournalStretch> stretches);

  /**
   * Nothing that is known by a position below `lsn` is wanted any more: segments wholly below are recycled, durable and written
   * permitting, and so are those that were vacated.
   */
  void Trim(Lsn lsn);
  /** Records before it are not wanted any more, whatever a start still finds of them. */
  Lsn trimmed() const;

  /** Number of the oldest segment; nullopt while it is not full and durable, or vacated and not gone yet. */
  std::optional<uint64_t> OldestFull() const;
  Result<std::vector<SegmentRecord>> RecordsOf(uint64_t segment);
  /** kCorrupt where it fails its sums, past the page cache too. */
  Result<std::vector<uint8_t>> PayloadOf(const SegmentRecord& record);
  /**
   * Appends the record again. It goes on being known by the position where it first stood: that can be read after its segment has
   * gone, and replay delivers it there. kTryAgain as Append.
   */
  Status Move(const SegmentRecord& record, ConstBytes payload);
  /** All that is wanted of the oldest segment stands elsewhere by now: Trim lets it go once that is durable. */
  void Vacate(uint64_t segment);
  /** Where the byte stands that is known by this position. */
  Lsn PlaceOf(Lsn known) const;

  struct Usage {
    uint64_t bytes = 0, ring_bytes = 0, segments = 0, segments_ready = 0;
    uint64_t bytes_max = 0;   // less than configured while the disk has no room for more segments
    uint64_t appends = 0, batches = 0, syncs = 0, bytes_written = 0, moved_bytes = 0;
  };
  Usage usage() const;

  class Impl;

 private:
  explicit Journal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
