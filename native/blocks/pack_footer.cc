#include "pack_footer.h"

#include <cstddef>

#include "frames.h"

namespace skerry {

std::vector<uint8_t> EncodeFileHeader(uint32_t pack, uint64_t domain, uint32_t key_id, uint64_t created_millis) {
  PackFileHeader header{};
  header.magic = kPackMagic;
  header.version = kPackVersion;
  header.pack = pack;
  header.domain = domain;
  header.created_millis = created_millis;
  header.key_id = key_id;
  header.align_bytes = kPackAlignBytes;
  header.sum = SumOf(&header, offsetof(PackFileHeader, sum), pack);
  std::vector<uint8_t> sector(kPackAlignBytes);
  std::memcpy(sector.data(), &header, sizeof(header));
  return sector;
}

bool FileHeaderHolds(ConstBytes sector, uint32_t pack) {
  PackFileHeader header;
  if (sector.size() < sizeof(header)) return false;
  std::memcpy(&header, sector.data(), sizeof(header));
  return header.magic == kPackMagic && header.version == kPackVersion && header.pack == pack &&
         header.sum == SumOf(&header, offsetof(PackFileHeader, sum), pack);
}

std::vector<uint8_t> EncodeFooter(uint32_t pack, uint64_t domain, const std::vector<PackFooterEntry>& entries) {
  const size_t entry_bytes = entries.size() * sizeof(PackFooterEntry);
  PackFooterTrailer trailer{};
  trailer.magic = kPackFooterMagic;
  trailer.version = kPackVersion;
  trailer.count = entries.size();
  trailer.bytes = entry_bytes;
  trailer.pack = pack;
  trailer.domain = domain;
  std::vector<uint8_t> footer(FooterBytes(entries.size()));
  if (!entries.empty()) std::memcpy(footer.data(), entries.data(), entry_bytes);
  std::memcpy(footer.data() + entry_bytes, &trailer, sizeof(trailer));
  trailer.sum = SumOf(footer.data(), footer.size() - sizeof(trailer.sum), pack);
  std::memcpy(footer.data() + footer.size() - sizeof(trailer.sum), &trailer.sum, sizeof(trailer.sum));
  return footer;
}

namespace {

/** Whether a record may be so long. The lengths of frames stand in the record alone. */
bool LengthHolds(const PackFooterEntry& entry) {
  const bool encrypted = (entry.flags & kEntryEncrypted) != 0;
  if (encrypted && entry.raw_bytes > kFramedRawBytes) return false;
  const uint32_t raw = encrypted ? EncryptedStoredBytes(entry.raw_bytes) : RecordStoredBytes(entry.raw_bytes);
  if (entry.codec == Codec::kRaw) return entry.stored_bytes == raw;
  const bool whole = entry.stored_bytes % kPackAlignBytes == 0 && entry.stored_bytes >= kPackAlignBytes && entry.stored_bytes <= raw;
  return entry.codec <= Codec::kZstd && entry.kind == RecordKind::kBlock && entry.raw_bytes <= kFramesMax * kFrameBytes && whole;
}

Status Damaged(uint32_t pack, const char* what) { return {Code::kCorrupt, "the footer of pack " + std::to_string(pack) + " " + what}; }

}  // namespace

Result<uint64_t> FooterBytesAt(ConstBytes end, uint32_t pack) {
  PackFooterTrailer trailer;
  if (end.size() < sizeof(trailer)) return Damaged(pack, "is missing: the file is too short");
  std::memcpy(&trailer, end.data() + (end.size() - sizeof(trailer)), sizeof(trailer));
  if (trailer.magic != kPackFooterMagic || trailer.version != kPackVersion || trailer.pack != pack ||
      trailer.count > kPackBytes / sizeof(PackFooterEntry) || trailer.bytes != trailer.count * sizeof(PackFooterEntry)) {
    return Damaged(pack, "has no valid trailer");
  }
  return FooterBytes(trailer.count);
}

Result<std::vector<PackFooterEntry>> DecodeFooter(ConstBytes footer, uint32_t pack, uint64_t records_end) {
  const Result<uint64_t> bytes = FooterBytesAt(footer, pack);
  if (!bytes.ok()) return bytes.status();
  PackFooterTrailer trailer;
  std::memcpy(&trailer, footer.data() + (footer.size() - sizeof(trailer)), sizeof(trailer));
  if (*bytes != footer.size() || SumOf(footer.data(), footer.size() - sizeof(trailer.sum), pack) != trailer.sum) {
    return Damaged(pack, "fails its sum");
  }
  std::vector<PackFooterEntry> entries(trailer.count);
  if (!entries.empty()) std::memcpy(entries.data(), footer.data(), trailer.bytes);
  for (const PackFooterEntry& entry : entries) {
    const bool placed = entry.offset >= kPackAlignBytes && entry.offset % kPackAlignBytes == 0 && entry.raw_bytes != 0 &&
                        entry.raw_bytes <= kRecordRawBytesMax && LengthHolds(entry) &&
                        uint64_t{entry.offset} + entry.stored_bytes <= records_end;
    if (!placed) return Damaged(pack, "names a record outside the pack");
  }
  return entries;
}

Result<std::vector<PackFooterEntry>> ReadFooter(File& file, uint32_t pack) {
  Result<uint64_t> size = file.Size();
  if (!size.ok()) return size.status();
  uint8_t trailer[sizeof(PackFooterTrailer)];
  if (*size < kPackAlignBytes + sizeof(trailer)) return Damaged(pack, "is missing: the file is too short");
  Result<size_t> got = file.Read(trailer, *size - sizeof(trailer));
  if (!got.ok()) return got.status();
  const Result<uint64_t> bytes = FooterBytesAt({trailer, *got}, pack);
  if (!bytes.ok()) return bytes.status();
  if (*bytes > *size - kPackAlignBytes) return Damaged(pack, "has no valid trailer");
  std::vector<uint8_t> footer(*bytes);
  const uint64_t records_end = *size - footer.size();
  got = file.Read(footer, records_end);
  if (!got.ok()) return got.status();
  if (*got != footer.size()) return Damaged(pack, "fails its sum");
  return DecodeFooter(footer, pack, records_end);
}

}  // namespace skerry
