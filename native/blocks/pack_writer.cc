// Put: look for the record, give out a place, write outside the lock, and only then let it count.
#include <algorithm>
#include <cassert>

#include "pack_store_impl.h"

namespace skerry {
namespace {

// A pack whose sync failed while the record was written to it is answered with one more pack.
constexpr int kPutAttemptsMax = 2;

PackRecordHeader HeaderFor(const PackStoreOptions& options, RecordKind kind, const BlockId& id, size_t raw_bytes) {
  PackRecordHeader header{};
  header.magic = kPackRecordMagic;
  header.version = kPackVersion;
  header.kind = kind;
  header.codec = Codec::kRaw;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.key_id = options.key_id;
  header.raw_bytes = static_cast<uint32_t>(raw_bytes);
  header.domain = options.domain;
  header.stored_bytes = RecordStoredBytes(header.raw_bytes);
  std::memcpy(header.id, id.bytes.data(), sizeof(header.id));
  return header;
}

PackFooterEntry EntryFor(const PackRecordHeader& header, uint32_t offset) {
  PackFooterEntry entry{};
  std::memcpy(entry.id, header.id, sizeof(entry.id));
  entry.offset = offset;
  entry.stored_bytes = header.stored_bytes;
  entry.raw_bytes = header.raw_bytes;
  entry.kind = header.kind;
  entry.codec = header.codec;
  entry.algorithm = header.algorithm;
  return entry;
}

/** What a pack must hold to take one record of this size more. */
uint64_t Need(const OpenPack& pack, uint32_t stored_bytes) {
  return uint64_t{pack.tail} + stored_bytes + FooterBytes(pack.reserved_records + 1);
}

}  // namespace

Result<Location> PackStore::Impl::Put(RecordKind kind, const BlockId& id, ConstBytes raw, bool* reused, bool urgent) {
  if (reused != nullptr) *reused = false;
  if (kind != RecordKind::kBlock && kind != RecordKind::kNode) return Status(Code::kInvalid, "records of this kind are not written");
  if (id.empty()) return Status(Code::kInvalid, "a record needs an id");
  if (raw.empty() || raw.size() > kRecordRawBytesMax) {
    return Status(Code::kInvalid, "a record holds 1 to " + std::to_string(kRecordRawBytesMax) + " bytes, not " + std::to_string(raw.size()));
  }
  PackRecordHeader header = HeaderFor(options_, kind, id, raw.size());
  if (Need({}, header.stored_bytes) > options_.pack_bytes) return Status(Code::kInvalid, "a record does not fit in a pack of this size");

  bool replace = false;
  if (const std::optional<Location> known = index_.Find(id.prefix())) {
    const Hit hit = CheckHit(*known, id, raw.size());
    if (hit == Hit::kSame) {
      dedup_hits_.fetch_add(1, std::memory_order_relaxed);
      dedup_bytes_.fetch_add(raw.size(), std::memory_order_relaxed);
      if (reused != nullptr) *reused = true;
      return *known;
    }
    replace = hit == Hit::kBad;
  }

  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(header.stored_bytes);
  const Bytes record(memory.get(), header.stored_bytes);
  FillCells(record, id, raw);
  for (int attempt = 0; attempt < kPutAttemptsMax; ++attempt) {
    Result<Reservation> place = Reserve(header.stored_bytes, urgent || kind == RecordKind::kNode);
    if (!place.ok()) return place.status();
    header.pack = place->pack->number;
    FillHeader(record, header, place->offset);
    Status written = place->pack->file->Write(record, place->offset);
    const bool counts = Count(*place, EntryFor(header, place->offset), written.ok(), replace);
    if (!written.ok()) return written;
    if (!counts) continue;
    StartWritebackUpTo(*place, header.stored_bytes);
    SealOverdue();
    put_records_.fetch_add(1, std::memory_order_relaxed);
    put_bytes_.fetch_add(raw.size(), std::memory_order_relaxed);
    return Location{place->pack->number, place->offset, header.stored_bytes};
  }
  return Status(Code::kIo, "packs cannot be made durable");
}

PackStore::Impl::Hit PackStore::Impl::CheckHit(const Location& at, const BlockId& id, size_t raw_bytes) {
  // New data is never given up for a record that has rotted: it is written again.
  if (IsDamaged(at)) return Hit::kBad;
  const Result<PackRecordHeader> header = ReadHeader(at, true);
  if (!header.ok()) return Hit::kBad;
  const PackRecordHeader& found = header.value();
  const bool same = std::memcmp(found.id, id.bytes.data(), sizeof(found.id)) == 0 && found.raw_bytes == raw_bytes;
  return same ? Hit::kSame : Hit::kOther;
}

Result<PackStore::Impl::Reservation> PackStore::Impl::Reserve(uint32_t stored_bytes, bool may_use_reserve) {
  Lock lock(mutex_);
  while (true) {
    if (current_ != nullptr && Need(*current_, stored_bytes) <= current_->capacity) {
      if (!may_use_reserve) {
        if (Status status = CheckSpace(0, false); !status.ok()) return status;
      }
      Reservation place{current_, current_->tail};
      current_->tail += stored_bytes;
      ++current_->reserved_records;
      current_->writing.push_back(place.offset);
      put_since_sample_ += stored_bytes;
      return place;
    }
    if (creating_) {
      changed_.wait(lock);
      continue;
    }
    creating_ = true;
    const Status created = CreatePack(lock, stored_bytes, may_use_reserve);
    creating_ = false;
    changed_.notify_all();
    if (!created.ok()) return created;
  }
}

// Makes a new current pack; the one before waits to be sealed. The lock is released while files are touched.
Status PackStore::Impl::CreatePack(Lock& lock, uint32_t stored_bytes, bool may_use_reserve) {
  if (!may_use_reserve) {
    if (Status status = CheckSpace(options_.pack_bytes, true); !status.ok()) return status;
  }
  if (next_pack_ > UINT32_MAX) return Status(Code::kNoSpace, "the pool has used up its pack numbers");
  auto pack = std::make_shared<OpenPack>();
  pack->number = static_cast<uint32_t>(next_pack_++);
  pack->synced_to = pack->tail;
  lock.unlock();
  Status made = MakePackFile(*pack, may_use_reserve, stored_bytes);
  if (made.ok()) handles_.Add(pack->number, pack->file);
  lock.lock();
  put_since_sample_ = kFreeSampleBytes;  // the next record looks at what is left
  if (!made.ok()) return made;
  if (current_ != nullptr) current_->full = true;
  current_ = pack;
  open_.push_back(std::move(pack));
  return {};
}

Status PackStore::Impl::MakePackFile(OpenPack& pack, bool may_shrink, uint32_t stored_bytes) {
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
    if (smaller < kUrgentPackBytesMin || smaller < Need({}, stored_bytes)) break;
    pack.capacity = smaller;
    // What a failed attempt has taken is given back first.
    made = (*file)->Truncate(0);
    if (made.ok()) made = (*file)->Allocate(pack.capacity);
  }
  if (made.ok()) {
    made = (*file)->Write(EncodeFileHeader(pack.number, options_.domain, options_.key_id, env_.WallMillis()), 0);
  }
  if (!made.ok()) {
    file->reset();
    const Status removed = env_.Remove(path);
    return removed.ok() ? made : Status(made.code(), made.detail() + "; and then: " + removed.detail());
  }
  pack.file = std::move(*file);
  return {};
}

/** Ends the writing of a record; true if it counts: written, and its pack not lost meanwhile. */
bool PackStore::Impl::Count(const Reservation& place, const PackFooterEntry& entry, bool written, bool replace) {
  OpenPack& pack = *place.pack;
  std::lock_guard lock(mutex_);
  const auto found = std::find(pack.writing.begin(), pack.writing.end(), place.offset);
  assert(found != pack.writing.end());
  pack.writing.erase(found);
  changed_.notify_all();
  if (!written || pack.poisoned) return false;
  pack.entries.push_back(entry);
  ++(entry.kind == RecordKind::kNode ? pack.nodes : pack.blocks);
  // Under the mutex, so that a record never enters the index after a failed sync has dropped its pack's records from it.
  uint64_t fingerprint;
  std::memcpy(&fingerprint, entry.id, sizeof(fingerprint));
  const Location at{pack.number, entry.offset, entry.stored_bytes};
  if (replace) {
    index_.Replace(fingerprint, at);
  } else {
    (void)index_.Insert(fingerprint, at);
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

void PackStore::Impl::StartWritebackUpTo(const Reservation& place, uint32_t stored_bytes) {
  const uint32_t from = place.offset / kWritebackBytes;
  const uint32_t to = (place.offset + stored_bytes) / kWritebackBytes;
  if (from != to) place.pack->file->StartWriteback(uint64_t{from} * kWritebackBytes, uint64_t{to - from} * kWritebackBytes);
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
