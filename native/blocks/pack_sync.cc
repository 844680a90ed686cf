// What makes records durable: syncing packs, sealing them, the index checkpoint. A sync that failed is never tried again:
// the system may have dropped what it could not write, and a second success would only hide that.
#include <algorithm>

#include "../env/failpoints.h"
#include "pack_store_impl.h"

namespace skerry {

Status PackStore::Impl::Sync() {
  Lock lock(mutex_);
  struct Goal {
    std::shared_ptr<OpenPack> pack;
    uint32_t tail;
  };
  std::vector<Goal> goals;
  for (const auto& pack : open_) goals.push_back({pack, pack->tail});
  for (const Goal& goal : goals) {
    const Status status = SyncPack(lock, goal.pack, goal.tail);
    if (!status.ok()) continue;  // kept in lost_; the other packs are worth their sync all the same
  }
  // A record that another caller's failed sync lost may be one this caller has put or found: it must not hear success.
  return lost_;
}

Status PackStore::Impl::failure() const {
  std::lock_guard lock(mutex_);
  return lost_;
}

bool PackStore::Impl::unsynced() const {
  std::lock_guard lock(mutex_);
  return std::any_of(open_.begin(), open_.end(), [](const auto& pack) { return pack->synced_to < pack->tail; });
}

Status PackStore::Impl::SyncPack(Lock& lock, const std::shared_ptr<OpenPack>& pack, uint32_t goal) {
  while (true) {
    if (pack->poisoned) return lost_;
    if (pack->sealed) return {};
    if (pack->synced_to >= goal && !pack->full) return {};
    if (!pack->busy) break;
    changed_.wait(lock);
  }
  if (pack->full) {
    // Sealing syncs too. Where the seal alone fails, the pack stays as it is, durable, and is sealed later.
    const Status sealed = SealPack(lock, pack);
    return pack->synced_to >= goal ? Status() : sealed;
  }
  pack->busy = true;
  goal = pack->tail;  // those who wait behind this sync have put their records by now
  changed_.wait(lock, [&] { return pack->writing.empty() || pack->writing.front() >= goal; });
  const bool named = pack->named;
  lock.unlock();
  const Status durable = MakeDurable(*pack, named);
  lock.lock();
  pack->busy = false;
  if (durable.ok()) {
    pack->named = true;
    pack->synced_to = goal;
  } else {
    Poison(pack, durable);
  }
  changed_.notify_all();
  return durable.ok() ? Status() : lost_;
}

/** Footer, sync, rename. Not ok where any of them failed; whether the records are durable is in `synced_to`. */
Status PackStore::Impl::SealPack(Lock& lock, const std::shared_ptr<OpenPack>& pack) {
  while (true) {
    if (pack->poisoned) return lost_;
    if (pack->sealed) return {};
    if (!pack->busy) break;
    changed_.wait(lock);
  }
  pack->busy = true;
  changed_.wait(lock, [&] { return pack->writing.empty(); });
  const bool named = pack->named;
  lock.unlock();
  // No other thread touches the entries of a full pack once its last record is written.
  Status sealed = WriteFooter(*pack);
  bool name_holds = false;
  Pass(Failpoint::kPackFooterWritten);
  const Status durable = MakeDurable(*pack, named);
  if (sealed.ok() && durable.ok()) {
    Pass(Failpoint::kPackSynced);
    sealed = env_.Rename(PackPath(options_.directory, pack->number, false), PackPath(options_.directory, pack->number, true));
    Pass(Failpoint::kPackSealed);
    // After a crash the pack is there under one name or the other, and whole under both: this sync saves a scan, and tells of a failure.
    if (sealed.ok()) name_holds = SyncNames().ok();
  }
  lock.lock();
  pack->busy = false;
  if (!durable.ok()) {
    Poison(pack, durable);
    sealed = lost_;
  } else {
    pack->named = true;
    pack->synced_to = pack->tail;
    if (sealed.ok()) {
      pack->sealed = true;
      AddSealed(pack->number, {pack->tail + FooterBytes(pack->entries.size()), pack->blocks, pack->nodes, pack->damaged});
      // What a crash may make an open pack again is not shipped: the next start does that.
      if (remote_ && name_holds) remote_->shipper->Staged(pack->number, pack->tail + FooterBytes(pack->entries.size()), false);
      ++sealed_since_checkpoint_;
      open_.remove(pack);
    }
  }
  changed_.notify_all();
  return sealed;
}

Status PackStore::Impl::WriteFooter(OpenPack& pack) {
  std::sort(pack.entries.begin(), pack.entries.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const std::vector<uint8_t> footer = EncodeFooter(pack.number, options_.domain, pack.entries);
  if (Status status = pack.file->Write(footer, pack.tail); !status.ok()) return status;
  return pack.file->Truncate(pack.tail + footer.size());
}

Status PackStore::Impl::MakeDurable(OpenPack& pack, bool named) {
  if (Status status = pack.file->DataSync(); !status.ok()) return status;
  return named ? Status() : SyncNames();
}

// What the failed one was to make durable nobody can make durable again, whoever had made it.
Status PackStore::Impl::SyncNames() {
  Status status = env_.SyncDirectory(options_.directory);
  if (status.ok()) return status;
  std::lock_guard lock(mutex_);
  if (lost_.ok()) {
    lost_ = Status(Code::kIo, "the names of packs in " + options_.directory + " could not be made durable (" + status.detail() +
                                  "): what was put since the last sync may be lost");
  }
  return lost_;
}

void PackStore::Impl::Poison(const std::shared_ptr<OpenPack>& pack, const Status& cause) {
  pack->poisoned = true;
  index_.Drop(pack->number, pack->synced_to);
  FindMovedAgain();
  if (current_ == pack) current_ = nullptr;
  open_.remove(pack);
  ++poisoned_packs_;
  if (lost_.ok()) {
    lost_ = Status(Code::kIo, "pack " + PackPath(options_.directory, pack->number, false) + " could not be made durable (" + cause.detail() +
                                  "): what was put since the last sync may be lost");
  }
}

Status PackStore::Impl::SealFull(Lock& lock) {
  std::vector<std::shared_ptr<OpenPack>> full;
  for (const auto& pack : open_) {
    if (pack->full) full.push_back(pack);
  }
  Status first;
  for (const auto& pack : full) {
    Status status = SealPack(lock, pack);
    if (first.ok()) first = std::move(status);
  }
  return first;
}

Status PackStore::Impl::Seal() {
  Lock lock(mutex_);
  changed_.wait(lock, [this] { return !creating_; });
  if (current_ != nullptr) {
    current_->full = true;
    current_ = nullptr;
  }
  return SealFull(lock);
}

Status PackStore::Impl::Checkpoint(bool force) {
  std::lock_guard one_at_a_time(checkpoint_mutex_);
  CheckpointContent content;
  uint64_t covered;
  {
    Lock lock(mutex_);
    // A pack that cannot be sealed is left out; if it cannot be made durable either, Sync tells.
    (void)SealFull(lock).ok();
    covered = sealed_since_checkpoint_;
    if (!force && covered < kCheckpointPacksMin) return {};
    content.next_pack = next_pack_;
    std::lock_guard condemned(condemned_mutex_);
    // One with damaged records is read by its footer at each start: the checkpoint has no word for them. So is one whose records
    // were put elsewhere: should a crash take the new ones, these must be found.
    for (const auto& [number, pack] : sealed_) {
      if (!pack.damaged && !emptied_.contains(number)) content.packs.emplace_hint(content.packs.end(), number, pack);
    }
  }
  if (Status status = SaveCheckpoint(env_, options_.checkpoint, options_.domain, content, index_); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  sealed_since_checkpoint_ -= covered;
  return {};
}

}  // namespace skerry
