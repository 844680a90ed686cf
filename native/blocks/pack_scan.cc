#include "pack_scan.h"

#include <algorithm>

#include "cell.h"

namespace skerry {
namespace {

/** A stretch of the file in memory, read in big pieces at sector boundaries; moves forward as it is asked to. */
class Window {
 public:
  static constexpr size_t kWindowBytes = 2 * size_t{kRecordRawBytesMax};

  Window(File& file, uint64_t size) : file_(file), size_(size), buffer_(std::min<uint64_t>(kWindowBytes, RoundUp(size))) {}

  /** [offset, offset + bytes), fewer at the end of the file. `bytes` is at most a record's. */
  Result<ConstBytes> At(uint64_t offset, uint64_t bytes) {
    const uint64_t end = std::min(size_, offset + bytes);
    if (offset >= end) return ConstBytes{};
    if (offset < start_ || end > start_ + filled_) {
      start_ = offset / kSectorBytes * kSectorBytes;
      const uint64_t wanted = std::min<uint64_t>(buffer_.size(), RoundUp(size_ - start_));
      Result<size_t> got = file_.Read(buffer_.bytes().first(wanted), start_);
      if (!got.ok()) return got.status();
      filled_ = *got;
      if (end > start_ + filled_) return Status(Code::kIo, "a pack became shorter while it was scanned");
    }
    return ConstBytes(buffer_.data() + (offset - start_), end - offset);
  }

 private:
  static uint64_t RoundUp(uint64_t bytes) { return std::max<uint64_t>(1, (bytes + kSectorBytes - 1) / kSectorBytes) * kSectorBytes; }

  File& file_;
  const uint64_t size_;
  AlignedBuffer buffer_;
  uint64_t start_ = 0;
  uint64_t filled_ = 0;
};
static_assert(Window::kWindowBytes % kSectorBytes == 0);

PackFooterEntry EntryOf(const PackRecordHeader& header, uint32_t offset) {
  PackFooterEntry entry{};
  std::memcpy(entry.id, header.id, sizeof(entry.id));
  entry.offset = offset;
  entry.stored_bytes = header.stored_bytes;
  entry.raw_bytes = header.raw_bytes;
  entry.kind = header.kind;
  entry.codec = header.codec;
  entry.algorithm = header.algorithm;
  entry.flags = header.encrypted() ? kEntryEncrypted : 0;
  return entry;
}

/**
 * Whether all of the payload holds and is what the id says: for headers that an earlier writer made, without a proof. He knew of no domain
 * but the pool's own.
 */
bool IsOfItsId(ConstBytes record, const PackRecordHeader& header, const DomainKey& key) {
  // Sums first: they tell most of what is none within its first cell, however long it claims to be.
  const uint32_t cells = CellCount(header.raw_bytes);
  if (CheckCells(record, header, {}) != cells) return false;
  std::vector<uint8_t> raw(header.raw_bytes);
  if (CheckCells(record, header, raw) != cells) return false;
  const size_t canonical = NodeCanonicalBytes(raw.size());
  // What is as long as no node has no id: an id of zeroes, which anybody can write, must not pass for it.
  if (header.kind == RecordKind::kNode && canonical == 0) return false;
  const BlockId id = header.kind == RecordKind::kBlock ? key.BlockIdOf(raw) : key.NodeIdOf(ConstBytes(raw).first(canonical));
  return std::ranges::equal(id.bytes, header.id);
}

}  // namespace

Result<PackScan> ScanPack(File& file, uint32_t pack, const DomainKey& key, const RecordCipher* cipher) {
  Result<uint64_t> size = file.Size();
  if (!size.ok()) return size.status();
  // What lies past the largest pack cannot be named by a location.
  const uint64_t end = std::min<uint64_t>(*size, kPackBytes);
  PackScan scan;
  scan.data_end = std::min<uint64_t>(kPackAlignBytes, *size);
  Window window(file, *size);
  Result<ConstBytes> sector = window.At(0, kPackAlignBytes);
  if (!sector.ok()) return sector.status();
  scan.header_holds = FileHeaderHolds(*sector, pack);
  uint64_t at = kPackAlignBytes;
  while (at < *size) {
    sector = window.At(at, kPackAlignBytes);
    if (!sector.ok()) return sector.status();
    const auto offset = static_cast<uint32_t>(at);
    const auto header = at < end ? ParseHeader(*sector, pack, offset) : std::nullopt;
    Result<ConstBytes> record = header ? window.At(at, header->stored_bytes) : ConstBytes{};
    if (!record.ok()) return record.status();
    // Where a header was torn, its payload is looked at as well, and there a guest may have written what looks like records.
    const bool ours = header && (IsProven(*header, offset, key) || (header->codec == Codec::kRaw && !header->encrypted() && cipher == nullptr && IsOfItsId(*record, *header, key)));
    if (header && !ours) {
      ++scan.unproven;
      sector = window.At(at, kPackAlignBytes);
      if (!sector.ok()) return sector.status();
    }
    if (!ours) {
      if (!IsZero(*sector)) scan.data_end = at + sector->size();
      at += kPackAlignBytes;
      continue;
    }
    // The header is the store's own, so its length is true: what it spans is its payload, not a place to look for headers.
    std::vector<uint32_t> bad = BadCells(*record, *header, cipher);
    if (bad.empty()) {
      scan.entries.push_back(EntryOf(*header, offset));
    } else if (bad.size() < CellCount(header->raw_bytes)) {
      scan.damaged.push_back({EntryOf(*header, offset), std::move(bad)});
      scan.damaged.back().entry.flags |= kEntryDamaged;
    } else {
      ++scan.unreadable;
    }
    at += header->stored_bytes;
    scan.data_end = std::min<uint64_t>(at, *size);
  }
  return scan;
}

}  // namespace skerry
