#include "cell.h"

#include <algorithm>
#include <cstddef>

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
  if (header.magic != kPackRecordMagic || header.version != kPackVersion) return std::nullopt;
  if (header.sum != SumOf(&header, offsetof(PackRecordHeader, sum), offset)) return std::nullopt;
  if (header.pack != pack || header.algorithm != HashAlgorithm::kHmacSha256 || header.codec != Codec::kRaw) return std::nullopt;
  if (header.kind != RecordKind::kBlock && header.kind != RecordKind::kNode) return std::nullopt;
  if (header.raw_bytes == 0 || header.raw_bytes > kRecordRawBytesMax) return std::nullopt;
  if (header.stored_bytes != RecordStoredBytes(header.raw_bytes)) return std::nullopt;
  return header;
}

std::vector<uint32_t> BadCells(ConstBytes record, const PackRecordHeader& header) {
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

uint32_t CheckCells(ConstBytes record, const PackRecordHeader& header, Bytes into) {
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
