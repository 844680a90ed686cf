// What all resources are made of at one moment: where a mark begins.
#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "store.h"

namespace skerry {
namespace {

bool HasPool(const std::vector<std::shared_ptr<Pool>>& pools, const std::shared_ptr<Pool>& pool) {
  return std::ranges::find(pools, pool) != pools.end();
}

}  // namespace

LiveVolume::Content LiveVolume::content() const {
  Lock lock(mutex_);
  return {active_, stack_, committed_};
}

void LiveVolume::AddForgone(const Pool& pool, std::vector<TreeRoot>& roots) const {
  Lock lock(mutex_);
  for (const Forgone& forgone : forgone_) {
    if (forgone.pool.get() == &pool) roots.push_back(forgone.root);
  }
}

void LiveVolume::Still(const std::function<void()>& look) const {
  Lock lock(mutex_);
  look();
}

std::vector<Store::ResourceContent> Store::Contents() const {
  std::shared_lock lock(mutex_);  // no commit between two of them
  return ContentsLocked();
}

std::vector<Store::ResourceContent> Store::Contents(const Pool& pool, std::vector<TreeRoot>& untaken) const {
  std::shared_lock lock(mutex_);
  untaken = UntakenRootsLocked(pool);
  return ContentsLocked();
}

std::vector<Store::ResourceContent> Store::ContentsLocked() const {
  std::vector<ResourceContent> contents;
  contents.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) contents.push_back({entry.volume, entry.volume->content()});
  return contents;
}

std::vector<TreeRoot> Store::UntakenRootsLocked(const Pool& pool) const {
  std::vector<TreeRoot> roots;
  const auto add = [&](const RootCommit& commit) {
    if (commit.pool == pool.name) roots.push_back(commit.root);
  };
  for (const auto& [id, commits] : refused_) std::ranges::for_each(commits, add);
  for (const auto& [token, under_way] : under_way_) add(under_way.commit);
  std::ranges::for_each(offered_, add);
  held_.AddTo(pool, roots);
  for (const Forgone& forgone : forgone_) {
    if (forgone.pool.get() == &pool && forgone.end > journal_->durable()) roots.insert(roots.end(), {forgone.base, forgone.committed});
  }
  for (const auto& [id, entry] : entries_) entry.volume->AddForgone(pool, roots);
  for (const auto& [id, to] : leaving_) {
    if (to.pool.get() == &pool && to.root && !IsMutant(Mutant::kExpectedUnmarked)) roots.push_back(*to.root);
  }
  return roots;
}

Result<std::shared_ptr<const HeldRoot>> Store::HoldRoot(const std::shared_ptr<Pool>& pool, const TreeRoot& root) {
  std::shared_lock lock(mutex_);
  if (!HasPool(*PoolsNow(), pool)) return Status(Code::kNotFound, "pool " + pool->name + " is gone");
  return held_.Hold(*pool, root);
}

Result<std::shared_ptr<const HeldRoot>> Store::HoldKnownRoot(const std::shared_ptr<Pool>& pool, const TreeRoot& root) {
  std::shared_lock lock(mutex_);  // it is not let go between the look and the hold
  if (!HasPool(*PoolsNow(), pool)) return Status(Code::kNotFound, "pool " + pool->name + " is gone");
  if (std::shared_ptr<const HeldRoot> held = held_.HoldToo(*pool, root)) return held;
  if (!root.id.empty() && !HasRootLocked(pool, root)) return Status(Code::kNotFound, "nothing in pool " + pool->name + " has this root any more");
  return held_.Hold(*pool, root);
}

bool Store::HasRootLocked(const std::shared_ptr<Pool>& pool, const TreeRoot& root) const {
  return std::ranges::any_of(entries_, [&](const auto& entry) {
    if (entry.second.volume->pool() != pool) return false;
    const LiveVolume::Content content = entry.second.volume->content();
    return content.stack->root.id == root.id || content.committed.id == root.id;
  });
}

void Store::NoteNamedLocked(const RecordHeader& header, ConstBytes payload, Lsn end) {
  const auto found = entries_.find(header.resource);
  if (header.type != RecordType::kRef || found == entries_.end()) return;
  for (; payload.size() >= sizeof(RefPlace); payload = payload.subspan(sizeof(RefPlace))) {
    RefPlace place;
    std::memcpy(&place, payload.data(), sizeof(place));
    found->second.volume->pool()->named.Note(place.pack, end);
  }
}

std::set<uint32_t> Store::NamedPacks(Pool& pool) const { return pool.named.From(journal_->trimmed()); }

}  // namespace skerry
