// What earlier lives left: of a full segment its table says it, of others each record's header. No record is read for it: whether one
// is whole is seen when somebody wants it.
#include <algorithm>
#include <cstdio>

#include "local_cache.h"

namespace skerry {
namespace {

constexpr size_t kTailBytes = 64u << 10;

/** 0: it is none of ours. */
uint32_t NumberIn(const std::string& name) {
  unsigned number = 0;
  char rest[8] = {};
  if (name.size() != 14 || std::sscanf(name.c_str(), "%8x%6s", &number, rest) != 2 || std::string(rest) != ".cache") return 0;
  return number;
}

}  // namespace

void LocalCache::Load() {
  const Status status = options_.bytes_max == 0 ? LeaveNothing() : LoadSegments();
  if (!status.ok()) Fail(status);
  {
    std::lock_guard lock(mutex_);
    loading_ = false;
  }
  changed_.notify_all();
}

Status LocalCache::LoadSegments() {
  if (Status status = env_.MakeDirectory(options_.directory); !status.ok()) return status;
  const Result<std::vector<uint32_t>> numbers = SegmentsThere();
  if (!numbers.ok()) return numbers.status();
  // Of a record that was written twice the later place counts.
  for (const uint32_t number : *numbers) {
    if (Status status = LoadSegment(number, number == numbers->back()); !status.ok()) return status;
    next_segment_ = number + 1;
  }
  return {};
}

/** It was switched off: what it had is given back. */
Status LocalCache::LeaveNothing() {
  const Result<std::vector<uint32_t>> numbers = SegmentsThere();
  if (!numbers.ok()) return numbers.code() == Code::kNotFound ? Status() : numbers.status();
  for (const uint32_t number : *numbers) {
    if (Status status = env_.Remove(PathOf(number)); !status.ok()) return status;
  }
  return {};
}

/** Ascending. */
Result<std::vector<uint32_t>> LocalCache::SegmentsThere() const {
  const Result<std::vector<DirectoryEntry>> files = env_.List(options_.directory);
  if (!files.ok()) return files.status();
  std::vector<uint32_t> numbers;
  for (const DirectoryEntry& file : *files) {
    if (const uint32_t number = NumberIn(file.name)) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

Status LocalCache::LoadSegment(uint32_t number, bool newest) {
  Result<std::unique_ptr<File>> opened = env_.Open(PathOf(number), {.write = true});
  if (!opened.ok()) return opened.status();
  std::shared_ptr<File> file = std::move(*opened);
  Result<uint64_t> bytes = file->Size();
  if (!bytes.ok()) return bytes.status();
  uint8_t head[sizeof(CacheSegmentHeader)] = {};
  if (const Result<size_t> got = file->Read(head, 0); !got.ok()) return got.status();
  if (!IsCacheSegment(head, number) || *bytes > UINT32_MAX) return env_.Remove(PathOf(number));
  Result<std::optional<std::vector<CacheTableEntry>>> table = ReadTable(*file, number, *bytes);
  if (!table.ok()) return table.status();
  if (*table) {
    Adopt(number, std::move(file), *bytes, **table);
    return {};
  }
  const Result<std::vector<CacheTableEntry>> records = ScanRecords(*file, number, *bytes);
  if (!records.ok()) return records.status();
  const uint64_t end = records->empty() ? sizeof(CacheSegmentHeader) : records->back().at + uint64_t{CachedBytes(records->back().bytes)};
  if (end != *bytes) {
    if (Status status = file->Truncate(end); !status.ok()) return status;
  }
  Adopt(number, std::move(file), end, *records);
  if (newest) current_ = number;
  return {};
}

Result<std::optional<std::vector<CacheTableEntry>>> LocalCache::ReadTable(File& file, uint32_t number, uint64_t bytes) {
  std::vector<uint8_t> tail(std::min<uint64_t>(bytes, kTailBytes));
  for (int attempt = 0;; ++attempt) {
    const Result<size_t> got = file.Read(tail, bytes - tail.size());
    if (!got.ok()) return got.status();
    const std::optional<uint64_t> count = *got == tail.size() ? CacheTableEntries(tail, number) : std::nullopt;
    if (!count || *count > bytes / sizeof(CacheTableEntry) || CacheTableBytes(*count) > bytes) return std::optional<std::vector<CacheTableEntry>>();
    const uint32_t table_bytes = CacheTableBytes(*count);
    if (table_bytes <= tail.size()) return DecodeCacheTable(ConstBytes(tail).last(table_bytes), number, bytes);
    if (attempt > 0) return std::optional<std::vector<CacheTableEntry>>();
    tail.resize(table_bytes);
  }
}

Result<std::vector<CacheTableEntry>> LocalCache::ScanRecords(File& file, uint32_t number, uint64_t bytes) {
  std::vector<CacheTableEntry> records;
  uint8_t header[sizeof(CacheRecordHeader)];
  for (uint64_t at = sizeof(CacheSegmentHeader); at + sizeof(header) <= bytes;) {
    const Result<size_t> got = file.Read(header, at);
    if (!got.ok()) return got.status();
    const auto record = ParseCacheRecord({header, *got}, number, static_cast<uint32_t>(at));
    if (!record || at + CachedBytes(record->bytes) > bytes) break;
    records.push_back(*record);
    at += CachedBytes(record->bytes);
  }
  return records;
}

void LocalCache::Adopt(uint32_t number, std::shared_ptr<File> file, uint64_t bytes, const std::vector<CacheTableEntry>& entries) {
  std::lock_guard lock(mutex_);
  Segment& segment = segments_[number];
  segment.file = std::move(file);
  segment.bytes = bytes;
  for (const CacheTableEntry& entry : entries) {
    const RecordKey key{NumberOfLocked(entry.pool), entry.pack, entry.offset};
    const auto before = index_.find(key);
    if (before != index_.end()) ForgetLocked(before);
    index_[key] = {number, entry.at, entry.bytes, false};
    segment.keys.push_back(key);
    ++segment.live;
  }
}

}  // namespace skerry
