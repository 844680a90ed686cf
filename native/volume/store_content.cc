// What all resources are made of at one moment: where a mark begins.
#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "store.h"

namespace skerry {

LiveVolume::Content LiveVolume::content() const {
  Lock lock(mutex_);
  return {active_, stack_, committed_};
}

void LiveVolume::Still(const std::function<void()>& look) const {
  Lock lock(mutex_);
  look();
}

std::vector<Store::ResourceContent> Store::Contents() const {
  std::shared_lock lock(mutex_);  // no commit between two of them
  std::vector<ResourceContent> contents;
  contents.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) contents.push_back({entry.volume, entry.volume->content()});
  return contents;
}

std::vector<TreeRoot> Store::UntakenRoots(const Pool& pool) const {
  std::shared_lock lock(mutex_);
  std::vector<TreeRoot> roots;
  const auto add = [&](const RootCommit& commit) {
    if (commit.pool == pool.name) roots.push_back(commit.root);
  };
  for (const auto& [id, commits] : refused_) std::ranges::for_each(commits, add);
  for (const auto& [token, under_way] : under_way_) add(under_way.commit);
  std::ranges::for_each(offered_, add);
  for (const auto& [id, to] : held_) {
    if (to.pool.get() == &pool && to.root && !IsMutant(Mutant::kExpectedUnmarked)) roots.push_back(*to.root);
  }
  return roots;
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
