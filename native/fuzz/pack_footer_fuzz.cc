// The footer of a pack, the copy of a footer beside packs that are elsewhere, the header of a pack file, and the list of packs that
// are gone. What is accepted names records inside the pack only, and is written again as it was read.
#include <algorithm>
#include <cstddef>

#include "../blocks/cell.h"
#include "../blocks/footer_copies.h"
#include "../blocks/gone_packs.h"
#include "../tests/golden.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach footer_accepted("a footer with entries is accepted"), footer_refused("a footer is refused although its sum holds"),
    copy_accepted("a copy of a footer is accepted"), header_accepted("a file header is accepted"), gone_accepted("a list of packs that are gone is accepted");

enum Repair : uint8_t { kSums = 1, kTrailer = 2, kEntries = 4, kAsCopy = 8, kAsHeader = 16, kAsGone = 32 };

void RepairFooter(Bytes bytes, uint32_t pack, uint64_t records_end, uint8_t repairs) {
  PackFooterTrailer trailer;
  if (bytes.size() < sizeof(trailer)) return;
  const size_t at = bytes.size() - sizeof(trailer);
  (void)Load(bytes, at, trailer);
  if ((repairs & kTrailer) != 0) {
    trailer.magic = kPackFooterMagic;
    trailer.version = kPackVersion;
    trailer.pack = pack;
    trailer.count = at / sizeof(PackFooterEntry);
    trailer.bytes = trailer.count * sizeof(PackFooterEntry);
    Store(bytes, at, trailer);
  }
  for (size_t i = 0; (repairs & kEntries) != 0 && (i + 1) * sizeof(PackFooterEntry) <= at; ++i) {
    PackFooterEntry entry;
    (void)Load(bytes, i * sizeof(entry), entry);
    entry.raw_bytes = 1 + entry.raw_bytes % kRecordRawBytesMax;
    entry.offset = static_cast<uint32_t>(kPackAlignBytes + entry.offset / kPackAlignBytes % std::max<uint64_t>(1, records_end / kPackAlignBytes) * kPackAlignBytes);
    entry.codec = static_cast<Codec>(static_cast<uint8_t>(entry.codec) % 3);
    if (entry.codec == Codec::kRaw) entry.stored_bytes = RecordStoredBytes(entry.raw_bytes);
    Store(bytes, i * sizeof(entry), entry);
  }
  if ((repairs & kSums) != 0) Store(bytes, bytes.size() - 8, SumOf(bytes.data(), bytes.size() - 8, pack));
}

void CheckEntries(const std::vector<PackFooterEntry>& entries, ConstBytes footer, uint32_t pack, uint64_t records_end) {
  if (!entries.empty()) footer_accepted();
  for (const PackFooterEntry& entry : entries) {
    HOLDS(entry.offset >= kPackAlignBytes && entry.stored_bytes >= kPackAlignBytes && uint64_t{entry.offset} + entry.stored_bytes <= records_end);
    HOLDS(entry.raw_bytes > 0 && entry.raw_bytes <= kRecordRawBytesMax && entry.codec <= Codec::kZstd);
    const Location at = PlaceOf(pack, entry);
    HOLDS(at.stored_bytes == entry.stored_bytes && (at.framed != 0) == IsInFrames(entry.kind, entry.codec, (entry.flags & kEntryEncrypted) != 0));
  }
  PackFooterTrailer trailer;
  HOLDS(Load(footer, footer.size() - sizeof(trailer), trailer));
  HOLDS(trailer.sum == SumOf(footer.data(), footer.size() - 8, pack));
  const std::vector<uint8_t> again = EncodeFooter(pack, trailer.domain, entries);
  // All but what no version has used yet.
  const size_t reserved = footer.size() - sizeof(trailer) + offsetof(PackFooterTrailer, reserved);
  HOLDS(again.size() == footer.size() && std::equal(again.begin(), again.begin() + reserved, footer.begin()));
  const Result<std::vector<PackFooterEntry>> twice = DecodeFooter(again, pack, records_end);
  HOLDS(twice.ok() && twice->size() == entries.size());
}

void CheckFooter(std::vector<uint8_t> bytes, uint32_t pack, uint64_t records_end, uint8_t repairs, uint32_t flip) {
  RepairFooter(bytes, pack, records_end, repairs);
  const Result<std::vector<PackFooterEntry>> entries = DecodeFooter(bytes, pack, records_end);
  if (!entries.ok()) {
    HOLDS(entries.code() == Code::kCorrupt);
    if ((repairs & kSums) != 0 && FooterBytesAt(bytes, pack).ok()) footer_refused();
    return;
  }
  CheckEntries(*entries, bytes, pack, records_end);
  HOLDS(!DecodeFooter(bytes, pack + 1, records_end).ok());
  bytes[flip / 8 % bytes.size()] ^= static_cast<uint8_t>(1u << flip % 8);
  HOLDS(DecodeFooter(bytes, pack, records_end).code() == Code::kCorrupt);
}

void CheckCopy(std::vector<uint8_t> bytes, uint32_t pack, uint8_t repairs, uint32_t flip) {
  FooterCopyHeader header;
  if ((repairs & kTrailer) != 0 && Load(ConstBytes(bytes), 0, header)) {
    header.magic = kFooterCopyMagic;
    header.version = kFooterCopyVersion;
    header.pack = pack;
    header.footer_bytes = bytes.size() - sizeof(header);
    header.file_bytes %= kPackBytes + 1;
    if ((repairs & kSums) != 0) header.sum = SumOf(&header, offsetof(FooterCopyHeader, sum), pack);
    Store(Bytes(bytes), 0, header);
    RepairFooter(Bytes(bytes).subspan(sizeof(header)), pack, header.file_bytes - std::min(header.file_bytes, header.footer_bytes), repairs);
  }
  const Result<PackFooter> footer = DecodeFooterCopy(bytes, pack);
  if (!footer.ok()) {
    HOLDS(footer.code() == Code::kCorrupt);
    return;
  }
  copy_accepted();
  const ConstBytes body = ConstBytes(bytes).subspan(sizeof(header));
  CheckEntries(footer->entries, body, pack, footer->file_bytes - body.size());
  for (const PackFooterEntry& entry : footer->entries) (void)footer->At(entry.offset);
  bytes[flip / 8 % bytes.size()] ^= static_cast<uint8_t>(1u << flip % 8);
  HOLDS(DecodeFooterCopy(bytes, pack).code() == Code::kCorrupt);
}

void CheckHeader(std::vector<uint8_t> bytes, uint32_t pack, uint8_t repairs, uint32_t flip) {
  PackFileHeader header;
  if ((repairs & kSums) != 0 && Load(ConstBytes(bytes), 0, header)) {
    header.magic = kPackMagic;
    header.pack = pack;
    header.sum = SumOf(&header, offsetof(PackFileHeader, sum), pack);
    Store(Bytes(bytes), 0, header);
  }
  if (!FileHeaderHolds(bytes, pack)) return;
  header_accepted();
  bytes[flip / 8 % sizeof(header)] ^= static_cast<uint8_t>(1u << flip % 8);
  HOLDS(!FileHeaderHolds(bytes, pack));
}

void CheckGone(std::vector<uint8_t> bytes, uint32_t domain, uint8_t repairs, uint32_t flip) {
  GonePacksHeader header;
  if ((repairs & kSums) != 0 && Load(ConstBytes(bytes), 0, header)) {
    header = {kGonePacksMagic, kGonePacksVersion, domain, header.number, (bytes.size() - sizeof(header)) / sizeof(GoneRange), 0};
    header.sum = SumOf(bytes.data() + sizeof(header), bytes.size() - sizeof(header), SumOf(&header, offsetof(GonePacksHeader, sum), 0));
    Store(Bytes(bytes), 0, header);
  }
  const Result<GoneList> list = DecodeGonePacks(bytes, domain);
  if (!list.ok()) {
    HOLDS(list.code() == Code::kCorrupt);
    return;
  }
  if (!list->ranges.empty()) gone_accepted();
  HOLDS(list->number > 0);
  uint64_t free_from = 1;
  for (const auto& [first, last] : list->ranges) {
    HOLDS(first >= free_from && last >= first);
    free_from = uint64_t{last} + 2;
  }
  const std::vector<uint8_t> again = EncodeGonePacks(domain, *list);
  HOLDS(again == bytes || (bytes[4] == 1 && DecodeGonePacks(again, domain).ok()));
  HOLDS(!DecodeGonePacks(bytes, uint64_t{domain} + 1).ok());
  bytes[flip / 8 % bytes.size()] ^= static_cast<uint8_t>(1u << flip % 8);
  HOLDS(DecodeGonePacks(bytes, domain).code() == Code::kCorrupt);
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>();
  const auto pack = input.Take<uint32_t>(), flip = input.Take<uint32_t>();
  const uint64_t records_end = input.Take<uint32_t>() % (kPackBytes + 1);
  std::vector<uint8_t> bytes = Copy(input.rest());
  if ((repairs & kAsGone) != 0) return CheckGone(std::move(bytes), pack, repairs, flip);
  if ((repairs & kAsHeader) != 0) return CheckHeader(std::move(bytes), pack, repairs, flip);
  if ((repairs & kAsCopy) != 0) return CheckCopy(std::move(bytes), pack, repairs, flip);
  CheckFooter(std::move(bytes), pack, records_end, repairs, flip);
}

void WriteSeeds(const std::string& directory) {
  for (const uint8_t repairs : {32, 33}) {
    Seed seed;
    seed.Add(repairs).Add(uint32_t{1}).Add(uint32_t{333}).Add(uint32_t{0}).AddBytes(EncodeGonePacks(1, {2, {{1, 1}, {3, 7}, {4000000000u, 4294967295u}}}));
    seed.Write(directory, "gone_" + std::to_string(repairs));
  }
  for (const char* name : {"pack_v1_proven", "pack_v1_dense", "pack_v1_framed", "pack_v1_lost"}) {
    const std::vector<uint8_t> file = golden::BytesOf(golden::Read(name), "00000001.pack");
    const Result<uint64_t> bytes = FooterBytesAt(file, 1);
    HOLDS(bytes.ok());
    const auto records_end = static_cast<uint32_t>(file.size() - *bytes);
    const auto write = [&](uint8_t repairs, ConstBytes body) {
      Seed seed;
      seed.Add(repairs).Add(uint32_t{1}).Add(uint32_t{333}).Add(records_end).AddBytes(body);
      seed.Write(directory, std::string(name) + "_" + std::to_string(repairs));
    };
    const ConstBytes footer = ConstBytes(file).subspan(records_end);
    for (const uint8_t repairs : {0, 1, 3, 7}) write(repairs, footer);
    const Result<std::vector<PackFooterEntry>> entries = DecodeFooter(footer, 1, records_end);
    HOLDS(entries.ok());
    const std::vector<uint8_t> copy = EncodeFooterCopy(1, 5, {file.size(), *entries});
    for (const uint8_t repairs : {8, 11, 15}) write(repairs, copy);
    for (const uint8_t repairs : {16, 17}) write(repairs, ConstBytes(file).first(kPackAlignBytes));
  }
}

}  // namespace skerry::fuzz
