// Places for records: which pack takes them, what it takes to make one, when they count, when there is no room.
#include <algorithm>
#include <cassert>

#include "pack_store_impl.h"

namespace skerry {
namespace {

PackFooterEntry EntryFor(const PackRecordHeader& header, uint32_t offset) {
  PackFooterEntry entry{};
  std::memcpy(entry.id, header.id, sizeof(entry.id));
  entry.offset = offset;
  entry.stored_bytes = header.stored_bytes;
  entry.raw_bytes = header.raw_bytes;
  entry.kind = header.kind;
  entry.codec = header.codec;
  entry.algorithm = header.algorithm;
  entry.flags = ((header.flags & kRecordLostPages) != 0 ? kEntryDamaged : 0) | (header.encrypted() ? kEntryEncrypted : 0);
  return entry;
}

/** What a pack must hold to take these bytes of records more. */
uint64_t Need(const OpenPack& pack, uint32_t stored_bytes, uint32_t records) {
  return uint64_t{pack.tail} + stored_bytes + FooterBytes(pack.reserved_records + records);
}

}  // namespace

Result<PackStore::Impl::Reservation> PackStore::Impl::Reserve(uint32_t stored_bytes, uint32_t records, bool may_use_reserve) {
  Lock lock(mutex_);
  while (true) {
    if (current_ != nullptr && Need(*current_, stored_bytes, records) <= current_->capacity) {
      if (!may_use_reserve) {
        if (Status status = CheckSpace(0, false); !status.ok()) return status;
      }
      Reservation place{current_, current_->tail};
      current_->tail += stored_bytes;
      current_->reserved_records += records;
      current_->writing.push_back(place.offset);
      put_since_sample_ += stored_bytes;
      return place;
    }
    if (creating_) {
      changed_.wait(lock);
      continue;
    }
    creating_ = true;
    const auto need = static_cast<uint32_t>(Need({}, stored_bytes, records));
    const Status created = CreatePack(lock, need, may_use_reserve);
    creating_ = false;
    changed_.notify_all();
    if (!created.ok()) return created;
  }
}

// Makes a new current pack; the one before waits to be sealed. The lock is released while files are touched.
Status PackStore::Impl::CreatePack(Lock& lock, uint32_t need_bytes, bool may_use_reserve) {
  if (!may_use_reserve) {
    if (Status status = CheckSpace(options_.pack_bytes, true); !status.ok()) return status;
    if (remote_ && remote_->shipper->Crowded()) return Status(Code::kTryAgain, "packs wait to be shipped to the pool's backend");
  }
  if (next_pack_ > UINT32_MAX) return Status(Code::kNoSpace, "the pool has used up its pack numbers");
  auto pack = std::make_shared<OpenPack>();
  pack->number = static_cast<uint32_t>(next_pack_++);
  pack->synced_to = pack->tail;
  lock.unlock();
  Status made = MakePackFile(*pack, may_use_reserve, need_bytes);
  if (made.ok()) handles_.Add(pack->number, pack->file);
  if (made.ok() && remote_) remote_->shipper->Opened(pack->number);
  lock.lock();
  put_since_sample_ = kFreeSampleBytes;  // the next record looks at what is left
  if (!made.ok()) return made;
  if (current_ != nullptr) current_->full = true;
  current_ = pack;
  open_.push_back(std::move(pack));
  return {};
}

Status PackStore::Impl::MakePackFile(OpenPack& pack, bool may_shrink, uint32_t need_bytes) {
  const std::string path = PackPath(options_.directory, pack.number, false);
  OpenOptions how;
  how.write = how.create = how.exclusive = true;
  Result<std::unique_ptr<File>> file = env_.Open(path, how);
  if (!file.ok()) return file.status();
  // Space is taken before a record is accepted: writing one cannot fail for want of it.
  pack.capacity = options_.pack_bytes;
  Status made = (*file)->Allocate(pack.capacity);
  while (made.code() == Code::kNoSpace && may_shrink) {
    const uint32_t smaller = pack.capacity / 2 / kSectorBytes * kSectorBytes;
    if (smaller < kUrgentPackBytesMin || smaller < need_bytes) break;
    pack.capacity = smaller;
    // What a failed attempt has taken is given back first.
    made = (*file)->Truncate(0);
    if (made.ok()) made = (*file)->Allocate(pack.capacity);
  }
  if (made.ok()) {
    made = (*file)->Write(EncodeFileHeader(pack.number, options_.domain, options_.key_id, env_.WallMillis()), 0);
  }
  if (made.ok()) {
    Result<std::unique_ptr<File>> direct = env_.Open(path, {.write = true, .direct = true});
    if (direct.ok()) pack.direct = std::move(*direct);
    else made = direct.status();
  }
  if (!made.ok()) {
    file->reset();
    const Status removed = env_.Remove(path);
    return removed.ok() ? made : Status(made.code(), made.detail() + "; and then: " + removed.detail());
  }
  pack.file = std::move(*file);
  return {};
}

/** Ends the writing of a group; true if its records count: written, and their pack not lost meanwhile. */
bool PackStore::Impl::Count(const Reservation& place, std::span<const Fresh> group, bool written) {
  OpenPack& pack = *place.pack;
  std::lock_guard lock(mutex_);
  const auto found = std::find(pack.writing.begin(), pack.writing.end(), place.offset);
  assert(found != pack.writing.end());
  pack.writing.erase(found);
  changed_.notify_all();
  if (!written || pack.poisoned) return false;
  // Under the mutex, so that a record never enters the index after a failed sync has dropped its pack's records from it.
  for (const Fresh& one : group) {
    pack.entries.push_back(EntryFor(one.header, one.put->at.offset));
    ++(one.header.kind == RecordKind::kNode ? pack.nodes : pack.blocks);
    pack.damaged |= one.put->lost != 0;
    if (one.replace) {
      // Should a crash tear the new one, the old one still has what it has.
      const std::optional<Location> known = index_.Find(one.put->id.prefix());
      if (known && IsDamaged(*known)) KeepOther(one.put->id, *known);
      index_.Replace(one.put->id.prefix(), one.put->at);
    } else {
      (void)index_.Insert(one.put->id.prefix(), one.put->at);
    }
  }
  return true;
}

/** kNoSpace where `need` bytes more would reach into the reserve. Under the mutex. */
Status PackStore::Impl::CheckSpace(uint64_t need, bool fresh) {
  if (options_.reserve_bytes == 0) return {};
  const uint64_t wanted = options_.reserve_bytes + need;
  const uint64_t now = env_.NowNanos();
  const bool stale = fresh || free_sampled_nanos_ == 0 || put_since_sample_ >= kFreeSampleBytes ||
                     (free_bytes_ < wanted && now - free_sampled_nanos_ > kFreeSampleNanosMax);
  if (stale) {
    Result<uint64_t> free = env_.FreeBytes(options_.directory);
    if (!free.ok()) return free.status();
    free_bytes_ = *free;
    free_sampled_nanos_ = now;
    put_since_sample_ = 0;
  }
  if (free_bytes_ >= wanted) return {};
  return {Code::kNoSpace, "the pool is full: " + std::to_string(free_bytes_) + " bytes are free in " + options_.directory + ", of which " +
                              std::to_string(options_.reserve_bytes) + " are kept in reserve; delete something or give it more space"};
}

void PackStore::Impl::SealOverdue() {
  Lock lock(mutex_);
  if (open_.size() <= kFullPacksMax + 1) return;
  for (const std::shared_ptr<OpenPack>& pack : open_) {
    if (!pack->full || pack->busy) continue;
    const std::shared_ptr<OpenPack> held = pack;
    // A failure is kept, and told by the next Sync.
    (void)SealPack(lock, held);
    return;
  }
}

}  // namespace skerry
