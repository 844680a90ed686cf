// Packs that go. Until their files are removed what they hold can be read; what still leads to them afterwards is a hint, and whoever
// follows one asks the index where the record is now.
#include <algorithm>

#include "../env/failpoints.h"
#include "../env/mutants.h"
#include "pack_store_impl.h"

namespace skerry {

std::vector<PackStore::Sealed> PackStore::Impl::Removable() const {
  std::vector<Sealed> packs = SealedHere();
  {
    std::lock_guard lock(mutex_);
    // After a start without a checkpoint only the files tell which numbers were given out.
    std::erase_if(packs, [this](const Sealed& pack) { return uint64_t{pack.pack} + 1 >= next_pack_; });
  }
  std::lock_guard lock(damage_mutex_);
  for (Sealed& pack : packs) {
    const auto next = damaged_.lower_bound({pack.pack, 0});
    pack.damaged |= next != damaged_.end() && next->first == pack.pack;
  }
  return packs;
}

Result<std::vector<PackFooterEntry>> PackStore::Impl::EntriesOf(uint32_t pack) {
  if (remote_) {
    if (const std::shared_ptr<const PackFooter> footer = remote_->footers->Find(pack)) return footer->entries;
  }
  const Result<std::shared_ptr<File>> file = handles_.Get(pack);
  if (!file.ok()) return file.status();
  return ReadFooter(**file, pack);
}

bool PackStore::Impl::IsCondemned(uint32_t pack) const {
  if (condemned_count_.load(std::memory_order_acquire) == 0 || IsMutant(Mutant::kCondemnedFound)) return false;
  std::lock_guard lock(condemned_mutex_);
  return condemned_.contains(pack);
}

void PackStore::Impl::Condemn(std::span<const uint32_t> packs) {
  std::lock_guard lock(condemned_mutex_);
  condemned_.insert(packs.begin(), packs.end());
  emptied_.insert(packs.begin(), packs.end());
  condemned_count_.store(condemned_.size(), std::memory_order_release);
}

void PackStore::Impl::Pardon(uint32_t pack) {
  std::lock_guard lock(condemned_mutex_);
  condemned_.erase(pack);
  condemned_count_.store(condemned_.size(), std::memory_order_release);
}

// A sync has failed, and what it lost may have been the new place of records whose pack is still there.
void PackStore::Impl::FindMovedAgain() {
  std::set<uint32_t> emptied;
  {
    std::lock_guard lock(condemned_mutex_);
    emptied = emptied_;
  }
  for (const uint32_t pack : emptied) {
    const Result<std::vector<PackFooterEntry>> entries = EntriesOf(pack);
    if (!entries.ok()) continue;  // a start reads it again
    for (const PackFooterEntry& entry : *entries) AdoptEntry(pack, entry);
  }
}

Status PackStore::Impl::Remove(std::span<const uint32_t> packs) {
  // Numbers are given out by what is there at a start: the newest name is durable before an older one goes.
  if (Status status = SyncNames(); !status.ok()) return status;
  const std::set<uint32_t> gone(packs.begin(), packs.end());
  {
    std::lock_guard lock(mutex_);
    for (const uint32_t pack : gone) {
      const auto found = sealed_.find(pack);
      if (found == sealed_.end()) continue;
      sealed_totals_.bytes -= found->second.file_bytes;
      sealed_totals_.blocks -= found->second.blocks;
      sealed_totals_.nodes -= found->second.nodes;
      sealed_.erase(found);
      ++sealed_since_checkpoint_;
    }
    put_since_sample_ = kFreeSampleBytes;  // there is more room
  }
  index_.Drop(gone);
  Pass(Failpoint::kGcRemoving);
  Status first;
  for (const uint32_t pack : gone) {
    Status removed = env_.Remove(PackPath(options_.directory, pack, true));
    handles_.Remove(pack);
    direct_handles_.Remove(pack);
    if (first.ok()) first = std::move(removed);
    Pass(Failpoint::kGcRemovedOne);
    Pardon(pack);
  }
  {
    std::lock_guard lock(condemned_mutex_);
    for (const uint32_t pack : gone) emptied_.erase(pack);
  }
  {
    std::lock_guard lock(damage_mutex_);
    std::erase_if(damaged_, [&](const auto& cell) { return gone.contains(cell.first); });
    std::erase_if(others_, [&](const auto& other) { return gone.contains(other.second.pack); });
    damaged_count_.store(damaged_.size(), std::memory_order_release);
  }
  const Status synced = SyncNames();
  return first.ok() ? synced : first;
}

}  // namespace skerry
