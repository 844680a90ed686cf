#include "block_cache.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

namespace skerry {

namespace {

constexpr size_t kShardsMax = 16;
constexpr size_t kShardBytesMin = 8u << 20;       // a smaller shard would hold too few blocks to tell hot from cold
constexpr size_t kEntryOverheadBytes = 320;       // entry, hash nodes, queue nodes; its key once more after it is forgotten
constexpr size_t kSmallShare = 10;                // the small queue gets one part of so many
constexpr uint8_t kUsesMax = 3;
constexpr uint8_t kUsesToStay = 2;                // the first use is the one it was fetched for

}  // namespace

struct BlockCache::Shard {
  using Queue = std::list<RecordKey>;             // newest first
  struct Entry {
    std::shared_ptr<const RecordImage> record;
    Queue::iterator at;
    uint32_t next_page = UINT32_MAX;              // a read that begins here goes on with the one before
    uint8_t uses = 0;
    bool main = false;
  };

  std::mutex mutex;
  std::unordered_map<RecordKey, Entry, RecordKeyHash> entries;
  Queue small, main;
  Queue forgotten;
  std::unordered_map<RecordKey, Queue::iterator, RecordKeyHash> forgotten_at;
  size_t bytes = 0, small_bytes = 0, bytes_max = 0;
  uint64_t hits = 0, misses = 0, evicted = 0;

  static size_t Cost(const RecordImage& record) { return record.capacity() + kEntryOverheadBytes; }

  using Evicted = std::vector<std::shared_ptr<const RecordImage>>;

  void Remove(const RecordKey& key, Evicted& into) {
    const auto found = entries.find(key);
    Entry& entry = found->second;
    const size_t cost = Cost(*entry.record);
    bytes -= cost;
    if (!entry.main) small_bytes -= cost;
    (entry.main ? main : small).erase(entry.at);
    into.push_back(std::move(entry.record));
    entries.erase(found);
  }

  void Forget(const RecordKey& key) {
    forgotten.push_front(key);
    forgotten_at[key] = forgotten.begin();
    // As many as are held: what comes back later than that is not hot.
    while (forgotten.size() > entries.size() + 1) {
      forgotten_at.erase(forgotten.back());
      forgotten.pop_back();
    }
  }

  bool Remembered(const RecordKey& key) {
    const auto found = forgotten_at.find(key);
    if (found == forgotten_at.end()) return false;
    forgotten.erase(found->second);
    forgotten_at.erase(found);
    return true;
  }

  void EvictOne(Evicted& into) {
    const bool from_small = !small.empty() && (main.empty() || small_bytes > bytes_max / kSmallShare);
    Queue& queue = from_small ? small : main;
    const RecordKey key = queue.back();
    Entry& entry = entries.find(key)->second;
    if (from_small && entry.uses >= kUsesToStay) {
      main.splice(main.begin(), small, entry.at);
      small_bytes -= Cost(*entry.record);
      entry.main = true;
      entry.uses = 0;
      return;
    }
    if (!from_small && entry.uses > 0) {
      main.splice(main.begin(), main, entry.at);
      --entry.uses;
      return;
    }
    Remove(key, into);
    ++evicted;
    if (from_small) Forget(key);
  }
};

BlockCache::BlockCache(size_t bytes_max) : bytes_max_(bytes_max) {
  size_t shards = 1;
  while (shards < kShardsMax && bytes_max / (shards * 2) >= kShardBytesMin) shards *= 2;
  for (size_t i = 0; i < shards; ++i) {
    shards_.push_back(std::make_unique<Shard>());
    shards_.back()->bytes_max = bytes_max / shards;
  }
}

BlockCache::~BlockCache() = default;

BlockCache::Shard& BlockCache::ShardOf(const RecordKey& key) const {
  // The upper bits: the lower ones pick the bucket.
  return *shards_[RecordKeyHash()(key) >> 48 & (shards_.size() - 1)];
}

std::shared_ptr<const RecordImage> BlockCache::Get(const RecordKey& key, uint32_t first, uint32_t count) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(key);
  if (found == shard.entries.end()) {
    ++shard.misses;
    return nullptr;
  }
  ++shard.hits;
  Shard::Entry& entry = found->second;
  if (first != entry.next_page && entry.uses < kUsesMax) ++entry.uses;
  entry.next_page = first + count;
  return entry.record;
}

std::shared_ptr<const RecordImage> BlockCache::Peek(const RecordKey& key) const {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(key);
  return found == shard.entries.end() ? nullptr : found->second.record;
}

void BlockCache::Put(const RecordKey& key, std::shared_ptr<const RecordImage> record) {
  Shard& shard = ShardOf(key);
  const size_t cost = Shard::Cost(*record);
  if (cost > shard.bytes_max / 2) return;
  Shard::Evicted evicted;  // freed after the lock
  const std::lock_guard lock(shard.mutex);
  const auto [at, inserted] = shard.entries.try_emplace(key);
  if (!inserted) return;
  Shard::Entry& entry = at->second;
  entry.record = std::move(record);
  entry.main = shard.Remembered(key);
  Shard::Queue& queue = entry.main ? shard.main : shard.small;
  queue.push_front(key);
  entry.at = queue.begin();
  shard.bytes += cost;
  if (!entry.main) shard.small_bytes += cost;
  while (shard.bytes > shard.bytes_max) shard.EvictOne(evicted);
}

void BlockCache::Drop(const RecordKey& key) {
  Shard& shard = ShardOf(key);
  Shard::Evicted evicted;
  const std::lock_guard lock(shard.mutex);
  if (shard.entries.contains(key)) shard.Remove(key, evicted);
}

BlockCache::Usage BlockCache::usage() const {
  Usage usage;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    usage.bytes += shard->bytes;
    usage.records += shard->entries.size();
    usage.hits += shard->hits;
    usage.misses += shard->misses;
    usage.evicted += shard->evicted;
  }
  return usage;
}

}  // namespace skerry
