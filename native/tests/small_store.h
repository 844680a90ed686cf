#pragma once
// How a test spells a store so small that it comes to the end of its journal, its ring and its packs soon.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../blocks/block_cache.h"
#include "../volume/store.h"

namespace skerry::check {

struct SmallPool {
  std::string name = "default";
  uint64_t pack_bytes = 4 << 20;
};

/** A pool in `home`/NAME, with its checkpoint beside that, and a domain key that no other pool of `options` has. */
inline PoolOptions& AddPool(StoreOptions& options, const std::string& home, const SmallPool& small = {}) {
  PoolOptions& pool = options.pools.emplace_back();
  pool.name = small.name;
  pool.packs.directory = home + "/" + small.name;
  pool.packs.checkpoint = pool.packs.directory + ".index";
  pool.packs.pack_bytes = small.pack_bytes;
  pool.packs.reserve_bytes = 0;
  pool.domain_key.assign(32, static_cast<uint8_t>(options.pools.size()));
  return pool;
}

/** A journal in `home`/journal, which holds 16 segments, and the pools. `ring`: where other stores of the machine live beside it. */
inline StoreOptions SmallStore(const std::string& home, const std::vector<SmallPool>& pools = {{}}, const std::string& ring = "small") {
  StoreOptions options;
  options.journal.directory = home + "/journal";
  options.journal.ring_name = ring;
  options.journal.ring_bytes = 2 << 20;
  options.journal.segment_bytes = 1 << 20;
  options.journal.journal_bytes_max = 16 << 20;
  for (const SmallPool& pool : pools) AddPool(options, home, pool);
  return options;
}

/** From now on `pool` rests on `backend`. */
inline RemotePackOptions& RestOn(PoolOptions& pool, std::shared_ptr<PackBackend> backend) {
  RemotePackOptions& remote = pool.packs.remote.emplace();
  remote.backend = std::move(backend);
  remote.cache = std::make_shared<BlockCache>(1 << 20);
  return remote;
}

}  // namespace skerry::check
