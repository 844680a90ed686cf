// The pools of a world, and the backends that some of them rest on.
#include "../blocks/block_cache.h"
#include "world.h"

namespace skerry::simulation {
namespace {

/** Room for a few blocks: most reads of what was shipped go to the backend. */
constexpr size_t kBlockCacheBytes = 512 << 10;

}  // namespace

StoreOptions World::Options() {
  StoreOptions options;
  options.journal.directory = home_ + "/journal";
  options.journal.ring_name = "sim-ring" + (hosts_lost_ == 0 ? std::string() : std::to_string(hosts_lost_));
  options.journal.ring_bytes = options_.seed % 7 == 0 ? 256 << 10 : 512 << 10;   // small: operations wait for room
  options.journal.segment_bytes = 128 << 10;
  options.journal.journal_bytes_max = options_.theme == Theme::kShortJournal ? 640 << 10 : 2 << 20;
  PoolOptions& pool = options.pools.emplace_back();
  pool.packs.directory = home_ + "/pool";
  pool.packs.checkpoint = home_ + "/index.checkpoint";
  pool.packs.pack_bytes = 1 << 20;
  pool.packs.reserve_bytes = 0;
  pool.domain_key.assign(32, 7);
  pool.logs = shelf_;
  if (Encrypts()) pool.packs.cipher.emplace(std::vector<uint8_t>(32, 8));
  if (Compresses()) {
    // Another setting in each life: what an earlier one wrote is read all the same.
    constexpr Compression kSettings[] = {{Codec::kLz4, 0}, {Codec::kZstd, kZstdLevelDefault}, {}};
    pool.compression = kSettings[(options_.seed / 3 + lives_) % std::size(kSettings)];
  }
  if (backend_) {
    RemotePackOptions& remote = pool.packs.remote.emplace();
    remote.backend = backend_;
    EquipCaches(pool.packs);
    remote.kept_bytes_max = options_.seed % 4 == 0 ? 0 : 3 << 20;
    remote.staged_bytes_max = 8 << 20;
  }
  if (TwoPools()) options.pools.push_back(SecondPool(pool));
  options.overlay_bytes_max = 1 << 20;
  options.node_cache_bytes_max = 64 << 10;
  if (options_.seed / 2 % 2 == 0) {
    options.move_at = 0.05;
    options.move_wanted_max = 1;
  }
  return options;
}

PackStore& World::Packs() { return *store_->pools().front()->packs; }

/** Of another key, so that no id means there what it means in the first one. */
PoolOptions World::SecondPool(PoolOptions like) const {
  like.name = kSecondPool;
  like.logs = second_shelf_;
  like.packs.directory = home_ + "/second";
  like.packs.checkpoint = home_ + "/second.checkpoint";
  like.domain_key.assign(32, 8);
  like.packs.cipher.reset();
  if (options_.seed % 4 == 1) like.packs.cipher.emplace(std::vector<uint8_t>(32, 9));
  like.packs.remote.reset();
  if (second_backend_) {
    RemotePackOptions& remote = like.packs.remote.emplace();
    remote.backend = second_backend_;
    remote.cache = std::make_shared<BlockCache>(kBlockCacheBytes);
    remote.kept_bytes_max = 0;
    remote.staged_bytes_max = 8 << 20;
  }
  return like;
}

std::shared_ptr<Pool> World::PickPool() {
  const auto pools = store_->pools();
  return pools.size() == 1 ? pools.front() : pools[Dice(pools.size())];
}

std::vector<TreeRoot> World::RootsIn(const Pool& pool) const {
  std::vector<TreeRoot> roots;
  for (const auto& [id, named] : catalog_) {
    if (named.spec.pool == pool.name) roots.push_back(named.spec.root);
  }
  if (kept_ && kept_->target == pool.name) roots.push_back(kept_->root);
  return roots;
}

void World::ForgetBackends() {
  if (backend_) backend_->Forget();
  if (second_backend_) second_backend_->Forget();
  for (const auto& shelf : {shelf_, second_shelf_}) {
    if (shelf) shelf->Forget();
  }
}

void World::UpkeepBackends() {
  for (const auto& shelf : {shelf_, second_shelf_}) {
    if (!shelf) continue;
    shelf->Deliver();
    if (!shelf->wrong().empty()) Fail(shelf->wrong());
  }
  for (const auto& pool : store_->pools()) {
    const std::shared_ptr<SimBackend>& backend = pool->name == kSecondPool ? second_backend_ : backend_;
    if (!backend) continue;
    backend->Deliver();
    const Status kept = pool->packs->Upkeep();
    if (!kept.ok()) Blame("upkeep", kept);
    if (backend == backend_) PumpCache();
    if (!backend->wrong().empty()) Fail(backend->wrong());
  }
}

}  // namespace skerry::simulation
