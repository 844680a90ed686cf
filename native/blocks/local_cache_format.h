#pragma once
// How a segment of the local cache is laid down: header, records one after the other, and once it is full a table of them. Nothing
// here is ever synced: what a crash tears fails a sum, and what fails one was never there. See docs/formats/local_cache.md.
#include <array>
#include <optional>
#include <vector>

#include "../env/env.h"

namespace skerry {

inline constexpr uint32_t kLocalCacheVersion = 1;
inline constexpr uint32_t kCacheSegmentMagic = 0x434c4b53;  // "SKLC"
inline constexpr uint32_t kCacheRecordMagic = 0x524c4b53;   // "SKLR"
inline constexpr uint32_t kCacheTableMagic = 0x544c4b53;    // "SKLT"
/** Records begin at multiples of it. */
inline constexpr uint32_t kCacheAlignBytes = 64;

using PoolUuid = std::array<uint8_t, 16>;

struct CacheSegmentHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t segment;        // the number that its file is called by
  uint8_t reserved[40];
  uint64_t sum;            // XXH3 of the bytes before
};
static_assert(sizeof(CacheSegmentHeader) == 64);

/** What is cached, and where in the segment its header is. */
struct CacheTableEntry {
  PoolUuid pool;
  uint32_t pack;
  uint32_t offset;         // of the record in its pack
  uint32_t at;
  uint32_t bytes;          // of the record, as it stands in its pack
};
static_assert(sizeof(CacheTableEntry) == 32);

struct CacheRecordHeader {
  uint32_t magic;
  uint32_t version;
  PoolUuid pool;
  uint32_t pack;
  uint32_t offset;
  uint32_t bytes;
  uint32_t reserved;
  uint64_t record_sum;     // XXH3 of the record, with the seed of this header
  uint64_t reserved_too;
  uint64_t sum;            // XXH3 of the bytes before, seeded with the segment's number and where the header is
};
static_assert(sizeof(CacheRecordHeader) == 64);

/** The last bytes of a segment that is full; its table ends before it. */
struct CacheTableTrailer {
  uint32_t magic;
  uint32_t version;
  uint64_t segment;
  uint64_t entry_count;
  uint64_t sum;            // XXH3 of the bytes before, seeded with the XXH3 of the table
};
static_assert(sizeof(CacheTableTrailer) == 32);

/** What a record takes in a segment. */
inline uint32_t CachedBytes(uint32_t record_bytes) {
  return (uint32_t{sizeof(CacheRecordHeader)} + record_bytes + kCacheAlignBytes - 1) / kCacheAlignBytes * kCacheAlignBytes;
}
inline uint32_t CacheTableBytes(size_t entries) { return static_cast<uint32_t>(entries * sizeof(CacheTableEntry) + sizeof(CacheTableTrailer)); }

std::vector<uint8_t> EncodeCacheSegment(uint64_t segment);
bool IsCacheSegment(ConstBytes head, uint64_t segment);

/** Puts header, record and padding at the end of `into`; `entry.at` is where that will be in the segment. */
void AppendCacheRecord(std::vector<uint8_t>& into, uint64_t segment, const CacheTableEntry& entry, ConstBytes record);
/** What the header at `at` says, where that is whole and was written there. Nothing is said of the record after it. */
std::optional<CacheTableEntry> ParseCacheRecord(ConstBytes header, uint64_t segment, uint32_t at);
/** `stored`: header and record. False where either is not what was written for this entry. */
bool CacheRecordHolds(ConstBytes stored, uint64_t segment, const CacheTableEntry& entry);

std::vector<uint8_t> EncodeCacheTable(uint64_t segment, const std::vector<CacheTableEntry>& entries);
/** How many entries the trailer at the end of `tail` promises; nullopt where there is none. */
std::optional<uint64_t> CacheTableEntries(ConstBytes tail, uint64_t segment);
/** `table`: entries and trailer, which end at `segment_bytes`. nullopt where they are not whole, or say what cannot be. */
std::optional<std::vector<CacheTableEntry>> DecodeCacheTable(ConstBytes table, uint64_t segment, uint64_t segment_bytes);

}  // namespace skerry
