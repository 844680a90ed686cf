#include "local_cache_format.h"

#include <cstddef>
#include <cstring>

#include "cell.h"

namespace skerry {
namespace {

/** Of a header: a record that stands elsewhere, or in another segment, is none. */
uint64_t SeedOf(uint64_t segment, uint32_t at) { return segment << 32 | at; }

/** The most that a record takes in a pack. */
constexpr uint32_t kRecordBytesMax = 16u << 20;

}  // namespace

std::vector<uint8_t> EncodeCacheSegment(uint64_t segment) {
  CacheSegmentHeader header{};
  header.magic = kCacheSegmentMagic;
  header.version = kLocalCacheVersion;
  header.segment = segment;
  header.sum = SumOf(&header, offsetof(CacheSegmentHeader, sum), 0);
  std::vector<uint8_t> bytes(sizeof(header));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

bool IsCacheSegment(ConstBytes head, uint64_t segment) {
  CacheSegmentHeader header;
  if (head.size() < sizeof(header)) return false;
  std::memcpy(&header, head.data(), sizeof(header));
  return header.magic == kCacheSegmentMagic && header.version == kLocalCacheVersion && header.segment == segment &&
         header.sum == SumOf(&header, offsetof(CacheSegmentHeader, sum), 0);
}

void AppendCacheRecord(std::vector<uint8_t>& into, uint64_t segment, const CacheTableEntry& entry, ConstBytes record) {
  const uint64_t seed = SeedOf(segment, entry.at);
  CacheRecordHeader header{};
  header.magic = kCacheRecordMagic;
  header.version = kLocalCacheVersion;
  header.pool = entry.pool;
  header.pack = entry.pack;
  header.offset = entry.offset;
  header.bytes = entry.bytes;
  header.record_sum = SumOf(record.data(), record.size(), seed);
  header.sum = SumOf(&header, offsetof(CacheRecordHeader, sum), seed);
  const size_t start = into.size();
  into.resize(start + CachedBytes(entry.bytes));
  std::memcpy(into.data() + start, &header, sizeof(header));
  std::memcpy(into.data() + start + sizeof(header), record.data(), record.size());
}

std::optional<CacheTableEntry> ParseCacheRecord(ConstBytes bytes, uint64_t segment, uint32_t at) {
  CacheRecordHeader header;
  if (bytes.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kCacheRecordMagic || header.version != kLocalCacheVersion) return std::nullopt;
  if (header.sum != SumOf(&header, offsetof(CacheRecordHeader, sum), SeedOf(segment, at))) return std::nullopt;
  if (header.bytes == 0 || header.bytes > kRecordBytesMax) return std::nullopt;
  return CacheTableEntry{header.pool, header.pack, header.offset, at, header.bytes};
}

bool CacheRecordHolds(ConstBytes stored, uint64_t segment, const CacheTableEntry& entry) {
  const std::optional<CacheTableEntry> there = ParseCacheRecord(stored, segment, entry.at);
  if (!there || std::memcmp(&*there, &entry, sizeof(entry)) != 0) return false;
  if (stored.size() < sizeof(CacheRecordHeader) + size_t{entry.bytes}) return false;
  uint64_t sum;
  std::memcpy(&sum, stored.data() + offsetof(CacheRecordHeader, record_sum), sizeof(sum));
  return sum == SumOf(stored.data() + sizeof(CacheRecordHeader), entry.bytes, SeedOf(segment, entry.at));
}

std::vector<uint8_t> EncodeCacheTable(uint64_t segment, const std::vector<CacheTableEntry>& entries) {
  const size_t table_bytes = entries.size() * sizeof(CacheTableEntry);
  std::vector<uint8_t> bytes(CacheTableBytes(entries.size()));
  if (table_bytes > 0) std::memcpy(bytes.data(), entries.data(), table_bytes);
  CacheTableTrailer trailer{kCacheTableMagic, kLocalCacheVersion, segment, entries.size(), 0};
  trailer.sum = SumOf(&trailer, offsetof(CacheTableTrailer, sum), SumOf(bytes.data(), table_bytes, 0));
  std::memcpy(bytes.data() + table_bytes, &trailer, sizeof(trailer));
  return bytes;
}

std::optional<uint64_t> CacheTableEntries(ConstBytes tail, uint64_t segment) {
  CacheTableTrailer trailer;
  if (tail.size() < sizeof(trailer)) return std::nullopt;
  std::memcpy(&trailer, tail.data() + tail.size() - sizeof(trailer), sizeof(trailer));
  if (trailer.magic != kCacheTableMagic || trailer.version != kLocalCacheVersion || trailer.segment != segment) return std::nullopt;
  return trailer.entry_count;
}

std::optional<std::vector<CacheTableEntry>> DecodeCacheTable(ConstBytes table, uint64_t segment, uint64_t segment_bytes) {
  const std::optional<uint64_t> count = CacheTableEntries(table, segment);
  if (!count || table.size() > segment_bytes || *count != (table.size() - sizeof(CacheTableTrailer)) / sizeof(CacheTableEntry)) return std::nullopt;
  const size_t table_bytes = *count * sizeof(CacheTableEntry);
  if (table_bytes + sizeof(CacheTableTrailer) != table.size()) return std::nullopt;
  CacheTableTrailer trailer;
  std::memcpy(&trailer, table.data() + table_bytes, sizeof(trailer));
  if (trailer.sum != SumOf(&trailer, offsetof(CacheTableTrailer, sum), SumOf(table.data(), table_bytes, 0))) return std::nullopt;
  std::vector<CacheTableEntry> entries(*count);
  if (table_bytes > 0) std::memcpy(entries.data(), table.data(), table_bytes);
  const uint64_t records_end = segment_bytes - table.size();
  for (const CacheTableEntry& entry : entries) {
    const bool may_be = entry.bytes > 0 && entry.bytes <= kRecordBytesMax && entry.at >= sizeof(CacheSegmentHeader) &&
                        entry.at + uint64_t{CachedBytes(entry.bytes)} <= records_end;
    if (!may_be) return std::nullopt;
  }
  return entries;
}

}  // namespace skerry
