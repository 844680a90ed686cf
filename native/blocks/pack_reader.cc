// Reads. What is in the page cache is read without waiting and without a lock but the handle's; a page whose sum fails is
// read again from the device before it is called rotten, and never handed out.
#include <algorithm>

#include "pack_store_impl.h"

namespace skerry {
namespace {

/** Pages that one scattered read takes: two buffers a page, as many as an environment takes in one system call. */
constexpr uint32_t kBatchPagesMax = 32;
/** Cells remembered as rotten; past this many the disk has other troubles. */
constexpr size_t kDamagedCellsMax = 65536;

Status WouldBlock() { return {Code::kTryAgain, {}}; }

std::string Where(uint32_t pack, uint64_t offset) {
  return "byte " + std::to_string(offset) + " of pack " + PackPath("", pack, true).substr(1);
}

}  // namespace

Status PackStore::Impl::ReadCell(uint32_t pack, uint32_t cell, uint64_t seed, Bytes page, bool may_block) {
  if (page.size() != kPageBytes) return {Code::kInvalid, "a cell is read one page at a time"};
  if (IsFramedCell(cell)) {
    const std::optional<PageOfRecord> place = PageAt(pack, cell);
    if (!place) return {Code::kCorrupt, "there can be no page at " + Where(pack, cell)};
    return ReadFramed(place->at, seed - place->page, place->page, 1, page, may_block);
  }
  if (options_.cipher) return {Code::kCorrupt, "no page of an encrypted pool is in a cell: " + Where(pack, cell)};
  const uint32_t cell_offset = cell;
  if (Elsewhere(pack)) return RemoteCells(pack, cell_offset, seed, 1, page, may_block);
  const Result<std::shared_ptr<File>> file = handles_.Get(pack);
  if (!file.ok()) return WentAway(file.status(), pack) ? RemoteCells(pack, cell_offset, seed, 1, page, may_block) : file.status();
  uint8_t sum[kCellSumBytes];
  const Bytes parts[] = {page, sum};
  const Result<size_t> got = file.value()->ReadNow(parts, cell_offset);
  if (got.ok() && got.value() == kCellBytes && CellHolds(page.data(), kPageBytes, sum, seed)) return {};
  if (!may_block) return WouldBlock();
  return ReadCellsBlocking(*file.value(), pack, cell_offset, seed, 1, page);
}

Status PackStore::Impl::ReadPages(const Location& at, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block) {
  if (into.size() != size_t{count} * kPageBytes) return {Code::kInvalid, "pages and their buffer differ in size"};
  Location where = at;
  if (!where.known()) {
    const std::optional<Location> found = Find(id);
    if (!found) return {Code::kNotFound, "a block is in no pack of the index"};
    where = *found;
  }
  if (ReadsFrames(where)) return ReadFramed(where, id.prefix(), first, count, into, may_block);
  if (Elsewhere(where.pack)) return RemotePages(where, id.prefix(), first, count, into, may_block);
  const Result<std::shared_ptr<File>> file = handles_.Get(where.pack);
  if (!file.ok()) {
    if (!WentAway(file.status(), where.pack)) return file.status();
    return RemotePages(where, id.prefix(), first, count, into, may_block);
  }
  for (uint32_t done = 0; done < count;) {
    const uint32_t batch = std::min(count - done, kBatchPagesMax);
    const uint32_t offset = CellOffset(where, first + done);
    // Looking into the page cache makes the kernel fill it, a little at a time, on a thread that should not wait.
    if (!may_block && batch >= kLargeReadPages && !MayBeCached(where.pack, offset)) return WouldBlock();
    const uint64_t seed = CellSeed(id, first + done);
    const Bytes pages = into.subspan(size_t{done} * kPageBytes, size_t{batch} * kPageBytes);
    uint8_t sums[kBatchPagesMax][kCellSumBytes];
    Bytes parts[2 * kBatchPagesMax];
    for (uint32_t i = 0; i < batch; ++i) {
      parts[2 * i] = pages.subspan(size_t{i} * kPageBytes, kPageBytes);
      parts[2 * i + 1] = sums[i];
    }
    const Result<size_t> got = file.value()->ReadNow({parts, 2 * batch}, offset);
    bool holds = got.ok() && got.value() == size_t{batch} * kCellBytes;
    for (uint32_t i = 0; holds && i < batch; ++i) holds = CellHolds(parts[2 * i].data(), kPageBytes, sums[i], seed + i);
    if (!holds) {
      if (!may_block) return WouldBlock();
      if (Status status = ReadCellsBlocking(*file.value(), where.pack, offset, seed, batch, pages); !status.ok()) return status;
    }
    done += batch;
  }
  return {};
}

/** Full cells, one after the other; those that fail their sum are read again, directly. Seeds count up by one. */
Status PackStore::Impl::ReadCellsBlocking(File& file, uint32_t pack, uint32_t cell_offset, uint64_t seed, uint32_t count, Bytes into) {
  const size_t bytes = size_t{count} * kCellBytes;
  if (warm_.Note(pack, cell_offset) > 0 && count < kLargeReadPages) {
    file.ReadAhead(cell_offset / kWarmWindowBytes * kWarmWindowBytes, kWarmWindowBytes);
  }
  const auto cells = std::make_unique_for_overwrite<uint8_t[]>(bytes);
  const Result<size_t> got = file.Read({cells.get(), bytes}, cell_offset);
  if (!got.ok()) return got.status();
  for (uint32_t i = 0; i < count; ++i) {
    uint8_t* cell = cells.get() + size_t{i} * kCellBytes;
    const auto holds = [&] { return CellHolds(cell, kPageBytes, cell + kPageBytes, seed + i); };
    if (got.value() < size_t{i + 1} * kCellBytes || !holds()) {
      const uint32_t offset = cell_offset + i * kCellBytes;
      const Status again = ReadDirect(pack, offset, {cell, kCellBytes});
      if ((!again.ok() || !holds()) && OnBackend(pack)) {
        const Status there = RemoteCells(pack, offset, seed + i, 1, into.subspan(size_t{i} * kPageBytes, kPageBytes), true);
        if (!there.ok()) return there;
        continue;
      }
      if (!again.ok() || !holds()) {
        NoteDamage(pack, offset);
        return {Code::kCorrupt, "the page at " + Where(pack, offset) + " fails its sum" + (again.ok() ? "" : ": " + again.detail())};
      }
    }
    std::memcpy(into.data() + size_t{i} * kPageBytes, cell, kPageBytes);
  }
  return {};
}

/** Past the page cache, which may be what is wrong. kCorrupt where the file ends before. */
Status PackStore::Impl::ReadDirect(uint32_t pack, uint64_t offset, Bytes into) {
  const Result<std::shared_ptr<File>> file = direct_handles_.Get(pack);
  if (!file.ok()) return file.status();
  const uint64_t start = offset / kSectorBytes * kSectorBytes;
  const uint64_t end = (offset + into.size() + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  AlignedBuffer sectors(end - start);
  const Result<size_t> got = file.value()->Read(sectors.bytes(), start);
  if (!got.ok()) return got.status();
  if (got.value() < offset - start + into.size()) return {Code::kCorrupt, "the file ends before"};
  std::memcpy(into.data(), sectors.data() + (offset - start), into.size());
  return {};
}

/** Bytes as they are, no sum checked. kTryAgain when it would block and may not; kCorrupt where the file ends before. */
Status PackStore::Impl::ReadRange(uint32_t pack, uint64_t offset, Bytes into, bool may_block) {
  const Result<std::shared_ptr<File>> file = handles_.Get(pack);
  if (!file.ok()) return file.status();
  const Bytes parts[] = {into};
  Result<size_t> got = file.value()->ReadNow(parts, offset);
  if (got.ok() && *got == into.size()) return {};
  if (!may_block) return WouldBlock();
  got = file.value()->Read(into, offset);
  if (!got.ok()) return got.status();
  if (*got < into.size()) return {Code::kCorrupt, Where(pack, offset) + ": the file ends before"};
  return {};
}

Result<PackRecordHeader> PackStore::Impl::ReadHeader(const Location& at, bool may_block) {
  uint8_t bytes[sizeof(PackRecordHeader)];
  if (Status status = ReadRange(at.pack, at.offset, bytes, may_block); !status.ok()) return status;
  if (const auto header = ParseHeader(bytes, at.pack, at.offset)) return *header;
  if (!may_block) return WouldBlock();
  if (ReadDirect(at.pack, at.offset, bytes).ok()) {
    if (const auto header = ParseHeader(bytes, at.pack, at.offset)) return *header;
  }
  return Status(Code::kCorrupt, "the record header at " + Where(at.pack, at.offset) + " is not whole");
}

// A record of another id where this one was expected is no rot: the hint is stale, and the index knows better.
Result<std::vector<uint8_t>> PackStore::Impl::ReadRecord(const Location& at, const BlockId& id, bool may_block, uint64_t* domain) {
  Location where = at;
  if (!where.known()) {
    const std::optional<Location> found = Find(id);
    if (!found) return Status(Code::kNotFound, "a record is in no pack of the index");
    where = *found;
  }
  if (Elsewhere(where.pack)) return RemoteRecord(where, id, may_block, domain);
  // What cannot be a record's length is unknown or damaged; the header has it.
  if (where.stored_bytes < sizeof(PackRecordHeader) || where.stored_bytes > RecordStoredBytes(kRecordRawBytesMax)) {
    const Result<PackRecordHeader> header = ReadHeader(where, may_block);
    if (WentAway(header.status(), where.pack)) return RemoteRecord(where, id, may_block, domain);
    if (!header.ok()) return header.status();
    where.stored_bytes = header.value().stored_bytes;
  }
  std::vector<uint8_t> record(where.stored_bytes);
  std::vector<uint8_t> payload;
  uint32_t failed_cell = 0;
  bool direct = false;
  Status status = ReadRange(where.pack, where.offset, record, may_block);
  if (WentAway(status, where.pack)) return RemoteRecord(where, id, may_block, domain);
  while (status.ok()) {
    if (const auto header = ParseHeader(record, where.pack, where.offset)) {
      if (std::memcmp(header->id, id.bytes.data(), sizeof(header->id)) != 0) {
        return Status(Code::kNotFound, "the record at " + Where(where.pack, where.offset) + " is another");
      }
      if (header->stored_bytes > record.size()) {
        record.resize(header->stored_bytes);
        status = ReadRange(where.pack, where.offset, record, may_block);
        continue;
      }
      payload.resize(header->raw_bytes);
      failed_cell = CheckCells(record, *header, payload, Cipher());
      if (failed_cell == CellCount(header->raw_bytes)) {
        if (domain != nullptr) *domain = header->domain;
        return payload;
      }
    }
    if (!may_block) return WouldBlock();
    if (direct && OnBackend(where.pack)) return RemoteRecord(where, id, may_block, domain);
    if (direct) {
      NotePage(where, failed_cell);
      return Status(Code::kCorrupt, "the record at " + Where(where.pack, where.offset) + " fails its sums");
    }
    direct = true;
    status = ReadDirect(where.pack, where.offset, record);
  }
  return status;
}

Result<BlockId> PackStore::Impl::IdAt(const Location& at, Location* full) {
  BlockId id;
  if (const auto entry = Elsewhere(at.pack) ? KnownEntry(at) : std::nullopt) {
    std::memcpy(id.bytes.data(), entry->id, id.bytes.size());
    if (full != nullptr) *full = PlaceOf(at.pack, *entry);
    return id;
  }
  const Result<PackRecordHeader> header = Elsewhere(at.pack) ? RemoteHeader(at, true) : ReadHeader(at, true);
  if (!header.ok()) return header.status();
  std::memcpy(id.bytes.data(), header.value().id, id.bytes.size());
  if (full != nullptr) *full = {at.pack, at.offset, header->stored_bytes, IsInFrames(header->kind, header->codec, header->encrypted())};
  return id;
}

Result<bool> PackStore::Impl::Confirm(const Location& at, const BlockId& id) {
  if (!at.known()) return false;
  // Of a pack that this start found open, all that is whole is known. What is only in the page cache, after a sync that
  // failed before, is not: reading it here would find it, and lose it with the host.
  if (const auto pack = recovered_.find(at.pack); pack != recovered_.end()) {
    const auto record = pack->second.find(at.offset);
    return record != pack->second.end() && record->second == id;
  }
  if (Elsewhere(at.pack)) {
    // A pack is shipped only once its name here is durable, and goes only once its footer is: without a trace, it was lost.
    if (!KnowsPack(at.pack) && !unread_footers_.contains(at.pack)) return false;
    // What a pack's footer names was whole when it was shipped, but for what it calls damaged.
    if (const auto entry = KnownEntry(at)) {
      return std::memcmp(entry->id, id.bytes.data(), sizeof(entry->id)) == 0 && (entry->flags & kEntryDamaged) == 0;
    }
    const Status status = ReadRecord(at, id, true).status();
    if (status.code() == Code::kIo || status.code() == Code::kClosed) return status;
    return status.ok();
  }
  return ReadRecord(at, id, true).ok();
}

void PackStore::Impl::NoteDamage(uint32_t pack, uint32_t offset) {
  (void)MarkDamaged(pack, offset);
  std::lock_guard lock(damage_mutex_);
  // Who reads it again finds nothing new.
  if (counted_.size() >= kDamagedCellsMax || counted_.insert({pack, offset}).second) corrupt_cells_.fetch_add(1, std::memory_order_relaxed);
}

// Any byte of the record marks it. Where its frames begin only its header says, and that may be what is damaged.
void PackStore::Impl::NotePage(const Location& at, uint32_t page) { NoteDamage(at.pack, at.framed ? at.offset : CellOffset(at, page)); }

bool PackStore::Impl::MarkDamaged(uint32_t pack, uint32_t offset) {
  std::lock_guard lock(damage_mutex_);
  if (damaged_.size() >= kDamagedCellsMax && !damaged_.contains({pack, offset})) return false;
  damaged_.insert({pack, offset});
  damaged_count_.store(damaged_.size(), std::memory_order_release);
  return true;
}

uint32_t PackStore::Impl::RottenPages(const Location& at, const BlockId& id) {
  std::lock_guard lock(damage_mutex_);
  const auto suspect = suspects_.find({at.pack, at.offset});
  if (suspect == suspects_.end() || suspect->second.id != id) return 0;
  const auto rotten = static_cast<uint32_t>(suspect->second.bad_cells.size());
  corrupt_cells_.fetch_add(rotten, std::memory_order_relaxed);
  suspects_.erase(suspect);
  return rotten;
}

bool PackStore::Impl::IsDamaged(const Location& at) const {
  if (damaged_count_.load(std::memory_order_acquire) == 0) return false;
  std::lock_guard lock(damage_mutex_);
  const auto next = damaged_.lower_bound({at.pack, at.offset});
  return next != damaged_.end() && next->first == at.pack && next->second < at.offset + at.stored_bytes;
}

}  // namespace skerry
