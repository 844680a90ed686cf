#pragma once
// Decoded nodes by id, least recently used out first, within a bound of bytes. Sharded by id, so that socket threads
// seldom meet; a node handed out stays valid for as long as its holder keeps it. Thread-safe.
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "tree.h"

namespace skerry {

class NodeCache {
 public:
  explicit NodeCache(size_t bytes_max);
  ~NodeCache();
  NodeCache(const NodeCache&) = delete;
  NodeCache& operator=(const NodeCache&) = delete;

  std::shared_ptr<const Node> Get(const BlockId& id);
  void Put(const BlockId& id, std::shared_ptr<const Node> node);
  size_t bytes() const;

 private:
  struct Shard;
  Shard& ShardOf(const BlockId& id) const;
  std::vector<std::unique_ptr<Shard>> shards_;  // a power of two
};

}  // namespace skerry
