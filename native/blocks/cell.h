#pragma once
// How a record is laid down: header, cells, padding. A cell is up to one page and the XXH3 of it, seeded with the block and
// the page's index in it, so that a misdirected read fails. Nothing here touches a file. See docs/formats/pack.md.
#include "../env/mutants.h"
#include "pack.h"

namespace skerry {

inline constexpr uint32_t kCellSumBytes = kCellBytes - kPageBytes;
/** Of one record's payload. A location can say 16 MiB less 512 bytes. */
inline constexpr uint32_t kRecordRawBytesMax = 4u << 20;

inline uint32_t CellCount(uint32_t raw_bytes) { return (raw_bytes + kPageBytes - 1) / kPageBytes; }
/** Of a record in cells: header and cells, without padding. */
inline uint32_t RecordBytes(uint32_t raw_bytes) {
  return uint32_t{sizeof(PackRecordHeader)} + raw_bytes + CellCount(raw_bytes) * kCellSumBytes;
}
inline uint32_t RecordStoredBytes(uint32_t raw_bytes) {
  return (RecordBytes(raw_bytes) + kPackAlignBytes - 1) / kPackAlignBytes * kPackAlignBytes;
}

/** XXH3 of any bytes; every sum of this folder is one. */
uint64_t SumOf(const void* data, size_t bytes, uint64_t seed);

inline bool CellHolds(const uint8_t* payload, size_t bytes, const uint8_t* sum, uint64_t seed) {
  uint64_t expected;
  std::memcpy(&expected, sum, sizeof(expected));
  return SumOf(payload, bytes, seed) == expected || IsMutant(Mutant::kPageSumUnchecked);
}

/**
 * Fills the cells and the padding of a record; `record` is RecordStoredBytes(raw.size()) long. Its header is left alone. The
 * cells of `lost` pages (bit i: page i, of the first 32) get the complement of their sum, so that they never hold.
 */
void FillCells(Bytes record, const BlockId& id, ConstBytes raw, uint32_t lost = 0);

/**
 * The first bytes of an HMAC over what the header says before it and its offset. Sums can be computed by whoever writes a payload,
 * and a scan that has lost a header to a torn write looks at payloads too: only this tells the store's headers from a guest's bytes.
 */
using HeaderProof = std::array<uint8_t, sizeof(PackRecordHeader::proof)>;
HeaderProof ProofOf(const PackRecordHeader& header, uint32_t offset, const DomainKey& key);
bool IsProven(const PackRecordHeader& header, uint32_t offset, const DomainKey& key);

/** Writes `header` at the head of `record`, completed with its sum for this offset in the pack. */
void FillHeader(Bytes record, PackRecordHeader header, uint32_t offset);

/** The header at the head of `bytes`, if it is whole, of a form this version reads, and was written at this place. */
std::optional<PackRecordHeader> ParseHeader(ConstBytes bytes, uint32_t pack, uint32_t offset);

/**
 * Checks every cell or frame of a record whose header stands at the head of `record`, and copies its payload to `into` unless
 * that is empty. Returns the first page that fails, or CellCount(raw_bytes) when all hold. What is in frames is decompressed
 * only where it is copied. `cipher`: of the pool; nullptr where it is not encrypted. Nothing holds of a record that is otherwise.
 */
uint32_t CheckCells(ConstBytes record, const PackRecordHeader& header, Bytes into, const RecordCipher* cipher = nullptr);

/** All pages whose cell or frame fails its sum or tag, or that `record` is too short for. */
std::vector<uint32_t> BadCells(ConstBytes record, const PackRecordHeader& header, const RecordCipher* cipher = nullptr);

}  // namespace skerry
