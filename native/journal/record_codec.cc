#include "record_codec.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "journal.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace skerry {

uint64_t Xxh3(ConstBytes bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

uint64_t PieceSum(ResourceId resource, uint64_t volume_offset, ConstBytes piece) {
  const uint64_t place[2] = {resource, volume_offset};
  return Xxh3(piece, XXH3_64bits(place, sizeof place));
}

namespace {

/** Calls visit(volume offset, piece) for each piece, in order, until it returns false. */
template <typename Visit>
bool ForEachPiece(const RecordHeader& header, ConstBytes payload, Visit visit) {
  uint64_t offset = header.offset;
  while (!payload.empty()) {
    uint64_t bytes = payload.size();
    if (header.type == RecordType::kWrite) bytes = std::min<uint64_t>(bytes, kPageBytes - offset % kPageBytes);
    if (!visit(offset, payload.first(bytes))) return false;
    payload = payload.subspan(bytes);
    offset += bytes;
  }
  return true;
}

}  // namespace

uint32_t PieceCount(RecordType type, uint64_t offset, uint64_t payload_bytes) {
  if (payload_bytes == 0) return 0;
  if (type != RecordType::kWrite) return 1;
  return static_cast<uint32_t>((offset % kPageBytes + payload_bytes + kPageBytes - 1) / kPageBytes);
}

uint64_t RecordBytes(uint64_t piece_count, uint64_t payload_bytes) {
  return RoundUp(sizeof(RecordHeader) + piece_count * sizeof(uint64_t) + payload_bytes, kRecordAlignBytes);
}

void SumPieces(const RecordHeader& header, ConstBytes payload, std::span<uint64_t> sums) {
  size_t piece = 0;
  (void)ForEachPiece(header, payload, [&](uint64_t offset, ConstBytes bytes) {
    sums[piece++] = PieceSum(header.resource, offset, bytes);
    return true;
  });
}

bool PiecesHold(const RecordHeader& header, std::span<const uint64_t> sums, ConstBytes payload) {
  size_t piece = 0;
  return ForEachPiece(header, payload, [&](uint64_t offset, ConstBytes bytes) {
    return sums[piece++] == PieceSum(header.resource, offset, bytes);
  });
}

uint64_t RecordSum(const RecordHeader& header, std::span<const uint64_t> sums, Lsn record) {
  constexpr size_t kSummed = offsetof(RecordHeader, sum);
  std::array<uint8_t, kSummed + kRecordPiecesMax * sizeof(uint64_t)> bytes;
  std::memcpy(bytes.data(), &header, kSummed);
  if (!sums.empty()) std::memcpy(bytes.data() + kSummed, sums.data(), sums.size_bytes());
  return Xxh3({bytes.data(), kSummed + sums.size_bytes()}, record);
}

bool RecordHolds(const RecordHeader& header, std::span<const uint64_t> sums, Lsn record) {
  if (header.magic != kRecordMagic || header.version != kJournalVersion) return false;
  if (header.payload_bytes > kRecordPayloadBytesMax || header.piece_count != sums.size()) return false;
  if (header.piece_count != PieceCount(header.type, header.offset, header.payload_bytes)) return false;
  return header.sum == RecordSum(header, sums, record);
}

void EncodeRecord(const RecordHeader& header, std::span<const uint64_t> sums, ConstBytes payload, uint8_t* into) {
  std::memcpy(into, &header, sizeof header);
  uint8_t* at = into + sizeof header;
  if (!sums.empty()) std::memcpy(at, sums.data(), sums.size_bytes());
  at += sums.size_bytes();
  if (!payload.empty()) std::memcpy(at, payload.data(), payload.size());
  at += payload.size();
  std::memset(at, 0, static_cast<size_t>(into + RecordBytes(sums.size(), payload.size()) - at));
}

std::optional<RecordView> ParseRecord(ConstBytes bytes, Lsn record) {
  RecordView view;
  if (bytes.size() < sizeof view.header) return std::nullopt;
  std::memcpy(&view.header, bytes.data(), sizeof view.header);
  const RecordHeader& header = view.header;
  if (header.magic != kRecordMagic || header.piece_count > kRecordPiecesMax || header.payload_bytes > kRecordPayloadBytesMax) return std::nullopt;
  view.bytes = RecordBytes(header.piece_count, header.payload_bytes);
  if (view.bytes > bytes.size()) return std::nullopt;
  view.sums = {reinterpret_cast<const uint64_t*>(bytes.data() + sizeof header), header.piece_count};
  if (!RecordHolds(header, view.sums, record)) return std::nullopt;
  const uint64_t payload_at = sizeof header + view.sums.size_bytes();
  view.record = record;
  view.payload_at = record + payload_at;
  view.payload = bytes.subspan(payload_at, header.payload_bytes);
  return view;
}

std::optional<BatchHeader> ParseBatch(ConstBytes bytes, Lsn start, uint64_t journal) {
  BatchHeader header;
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kBatchMagic || header.version != kJournalVersion || header.start != start || header.journal != journal) return std::nullopt;
  if (header.bytes < sizeof header || header.sum != SumOf(header)) return std::nullopt;
  return header;
}

}  // namespace skerry
