// Destage and the catalog's side of it: every root is walked and compared with the history of what takes it.
#include <algorithm>
#include <utility>

#include "world.h"

namespace skerry::simulation {
namespace {

constexpr size_t kNodeCacheBytes = 512 << 10;

}  // namespace

void World::Destage() {
  if (held_) {
    const RootCommit commit = *std::exchange(held_, std::nullopt);
    return Take(commit);
  }
  if (Dice(2) == 0) {
    if (Named* named = PickVolume()) {
      const Status frozen = store_->Freeze(named->spec.volume.id);
      if (!frozen.ok()) return Fail("freeze: " + frozen.detail());
    }
  }
  Result<std::optional<RootCommit>> commit = store_->DestageStep(*PickPool());
  if (!commit.ok()) {
    return Blame("destage", commit.status());
  }
  if (!commit->has_value() || Crashed()) return;
  const RootCommit& root = **commit;
  if (Dice(10) == 0) {
    store_->Committed(root.token, false);
    Say("commit refused");
    return;
  }
  // What is held against the oracle is read whatever the weather.
  if (backend_) backend_->SetWeather(false);
  CheckRoot(root);
  if (backend_) backend_->SetWeather(BadWeather());
  if (fault_met_) return;
  if (Dice(5) == 0) {
    held_ = root;
    Say("commit on its way");
    return;
  }
  Take(root);
}

// What the catalog does with a root: it compares lineage and sequence, as the composer does.
void World::TakeRoot(const RootCommit& root) {
  for (const RootTaker& taker : root.takers) {
    const auto found = catalog_.find(taker.id);
    if (found == catalog_.end()) continue;
    ResourceSpec& spec = found->second.spec;
    if (spec.pool != root.pool) return Fail("a root in pool " + root.pool + " came for resource " + std::to_string(taker.id) + ", which is in pool " + spec.pool);
    if (taker.lineage < spec.volume.lineage || taker.applied_sequence < spec.volume.applied_sequence) continue;
    spec.root = root.root;
    spec.volume.applied_sequence = taker.applied_sequence;
    spec.volume.size_bytes = taker.size_bytes;
    spec.volume.lineage = taker.lineage;
    spec.pending_of = 0;
    ShortenLog(found->second, taker);
  }
  ++outcome_.roots;
}

void World::Take(const RootCommit& root) {
  TakeRoot(root);
  if (!outcome_.failure.empty()) return;
  if (Dice(8) == 0) return Crash(Dice(2) == 0);  // committed in the catalog, and the store never heard of it
  store_->Committed(root.token, true);
  if (const Status audit = store_->Audit(); !audit.ok()) return Fail("audit after a commit: " + audit.detail());
  Say("commit of " + std::to_string(root.takers.empty() ? 0 : root.takers[0].id));
}

void World::CheckRoot(const RootCommit& commit) {
  if (commit.takers.empty()) return Fail("a root that nobody takes was offered");
  const uint64_t bytes = commit.takers[0].size_bytes;
  // Up to the end of the last block, of which nothing past the size may be left.
  std::vector<uint8_t> content((bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
  const std::shared_ptr<Pool> pool = store_->FindPool(commit.pool);
  if (!ReadRoot(*pool, commit.root, content)) return;
  if (backend_ && pool->name != kSecondPool && Dice(16) == 0) CheckElsewhere(commit.root, content);
  if (Crashed() || fault_met_ || !outcome_.failure.empty()) return;
  if (std::any_of(content.begin() + static_cast<long>(bytes), content.end(), [](uint8_t byte) { return byte != 0; })) {
    return Fail("a root of " + std::to_string(bytes) + " bytes holds data past them");
  }
  content.resize(bytes);
  for (const RootTaker& taker : commit.takers) {
    const auto found = catalog_.find(taker.id);
    // What is being deleted is promised to nobody: a crash may have taken its end, and its history does not know.
    if (found == catalog_.end() || found->second.deleting) continue;
    std::string wrong;
    if (found->second.history) {
      wrong = found->second.history->CheckAt(taker.applied_sequence, content, losses_);
    } else if (const auto page = found->second.content.Differs(content, losses_)) {
      wrong = "page " + std::to_string(*page) + " differs from the snapshot";
    }
    if (!wrong.empty()) return Fail("the root of " + std::to_string(taker.id) + ": " + wrong);
  }
}

bool World::ReadRoot(PackStore& packs, Tree& tree, const TreeRoot& root, Bytes content) {
  const Status visited = tree.Visit(root, [&](BlockIndex block, const MapSlot& slot) {
    if ((block + 1) * kBlockBytes > content.size()) Fail("a root of " + std::to_string(content.size()) + " bytes maps block " + std::to_string(block));
    if (!outcome_.failure.empty()) return false;
    const Bytes into = content.subspan(block * kBlockBytes, kBlockBytes);
    Status read = packs.ReadBlock(slot.at, slot.id, 0, kPagesPerBlock, into, true);
    for (uint32_t i = 0; i < kPagesPerBlock && read.code() == Code::kCorrupt && !losses_.empty(); ++i) {
      const Bytes page = into.subspan(i * kPageBytes, kPageBytes);
      const Status one = packs.ReadBlock(slot.at, slot.id, i, 1, page, true);
      if (one.code() == Code::kCorrupt) std::ranges::copy(Losses::Marker(), page.begin());
      else if (!one.ok()) read = one;
      if (i + 1 == kPagesPerBlock && read.code() == Code::kCorrupt) read = {};
    }
    if (!read.ok()) Blame("a block of a root cannot be read", read);
    return read.ok();
  });
  if (Crashed() || fault_met_ || !outcome_.failure.empty()) return false;
  if (!visited.ok()) Blame("a root cannot be walked", visited);
  return visited.ok();
}

// What a catalog may name is in the pool: another host, with nothing but the backend, reads the same.
void World::CheckElsewhere(const TreeRoot& root, ConstBytes content) {
  const StoreOptions here = Options();
  PackStoreOptions options = here.pools.front().packs;
  options.directory = "/elsewhere" + std::to_string(++elsewhere_);
  options.checkpoint = options.directory + "/index.checkpoint";
  options.key = DomainKey(ConstBytes(here.pools.front().domain_key));
  options.remote->local = nullptr;
  options.remote->backend = std::make_shared<SimVisitor>(backend_);
  PackReport report;
  ListFaults(false);
  Result<std::unique_ptr<PackStore>> packs = PackStore::Open(env_, options, report);
  ListFaults(true);
  if (!packs.ok()) {
    return Blame("the pool cannot be opened elsewhere", packs.status());
  }
  Tree tree(**packs, options.key, kNodeCacheBytes);
  std::vector<uint8_t> there(content.size());
  if (ReadRoot(**packs, tree, root, there) && !std::equal(there.begin(), there.end(), content.begin())) Fail("a root reads otherwise elsewhere");
}

}  // namespace skerry::simulation
