// The pools of a store: which there are, and making durable what was put in them.
#include <algorithm>

#include "../env/mutants.h"
#include "store.h"

namespace skerry {
namespace {

/** Pools after the first get one part of so many for their shortcuts to nodes; the cache of nodes is everybody's. */
constexpr size_t kFurtherPoolsShare = 8;

}  // namespace

Result<std::shared_ptr<Pool>> Store::AddPool(const PoolOptions& options, PackReport& report) {
  if (FindPool(options.name)) return Status(Code::kInvalid, "there is a pool " + options.name + " already");
  const bool first = pools().empty();
  PackReport opened;
  PackStoreOptions proving = options.packs;
  proving.key = DomainKey(ConstBytes(options.domain_key));
  Result<std::unique_ptr<PackStore>> packs = PackStore::Open(env_, proving, opened);
  report.packs += opened.packs;
  report.records += opened.records;
  report.recovered_open += opened.recovered_open;
  report.index_from_checkpoint = (first || report.index_from_checkpoint) && opened.index_from_checkpoint;
  for (const std::string& note : opened.notes) report.notes.push_back("pool " + options.name + ": " + note);
  if (!packs.ok()) return packs.status();
  const Result<uint64_t> file_system = env_.FileSystemOf(options.packs.directory);
  if (!file_system.ok()) return file_system.status();
  auto pool = std::make_shared<Pool>();
  pool->file_system = *file_system;
  pool->name = options.name;
  pool->compression.Set(options.compression);
  pool->logs = options.logs;
  pool->packs = std::move(*packs);
  pool->domain = options.packs.domain;
  if (pool->packs->remote()) pool->readers = std::make_unique<SequentialReaders>(pool->packs->ahead_bytes_max());
  pool->key = std::make_unique<DomainKey>(ConstBytes(options.domain_key));
  pool->tree = std::make_unique<Tree>(*pool->packs, *pool->key, node_cache_, options_.node_cache_bytes_max / (first ? 1 : kFurtherPoolsShare));
  std::unique_lock lock(mutex_);
  auto fresh = pools();
  const bool taken = std::any_of(fresh.begin(), fresh.end(), [&](const auto& each) { return each->name == options.name; });
  if (taken) return Status(Code::kInvalid, "there is a pool " + options.name + " already");
  fresh.push_back(pool);
  SetPoolsLocked(std::move(fresh));
  return pool;
}

Status Store::RemovePool(const std::string& name) {
  std::shared_ptr<Pool> gone;  // closed after the lock
  std::unique_lock lock(mutex_);
  for (const auto& [id, entry] : entries_) {
    if (entry.volume->pool()->name == name) return Status(Code::kInvalid, "resource " + std::to_string(id) + " is in pool " + name);
  }
  for (const auto& [id, to] : leaving_) {
    if (to.pool->name == name) return Status(Code::kInvalid, "resource " + std::to_string(id) + " is on its way to pool " + name);
  }
  auto left = pools();
  const auto found = std::find_if(left.begin(), left.end(), [&](const auto& pool) { return pool->name == name; });
  if (found == left.end()) return Status(Code::kNotFound, "there is no pool " + name);
  if (held_.Any(**found)) return Status(Code::kInvalid, "something is being carried from or to pool " + name);
  gone = *found;
  left.erase(found);
  SetPoolsLocked(std::move(left));
  std::erase_if(shipping_, [&](const UnderWay& waiting) { return waiting.pool == gone; });
  for (auto& [id, commits] : refused_) std::erase_if(commits, [&](const RootCommit& commit) { return commit.pool == name; });
  return Status::Ok();
}

std::shared_ptr<const Store::Pools> Store::PoolsNow() const {
  std::lock_guard lock(pools_mutex_);
  return pools_;
}

void Store::SetPoolsLocked(Pools pools) {
  auto fresh = std::make_shared<const Pools>(std::move(pools));
  std::lock_guard lock(pools_mutex_);
  pools_.swap(fresh);
}

std::shared_ptr<Pool> Store::FindPool(const std::string& name) const {
  const std::shared_ptr<const Pools> pools = PoolsNow();
  const auto found = std::find_if(pools->begin(), pools->end(), [&](const auto& pool) { return pool->name == name; });
  return found == pools->end() ? nullptr : *found;
}

bool Store::has_room() const {
  const std::shared_ptr<const Pools> pools = PoolsNow();
  return std::all_of(pools->begin(), pools->end(), [](const auto& pool) { return pool->room.room() == Room::kThere; });
}

Status Store::SyncPacks(Pool& pool) {
  Status status = pool.packs->Sync();
  // Acknowledged REFs may name what was lost: from here on nothing more is acknowledged, so that the loss stays what it is.
  if (!status.ok()) journal_->Poison(status);
  return status;
}

Status Store::SyncStep() {
  // Packs first: a journal mark must never vouch for a REF whose bytes could still be lost.
  const std::shared_ptr<const Pools> pools = PoolsNow();
  for (const auto& pool : *pools) {
    if (Status status = IsMutant(Mutant::kRefBeforeBytes) ? Status::Ok() : SyncPacks(*pool); !status.ok()) return status;
  }
  return journal_->Sync();
}

Status Store::End() {
  journal_->StopAppends();
  for (bool more = true; more;) {
    const Result<bool> wrote = WriteStep();
    if (!wrote.ok()) return wrote.status();
    more = *wrote;
  }
  if (Status status = IsMutant(Mutant::kEndUnsynced) ? Status::Ok() : SyncStep(); !status.ok()) return status;
  return journal_->MarkEnd();
}

}  // namespace skerry
