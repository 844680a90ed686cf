#pragma once
// The journal's other structures at rest, beside the records of record.h: the first sector of a segment, the index at
// its end, the journal's identity, its trim mark, and the header of the ring in shared memory. See docs/formats/journal.md.
//
// All are little endian and end with the XXH3 of the bytes before (the ring's header excepted: it changes under way).
#include <cstddef>
#include <cstdint>

#include "../env/env.h"
#include "record.h"

namespace skerry {

inline constexpr uint32_t kIdentityMagic = 0x444a4b53;  // "SKJD"
inline constexpr uint32_t kTrimMagic = 0x544a4b53;      // "SKJT"
inline constexpr size_t kUuidBytes = 16;
inline constexpr size_t kBootIdBytes = 16;

inline constexpr uint64_t kRecordPayloadBytesMax = 1 << 20;
inline constexpr uint32_t kRecordPiecesMax = kRecordPayloadBytesMax / kPageBytes + 1;
inline constexpr uint64_t kBatchBytesMax = 4 << 20;
inline constexpr uint64_t kRecordAlignBytes = 8;

struct SegmentHeader {
  uint32_t magic;
  uint32_t version;
  uint8_t journal[kUuidBytes];
  uint64_t number;         // what makes a recycled file's older content void
  uint64_t epoch;          // in which the segment was begun
  uint64_t segment_bytes;
  Lsn trim;                // nothing below was wanted when the segment was begun
  Lsn durable;             // everything before this Lsn was durable then: at least all of the segments before
  uint64_t reserved;
  uint64_t sum;
};
static_assert(sizeof(SegmentHeader) == 88);

/** One record in a segment's index; its piece sums follow. */
struct IndexEntry {
  Lsn record;
  RecordHeader header;
};
static_assert(sizeof(IndexEntry) == 80);

/** The last bytes of a full segment. The entries begin at the sector bound that leaves them just room before it. */
struct IndexFooter {
  uint32_t magic;
  uint32_t version;
  uint8_t journal[kUuidBytes];
  uint64_t number;
  uint64_t segment_epoch;  // as in the segment's header
  uint64_t last_epoch;     // of its last batch
  uint64_t entry_count;
  uint64_t entry_bytes;
  uint64_t entry_sum;      // XXH3 of the entries, seeded with the segment's number
  Lsn data_end;            // after the last batch; all before was durable before this index was written
  uint64_t reserved;
  uint64_t sum;
};
static_assert(sizeof(IndexFooter) == 96);

struct IdentityBlock {
  uint32_t magic;
  uint32_t version;
  uint8_t journal[kUuidBytes];
  uint64_t segment_bytes;
  uint64_t ring_bytes;     // a ring of another size than the configured one must still be found once
  uint64_t reserved;
  uint64_t sum;
};
static_assert(sizeof(IdentityBlock) == 56);

/** Two of them, a sector each, written in turn: a torn one leaves the other. */
struct TrimBlock {
  uint32_t magic;
  uint32_t version;
  uint8_t journal[kUuidBytes];
  uint64_t turn;
  Lsn trim;
  uint64_t reserved;
  uint64_t sum;
};
static_assert(sizeof(TrimBlock) == 56);

struct RingHeader {
  uint32_t magic;
  uint32_t version;
  uint8_t boot[kBootIdBytes];
  uint8_t journal[kUuidBytes];
  uint64_t ring_bytes;
  uint64_t segment_bytes;
  uint64_t epoch;
  Lsn tail;                // all before is in segments
  Lsn head;                // end of the newest record
};
static_assert(sizeof(RingHeader) == 80);
inline constexpr size_t kRingHeaderBytes = kPageBytes;

inline constexpr uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

/** Where things are, given a segment's length. */
struct Geometry {
  uint64_t segment_bytes = 0;
  uint64_t SegmentOf(Lsn lsn) const { return lsn / segment_bytes; }
  Lsn StartOf(uint64_t segment) const { return segment * segment_bytes; }
  Lsn EndOf(uint64_t segment) const { return (segment + 1) * segment_bytes; }
  Lsn FirstBatchOf(uint64_t segment) const { return StartOf(segment) + kSectorBytes; }
  uint64_t OffsetOf(Lsn lsn) const { return lsn % segment_bytes; }
};

/** What an index of so many bytes of entries takes at the end of its segment. */
inline constexpr uint64_t IndexSpaceBytes(uint64_t entry_bytes) { return RoundUp(entry_bytes + sizeof(IndexFooter), kSectorBytes); }

uint64_t Xxh3(ConstBytes bytes, uint64_t seed = 0);

/** XXH3 of all of a structure but its last member, the sum. */
template <typename Block>
uint64_t SumOf(const Block& block) {
  static_assert(offsetof(Block, sum) == sizeof(Block) - sizeof(uint64_t));
  return Xxh3({reinterpret_cast<const uint8_t*>(&block), offsetof(Block, sum)});
}

}  // namespace skerry
