// A pack file without a footer that holds: records are found by their own headers and sums. What is found lies apart, inside the
// file, is proven to be the store's own or is what its id says; a guest's bytes that look like a record are none.
#include <algorithm>
#include <cstddef>

#include "../blocks/cell.h"
#include "../blocks/frames.h"
#include "../blocks/pack_scan.h"
#include "../tests/golden.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach found("a whole record is found"), found_damaged("a record with bad cells is found"), found_unproven("a guest's record is told apart"),
    found_by_id("a record without a proof is found by its id"), footer_read("a footer is read from the file"), sealed("what was found is sealed and read again");

/** Of sectors that begin with a record's magic; kProofs by the key, as the store does, else a guest's who has none. */
enum Repair : uint8_t { kHeaders = 1, kProofs = 2, kCells = 4, kLengths = 8, kIds = 16, kFooter = 32, kFileHeader = 64 };
constexpr uint32_t kPack = 1;
constexpr size_t kFileBytesMax = 96 << 10;

const DomainKey& Key() {
  static const DomainKey key = [] {
    std::array<uint8_t, 32> bytes;
    for (uint8_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 5 + 1);  // of the golden packs
    return DomainKey(bytes);
  }();
  return key;
}

class MemoryFile : public File {
 public:
  explicit MemoryFile(ConstBytes bytes) : bytes_(bytes) {}
  Result<size_t> Read(Bytes into, uint64_t offset) override {
    const size_t bytes = offset >= bytes_.size() ? 0 : std::min<size_t>(into.size(), bytes_.size() - offset);
    if (bytes > 0) std::memcpy(into.data(), bytes_.data() + offset, bytes);
    return bytes;
  }
  Result<size_t> ReadNow(std::span<const Bytes>, uint64_t) override { return Status(Code::kTryAgain, {}); }
  Status Write(ConstBytes, uint64_t) override { return {Code::kReadOnly, "a scan writes nothing"}; }
  Status DataSync() override { return {}; }
  void ReadAhead(uint64_t, uint64_t) override {}
  Status Allocate(uint64_t) override { return {Code::kReadOnly, "a scan writes nothing"}; }
  Status Truncate(uint64_t) override { return {Code::kReadOnly, "a scan writes nothing"}; }
  Result<uint64_t> Size() override { return uint64_t{bytes_.size()}; }

 private:
  const ConstBytes bytes_;
};

/** Payload of a record in cells whose sums are not looked at. */
std::vector<uint8_t> PayloadOf(ConstBytes record, uint32_t raw_bytes) {
  std::vector<uint8_t> raw(raw_bytes);
  for (uint32_t page = 0; page < CellCount(raw_bytes); ++page) {
    const size_t at = size_t{page} * kPageBytes, bytes = std::min<size_t>(kPageBytes, raw_bytes - at);
    std::memcpy(raw.data() + at, record.data() + CellOffset({}, page), bytes);
  }
  return raw;
}

void RepairRecord(Bytes file, uint32_t offset, uint8_t repairs) {
  PackRecordHeader header;
  (void)Load(file, offset, header);
  const auto room = static_cast<uint32_t>(file.size() - offset);
  header.version = kPackVersion;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.pack = kPack;
  if ((repairs & kLengths) != 0 && header.codec == Codec::kRaw) {
    header.raw_bytes = 1 + header.raw_bytes % std::max<uint32_t>(1, room);
    if (header.kind == RecordKind::kBlock) header.raw_bytes = (header.raw_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    header.stored_bytes = RecordStoredBytes(header.raw_bytes);
  }
  const Bytes record = file.subspan(offset);
  const bool whole = header.codec == Codec::kRaw && header.raw_bytes <= kRecordRawBytesMax && RecordStoredBytes(header.raw_bytes) <= room;
  if ((repairs & kIds) != 0 && whole && header.raw_bytes > 0) {
    const std::vector<uint8_t> raw = PayloadOf(record, header.raw_bytes);
    BlockId id;
    if (header.kind == RecordKind::kBlock && raw.size() % kPageBytes == 0) id = Key().BlockIdOf(raw);
    if (header.kind == RecordKind::kNode && NodeCanonicalBytes(raw.size()) != 0) id = Key().NodeIdOf(ConstBytes(raw).first(NodeCanonicalBytes(raw.size())));
    std::copy(id.bytes.begin(), id.bytes.end(), header.id);
  }
  if ((repairs & kCells) != 0 && whole && header.raw_bytes > 0) {
    BlockId id;
    std::copy(std::begin(header.id), std::end(header.id), id.bytes.begin());
    FillCells(record.first(header.stored_bytes == RecordStoredBytes(header.raw_bytes) ? header.stored_bytes : RecordStoredBytes(header.raw_bytes)), id,
              PayloadOf(record, header.raw_bytes));
  }
  if ((repairs & kProofs) != 0) {
    const HeaderProof proof = ProofOf(header, offset, Key());
    std::copy(proof.begin(), proof.end(), header.proof);
  }
  FillHeader(record, header, offset);
}

void RepairFile(std::vector<uint8_t>& file, uint8_t repairs) {
  if ((repairs & kFileHeader) != 0 && file.size() >= kPackAlignBytes) {
    const std::vector<uint8_t> header = EncodeFileHeader(kPack, 5, 3, 0);
    std::copy(header.begin(), header.end(), file.begin());
  }
  for (size_t at = kPackAlignBytes; at + sizeof(PackRecordHeader) <= file.size(); at += kPackAlignBytes) {
    uint32_t magic;
    (void)Load(ConstBytes(file), at, magic);
    if (magic == kPackRecordMagic && (repairs & kHeaders) != 0) RepairRecord(file, static_cast<uint32_t>(at), repairs);
  }
  PackFooterTrailer trailer;
  if ((repairs & kFooter) == 0 || file.size() < kPackAlignBytes + sizeof(trailer) || !Load(ConstBytes(file), file.size() - sizeof(trailer), trailer)) return;
  if (trailer.count > file.size() / sizeof(PackFooterEntry) || FooterBytes(trailer.count) > file.size()) return;
  const size_t start = file.size() - FooterBytes(trailer.count);
  Store(Bytes(file), file.size() - 8, SumOf(file.data() + start, file.size() - start - 8, kPack));
}

/** The record is the store's own, by its proof, or else it is all that its id says. */
void CheckFound(ConstBytes file, const PackFooterEntry& entry) {
  const ConstBytes record = file.subspan(entry.offset);
  const auto header = ParseHeader(record, kPack, entry.offset);
  HOLDS(header.has_value() && header->stored_bytes == entry.stored_bytes && header->raw_bytes == entry.raw_bytes && header->codec == entry.codec);
  if (IsProven(*header, entry.offset, Key())) return;
  HOLDS(header->codec == Codec::kRaw);
  std::vector<uint8_t> raw(header->raw_bytes);
  HOLDS(CheckCells(record, *header, raw) == CellCount(header->raw_bytes));
  HOLDS(header->kind == RecordKind::kBlock || NodeCanonicalBytes(raw.size()) != 0);
  const BlockId id = header->kind == RecordKind::kBlock ? Key().BlockIdOf(raw) : Key().NodeIdOf(ConstBytes(raw).first(NodeCanonicalBytes(raw.size())));
  HOLDS(std::equal(id.bytes.begin(), id.bytes.end(), header->id));
  found_by_id();
}

void CheckSealed(ConstBytes file, const PackScan& scan) {
  std::vector<uint8_t> again(file.begin(), file.begin() + std::min<size_t>(scan.data_end, file.size()));
  again.resize(std::max<size_t>(kPackAlignBytes, (again.size() + kPackAlignBytes - 1) / kPackAlignBytes * kPackAlignBytes));
  const std::vector<uint8_t> footer = EncodeFooter(kPack, 5, scan.entries);
  again.insert(again.end(), footer.begin(), footer.end());
  MemoryFile whole(again);
  const Result<std::vector<PackFooterEntry>> entries = ReadFooter(whole, kPack);
  HOLDS(entries.ok() && entries->size() == scan.entries.size());
  sealed();
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>();
  std::vector<uint8_t> file = Copy(input.rest());
  if (file.size() > kFileBytesMax) return;
  if (repairs != 0) RepairFile(file, repairs);
  MemoryFile memory(file);
  if (const auto entries = ReadFooter(memory, kPack); entries.ok()) {
    for (const PackFooterEntry& entry : *entries) HOLDS(uint64_t{entry.offset} + entry.stored_bytes <= file.size());
    footer_read();
  } else {
    HOLDS(entries.code() == Code::kCorrupt);
  }
  const Result<PackScan> scan = ScanPack(memory, kPack, Key());
  HOLDS(scan.ok() && scan->data_end <= file.size());
  uint64_t end = kPackAlignBytes;
  for (const PackFooterEntry& entry : scan->entries) {
    HOLDS(entry.offset >= end && uint64_t{entry.offset} + entry.stored_bytes <= std::max<uint64_t>(scan->data_end, file.size()) + kPackAlignBytes);
    end = entry.offset + entry.stored_bytes;
    CheckFound(file, entry);
    found();
  }
  for (const PackScan::Damaged& one : scan->damaged) {
    HOLDS(!one.bad_cells.empty() && one.bad_cells.back() < CellCount(one.entry.raw_bytes));
    found_damaged();
  }
  if (scan->unproven > 0) found_unproven();
  if (!scan->entries.empty()) CheckSealed(file, *scan);
}

void WriteSeeds(const std::string& directory) {
  const auto write = [&](const std::string& name, uint8_t repairs, ConstBytes file) {
    Seed seed;
    seed.Add(repairs).AddBytes(file);
    seed.Write(directory, name + "_" + std::to_string(repairs));
  };
  for (const char* name : {"pack_v1_framed", "pack_v1_lost"}) {
    write(name, 0, golden::BytesOf(golden::Read(name), "00000001.pack"));
  }
  // Small ones, which a mutator gets through fast: two records apart, one of them a node, and one inside another's payload.
  for (const uint8_t repairs : {0x5f, 0x5d, 0x4d, 0x47, 0x41}) {
    std::vector<uint8_t> file(kPackAlignBytes * 24);
    const auto put = [&](uint32_t at, RecordKind kind, uint32_t raw_bytes) {
      PackRecordHeader header{};
      header.magic = kPackRecordMagic;
      header.kind = kind;
      header.raw_bytes = raw_bytes;
      header.stored_bytes = RecordStoredBytes(raw_bytes);
      for (size_t i = 0; i < raw_bytes && at + sizeof(header) + i < file.size(); ++i) file[at + sizeof(header) + i] = static_cast<uint8_t>(i % 8 + 1);
      Store(Bytes(file), at, header);
    };
    put(512, RecordKind::kNode, 48 + 44 * 3);
    put(1024, RecordKind::kBlock, 4096);
    put(1024 + 2048, RecordKind::kBlock, 4096);
    write("apart", repairs, file);
  }
}

}  // namespace skerry::fuzz
