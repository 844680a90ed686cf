// One record of a pack: header, cells or frames, and what is decompressed. Sums are checked before anything is decompressed, and
// nothing is written past where a payload belongs, whatever a frame holds.
#include <algorithm>
#include <cstddef>

#include "../blocks/frames.h"
#include "../tests/golden.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach raw_accepted("a record in cells holds"), framed_accepted("a record in frames holds"), bad_cells("a record is accepted with cells that fail"),
    encrypted_accepted("an encrypted record holds"),
    bad_frame("a frame passes its sum and gives no payload"), copied("pages are copied out of frames"), encoded("what was compressed is read again");

enum Repair : uint8_t { kHeader = 1, kCells = 2, kLengths = 4, kEncode = 8 };
constexpr uint32_t kPack = 7, kOffset = 4096;
constexpr size_t kCanaryBytes = 64;

BlockId IdOf(const PackRecordHeader& header) {
  BlockId id;
  std::copy(std::begin(header.id), std::end(header.id), id.bytes.begin());
  return id;
}

void RepairLengths(PackRecordHeader& header) {
  header.kind = static_cast<RecordKind>(1 + static_cast<uint8_t>(header.kind) % 2);
  header.codec = static_cast<Codec>(static_cast<uint8_t>(header.codec) % 3);
  if (header.codec == Codec::kRaw) {
    header.raw_bytes = 1 + header.raw_bytes % (64u << 10);
    header.stored_bytes = RecordStoredBytes(header.raw_bytes);
    return;
  }
  header.kind = RecordKind::kBlock;
  header.flags = 0;
  header.raw_bytes = (1 + header.raw_bytes / kPageBytes % (kFramesMax * kFramePages)) * kPageBytes;
  uint32_t bytes = sizeof(header);
  for (uint32_t i = 0; i < kFramesMax; ++i) {
    if (i >= FrameCount(header.raw_bytes)) {
      header.frame_bytes[i] = 0;
      continue;
    }
    const uint32_t raw = std::min(kFrameBytes, header.raw_bytes - i * kFrameBytes);
    header.frame_bytes[i] = static_cast<uint16_t>(1 + header.frame_bytes[i] % raw);
    bytes += header.frame_bytes[i] + kCellSumBytes;
  }
  header.stored_bytes = (bytes + kPackAlignBytes - 1) / kPackAlignBytes * kPackAlignBytes;
}

void RepairRecord(std::vector<uint8_t>& record, uint8_t repairs) {
  PackRecordHeader header;
  if (!Load(ConstBytes(record), 0, header)) return;
  header.magic = kPackRecordMagic;
  if (!header.encrypted()) header.version = kPackVersion;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.pack = kPack;
  if ((repairs & kLengths) != 0 && !header.encrypted()) {
    RepairLengths(header);
    record.resize(header.stored_bytes);
  }
  if ((repairs & kHeader) != 0) FillHeader(record, header, kOffset);
  if ((repairs & kCells) == 0 || header.encrypted() || !ParseHeader(record, kPack, kOffset)) return;
  const BlockId id = IdOf(header);
  const auto sum = [&](uint32_t n, size_t at, size_t bytes) {
    if (at + bytes + kCellSumBytes <= record.size()) Store(Bytes(record), at + bytes, SumOf(record.data() + at, bytes, CellSeed(id, n)));
  };
  if (header.codec == Codec::kRaw) {
    for (uint32_t page = 0; page < CellCount(header.raw_bytes); ++page) {
      sum(page, CellOffset({}, page), std::min<size_t>(kPageBytes, header.raw_bytes - size_t{page} * kPageBytes));
    }
    return;
  }
  for (uint32_t frame = 0; frame < FrameCount(header.raw_bytes); ++frame) {
    const FramePlace place = FrameAt(header, frame);
    sum(frame, place.offset, place.stored_bytes);
  }
}

/** Every sum computed again, by nothing but the format's page. */
bool SumsHold(ConstBytes record, const PackRecordHeader& header) {
  size_t at = sizeof(header);
  const bool framed = header.codec != Codec::kRaw;
  const uint32_t parts = framed ? FrameCount(header.raw_bytes) : CellCount(header.raw_bytes);
  for (uint32_t i = 0; i < parts; ++i) {
    const size_t bytes = framed ? header.frame_bytes[i] : std::min<size_t>(kPageBytes, header.raw_bytes - size_t{i} * kPageBytes);
    uint64_t sum;
    if (!Load(record, at + bytes, sum) || sum != SumOf(record.data() + at, bytes, CellSeed(IdOf(header), i))) return false;
    at += bytes + kCellSumBytes;
  }
  return true;
}

void CheckPages(ConstBytes record, const PackRecordHeader& header, ConstBytes payload, uint32_t first, uint32_t count) {
  const uint32_t pages = header.raw_bytes / kPageBytes;
  first %= pages;
  count = 1 + count % (pages - first);
  std::vector<uint8_t> into(size_t{count} * kPageBytes);
  const Location at{kPack, kOffset, header.stored_bytes, 1};
  HOLDS(CopyFrames(record, at, IdOf(header).prefix(), first, count, into));
  HOLDS(std::equal(into.begin(), into.end(), payload.begin() + size_t{first} * kPageBytes));
  HOLDS(!CopyFrames(record, at, IdOf(header).prefix() + 1, first, count, into));
  HOLDS(!CopyFrames(record, at, IdOf(header).prefix(), first, pages + 1 - first, into));
  copied();
}

/** Under the key of the golden files, so that some hold; without it none does. */
void CheckEncrypted(ConstBytes record, const PackRecordHeader& header) {
  const RecordCipher cipher{std::vector<uint8_t>(32, 77)};
  const uint32_t cells = CellCount(header.raw_bytes);
  std::vector<uint8_t> into(header.raw_bytes + kCanaryBytes, 0xa5);
  const bool good = CheckCells(record, header, Bytes(into).first(header.raw_bytes), &cipher) == cells;
  HOLDS(std::all_of(into.end() - kCanaryBytes, into.end(), [](uint8_t byte) { return byte == 0xa5; }));
  const std::vector<uint32_t> bad = BadCells(record, header, &cipher);
  HOLDS(bad.size() <= cells && std::is_sorted(bad.begin(), bad.end()) && (!good || bad.empty()));
  HOLDS((CheckCells(record, header, {}, &cipher) == cells) == bad.empty());
  HOLDS(BadCells(record, header).size() == cells && CheckCells(record, header, {}) != cells);
  if (good) encrypted_accepted();
}

void CheckRecord(ConstBytes record, uint32_t first, uint32_t count) {
  const auto header = ParseHeader(record, kPack, kOffset);
  HOLDS(!ParseHeader(record, kPack, kOffset + kPackAlignBytes));
  if (!header) return;
  HOLDS(header->raw_bytes > 0 && header->raw_bytes <= kRecordRawBytesMax && header->stored_bytes % kPackAlignBytes == 0);
  if (header->encrypted()) return CheckEncrypted(record, *header);
  const uint32_t cells = CellCount(header->raw_bytes);
  std::vector<uint8_t> into(header->raw_bytes + kCanaryBytes, 0xa5);
  const bool good = CheckCells(record, *header, Bytes(into).first(header->raw_bytes)) == cells;
  HOLDS(std::all_of(into.end() - kCanaryBytes, into.end(), [](uint8_t byte) { return byte == 0xa5; }));
  const std::vector<uint32_t> bad = BadCells(record, *header);
  HOLDS(bad.size() <= cells && std::is_sorted(bad.begin(), bad.end()));
  HOLDS(bad.empty() == SumsHold(record, *header));
  HOLDS((CheckCells(record, *header, {}) == cells) == (bad.empty() && record.size() >= (header->codec == Codec::kRaw ? RecordBytes(header->raw_bytes) : 0)));
  if (!bad.empty()) {
    HOLDS(!good);
    return bad_cells();
  }
  if (header->codec == Codec::kRaw) {
    HOLDS(good);
    return raw_accepted();
  }
  if (!good) return bad_frame();
  framed_accepted();
  CheckPages(record, *header, ConstBytes(into).first(header->raw_bytes), first, count);
}

/** The way back: what a writer makes of any block is what a reader gets. */
void CheckEncoding(ConstBytes bytes, uint8_t how) {
  if (bytes.empty()) return;
  std::vector<uint8_t> raw(kFramedRawBytes);
  for (size_t i = 0; i < raw.size(); ++i) raw[i] = bytes[i % bytes.size()];
  BlockId id;
  std::copy_n(raw.begin(), id.bytes.size(), id.bytes.begin());
  const std::optional<FramedBlock> block = EncodeFrames({how % 2 == 0 ? Codec::kLz4 : Codec::kZstd, uint8_t{1}}, id, raw);
  if (!block) return;
  PackRecordHeader header{};
  header.magic = kPackRecordMagic;
  header.version = kPackVersion;
  header.kind = RecordKind::kBlock;
  header.codec = how % 2 == 0 ? Codec::kLz4 : Codec::kZstd;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.raw_bytes = kFramedRawBytes;
  header.stored_bytes = block->stored_bytes;
  header.pack = kPack;
  std::copy(id.bytes.begin(), id.bytes.end(), header.id);
  std::copy(std::begin(block->frame_bytes), std::end(block->frame_bytes), header.frame_bytes);
  std::vector<uint8_t> record(block->stored_bytes), again(kFramedRawBytes);
  std::copy(block->body.begin(), block->body.end(), record.begin() + sizeof(header));
  FillHeader(record, header, kOffset);
  const auto parsed = ParseHeader(record, kPack, kOffset);
  HOLDS(parsed && CheckCells(record, *parsed, again) == CellCount(kFramedRawBytes) && again == raw);
  encoded();
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>(), first = input.Take<uint8_t>(), count = input.Take<uint8_t>();
  if ((repairs & kEncode) != 0) return CheckEncoding(input.rest(), first);
  std::vector<uint8_t> record = Copy(input.rest());
  if (repairs != 0) RepairRecord(record, repairs);
  CheckRecord(record, first, count);
}

void WriteSeeds(const std::string& directory) {
  for (const char* name : {"pack_v1_framed", "pack_v1_proven", "pack_v1_lost", "pack_v2_encrypted", "pack_v2_encrypted_framed"}) {
    const std::vector<uint8_t> file = golden::BytesOf(golden::Read(name), "00000001.pack");
    unsigned n = 0;
    for (size_t at = kPackAlignBytes; at + sizeof(PackRecordHeader) <= file.size(); at += kPackAlignBytes) {
      PackRecordHeader header;
      (void)Load(ConstBytes(file), at, header);
      // Long ones only cost time: a mutator changes a byte of a page of them.
      if (header.magic != kPackRecordMagic || header.stored_bytes > std::min<size_t>(20'000, file.size() - at)) continue;
      for (const uint8_t repairs : {0, 1, 3, 7}) {
        Seed seed;
        seed.Add(repairs).Add(uint8_t{1}).Add(uint8_t{2}).AddBytes(ConstBytes(file).subspan(at, header.stored_bytes));
        seed.Write(directory, std::string(name) + "_" + std::to_string(n++));
      }
    }
  }
  const std::string text = "What lies beyond the largest pack cannot be named by a location. ";
  for (const uint8_t how : {0, 1}) {
    Seed seed;
    seed.Add(uint8_t{kEncode}).Add(how).Add(uint8_t{0}).AddBytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    seed.Write(directory, "encode_" + std::to_string(how));
  }
}

}  // namespace skerry::fuzz
