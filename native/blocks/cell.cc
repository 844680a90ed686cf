#include "cell.h"

#include <algorithm>
#include <cstddef>

#include "frames.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace skerry {

uint64_t SumOf(const void* data, size_t bytes, uint64_t seed) { return XXH3_64bits_withSeed(data, bytes, seed); }

void FillCells(Bytes record, const BlockId& id, ConstBytes raw, uint32_t lost) {
  uint8_t* to = record.data() + sizeof(PackRecordHeader);
  uint32_t page = 0;
  for (size_t at = 0; at < raw.size(); at += kPageBytes, ++page) {
    const size_t bytes = std::min(kPageBytes, raw.size() - at);
    std::memcpy(to, raw.data() + at, bytes);
    uint64_t sum = SumOf(to, bytes, CellSeed(id, page));
    if (page < 32 && (lost >> page & 1) != 0) sum = ~sum;
    std::memcpy(to + bytes, &sum, sizeof(sum));
    to += bytes + sizeof(sum);
  }
  std::memset(to, 0, static_cast<size_t>(record.data() + record.size() - to));
}

HeaderProof ProofOf(const PackRecordHeader& header, uint32_t offset, const DomainKey& key) {
  // Neither as long as a page nor made of hashes: no page's or block's hash can be one.
  constexpr size_t kSaidBytes = offsetof(PackRecordHeader, proof);
  std::array<uint8_t, kSaidBytes + sizeof(offset)> said;
  static_assert(said.size() % sizeof(BlockId) != 0);
  std::memcpy(said.data(), &header, kSaidBytes);
  std::memcpy(said.data() + kSaidBytes, &offset, sizeof(offset));
  const BlockId mac = key.Mac(said);
  HeaderProof proof;
  std::copy_n(mac.bytes.begin(), proof.size(), proof.begin());
  return proof;
}

bool IsProven(const PackRecordHeader& header, uint32_t offset, const DomainKey& key) {
  return std::ranges::equal(ProofOf(header, offset, key), header.proof);
}

void FillHeader(Bytes record, PackRecordHeader header, uint32_t offset) {
  header.sum = SumOf(&header, offsetof(PackRecordHeader, sum), offset);
  std::memcpy(record.data(), &header, sizeof(header));
}

std::optional<PackRecordHeader> ParseHeader(ConstBytes bytes, uint32_t pack, uint32_t offset) {
  PackRecordHeader header;
  if (bytes.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kPackRecordMagic || (header.version != kPackVersion && !header.encrypted())) return std::nullopt;
  if (header.sum != SumOf(&header, offsetof(PackRecordHeader, sum), offset)) return std::nullopt;
  if (header.pack != pack || header.algorithm != HashAlgorithm::kHmacSha256) return std::nullopt;
  if (header.kind != RecordKind::kBlock && header.kind != RecordKind::kNode) return std::nullopt;
  if (header.raw_bytes == 0 || header.raw_bytes > kRecordRawBytesMax) return std::nullopt;
  if (header.codec == Codec::kRaw && header.encrypted()) return FrameTableHolds(header) ? std::optional(header) : std::nullopt;
  if (header.codec == Codec::kRaw) return header.stored_bytes == RecordStoredBytes(header.raw_bytes) ? std::optional(header) : std::nullopt;
  // Only whole blocks are in frames, and none that lacks a page.
  if (header.codec > Codec::kZstd || header.kind != RecordKind::kBlock || header.flags != 0 || !FrameTableHolds(header)) return std::nullopt;
  return header;
}

std::optional<PageOfRecord> PageAt(uint32_t pack, uint32_t cell) {
  if (IsFramedCell(cell)) {
    const uint32_t offset = (cell >> 12 & 0x1ffff) * kPackAlignBytes, bytes = (cell >> 4 & 0xff) * kPackAlignBytes;
    if (offset == 0) return std::nullopt;
    return PageOfRecord{{pack, offset, bytes, 1}, cell & 0xf};
  }
  // Cells are 8 bytes longer than a multiple of what records are aligned to: an offset tells the page's index.
  static_assert(kCellBytes % kPackAlignBytes == 8 && kPackAlignBytes / 8 == 64);
  const uint32_t page = (cell - uint32_t{sizeof(PackRecordHeader)}) % kPackAlignBytes / 8;
  const uint64_t before = sizeof(PackRecordHeader) + uint64_t{page} * kCellBytes;
  if (cell < before + kPackAlignBytes) return std::nullopt;
  return PageOfRecord{{pack, static_cast<uint32_t>(cell - before), 0, 0}, page};
}

namespace {

std::vector<uint32_t> BadFramedPages(ConstBytes record, const PackRecordHeader& header, const FrameReader& frames) {
  const uint32_t frame_pages = FrameBytesOf(header) / uint32_t{kPageBytes};
  std::vector<uint32_t> bad;
  for (uint32_t frame = 0; frame < FrameCount(header); ++frame) {
    if (frames.Holds(record, frame)) continue;
    for (uint32_t page = 0; page < CellCount(FrameAt(header, frame).raw_bytes); ++page) bad.push_back(frame * frame_pages + page);
  }
  return bad;
}

uint32_t CheckFrames(ConstBytes record, const PackRecordHeader& header, const FrameReader& frames, Bytes into) {
  const uint32_t frame_bytes = FrameBytesOf(header);
  for (uint32_t frame = 0; frame < FrameCount(header); ++frame) {
    const bool holds = into.empty() ? frames.Holds(record, frame)
                                    : frames.Open(record, frame, into.subspan(size_t{frame} * frame_bytes, FrameAt(header, frame).raw_bytes));
    if (!holds) return frame * (frame_bytes / uint32_t{kPageBytes});
  }
  return CellCount(header.raw_bytes);
}

/** Also where a record in cells stands in an encrypted pool: then there is no cell that its reader would find to hold. */
bool ReadAsFrames(const PackRecordHeader& header, const RecordCipher* cipher) {
  return header.codec != Codec::kRaw || header.encrypted() || cipher != nullptr;
}

}  // namespace

std::vector<uint32_t> BadCells(ConstBytes record, const PackRecordHeader& header, const RecordCipher* cipher) {
  if (ReadAsFrames(header, cipher)) return BadFramedPages(record, header, FrameReader(header, cipher));
  BlockId id;
  std::memcpy(id.bytes.data(), header.id, sizeof(header.id));
  std::vector<uint32_t> bad;
  for (uint32_t page = 0; page < CellCount(header.raw_bytes); ++page) {
    const size_t at = CellOffset({}, page), bytes = std::min<size_t>(kPageBytes, header.raw_bytes - size_t{page} * kPageBytes);
    const bool there = record.size() >= at + bytes + kCellSumBytes;
    if (!there || !CellHolds(record.data() + at, bytes, record.data() + at + bytes, CellSeed(id, page))) bad.push_back(page);
  }
  return bad;
}

uint32_t CheckCells(ConstBytes record, const PackRecordHeader& header, Bytes into, const RecordCipher* cipher) {
  if (ReadAsFrames(header, cipher)) return CheckFrames(record, header, FrameReader(header, cipher), into);
  BlockId id;
  std::memcpy(id.bytes.data(), header.id, sizeof(header.id));
  const uint32_t cells = CellCount(header.raw_bytes);
  if (record.size() < RecordBytes(header.raw_bytes)) return 0;
  for (uint32_t page = 0; page < cells; ++page) {
    const uint8_t* payload = record.data() + CellOffset({}, page);
    const size_t at = size_t{page} * kPageBytes;
    const size_t bytes = std::min<size_t>(kPageBytes, header.raw_bytes - at);
    if (!CellHolds(payload, bytes, payload + bytes, CellSeed(id, page))) return page;
    if (!into.empty()) std::memcpy(into.data() + at, payload, bytes);
  }
  return cells;
}

}  // namespace skerry
