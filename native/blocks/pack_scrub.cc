// Reading what rests on the disk, and not what a cache still has of it: for who looks for rot before somebody needs the page.
#include "pack_scan.h"
#include "pack_store_impl.h"

namespace skerry {

std::vector<PackStore::Sealed> PackStore::Impl::SealedHere() const {
  std::vector<Sealed> packs;
  std::lock_guard lock(mutex_);
  packs.reserve(sealed_.size());
  for (const auto& [number, pack] : sealed_) packs.push_back({number, pack.file_bytes, pack.damaged, uint64_t{pack.blocks} + pack.nodes});
  return packs;
}

Status PackStore::Impl::HeaderAtRest(uint32_t pack) {
  std::vector<uint8_t> head(kPackAlignBytes);
  if (Status status = ReadDirect(pack, 0, head); !status.ok()) return status;
  return FileHeaderHolds(head, pack) ? Status::Ok() : Status(Code::kCorrupt, "the file header fails its sum");
}

Result<std::vector<PackFooterEntry>> PackStore::Impl::FooterAtRest(uint32_t pack, uint64_t file_bytes) {
  std::vector<uint8_t> end(sizeof(PackFooterTrailer));
  if (file_bytes < kPackAlignBytes + end.size()) return Status(Code::kCorrupt, "the file is too short");
  if (Status status = ReadDirect(pack, file_bytes - end.size(), end); !status.ok()) return status;
  const Result<uint64_t> bytes = FooterBytesAt(end, pack);
  if (!bytes.ok()) return bytes.status();
  if (*bytes > file_bytes - kPackAlignBytes) return Status(Code::kCorrupt, "the footer has no valid trailer");
  std::vector<uint8_t> footer(*bytes);
  if (Status status = ReadDirect(pack, file_bytes - *bytes, footer); !status.ok()) return status;
  return DecodeFooter(footer, pack, file_bytes - *bytes);
}

Result<std::vector<PackFooterEntry>> PackStore::Impl::ScannedEntries(uint32_t pack) {
  const Result<std::shared_ptr<File>> file = handles_.Get(pack);
  if (!file.ok()) return file.status();
  Result<PackScan> scan = ScanPack(**file, pack, options_.key);
  if (!scan.ok()) return scan.status();
  for (PackScan::Damaged& damaged : scan->damaged) scan->entries.push_back(damaged.entry);
  return std::move(scan->entries);
}

/** The payload of a record that was read whole; kCorrupt, and which page, where it is not what the entry says. */
Result<std::vector<uint8_t>> PackStore::Impl::PayloadOf(ConstBytes record, uint32_t pack, const PackFooterEntry& entry, uint32_t* page) {
  *page = 0;
  const auto header = ParseHeader(record, pack, entry.offset);
  if (!header) return Status(Code::kCorrupt, "its header fails its sum");
  if (std::memcmp(header->id, entry.id, sizeof(entry.id)) != 0 || header->kind != entry.kind || header->codec != entry.codec ||
      header->raw_bytes != entry.raw_bytes || header->stored_bytes != entry.stored_bytes) {
    return Status(Code::kCorrupt, "its header is not what the footer says");
  }
  std::vector<uint8_t> payload(header->raw_bytes);
  *page = CheckCells(record, *header, payload);
  if (*page == CellCount(header->raw_bytes)) return payload;
  return Status(Code::kCorrupt, "page " + std::to_string(*page) + " fails its sum");
}

Result<std::vector<uint8_t>> PackStore::Impl::ReadAtRest(uint32_t pack, const PackFooterEntry& entry) {
  std::vector<uint8_t> record(entry.stored_bytes);
  const Status status = ReadDirect(pack, entry.offset, record);
  if (status.code() == Code::kNotFound) return status;
  uint32_t page = 0;
  Result<std::vector<uint8_t>> payload = status.ok() ? PayloadOf(record, pack, entry, &page) : Result<std::vector<uint8_t>>(status);
  if (!payload.ok()) NotePage(PlaceOf(pack, entry), page);
  return payload;
}

Result<std::vector<uint8_t>> PackStore::Impl::ReadCached(uint32_t pack, const PackFooterEntry& entry) {
  std::vector<uint8_t> record(entry.stored_bytes);
  if (Status status = ReadRange(pack, entry.offset, record, true); !status.ok()) return status;
  uint32_t page = 0;
  return PayloadOf(record, pack, entry, &page);
}

void PackStore::Impl::NoteRepaired(const Location& at) {
  std::lock_guard lock(damage_mutex_);
  // It stays damaged: nothing new is given up for it, and its pack is not taken for a whole one.
  const auto first = counted_.lower_bound({at.pack, at.offset}), end = counted_.lower_bound({at.pack, at.offset + at.stored_bytes});
  corrupt_cells_.fetch_sub(static_cast<uint64_t>(std::distance(first, end)), std::memory_order_relaxed);
  counted_.erase(first, end);
}

}  // namespace skerry
