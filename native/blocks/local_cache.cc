// Reading, and who may write when. Writing is local_cache_write.cc, finding what earlier lives left local_cache_load.cc.
#include "local_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace skerry {
namespace {

constexpr uint32_t kSegmentsWanted = 256;
constexpr uint32_t kSegmentBytesMin = 4u << 20, kSegmentBytesMax = 2u << 30;
/** What finding one record takes in memory is bounded by this: no more of them are held, however small they are. */
constexpr uint64_t kBytesPerRecordMin = 16u << 10;
/** How soon room that others need is given back. */
constexpr std::chrono::milliseconds kTick{500};

uint32_t SegmentBytesFor(const LocalCacheOptions& options) {
  if (options.segment_bytes != 0) return options.segment_bytes;
  const uint64_t wanted = std::clamp<uint64_t>(options.bytes_max / kSegmentsWanted, kSegmentBytesMin, kSegmentBytesMax);
  return static_cast<uint32_t>(wanted / kCacheAlignBytes * kCacheAlignBytes);
}

}  // namespace

LocalCache::LocalCache(Env& env, LocalCacheOptions options, std::shared_ptr<const BlockCache> memory)
    : env_(env),
      options_(std::move(options)),
      segment_bytes_(SegmentBytesFor(options_)),
      records_max_(options_.bytes_max / kBytesPerRecordMin),
      memory_(std::move(memory)),
      off_(options_.bytes_max == 0) {}

LocalCache::~LocalCache() { Stop(); }

std::string LocalCache::PathOf(uint32_t segment) const {
  char name[24];
  std::snprintf(name, sizeof name, "/%08x.cache", segment);
  return options_.directory + name;
}

uint32_t LocalCache::NumberOf(const PoolUuid& pool, const std::optional<RecordCipher>& cipher) {
  std::lock_guard lock(mutex_);
  const uint32_t number = NumberOfLocked(pool);
  if (cipher) ciphers_.insert_or_assign(number, *cipher);
  return number;
}

std::optional<RecordCipher> LocalCache::CipherOf(uint32_t pool) const {
  std::lock_guard lock(mutex_);
  const auto found = ciphers_.find(pool);
  return found == ciphers_.end() ? std::nullopt : std::optional(found->second);
}

uint32_t LocalCache::NumberOfLocked(const PoolUuid& pool) {
  const auto found = std::ranges::find(pools_, pool);
  if (found != pools_.end()) return static_cast<uint32_t>(found - pools_.begin()) + 1;
  pools_.push_back(pool);
  return static_cast<uint32_t>(pools_.size());
}

void LocalCache::Start() {
  {
    std::lock_guard lock(mutex_);
    if (thread_.joinable()) return;
    loading_ = true;
  }
  thread_ = std::thread([this] { Run(); });
}

void LocalCache::Stop() {
  {
    std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LocalCache::Run() {
  Load();
  while (true) {
    while (WriteSome()) {}
    Lock lock(mutex_);
    if (stops_ || options_.bytes_max == 0) return;
    changed_.wait_for(lock, kTick, [this] { return stops_ || !order_.empty(); });
  }
}

bool LocalCache::Off() const {
  std::lock_guard lock(mutex_);
  return off_;
}

/** Its files are the writer's to clear away. */
void LocalCache::Fail(const Status& status) {
  {
    std::lock_guard lock(mutex_);
    if (off_) return;
    off_ = usage_.failed = true;
    index_.clear();
    offered_.clear();
    order_.clear();
    offered_bytes_ = 0;
  }
  if (options_.on_failure) options_.on_failure("the local cache is not used until the daemon is started again: " + status.detail());
}

CacheTableEntry LocalCache::TableEntryLocked(const RecordKey& key, const Entry& entry) const {
  return {pools_[key.pool - 1], key.pack, key.offset, entry.at, entry.bytes};
}

std::shared_ptr<const RecordImage> LocalCache::Read(const RecordKey& key) {
  Entry entry;
  CacheTableEntry expected;
  std::shared_ptr<File> file;
  {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return !loading_; });
    if (off_) return nullptr;
    if (const auto offered = offered_.find(key); offered != offered_.end()) {
      ++usage_.hits;
      return offered->second;
    }
    const auto found = index_.find(key);
    if (found == index_.end()) {
      ++usage_.misses;
      return nullptr;
    }
    found->second.used = true;
    entry = found->second;
    expected = TableEntryLocked(key, entry);
    file = segments_.at(entry.segment).file;
  }
  std::shared_ptr<const RecordImage> record = ReadEntry(key, entry, *file, expected);
  std::lock_guard lock(mutex_);
  ++(record ? usage_.hits : usage_.misses);
  return record;
}

std::shared_ptr<const RecordImage> LocalCache::ReadEntry(const RecordKey& key, const Entry& entry, File& file, const CacheTableEntry& expected) {
  std::vector<uint8_t> stored(sizeof(CacheRecordHeader) + entry.bytes);
  const Result<size_t> got = file.Read(stored, entry.at);
  if (!got.ok()) {
    Fail(got.status());
    return nullptr;
  }
  if (*got == stored.size() && CacheRecordHolds(stored, entry.segment, expected)) {
    stored.erase(stored.begin(), stored.begin() + sizeof(CacheRecordHeader));
    return std::make_shared<const RecordImage>(std::move(stored));
  }
  std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  // It may stand elsewhere by now.
  if (found != index_.end() && found->second.segment == entry.segment && found->second.at == entry.at) {
    ForgetLocked(found);
    ++usage_.damaged;
  }
  return nullptr;
}

void LocalCache::ForgetLocked(Index::iterator at) {
  --segments_.at(at->second.segment).live;
  index_.erase(at);
}

bool LocalCache::Prepare(const RecordKey& key) {
  Entry entry;
  std::shared_ptr<File> file;
  {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return !loading_; });
    if (offered_.contains(key)) return true;
    const auto found = index_.find(key);
    if (found == index_.end()) return false;
    entry = found->second;
    file = segments_.at(entry.segment).file;
  }
  file->ReadAhead(entry.at, sizeof(CacheRecordHeader) + entry.bytes);
  return true;
}

void LocalCache::Offer(const RecordKey& key, std::shared_ptr<const RecordImage> record) {
  {
    std::lock_guard lock(mutex_);
    if (off_ || key.pool == 0 || key.pool > pools_.size() || index_.contains(key) || offered_.contains(key)) return;
    if (offered_bytes_ + record->size() > options_.offered_bytes_max) {
      ++usage_.passed_over;
      return;
    }
    offered_bytes_ += record->size();
    offered_.emplace(key, std::move(record));
    order_.push_back(key);
  }
  changed_.notify_all();
}

void LocalCache::Drop(const RecordKey& key) {
  std::lock_guard lock(mutex_);
  if (const auto offered = offered_.find(key); offered != offered_.end()) {
    offered_bytes_ -= offered->second->size();
    offered_.erase(offered);
  }
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  ForgetLocked(found);
  ++usage_.damaged;
}

void LocalCache::DropPacks(uint32_t pool, const std::set<uint32_t>& packs) {
  std::lock_guard lock(mutex_);
  const auto gone = [&](const RecordKey& key) { return key.pool == pool && packs.contains(key.pack); };
  for (auto at = offered_.begin(); at != offered_.end();) {
    if (!gone(at->first)) {
      ++at;
      continue;
    }
    offered_bytes_ -= at->second->size();
    at = offered_.erase(at);
  }
  for (auto at = index_.begin(); at != index_.end();) {
    const auto next = std::next(at);
    if (gone(at->first)) ForgetLocked(at);
    at = next;
  }
}

LocalCache::Usage LocalCache::usage() const {
  std::lock_guard lock(mutex_);
  Usage usage = usage_;
  usage.records = index_.size();
  for (const auto& [number, segment] : segments_) usage.bytes += segment.bytes;
  return usage;
}

}  // namespace skerry
