#pragma once
// Records of packs that are not on this host, as they stand there: header, cells, sums, so that whoever reads a page of
// one checks it as if it came from a disk. One cache for all pools, bounded in bytes.
//
// Each shard is two queues and a memory (S3-FIFO). What is new enters the small queue, a tenth of the room; what was
// asked for again leaves it for the main one, the rest is forgotten but for its key, and enters the main queue directly
// if it comes back soon. So one pass over a large disk pushes out no more than the tenth.
#include <cstdint>
#include <memory>
#include <vector>

namespace skerry {

struct RecordKey {
  uint32_t pool = 0;      // a number that the process gives each pool it opens
  uint32_t pack = 0;
  uint32_t offset = 0;    // of the record header
  bool operator==(const RecordKey&) const = default;
};

struct RecordKeyHash {
  size_t operator()(const RecordKey& key) const {
    uint64_t value = (uint64_t{key.pack} << 32 | key.offset) ^ uint64_t{key.pool} * 0x9e3779b97f4a7c15ull;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
  }
};

using RecordImage = std::vector<uint8_t>;

/** Thread-safe. A record handed out stays valid for as long as its holder keeps it. */
class BlockCache {
 public:
  /** `bytes_max` covers records and what it takes to find them; 0 keeps nothing. */
  explicit BlockCache(size_t bytes_max);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  /**
   * nullptr where it is not held. `first` and `count` are the pages that are wanted: a reader that goes on where the last
   * one ended reads the record for the first time still, which does not make it one that is asked for again.
   */
  std::shared_ptr<const RecordImage> Get(const RecordKey& key, uint32_t first, uint32_t count);
  /** The same without a trace: neither a use nor a hit or a miss. */
  std::shared_ptr<const RecordImage> Peek(const RecordKey& key) const;
  /** Where it is held already, that one stays. */
  void Put(const RecordKey& key, std::shared_ptr<const RecordImage> record);
  /** Forgets what proved rotten. */
  void Drop(const RecordKey& key);

  struct Usage {
    uint64_t bytes = 0, records = 0, hits = 0, misses = 0, evicted = 0;
  };
  Usage usage() const;
  size_t bytes_max() const { return bytes_max_; }

 private:
  struct Shard;
  Shard& ShardOf(const RecordKey& key) const;

  const size_t bytes_max_;
  std::vector<std::unique_ptr<Shard>> shards_;  // a power of two
};

}  // namespace skerry
