#include "layout.h"

#include <cstring>

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace skerry {

uint64_t JournalId::prefix() const {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

uint64_t JournalSum(const void* data, size_t bytes, uint64_t seed) { return XXH3_64bits_withSeed(data, bytes, seed); }

uint64_t BatchSum(const BatchHeader& header) { return JournalSum(&header, sizeof(header) - sizeof(header.sum), header.start); }

uint64_t RecordSum(const RecordHeader& header, std::span<const uint64_t> sums, Lsn record) {
  const uint64_t own = JournalSum(&header, sizeof(header) - sizeof(header.sum), record);
  return sums.empty() ? own : JournalSum(sums.data(), sums.size_bytes(), own);
}

uint64_t PieceSum(ResourceId resource, uint64_t volume_offset, ConstBytes piece) {
  return JournalSum(piece.data(), piece.size(), resource * 0x9e3779b97f4a7c15ull ^ volume_offset);
}

bool CanStand(const IndexEntry& entry, Lsn start, uint64_t segment_bytes) {
  if (entry.header.payload_bytes > kPayloadBytesMax || entry.record < start || !PiecesFit(entry.header)) return false;
  const uint64_t at = entry.record - start;
  return at < segment_bytes && RecordBytes(entry.header) <= segment_bytes - at;
}

bool ParseRecord(ConstBytes bytes, Lsn at, ParsedRecord& into) {
  if (bytes.size() < sizeof(RecordHeader)) return false;
  std::memcpy(&into.header, bytes.data(), sizeof(RecordHeader));
  const RecordHeader& header = into.header;
  if (header.magic != kRecordMagic || header.version != kJournalVersion || header.payload_bytes > kPayloadBytesMax) return false;
  if (!PiecesFit(header) || RecordBytes(header) > bytes.size()) return false;
  into.sums.resize(header.piece_count);
  if (!into.sums.empty()) std::memcpy(into.sums.data(), bytes.data() + sizeof(RecordHeader), into.sums.size() * 8);
  if (RecordSum(header, into.sums, at) != header.sum) return false;
  into.record = at;
  const uint64_t before = sizeof(RecordHeader) + into.sums.size() * 8;
  into.payload = at + before;
  into.payload_bytes = bytes.subspan(before, header.payload_bytes);
  into.whole = true;
  if (header.type != RecordType::kWrite) {
    if (header.piece_count == 1) into.whole = PieceSum(header.resource, header.offset, into.payload_bytes) == into.sums[0];
    return true;
  }
  uint64_t offset = header.offset;
  ConstBytes rest = into.payload_bytes;
  for (uint64_t sum : into.sums) {
    const size_t part = std::min<uint64_t>(kPageBytes - offset % kPageBytes, rest.size());
    if (PieceSum(header.resource, offset, rest.first(part)) != sum) into.whole = false;
    rest = rest.subspan(part);
    offset += part;
  }
  return true;
}

bool ParseBatch(ConstBytes bytes, Lsn at, uint64_t journal, BatchHeader& into) {
  if (bytes.size() < sizeof(BatchHeader)) return false;
  std::memcpy(&into, bytes.data(), sizeof(into));
  return into.magic == kBatchMagic && into.version == kJournalVersion && into.start == at && into.journal == journal &&
         into.bytes >= sizeof(BatchHeader) && into.sum == BatchSum(into);
}

void IndexBuilder::Add(const RecordHeader& header, Lsn record, std::span<const uint64_t> sums) {
  const IndexEntry entry{record, header};
  const auto* raw = reinterpret_cast<const uint8_t*>(&entry);
  bytes.insert(bytes.end(), raw, raw + sizeof(entry));
  const auto* tail = reinterpret_cast<const uint8_t*>(sums.data());
  bytes.insert(bytes.end(), tail, tail + sums.size_bytes());
  ++entries;
}

}  // namespace skerry
