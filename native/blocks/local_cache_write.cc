// The one writer: what was offered goes to the end of the newest segment, in few writes, and the oldest segments make room for it.
#include <algorithm>

#include "cell.h"
#include "local_cache.h"

namespace skerry {
namespace {

constexpr size_t kGroupBytesMax = 1u << 20;
/** Of the room that is free or the cache's own it takes one part of so many: the rest is for what must not be refused. */
constexpr uint64_t kDiskShare = 4;
/** With room for fewer there is no ring. */
constexpr uint64_t kSegmentsMin = 2;
/** After many restarts, or with another size of segments before. */
constexpr size_t kSegmentsMax = 1024;
/** A record that would take more of a segment is passed over. */
constexpr uint32_t kSegmentShare = 4;

/** Whether all of it is there and holds: what the backend sent wrong is not kept. */
bool IsWhole(ConstBytes record, const RecordKey& key, const RecordCipher* cipher) {
  const auto header = ParseHeader(record, key.pack, key.offset);
  return header && header->stored_bytes == record.size() && BadCells(record, *header, cipher).empty();
}

}  // namespace

bool LocalCache::WriteSome() {
  if (Off()) {
    Clear();
    return false;
  }
  Status status = FitIn();
  for (const RecordKey& key : status.ok() ? TakeOffered() : std::vector<RecordKey>()) {
    std::shared_ptr<const RecordImage> record;
    {
      std::lock_guard lock(mutex_);
      const auto offered = offered_.find(key);
      if (offered != offered_.end()) record = offered->second;
    }
    if (record && status.ok()) status = Write(key, *record);
  }
  if (status.ok()) status = WriteGroup();
  if (!status.ok()) Fail(status);
  std::lock_guard lock(mutex_);
  return !off_ && !order_.empty();
}

std::vector<RecordKey> LocalCache::TakeOffered() {
  std::lock_guard lock(mutex_);
  std::vector<RecordKey> keys;
  for (size_t bytes = 0; !order_.empty() && bytes < kGroupBytesMax; order_.pop_front()) {
    const auto offered = offered_.find(order_.front());
    if (offered == offered_.end()) continue;
    bytes += offered->second->size();
    keys.push_back(order_.front());
  }
  return keys;
}

Status LocalCache::Write(const RecordKey& key, const RecordImage& record) {
  Status status;
  const bool takes = allowed_bytes_ > 0 && CachedBytes(static_cast<uint32_t>(record.size())) <= segment_bytes_ / kSegmentShare;
  const std::optional<RecordCipher> cipher = CipherOf(key.pool);
  const bool wanted = takes && IsWhole(record, key, cipher ? &*cipher : nullptr);
  if (wanted && !Fits(static_cast<uint32_t>(record.size()))) status = BeginSegment();
  if (wanted && status.ok() && current_) return Append(key, record);
  std::lock_guard lock(mutex_);
  ++usage_.passed_over;
  if (const auto offered = offered_.find(key); offered != offered_.end()) {
    offered_bytes_ -= offered->second->size();
    offered_.erase(offered);
  }
  return status;
}

bool LocalCache::Fits(uint32_t record_bytes) const {
  if (!current_) return false;
  const Segment& segment = segments_.at(*current_);
  const uint64_t table_bytes = CacheTableBytes(segment.keys.size() + group_.records.size() + 1);
  return segment.bytes + group_.bytes.size() + CachedBytes(record_bytes) + table_bytes <= segment_bytes_;
}

/** To be found once WriteGroup has succeeded. There is room for it. */
Status LocalCache::Append(const RecordKey& key, ConstBytes record) {
  CacheTableEntry entry;
  {
    std::lock_guard lock(mutex_);
    const auto at = static_cast<uint32_t>(segments_.at(*current_).bytes + group_.bytes.size());
    entry = TableEntryLocked(key, {*current_, at, static_cast<uint32_t>(record.size())});
  }
  AppendCacheRecord(group_.bytes, *current_, entry, record);
  group_.records.emplace_back(key, entry);
  return group_.bytes.size() < kGroupBytesMax ? Status() : WriteGroup();
}

Status LocalCache::WriteGroup() {
  if (group_.records.empty()) return {};
  const Group group = std::exchange(group_, {});
  Segment& segment = segments_.at(*current_);
  if (Status status = segment.file->Write(group.bytes, segment.bytes); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  segment.bytes += group.bytes.size();
  usage_.written_bytes += group.bytes.size();
  for (const auto& [key, entry] : group.records) {
    const auto offered = offered_.find(key);
    const auto before = index_.find(key);
    // Dropped while it was written.
    if (off_ || (offered == offered_.end() && before == index_.end())) continue;
    if (before != index_.end()) ForgetLocked(before);
    index_[key] = {*current_, entry.at, entry.bytes, false};
    segment.keys.push_back(key);
    ++segment.live;
    if (offered == offered_.end()) continue;
    offered_bytes_ -= offered->second->size();
    offered_.erase(offered);
  }
  return {};
}

Status LocalCache::BeginSegment() {
  if (Status status = SealCurrent(); !status.ok()) return status;
  const uint32_t number = next_segment_;
  Result<std::unique_ptr<File>> opened = env_.Open(PathOf(number), {.write = true, .create = true});
  if (!opened.ok()) return opened.status();
  ++next_segment_;
  const std::vector<uint8_t> head = EncodeCacheSegment(number);
  if (Status status = (*opened)->Write(head, 0); !status.ok()) return status;
  {
    std::lock_guard lock(mutex_);
    Segment& segment = segments_[number];
    segment.file = std::move(*opened);
    segment.bytes = head.size();
  }
  current_ = number;
  return FitIn();
}

/** It takes no more records, and says at its end which it has. */
Status LocalCache::SealCurrent() {
  if (!current_) return {};
  if (Status status = WriteGroup(); !status.ok()) return status;
  Segment& segment = segments_.at(*current_);
  std::vector<CacheTableEntry> entries;
  {
    std::lock_guard lock(mutex_);
    for (const RecordKey& key : segment.keys) {
      const auto found = index_.find(key);
      if (found != index_.end() && found->second.segment == *current_) entries.push_back(TableEntryLocked(key, found->second));
    }
  }
  const std::vector<uint8_t> table = EncodeCacheTable(*current_, entries);
  if (Status status = segment.file->Write(table, segment.bytes); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  segment.bytes += table.size();
  current_.reset();
  return {};
}

/** Bytes that the files may have now; 0 where there is too little room for a ring. */
Result<uint64_t> LocalCache::Allowed() const {
  const Result<uint64_t> free = env_.FreeBytes(options_.directory);
  if (!free.ok()) return free;
  const uint64_t allowed = std::min(options_.bytes_max, (*free + usage().bytes) / kDiskShare);
  return allowed < kSegmentsMin * segment_bytes_ ? 0 : allowed;
}

Status LocalCache::FitIn() {
  const Result<uint64_t> allowed = Allowed();
  if (!allowed.ok()) return allowed.status();
  allowed_bytes_ = *allowed;
  while (true) {
    std::optional<uint32_t> goes;
    bool empty = false;
    {
      uint64_t bytes = current_ ? segment_bytes_ - std::min<uint64_t>(segments_.at(*current_).bytes, segment_bytes_) : 0;
      std::lock_guard lock(mutex_);
      for (const auto& [number, segment] : segments_) {
        bytes += segment.bytes;
        if (segment.live == 0 && number != current_) empty = true, goes = number;
      }
      const bool crowded = bytes > allowed_bytes_ || index_.size() > records_max_ || segments_.size() > kSegmentsMax;
      if (!empty && crowded && !segments_.empty()) goes = segments_.begin()->first;
    }
    if (!goes) return {};
    if (Status status = empty ? Status() : Evict(*goes); !status.ok()) return status;
    RemoveSegment(*goes);
  }
}

/**
 * The second chance: of a segment that goes, what was read there since it was written, or memory holds, is written again. No more
 * than half of what the newest has room for, so that each segment takes in new records too.
 */
Status LocalCache::Evict(uint32_t number) {
  if (current_ == number) {
    if (Status status = WriteGroup(); !status.ok()) return status;
    current_.reset();
  }
  std::vector<std::pair<RecordKey, Entry>> again;
  {
    uint64_t room = current_ ? (segment_bytes_ - std::min<uint64_t>(segments_.at(*current_).bytes + group_.bytes.size(), segment_bytes_)) / 2 : 0;
    std::lock_guard lock(mutex_);
    for (const RecordKey& key : segments_.at(number).keys) {
      const auto found = index_.find(key);
      if (found == index_.end() || found->second.segment != number) continue;
      const uint64_t takes = CachedBytes(found->second.bytes) + sizeof(CacheTableEntry);
      if (takes <= room && (found->second.used || memory_->Peek(key))) {
        room -= takes;
        again.emplace_back(key, found->second);
      } else {
        ForgetLocked(found);
        ++usage_.evicted;
      }
    }
  }
  for (const auto& [key, entry] : again) {
    CacheTableEntry expected;
    std::shared_ptr<File> file;
    {
      std::lock_guard lock(mutex_);
      expected = TableEntryLocked(key, entry);
      file = segments_.at(number).file;
    }
    const auto record = ReadEntry(key, entry, *file, expected);
    if (!record || !Fits(entry.bytes)) continue;
    if (Status status = Append(key, *record); !status.ok()) return status;
  }
  if (Status status = WriteGroup(); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  usage_.kept += again.size();
  return {};
}

void LocalCache::RemoveSegment(uint32_t number) {
  {
    std::lock_guard lock(mutex_);
    const auto found = segments_.find(number);
    for (const RecordKey& key : found->second.keys) {
      const auto entry = index_.find(key);
      if (entry != index_.end() && entry->second.segment == number) index_.erase(entry);
    }
    segments_.erase(found);
  }
  // One that cannot be removed is found by the next start.
  (void)env_.Remove(PathOf(number)).ok();
}

/** The cache has ended. Its disk may be full: others need the room. */
void LocalCache::Clear() {
  while (true) {
    uint32_t number = 0;
    {
      std::lock_guard lock(mutex_);
      if (segments_.empty()) break;
      number = segments_.begin()->first;
    }
    RemoveSegment(number);
  }
  current_.reset();
  group_ = {};
}

}  // namespace skerry
