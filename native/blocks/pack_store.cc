#include "pack.h"

#include "frames.h"
#include "pack_store_impl.h"

namespace skerry {

PackStore::Impl::Impl(Env& env, const PackStoreOptions& options)
    : env_(env), options_(options), handles_(env, options.directory, false), direct_handles_(env, options.directory, true) {
  if (options_.remote) OpenRemote();
}

PackStore::PackStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PackStore::~PackStore() = default;

Result<std::unique_ptr<PackStore>> PackStore::Open(Env& env, const PackStoreOptions& options, PackReport& report) {
  if (options.pack_bytes < kPackBytesMin || options.pack_bytes > kPackBytes || options.pack_bytes % kSectorBytes != 0) {
    return Status(Code::kInvalid, "a pack takes whole sectors, from " + std::to_string(kPackBytesMin) + " to " +
                                      std::to_string(kPackBytes) + " bytes, not " + std::to_string(options.pack_bytes));
  }
  auto impl = std::make_unique<Impl>(env, options);
  if (Status status = impl->Recover(report); !status.ok()) return status;
  return std::unique_ptr<PackStore>(new PackStore(std::move(impl)));
}

std::optional<Location> PackStore::Find(const BlockId& id) const { return impl_->Find(id); }
Status PackStore::PutAll(std::span<PackPut> puts, bool urgent) { return impl_->PutAll(puts, urgent); }
Result<Location> PackStore::Put(RecordKind kind, const BlockId& id, ConstBytes raw, bool* reused, bool urgent) {
  PackPut put{kind, id, raw, {}, false};
  if (Status status = impl_->PutAll({&put, 1}, urgent); !status.ok()) return status;
  if (reused != nullptr) *reused = put.reused;
  return put.at;
}
Status PackStore::Sync() { return impl_->Sync(); }
Status PackStore::failure() const { return impl_->failure(); }
bool PackStore::unsynced() const { return impl_->unsynced(); }
Status PackStore::Checkpoint(bool force) { return impl_->Checkpoint(force); }
Status PackStore::Seal() { return impl_->Seal(); }
Status PackStore::ReadCell(uint32_t pack, uint32_t cell_offset, uint64_t seed, Bytes page, bool may_block) {
  return impl_->ReadCell(pack, cell_offset, seed, page, may_block);
}
Status PackStore::ReadPages(const Location& at, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block) {
  return impl_->ReadPages(at, id, first, count, into, may_block);
}
Status PackStore::ReadBlock(const Location& hint, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block) {
  return impl_->ReadBlock(hint, id, first, count, into, may_block);
}
std::vector<Location> PackStore::Places(const BlockId& id) const { return impl_->Places(id); }
void PackStore::ReadAhead(std::span<const CellRun> runs) { impl_->ReadAhead(runs); }
Result<std::vector<uint8_t>> PackStore::ReadRecord(const Location& at, const BlockId& id, bool may_block, uint64_t* domain) {
  return impl_->ReadRecord(at, id, may_block, domain);
}
Result<uint64_t> PackStore::DomainOf(const Location& hint, const BlockId& id) { return impl_->DomainOf(hint, id); }
Result<BlockId> PackStore::IdAt(const Location& at, Location* full) { return impl_->IdAt(at, full); }
bool PackStore::Verify(const Location& at, const BlockId& id) {
  const Result<bool> whole = impl_->Confirm(at, id);
  return whole.ok() && *whole;
}
uint32_t PackStore::RottenPages(const Location& at, const BlockId& id) { return impl_->RottenPages(at, id); }
Result<bool> PackStore::Confirm(const Location& at, const BlockId& id) { return impl_->Confirm(at, id); }
bool PackStore::remote() const { return impl_->remote(); }
uint32_t PackStore::Mark() const { return impl_->Mark(); }
Result<bool> PackStore::ShippedUpTo(uint32_t mark) const { return impl_->ShippedUpTo(mark); }
bool PackStore::OpenUpTo(uint32_t mark) const { return impl_->OpenUpTo(mark); }
bool PackStore::crowded() const { return impl_->Crowded(); }
Status PackStore::Upkeep() { return impl_->Upkeep(); }
void PackStore::OnShipped(std::function<void()> changed) { impl_->OnShipped(std::move(changed)); }
void PackStore::FetchAhead(std::span<const Location> places) { impl_->FetchAhead(places); }
void PackStore::FetchLater(std::span<const Location> places) { impl_->FetchLater(places); }
uint64_t PackStore::ahead_bytes_max() const { return impl_->AheadBytesMax(); }
Status PackStore::RefreshIndex() { return impl_->RefreshIndex(); }
PackStore::Usage PackStore::usage() const { return impl_->usage(); }
PutGate& PackStore::gate() { return impl_->gate(); }
std::vector<PackStore::Sealed> PackStore::Removable() const { return impl_->Removable(); }
Result<std::vector<PackFooterEntry>> PackStore::EntriesOf(uint32_t pack) { return impl_->EntriesOf(pack); }
void PackStore::Condemn(std::span<const uint32_t> packs) { impl_->Condemn(packs); }
void PackStore::Pardon(uint32_t pack) { impl_->Pardon(pack); }
Status PackStore::Remove(std::span<const uint32_t> packs) { return impl_->Remove(packs); }
bool PackStore::GoneListed() const { return impl_->GoneListed(); }
bool PackStore::Sweep() { return impl_->Sweep(); }
std::vector<PackStore::Sealed> PackStore::SealedHere() const { return impl_->SealedHere(); }
Status PackStore::HeaderAtRest(uint32_t pack) { return impl_->HeaderAtRest(pack); }
Result<std::vector<PackFooterEntry>> PackStore::FooterAtRest(uint32_t pack, uint64_t file_bytes) { return impl_->FooterAtRest(pack, file_bytes); }
Result<std::vector<PackFooterEntry>> PackStore::ScannedEntries(uint32_t pack) { return impl_->ScannedEntries(pack); }
Result<PackStore::Payload> PackStore::ReadAtRest(uint32_t pack, const PackFooterEntry& entry) { return impl_->ReadAtRest(pack, entry); }
Result<PackStore::Payload> PackStore::ReadCached(uint32_t pack, const PackFooterEntry& entry) { return impl_->ReadCached(pack, entry); }
void PackStore::NoteDamaged(const Location& at) { impl_->NoteDamaged(at); }
void PackStore::NoteRepaired(const Location& at) { impl_->NoteRepaired(at); }
void PackStore::Adopt(uint32_t pack, const PackFooterEntry& entry) { impl_->Adopt(pack, entry); }
uint64_t PackStore::RecordBytes() const { return impl_->RecordBytes(); }

uint64_t PackStore::Usage::uncompressed_record_bytes() const {
  return record_bytes - framed_bytes + framed_records * RecordStoredBytes(kFramedRawBytes);
}

PackStore::Usage PackStore::Impl::usage() const {
  Usage usage;
  {
    std::lock_guard lock(mutex_);
    usage.packs = sealed_.size() + poisoned_packs_;
    usage.stored_bytes = sealed_totals_.bytes;
    usage.blocks = sealed_totals_.blocks;
    usage.nodes = sealed_totals_.nodes;
    for (const auto& pack : open_) {
      ++usage.packs;
      usage.stored_bytes += pack->tail;
      usage.blocks += pack->blocks;
      usage.nodes += pack->nodes;
    }
    usage.free_bytes = free_bytes_;
    if (current_ != nullptr) {
      const uint64_t used = uint64_t{current_->tail} + FooterBytes(current_->reserved_records);
      usage.room_bytes = current_->capacity > used ? current_->capacity - used : 0;
    }
  }
  if (const Result<uint64_t> now = env_.FreeBytes(options_.directory); now.ok()) usage.free_bytes = now.value();
  if (usage.free_bytes < options_.reserve_bytes) {
    usage.room_bytes = 0;
  } else {
    usage.room_bytes += (usage.free_bytes - options_.reserve_bytes) / options_.pack_bytes * options_.pack_bytes;
  }
  usage.put_bytes = put_bytes_.load(std::memory_order_relaxed);
  const LocationIndex::Totals totals = index_.totals();
  usage.record_bytes = totals.stored_bytes;
  usage.framed_records = totals.framed_records;
  usage.framed_bytes = totals.framed_bytes;
  usage.put_record_bytes = put_record_bytes_.load(std::memory_order_relaxed);
  usage.put_framed_records = put_framed_records_.load(std::memory_order_relaxed);
  usage.put_records = put_records_.load(std::memory_order_relaxed);
  usage.dedup_hits = dedup_hits_.load(std::memory_order_relaxed);
  usage.dedup_bytes = dedup_bytes_.load(std::memory_order_relaxed);
  usage.corrupt_cells = corrupt_cells_.load(std::memory_order_relaxed);
  usage.index_bytes = index_.bytes();
  if (remote_) AddRemoteUsage(usage);
  return usage;
}

}  // namespace skerry
