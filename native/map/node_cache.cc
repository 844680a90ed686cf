#include "node_cache.h"

#include "node_format.h"

namespace skerry {

namespace {

constexpr size_t kShardsMax = 16;
constexpr size_t kShardBytesMin = 16 * kNodeBytesMax;  // a smaller shard would forget nodes that are in use together
constexpr size_t kEntryOverheadBytes = 160;            // entry, hash node and bucket, the pointer's control block

}  // namespace

struct NodeCache::Shard {
  struct Entry {
    const BlockId* id = nullptr;  // the key in `entries`, which never moves
    std::shared_ptr<const Node> node;
    Entry* newer = nullptr;
    Entry* older = nullptr;
  };

  std::mutex mutex;
  std::unordered_map<BlockId, Entry, BlockIdHash> entries;
  Entry* newest = nullptr;
  Entry* oldest = nullptr;
  size_t bytes = 0;
  size_t bytes_max = 0;

  void Unlink(Entry* entry) {
    (entry->newer != nullptr ? entry->newer->older : newest) = entry->older;
    (entry->older != nullptr ? entry->older->newer : oldest) = entry->newer;
  }
  void LinkNewest(Entry* entry) {
    entry->newer = nullptr;
    entry->older = newest;
    (newest != nullptr ? newest->newer : oldest) = entry;
    newest = entry;
  }
  void Touch(Entry* entry) {
    if (entry == newest) return;
    Unlink(entry);
    LinkNewest(entry);
  }
};

NodeCache::NodeCache(size_t bytes_max) {
  size_t shards = 1;
  while (shards < kShardsMax && bytes_max / (shards * 2) >= kShardBytesMin) shards *= 2;
  for (size_t i = 0; i < shards; ++i) {
    shards_.push_back(std::make_unique<Shard>());
    shards_.back()->bytes_max = bytes_max / shards;
  }
}

NodeCache::~NodeCache() = default;

NodeCache::Shard& NodeCache::ShardOf(const BlockId& id) const {
  return *shards_[id.bytes[31] & (shards_.size() - 1)];  // not the prefix, which picks the bucket
}

std::shared_ptr<const Node> NodeCache::Get(const BlockId& id) {
  Shard& shard = ShardOf(id);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(id);
  if (found == shard.entries.end()) return nullptr;
  shard.Touch(&found->second);
  return found->second.node;
}

void NodeCache::Put(const BlockId& id, std::shared_ptr<const Node> node) {
  Shard& shard = ShardOf(id);
  const size_t cost = node->bytes() + kEntryOverheadBytes;
  if (cost > shard.bytes_max) return;
  std::vector<std::shared_ptr<const Node>> evicted;  // freed after the lock
  const std::lock_guard lock(shard.mutex);
  const auto [at, inserted] = shard.entries.try_emplace(id);
  if (!inserted) return shard.Touch(&at->second);
  at->second.id = &at->first;
  at->second.node = std::move(node);
  shard.LinkNewest(&at->second);
  shard.bytes += cost;
  while (shard.bytes > shard.bytes_max) {
    Shard::Entry* last = shard.oldest;
    shard.Unlink(last);
    shard.bytes -= last->node->bytes() + kEntryOverheadBytes;
    evicted.push_back(std::move(last->node));
    const BlockId gone = *last->id;
    shard.entries.erase(gone);
  }
}

size_t NodeCache::bytes() const {
  size_t bytes = 0;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    bytes += shard->bytes;
  }
  return bytes;
}

}  // namespace skerry
