// The caches of a remote world. Three of four have one on their disk, which rots and fails now and then: nobody may notice.
#include "world.h"

#include "../blocks/local_cache.h"

namespace skerry::simulation {
namespace {

/** Room for a few blocks: most reads of what was shipped go further. */
constexpr size_t kBlockCacheBytes = 512 << 10;
/** Smaller than what is read, so that its ring turns. */
constexpr uint64_t kLocalCacheBytes = 2 << 20;
constexpr uint32_t kCacheSegmentBytes = 512 << 10;

}  // namespace

/** The first of a life finds what the lives before left on the disk. */
void World::EquipCaches(PackStoreOptions& packs) {
  RemotePackOptions& remote = *packs.remote;
  remote.cache = std::make_shared<BlockCache>(kBlockCacheBytes);
  if (options_.seed % 8 == 0) return;
  if (!local_) {
    local_ = std::make_shared<LocalCache>(env_, LocalCacheOptions{home_ + "/cache", kLocalCacheBytes, kCacheSegmentBytes}, remote.cache);
    local_->Load();
  }
  remote.local = local_;
  remote.pool = local_->NumberOf({1}, packs.cipher);
}

void World::PumpCache() {
  constexpr unsigned kRots = 8, kFails = 64;
  if (!local_) return;
  (void)local_->WriteSome();
  if (Dice(kFails) == 0) {
    if (Dice(2) == 0) env_.FailReads(".cache");
    else env_.FailWrites(".cache");
  }
  const Result<std::vector<DirectoryEntry>> files = env_.List(home_ + "/cache");
  if (Dice(kRots) != 0 || !files.ok() || files->empty()) return;
  const DirectoryEntry& file = (*files)[Dice(files->size())];
  if (file.bytes > 0) (void)env_.FlipBit(home_ + "/cache/" + file.name, Dice(file.bytes), static_cast<unsigned>(Dice(8))).ok();
}

void World::CloseCache() {
  if (!local_) return;
  const LocalCache::Usage usage = local_->usage();
  outcome_.cached += usage.hits;
  outcome_.cache_damaged += usage.damaged;
  local_.reset();
}

}  // namespace skerry::simulation
