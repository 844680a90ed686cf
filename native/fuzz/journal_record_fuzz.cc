// One record and one batch header of the journal. What is accepted has every length in range and passed its sums: change any
// byte that a sum covers, and it is refused.
#include "../journal/layout.h"
#include "../tests/golden.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach write_accepted("a write is accepted"), other_accepted("a record with another payload is accepted"), whole_write("every piece of a write passes"),
    torn_write("a write is accepted with a piece that fails"), batch_accepted("a batch header is accepted");

enum Repair : uint8_t { kHeader = 1, kPieces = 2, kCounts = 4, kBatch = 8 };
constexpr uint64_t kJournal = 0x4847464544434241;

/** Makes right what `repairs` says, in the order in which one sum stands on another. */
void RepairRecord(Bytes bytes, Lsn at, uint8_t repairs) {
  RecordHeader header;
  if (!Load(bytes, 0, header)) return;
  header.magic = kRecordMagic;
  header.version = kJournalVersion;
  if ((repairs & kCounts) != 0) {
    header.payload_bytes = static_cast<uint32_t>(header.payload_bytes % (bytes.size() + 1));
    if (header.type == RecordType::kWrite) {
      header.length = header.payload_bytes;
      header.piece_count = PieceCount(header.offset, header.length);
    } else {
      header.piece_count = header.payload_bytes == 0 ? 0 : 1;
    }
  }
  const size_t sums_end = sizeof(header) + size_t{header.piece_count} * 8;
  std::vector<uint64_t> sums;
  if (sums_end <= bytes.size()) {
    const size_t payload_bytes = std::min<size_t>(header.payload_bytes, bytes.size() - sums_end);
    ConstBytes payload = bytes.subspan(sums_end, payload_bytes);
    uint64_t offset = header.offset;
    for (uint32_t i = 0; i < header.piece_count; ++i) {
      const size_t to = sizeof(header) + size_t{i} * 8;
      const size_t part = header.type == RecordType::kWrite ? std::min<uint64_t>(kPageBytes - offset % kPageBytes, payload.size()) : payload.size();
      if ((repairs & kPieces) != 0) Store(bytes, to, PieceSum(header.resource, offset, payload.first(part)));
      uint64_t sum;
      (void)Load(bytes, to, sum);
      sums.push_back(sum);
      payload = payload.subspan(part);
      offset += part;
    }
  }
  header.sum = RecordSum(header, sums, at);
  Store(bytes, 0, header);
}

void CheckRecord(const std::vector<uint8_t>& bytes, Lsn at, uint32_t flip) {
  ParsedRecord record;
  if (!ParseRecord(bytes, at, record)) return;
  const RecordHeader& header = record.header;
  HOLDS(RecordSum(header, record.sums, at) == header.sum && record.record == at);
  HOLDS(RecordBytes(header) <= bytes.size() && record.payload_bytes.size() == header.payload_bytes);
  const size_t before = sizeof(header) + record.sums.size() * 8;
  HOLDS(record.payload == at + before && record.payload_bytes.data() == bytes.data() + before);
  std::vector<uint8_t> again(before);
  Store(Bytes(again), 0, header);
  if (!record.sums.empty()) std::memcpy(again.data() + sizeof(header), record.sums.data(), record.sums.size() * 8);
  HOLDS(std::memcmp(again.data(), bytes.data(), before) == 0);

  const bool pieces = header.type == RecordType::kWrite;
  if (pieces && !record.sums.empty()) (record.whole ? whole_write : torn_write)();
  pieces ? write_accepted() : other_accepted();
  // One flipped bit: in the header or the sums the record is none, in the payload it is not whole any more.
  std::vector<uint8_t> flipped = bytes;
  const size_t place = flip / 8 % (before + header.payload_bytes);
  flipped[place] ^= static_cast<uint8_t>(1u << flip % 8);
  ParsedRecord other;
  const bool accepted = ParseRecord(flipped, at, other);
  // A torn one may become whole by the flip: that it was torn by.
  HOLDS(place < before ? !accepted : accepted && (!record.whole || !other.whole || record.sums.empty()));
  HOLDS(!ParseRecord(bytes, at + 8, other));
}

void CheckBatch(const std::vector<uint8_t>& bytes, Lsn at, uint32_t flip) {
  BatchHeader header;
  if (!ParseBatch(bytes, at, kJournal, header)) return;
  batch_accepted();
  HOLDS(header.start == at && header.sum == BatchSum(header) && header.bytes >= sizeof(header));
  HOLDS(std::memcmp(&header, bytes.data(), sizeof(header)) == 0);
  std::vector<uint8_t> flipped = bytes;
  flipped[flip / 8 % sizeof(header)] ^= static_cast<uint8_t>(1u << flip % 8);
  HOLDS(!ParseBatch(flipped, at, kJournal, header) && !ParseBatch(bytes, at + kSectorBytes, kJournal, header));
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>();
  const auto at = input.Take<uint64_t>();
  const auto flip = input.Take<uint32_t>();
  std::vector<uint8_t> bytes = Copy(input.rest());
  if ((repairs & kBatch) == 0) {
    if ((repairs & kHeader) != 0) RepairRecord(bytes, at, repairs);
    return CheckRecord(bytes, at, flip);
  }
  BatchHeader header;
  if ((repairs & kHeader) != 0 && Load(bytes, 0, header)) {
    header.magic = kBatchMagic;
    header.version = kJournalVersion;
    header.start = at;
    header.journal = kJournal;
    header.sum = BatchSum(header);
    Store(Bytes(bytes), 0, header);
  }
  CheckBatch(bytes, at, flip);
}

void WriteSeeds(const std::string& directory) {
  const std::vector<uint8_t> segment = golden::BytesOf(golden::Read("journal_v1"), "000000.segment");
  unsigned n = 0;
  for (Lsn at = kSectorBytes; at + kSectorBytes <= segment.size(); at += kSectorBytes) {
    BatchHeader batch;
    HOLDS(Load(ConstBytes(segment), at, batch));
    if (batch.magic != kBatchMagic || batch.bytes > segment.size() - at) continue;
    const auto write = [&](uint8_t repairs, Lsn place, uint64_t bytes) {
      Seed seed;
      seed.Add(repairs).Add(place).Add(uint32_t{77 + n}).AddBytes(ConstBytes(segment).subspan(place, bytes));
      seed.Write(directory, "seed_" + std::to_string(n++));
    };
    write(kBatch, at, sizeof(batch));
    write(kBatch | kHeader, at, sizeof(batch));
    ParsedRecord record;
    for (uint64_t in = sizeof(batch); in < batch.bytes && ParseRecord(ConstBytes(segment).subspan(at + in, batch.bytes - in), at + in, record);) {
      const uint64_t bytes = RecordBytes(record.header);
      write(0, at + in, bytes);
      write(kHeader, at + in, bytes);
      write(kHeader | kPieces | kCounts, at + in, bytes);
      in += bytes;
    }
  }
}

}  // namespace skerry::fuzz
