// Codecs and frames by themselves: what shrinks and what does not, and that whatever a pack holds is refused, not misread.
#include "../blocks/frames.h"

#include <random>

#include "check.h"
#include "compressible.h"

using namespace skerry;
using namespace skerry::compressible;

namespace {

const DomainKey kKey{std::vector<uint8_t>(32, 7)};
constexpr Location kAt{3, 4096, 0, 1};

/** A whole record, as a store lays it down. */
std::vector<uint8_t> RecordOf(const BlockId& id, const Compression& how, const FramedBlock& block) {
  PackRecordHeader header{};
  header.magic = kPackRecordMagic;
  header.version = kPackVersion;
  header.kind = RecordKind::kBlock;
  header.codec = how.codec;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.raw_bytes = kFramedRawBytes;
  header.stored_bytes = block.stored_bytes;
  header.pack = kAt.pack;
  std::copy(id.bytes.begin(), id.bytes.end(), header.id);
  std::copy(std::begin(block.frame_bytes), std::end(block.frame_bytes), header.frame_bytes);
  std::vector<uint8_t> record(sizeof(header));
  FillHeader(record, header, kAt.offset);
  record.insert(record.end(), block.body.begin(), block.body.end());
  return record;
}

PackRecordHeader HeaderOf(ConstBytes record) {
  PackRecordHeader header;
  std::memcpy(&header, record.data(), sizeof(header));
  return header;
}

/** The record with this header in place of its own, whose sum is made to hold. */
std::vector<uint8_t> With(std::vector<uint8_t> record, const PackRecordHeader& header) {
  FillHeader(record, header, kAt.offset);
  return record;
}

struct Record {
  std::vector<uint8_t> raw;
  BlockId id;
  FramedBlock block;
  std::vector<uint8_t> bytes;
};

Record Make(const Compression& how, std::vector<uint8_t> raw) {
  Record record{std::move(raw), {}, {}, {}};
  record.id = kKey.BlockIdOf(record.raw);
  std::optional<FramedBlock> block = EncodeFrames(how, record.id, record.raw);
  CHECK(block.has_value());
  record.block = std::move(*block);
  record.bytes = RecordOf(record.id, how, record.block);
  return record;
}

/** How many of all the runs of pages are read, and none of them wrongly. */
uint32_t PagesRead(const Record& record, ConstBytes bytes) {
  uint32_t read = 0;
  for (uint32_t first = 0; first < 16; ++first) {
    for (const uint32_t count : {1u, 2u, 5u, 16u}) {
      if (first + count > 16) continue;
      std::vector<uint8_t> into(count * kPageBytes);
      if (!CopyFrames(bytes, kAt, record.id.prefix(), first, count, into)) continue;
      CHECK(std::equal(into.begin(), into.end(), record.raw.begin() + first * kPageBytes));
      read += count == 1;
    }
  }
  return read;
}

}  // namespace

TEST("what a codec makes of bytes becomes those bytes again, and nothing that is cut, longer or changed does harm") {
  for (const Compression& how : kAll) {
    for (const uint32_t seed : {1u, 2u, 3u}) {
      const std::vector<uint8_t> raw = Text(seed, kFrameBytes);
      std::vector<uint8_t> stored(kFrameBytes);
      const size_t bytes = Compress(how, raw, stored);
      CHECK(bytes > 0 && bytes < raw.size() / 2);
      std::vector<uint8_t> into(raw.size());
      CHECK(Decompress(how.codec, ConstBytes(stored).first(bytes), into) && into == raw);
      CHECK(!Decompress(how.codec, ConstBytes(stored).first(bytes - 1), into));
      CHECK(!Decompress(how.codec, ConstBytes(stored).first(bytes), Bytes(into).first(raw.size() - 1)));
      std::vector<uint8_t> longer(raw.size() + 1);
      CHECK(!Decompress(how.codec, ConstBytes(stored).first(bytes), longer));
      CHECK(!Decompress(how.codec, {}, into) && !Decompress(Codec::kRaw, ConstBytes(stored).first(bytes), into));
    }
    std::vector<uint8_t> little(64);
    CHECK(Compress(how, Noise(1, kFrameBytes), little) == 0);
  }
}

TEST("a decompressor that is given anything at all writes nothing past what it was given room for") {
  std::mt19937 dice(5);
  constexpr size_t kRoom = 5000, kFence = 4096;
  for (const Compression& how : kAll) {
    std::vector<uint8_t> good(kFrameBytes);
    good.resize(Compress(how, Text(9, kFrameBytes), good));
    for (int round = 0; round < 3000; ++round) {
      std::vector<uint8_t> stored = round % 3 == 0 ? Noise(dice(), 1 + dice() % 4000) : good;
      for (unsigned flips = dice() % 8 + 1; round % 3 != 0 && flips > 0; --flips) stored[dice() % stored.size()] = static_cast<uint8_t>(dice());
      if (dice() % 4 == 0) stored.resize(1 + dice() % stored.size());
      std::vector<uint8_t> into(kRoom + kFence, 0xa5);
      (void)Decompress(how.codec, stored, Bytes(into).first(kRoom));
      CHECK(std::all_of(into.begin() + kRoom, into.end(), [](uint8_t byte) { return byte == 0xa5; }));
    }
  }
}

TEST("what does not shrink is seen by a look at few of its pages") {
  for (const Compression& how : kAll) {
    for (uint32_t n = 0; n < 50; ++n) {
      CHECK(!LooksCompressible(how, Noise(n, kFramedRawBytes)) && LooksCompressible(how, Text(n, kFramedRawBytes)));
      CHECK(LooksCompressible(how, Mixed(n, kFramedRawBytes)));
    }
  }
  // Six bits in each byte and no repetition: Huffman codes save a quarter, and LZ4 has none.
  std::vector<uint8_t> six = Noise(1, kFramedRawBytes);
  for (uint8_t& byte : six) byte = static_cast<uint8_t>(32 + byte % 64);
  CHECK(LooksCompressible(kZstd, six) && !LooksCompressible(kLz4, six));
  CHECK(EncodeFrames(kZstd, kKey.BlockIdOf(six), six).has_value() && !EncodeFrames(kLz4, kKey.BlockIdOf(six), six).has_value());
}

TEST("a block becomes frames where that saves an eighth of its record, and is read from them page by page") {
  for (const Compression& how : kAll) {
    const Record text = Make(how, Text(1, kFramedRawBytes)), mixed = Make(how, Mixed(2, kFramedRawBytes));
    CHECK(text.block.stored_bytes < kFramedRawBytes / 2 && text.block.stored_bytes % kPackAlignBytes == 0);
    // Half of it is noise, which stands as it is between frames that shrank.
    CHECK(std::ranges::count(mixed.block.frame_bytes, kFrameBytes) == 2 && mixed.block.stored_bytes < RecordStoredBytes(kFramedRawBytes) * 7 / 8);
    for (const Record& record : {text, mixed}) {
      const auto header = ParseHeader(record.bytes, kAt.pack, kAt.offset);
      CHECK(header.has_value() && record.bytes.size() == header->stored_bytes && BadCells(record.bytes, *header).empty());
      CHECK(PagesRead(record, record.bytes) == 16);
      std::vector<uint8_t> raw(kFramedRawBytes);
      CHECK(CheckCells(record.bytes, *header, raw) == 16 && raw == record.raw && CheckCells(record.bytes, *header, {}) == 16);
    }
    const BlockId id = kKey.BlockIdOf(Noise(3, kFramedRawBytes));
    CHECK(!EncodeFrames(how, id, Noise(3, kFramedRawBytes)) && !EncodeFrames(how, id, Text(1, kFrameBytes)));
    // A little text in much noise: less than an eighth.
    std::vector<uint8_t> little = Noise(4, kFramedRawBytes);
    std::ranges::copy(Text(4, 8 << 10), little.begin());
    CHECK(!EncodeFrames(how, id, little));
  }
  CHECK(!EncodeFrames({}, {}, Text(1, kFramedRawBytes)));
}

TEST("a bit that flips anywhere in a record costs its frame, or all of it where the header is hit; never is another byte read") {
  for (const Compression& how : kAll) {
    const Record record = Make(how, Mixed(11, kFramedRawBytes));
    const PackRecordHeader header = HeaderOf(record.bytes);
    uint32_t end = sizeof(header);
    for (uint32_t i = 0; i < 4; ++i) end = FrameAt(header, i).end();
    for (size_t at = 0; at < record.bytes.size(); at += at < sizeof(header) ? 3 : 487) {
      std::vector<uint8_t> bytes = record.bytes;
      bytes[at] ^= static_cast<uint8_t>(1u << at % 8);
      const uint32_t read = PagesRead(record, bytes);
      CHECK(read == (at < sizeof(header) ? 0 : at < end ? 12 : 16));
      if (at >= sizeof(header)) CHECK(BadCells(bytes, header).size() == 16 - read);
    }
    // Torn: what is before the tear is read.
    for (size_t length = 0; length < record.bytes.size(); length += 511) {
      uint32_t whole = 0;
      for (uint32_t i = 0; i < 4; ++i) whole += length >= FrameAt(header, i).end();
      const ConstBytes torn = ConstBytes(record.bytes).first(length);
      CHECK(PagesRead(record, torn) == whole * 4 && BadCells(torn, header).size() == 16 - whole * 4);
    }
    // Another's: place, pack, id.
    std::vector<uint8_t> page(kPageBytes);
    CHECK(!CopyFrames(record.bytes, {3, 4608, 0, 1}, record.id.prefix(), 0, 1, page));
    CHECK(!CopyFrames(record.bytes, {4, 4096, 0, 1}, record.id.prefix(), 0, 1, page));
    CHECK(!CopyFrames(record.bytes, kAt, record.id.prefix() + 1, 0, 1, page) && !CopyFrames(record.bytes, kAt, record.id.prefix(), 16, 1, page));
  }
}

TEST("a header whose sum holds and whose table of frames lies is no header") {
  const Record record = Make(kLz4, Mixed(5, kFramedRawBytes));
  const PackRecordHeader good = HeaderOf(record.bytes);
  const auto holds = [&](const PackRecordHeader& header) { return ParseHeader(With(record.bytes, header), kAt.pack, kAt.offset).has_value(); };
  CHECK(holds(good));
  const auto lie = [&](auto change) {
    PackRecordHeader header = good;
    change(header);
    return !holds(header);
  };
  CHECK(lie([](auto& h) { h.frame_bytes[0] = 0; }) && lie([](auto& h) { h.frame_bytes[0] = kFrameBytes + 1; }));
  CHECK(lie([](auto& h) { h.frame_bytes[1] = UINT16_MAX; }) && lie([](auto& h) { h.frame_bytes[4] = 1; }) && lie([](auto& h) { h.frame_bytes[15] = 1; }));
  CHECK(lie([](auto& h) { h.stored_bytes += 512; }) && lie([](auto& h) { h.stored_bytes -= 512; }) && lie([](auto& h) { h.stored_bytes += 1; }));
  CHECK(lie([](auto& h) { h.raw_bytes = 0; }) && lie([](auto& h) { h.raw_bytes += 1; }) && lie([](auto& h) { h.raw_bytes += kFrameBytes; }));
  CHECK(lie([](auto& h) { h.raw_bytes = UINT32_MAX; }) && lie([](auto& h) { h.raw_bytes = kRecordRawBytesMax; }));
  CHECK(lie([](auto& h) { h.codec = Codec::kRaw; }) && lie([](auto& h) { h.codec = static_cast<Codec>(3); }));
  CHECK(lie([](auto& h) { h.kind = RecordKind::kNode; }) && lie([](auto& h) { h.flags = kRecordLostPages; }) && lie([](auto& h) { h.version = 3; }));
  // Said to be encrypted it may be a header, of which nothing can be read.
  PackRecordHeader encrypted = good;
  encrypted.version = kEncryptedRecordVersion;
  CHECK(BadCells(With(record.bytes, encrypted), encrypted).size() == 16);
}

TEST("whatever a table of frames says, the frames that are read lie within the record, and give their page or nothing") {
  std::mt19937 dice(17);
  const Record record = Make(kZstd, Text(6, kFramedRawBytes));
  uint32_t accepted = 0;
  for (int round = 0; round < 10000; ++round) {
    PackRecordHeader header = HeaderOf(record.bytes);
    for (unsigned changes = dice() % 3 + 1; changes > 0; --changes) {
      header.frame_bytes[dice() % (round % 2 == 0 ? 4 : kFramesMax)] = static_cast<uint16_t>(dice() % 4 == 0 ? dice() : dice() % (kFrameBytes + 2));
    }
    if (dice() % 4 == 0) header.raw_bytes = static_cast<uint32_t>((dice() % 80) * kPageBytes);
    // As a forger would: the length fits what the table says.
    uint32_t bytes = sizeof(header);
    for (uint32_t i = 0; i < std::min(FrameCount(header.raw_bytes), kFramesMax); ++i) bytes += header.frame_bytes[i] + kCellSumBytes;
    header.stored_bytes = (bytes + kPackAlignBytes - 1) / kPackAlignBytes * kPackAlignBytes;
    const std::vector<uint8_t> forged = With(record.bytes, header);
    const auto parsed = ParseHeader(forged, kAt.pack, kAt.offset);
    if (!parsed) continue;
    ++accepted;
    for (uint32_t i = 0; i < FrameCount(parsed->raw_bytes); ++i) CHECK(FrameAt(*parsed, i).end() <= parsed->stored_bytes);
    (void)PagesRead(record, forged);
    (void)BadCells(forged, *parsed);
    std::vector<uint8_t> raw(parsed->raw_bytes);
    (void)CheckCells(forged, *parsed, raw);
  }
  CHECK(accepted > 300);
}

TEST("a page's address in a record of frames tells the record and the page, and is no offset of a cell") {
  for (const uint32_t offset : {512u, 4096u, kPackBytes - 512}) {
    for (const uint32_t bytes : {512u, 1024u, 57856u}) {
      const Location at{77, offset, bytes, 1};
      for (uint32_t page = 0; page < 16; ++page) {
        const uint32_t cell = CellAddress(at, page);
        const auto found = PageAt(77, cell);
        CHECK(IsFramedCell(cell) && cell < 1u << 30 && found && found->at == at && found->page == page);
        if (page > 0) CHECK(cell == CellAddress(at, page - 1) + CellStep(cell));
      }
      const Location raw{77, offset, RecordStoredBytes(kFramedRawBytes), 0};
      for (uint32_t page = 0; page < 16 && offset < kPackBytes / 2; ++page) {
        const auto found = PageAt(77, CellAddress(raw, page));
        CHECK(!IsFramedCell(CellAddress(raw, page)) && found && found->at.offset == offset && !found->at.framed && found->page == page);
      }
      CHECK(PlaceOf(77, offset, LengthWord(at)) == at && PlaceOf(77, offset, LengthWord(raw)) == raw);
    }
  }
  CHECK(!PageAt(1, 0) && !PageAt(1, kFramedCell) && !PageAt(1, 100));
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
