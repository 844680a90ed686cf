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
  if (remote_) std::erase_if(packs, [this](const Sealed& pack) { return !OnBackend(pack.pack); });
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
  // The next start may find it on the list, and leave it: no write is to find anything in it until then.
  if (remote_ && remote_->gone->Contains(pack)) return;
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
  const std::set<uint32_t> gone(packs.begin(), packs.end());
  // The last checkpoint may lead to them for what has another place in a pack that it covers: there nobody would look.
  if (HasOthers()) {
    if (Status status = Checkpoint(true); !status.ok()) return status;
  }
  // Numbers are given out by what is there at a start: the newest name is durable before an older one goes.
  if (Status status = SyncNames(); !status.ok()) return status;
  if (remote_) {
    Status noted = remote_->gone->Add(gone);
    if (noted.ok()) noted = SyncNames();
    if (!noted.ok()) return noted;
    remote_->gone->Stand();
    Pass(Failpoint::kGcListed);
  }
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
  if (remote_ && options_.remote->local) options_.remote->local->DropPacks(options_.remote->pool, gone);
  Pass(Failpoint::kGcRemoving);
  Status first;
  for (const uint32_t pack : gone) {
    Status removed = RemoveFiles(pack);
    if (first.ok()) first = std::move(removed);
    if (remote_) remote_->sweeper->Add(pack);
    Pass(Failpoint::kGcRemovedOne);
  }
  {
    std::lock_guard lock(condemned_mutex_);
    for (const uint32_t pack : gone) {
      condemned_.erase(pack);
      emptied_.erase(pack);
    }
    condemned_count_.store(condemned_.size(), std::memory_order_release);
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

Status PackStore::Impl::RemoveFiles(uint32_t pack) {
  Status removed;
  if (remote_) {
    std::lock_guard one_at_a_time(remote_->files_mutex);
    remote_->shipper->Forget(pack);
    removed = env_.Remove(KeptPackPath(options_.directory, pack));
    if (Status footer = remote_->footers->Remove(pack); removed.ok()) removed = std::move(footer);
  }
  if (Status sealed = env_.Remove(PackPath(options_.directory, pack, true)); removed.ok()) removed = std::move(sealed);
  handles_.Remove(pack);
  direct_handles_.Remove(pack);
  return removed;
}

bool PackStore::Impl::Sweep() {
  if (!remote_) return false;
  remote_->sweeper->Begin();
  const PackSweeper::Usage usage = remote_->sweeper->usage();
  return usage.waiting > 0 && !usage.failing;
}

}  // namespace skerry
