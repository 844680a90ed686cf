#pragma once
// The parts of the on-disk and in-ring format that only the journal itself sees. See docs/formats/journal.md.
#include <atomic>
#include <cstdint>
#include <vector>

#include "journal.h"

namespace skerry {

inline constexpr uint32_t kIdentityMagic = 0x444a4b53;  // "SKJD"
inline constexpr uint64_t kRecordAlignBytes = 8;
inline constexpr uint64_t kBatchBytesMax = 1 << 20;     // an open batch is closed past this
inline constexpr uint64_t kPayloadBytesMax = 1 << 20;

struct JournalId {
  uint8_t bytes[16];
  bool operator==(const JournalId&) const = default;
  uint64_t prefix() const;
};

struct IdentityFile {
  uint32_t magic, version;
  JournalId journal;
  uint64_t segment_bytes;
  uint64_t ring_bytes;   // kept: mapping the ring at another size would lose what it holds
  uint64_t sum;
};
static_assert(sizeof(IdentityFile) == 48);

struct SegmentHeader {
  uint32_t magic, version;
  JournalId journal;
  uint64_t number;
  uint64_t epoch;
  Lsn trim;          // nothing below was wanted when this segment began
  uint64_t sum;
};
static_assert(sizeof(SegmentHeader) == 56);

/** In the index: an entry is IndexEntry, then its piece sums. The footer ends the segment. */
struct IndexEntry {
  Lsn record;
  RecordHeader header;
};
static_assert(sizeof(IndexEntry) == 80);

struct IndexFooter {
  uint32_t magic, version;
  uint64_t journal;
  uint64_t number;
  uint64_t epoch;
  uint64_t entries;
  uint64_t bytes;        // of the entries, which end where the footer begins
  uint64_t entries_sum;
  Lsn durable;           // everything before was durable when the segment was sealed
  uint64_t sum;
};
static_assert(sizeof(IndexFooter) == 72);

/** First bytes of the ring's header page. Written by one process at a time; survives it. */
struct RingHeader {
  uint32_t magic, version;
  uint8_t boot[16];
  JournalId journal;
  uint64_t segment_bytes;
  uint64_t ring_bytes;
  std::atomic<uint64_t> epoch;
  std::atomic<Lsn> tail;   // start of the first batch that may not be in its segment
  std::atomic<Lsn> head;   // end of the last whole record
};
static_assert(sizeof(RingHeader) == 80);

constexpr uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

uint64_t JournalSum(const void* data, size_t bytes, uint64_t seed);
uint64_t BatchSum(const BatchHeader& header);
uint64_t RecordSum(const RecordHeader& header, std::span<const uint64_t> sums, Lsn record);

/** Whether what an index lists can stand in a segment of so many bytes that begins at `start`. */
bool CanStand(const IndexEntry& entry, Lsn start, uint64_t segment_bytes);

/** Bytes of a record in the log, padding included. */
inline uint64_t RecordBytes(const RecordHeader& header) {
  return RoundUp(sizeof(RecordHeader) + uint64_t{header.piece_count} * 8 + header.payload_bytes, kRecordAlignBytes);
}

/** Pieces that [offset, offset + bytes) of a volume is cut into at page bounds. */
inline uint32_t PieceCount(uint64_t offset, uint64_t bytes) {
  return bytes == 0 ? 0 : static_cast<uint32_t>((offset + bytes - 1) / kPageBytes - offset / kPageBytes + 1);
}

/** Whether a record's sums cover all of its payload, as each writer has them do. */
inline bool PiecesFit(const RecordHeader& header) {
  if (header.type != RecordType::kWrite) return header.piece_count == (header.payload_bytes > 0 ? 1u : 0u);
  return header.length == header.payload_bytes && header.piece_count == PieceCount(header.offset, header.length);
}

/** One record read out of `bytes`, which begin at `at` in the log. */
struct ParsedRecord {
  RecordHeader header;
  Lsn record = 0, payload = 0;
  std::vector<uint64_t> sums;
  ConstBytes payload_bytes;
  bool whole = false;       // every piece passes its sum
};
/** False where no valid record header with its sums stands at the start of `bytes`. */
bool ParseRecord(ConstBytes bytes, Lsn at, ParsedRecord& into);

/** The batch header at the start of `bytes`, if it is valid and belongs to position `at` of journal `journal`. */
bool ParseBatch(ConstBytes bytes, Lsn at, uint64_t journal, BatchHeader& into);

/** A segment's index while it fills. */
struct IndexBuilder {
  std::vector<uint8_t> bytes;
  uint64_t entries = 0;
  void Add(const RecordHeader& header, Lsn record, std::span<const uint64_t> sums);
  static uint64_t EntryBytes(uint32_t piece_count) { return sizeof(IndexEntry) + uint64_t{piece_count} * 8; }
  /** Bytes at the end of the segment that an index of `entry_bytes` takes, whole sectors. */
  static uint64_t RegionBytes(uint64_t entry_bytes) { return RoundUp(entry_bytes + sizeof(IndexFooter), kSectorBytes); }
};

}  // namespace skerry
