// Reading what rests on the disk or on the backend, and not what a cache still has of it: for who looks for rot before somebody
// needs the page.
#include <algorithm>

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

Status PackStore::Impl::ReadResting(uint32_t pack, uint64_t offset, Bytes into) {
  if (!OnBackend(pack)) {
    const Status here = ReadDirect(pack, offset, into);
    // It may have been shipped, and its file dropped, meanwhile.
    if (here.code() != Code::kNotFound || !OnBackend(pack)) return here;
  }
  std::lock_guard one_at_a_time(remote_->resting_mutex);
  RestingWindow& window = remote_->resting;
  // What came short once may have been cut off on its way.
  for (int attempt = 0; attempt < 2 && !window.Covers(pack, offset, into.size()); ++attempt) {
    if (Status status = FetchWindow(pack, offset, static_cast<uint32_t>(into.size())); !status.ok()) return status;
  }
  if (!window.Covers(pack, offset, into.size())) return Status(Code::kCorrupt, "its chunk ends before byte " + std::to_string(offset + into.size()));
  std::copy_n(window.bytes.begin() + static_cast<std::ptrdiff_t>(offset - window.offset), into.size(), into.begin());
  return Status::Ok();
}

/** More than was asked for: records are read in the order in which they lie. */
Status PackStore::Impl::FetchWindow(uint32_t pack, uint64_t offset, uint32_t bytes) {
  struct Answer : Errand {
    std::vector<uint8_t> bytes;
  };
  const uint64_t end = WishOf(pack, 0, 0, false).pack_end;
  const uint64_t ahead = std::min<uint64_t>(kRestingWindowBytes, end > offset ? end - offset : 0);
  const auto answer = std::make_shared<Answer>();
  options_.remote->backend->Fetch(pack, offset, std::max(bytes, static_cast<uint32_t>(ahead)), [answer](Result<FetchedBytes> got) {
    if (got.ok()) answer->bytes.assign(ConstBytes(*got).begin(), ConstBytes(*got).end());
    answer->Finish(got.status());
  });
  answer->Wait();
  const Status& status = answer->status();
  if (!status.ok()) return status.code() == Code::kNotFound ? status : Status(Code::kTryAgain, "the backend does not answer: " + status.detail());
  remote_->resting = {pack, offset, std::move(answer->bytes)};
  return status;
}

Status PackStore::Impl::HeaderAtRest(uint32_t pack) {
  std::vector<uint8_t> head(kPackAlignBytes);
  if (Status status = ReadResting(pack, 0, head); !status.ok()) return status;
  return FileHeaderHolds(head, pack) ? Status::Ok() : Status(Code::kCorrupt, "the file header fails its sum");
}

Result<std::vector<PackFooterEntry>> PackStore::Impl::FooterAtRest(uint32_t pack, uint64_t file_bytes) {
  if (remote_) {
    // What the last look at it has left is not what rests there now.
    std::lock_guard one_at_a_time(remote_->resting_mutex);
    remote_->resting = {};
  }
  std::vector<uint8_t> end(sizeof(PackFooterTrailer));
  if (file_bytes < kPackAlignBytes + end.size()) return Status(Code::kCorrupt, "the file is too short");
  if (Status status = ReadResting(pack, file_bytes - end.size(), end); !status.ok()) return status;
  const Result<uint64_t> bytes = FooterBytesAt(end, pack);
  if (!bytes.ok()) return bytes.status();
  if (*bytes > file_bytes - kPackAlignBytes) return Status(Code::kCorrupt, "the footer has no valid trailer");
  std::vector<uint8_t> footer(*bytes);
  if (Status status = ReadResting(pack, file_bytes - *bytes, footer); !status.ok()) return status;
  return DecodeFooter(footer, pack, file_bytes - *bytes);
}

Result<std::vector<PackFooterEntry>> PackStore::Impl::ScannedEntries(uint32_t pack) {
  if (Elsewhere(pack)) return EntriesOf(pack);
  const Result<std::shared_ptr<File>> file = handles_.Get(pack);
  if (!file.ok()) return file.status();
  Result<PackScan> scan = ScanPack(**file, pack, options_.key, Cipher());
  if (!scan.ok()) return scan.status();
  for (PackScan::Damaged& damaged : scan->damaged) scan->entries.push_back(damaged.entry);
  return std::move(scan->entries);
}

/** The payload of a record that was read whole; kCorrupt, and which page, where it is not what the entry says. */
Result<PackStore::Payload> PackStore::Impl::PayloadOf(ConstBytes record, uint32_t pack, const PackFooterEntry& entry, uint32_t* page) const {
  *page = 0;
  const auto header = ParseHeader(record, pack, entry.offset);
  if (!header) return Status(Code::kCorrupt, "its header fails its sum");
  if (std::memcmp(header->id, entry.id, sizeof(entry.id)) != 0 || header->kind != entry.kind || header->codec != entry.codec ||
      header->raw_bytes != entry.raw_bytes || header->stored_bytes != entry.stored_bytes) {
    return Status(Code::kCorrupt, "its header is not what the footer says");
  }
  Payload payload{std::vector<uint8_t>(header->raw_bytes), header->domain};
  *page = CheckCells(record, *header, payload.raw, Cipher());
  if (*page == CellCount(header->raw_bytes)) return payload;
  return Status(Code::kCorrupt, "page " + std::to_string(*page) + " fails its sum");
}

Result<PackStore::Payload> PackStore::Impl::ReadAtRest(uint32_t pack, const PackFooterEntry& entry) {
  std::vector<uint8_t> record(entry.stored_bytes);
  const Status status = ReadResting(pack, entry.offset, record);
  if (status.code() == Code::kTryAgain || (status.code() == Code::kNotFound && !OnBackend(pack))) return status;
  uint32_t page = 0;
  Result<Payload> payload = status.ok() ? PayloadOf(record, pack, entry, &page) : Result<Payload>(status);
  if (!payload.ok()) NotePage(PlaceOf(pack, entry), page);
  return payload;
}

Result<PackStore::Payload> PackStore::Impl::ReadCached(uint32_t pack, const PackFooterEntry& entry) {
  uint32_t page = 0;
  if (Elsewhere(pack)) {
    const RecordKey key = KeyOf(pack, entry.offset);
    std::shared_ptr<const RecordImage> image = options_.remote->cache->Get(key, 0, 1);
    if (!image) image = FromDisk(key);
    if (!image || image->size() < entry.stored_bytes) return Status(Code::kNotFound, "nothing of it is cached");
    return PayloadOf(ConstBytes(*image).first(entry.stored_bytes), pack, entry, &page);
  }
  std::vector<uint8_t> record(entry.stored_bytes);
  if (Status status = ReadRange(pack, entry.offset, record, true); !status.ok()) return status;
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
