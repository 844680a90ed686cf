#pragma once
// What the journal holds. A log position (Lsn) is also a physical place: segment = lsn / segment_bytes, and the ring is an
// image of the newest part of that space (ring offset = lsn % ring_bytes). So a page's place in the overlay is its Lsn.
//
// Segment:  [SegmentHeader, one sector] [batch] [batch] ... [index, at the end, once full]
// Batch:    [BatchHeader 64] [record] [record] ... zero padding to a sector. A sector once written is never rewritten.
// Record:   [RecordHeader 72] [piece sums: 8 bytes a piece] [payload] padding to 8 bytes
//
// A write's payload is cut into pieces at page boundaries of the volume: one sum a piece, so that one page can be
// read and checked by itself. A torn write and a write of a dead epoch look the same to a reader: the log ends before it.
#include <cstdint>

namespace skerry {

using Lsn = uint64_t;
using ResourceId = uint64_t;

inline constexpr uint32_t kJournalVersion = 1;
inline constexpr uint32_t kSegmentMagic = 0x474a4b53;  // "SKJG"
inline constexpr uint32_t kBatchMagic = 0x424a4b53;    // "SKJB"
inline constexpr uint32_t kRecordMagic = 0x524a4b53;   // "SKJR"
inline constexpr uint32_t kIndexMagic = 0x494a4b53;    // "SKJI"
inline constexpr uint32_t kRingMagic = 0x4d4a4b53;     // "SKJM"

enum class RecordType : uint8_t {
  kWrite = 1,    // payload: length bytes at offset
  kZero = 2,     // [offset, offset + length) reads as zero, allocated or not as the flag says; no payload
  kTrim = 3,     // the same, given back
  kRef = 4,      // whole aligned blocks whose bytes are in a pack; payload: RefPlace for each block
  kBarrier = 5,  // the volume's state here is snapshot `offset` (a resource id)
  kDrop = 6,     // the resource is deleted: nothing of it at or below this record is wanted
  kRewind = 7,   // recovery ended this volume's log early: earlier records with this sequence or a later one are void
  kResize = 8,   // the volume has `length` bytes from here on; what it had past them is given back
  kRollback = 9, // the volume becomes what snapshot `offset` is, in a new lineage; payload: RollbackPlace
  kSalvage = 10, // of no resource: an operator let go what is missing below this record; segments, or records in a volume's sequence
};

/** Records whose payload says where content rests: it is checked and handed over on replay, wherever it stands. */
inline constexpr bool NamesPlaces(RecordType type) { return type == RecordType::kRef || type == RecordType::kRollback; }

/** In RecordHeader::flags: a copy of a record that stood at `origin`, made so that its segment could go (journal/moving.cc). */
inline constexpr uint16_t kRecordMoved = 1;

struct RecordHeader {
  uint32_t magic;
  uint8_t version;
  RecordType type;
  uint16_t flags;
  uint64_t resource;       // volume's resource id
  uint64_t sequence;       // of the volume, from 1, without gaps
  uint64_t fence;
  uint64_t offset;         // bytes in the volume; the snapshot's id for kBarrier and kRollback
  uint64_t length;         // bytes of the volume this covers; its new size for kResize
  uint32_t payload_bytes;
  uint32_t piece_count;
  Lsn origin;              // of a moved record: where it stood first; else 0
  uint64_t sum;            // XXH3 of the header's bytes before this one and of the piece sums, seeded with the record's Lsn
};
static_assert(sizeof(RecordHeader) == 72);

/** What the record that stands at `place` is known by: places in the overlay, and the order of records, are by this. */
inline constexpr Lsn OriginOf(const RecordHeader& header, Lsn place) { return (header.flags & kRecordMoved) != 0 ? header.origin : place; }

struct BatchHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t epoch;
  Lsn start;               // of this header
  uint64_t bytes;          // header and records, without padding
  Lsn durable;             // everything before this Lsn was durable when the batch was built
  uint32_t record_count;
  uint32_t flags;          // kBatchEndsSegment: the next batch is the first of the next segment; others below
  uint64_t journal;        // first 8 bytes of the journal's uuid
  uint64_t sum;            // XXH3 of the bytes before
};
static_assert(sizeof(BatchHeader) == 64);
inline constexpr uint32_t kBatchEndsSegment = 1;
inline constexpr uint32_t kBatchBeginsEpoch = 2;
inline constexpr uint32_t kBatchEndsInOrder = 4;   // holds nothing: all that was appended stands before it, and is durable

/** Where one block of a kRef record rests. `id` is its block id; page sums stand in the pack record. */
struct RefPlace {
  uint8_t id[32];
  uint32_t pack;
  uint32_t offset;         // of the pack record
  uint32_t length;         // of the pack record: LengthWord (blocks/pack.h)
  uint32_t reserved;
};
static_assert(sizeof(RefPlace) == 48);

/** What a kRollback record leads to: the snapshot may be deleted before the volume's next root is committed. */
struct RollbackPlace {
  uint8_t root[32];        // all zero: an empty tree
  uint32_t pack;
  uint32_t offset;         // of the pack record of the top node
  uint32_t stored_bytes;   // of that record
  uint32_t levels;
  uint64_t size_bytes;     // of the volume from here on
  uint64_t lineage;        // that begins here
};
static_assert(sizeof(RollbackPlace) == 64);

}  // namespace skerry
