// A journal directory and its ring, opened by the shipped recovery on a simulated machine. An input is a golden journal and
// patches on it. What comes of it is an answer, and the same answer twice; whoever goes on from there finds what was there and
// what was added.
#include <algorithm>
#include <array>
#include <tuple>

#include "../journal/layout.h"
#include "../tests/file_image.h"
#include "../tests/golden_env.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach opened("a patched journal opens with records"), refused("a patched journal is refused"), by_index("a sealed segment is replayed"),
    from_ring("records are found in the ring"), salvaged("damage is let go"), torn("a log ends at a torn batch"), gone_on("a new epoch goes on from there");

enum Repair : uint8_t { kHeaders = 1, kBatches = 2, kRecords = 4, kIndices = 8, kNumbers = 16 };
enum Choice : uint8_t { kSalvage = 1, kNoRing = 2 };

constexpr uint64_t kSegmentBytes = 16 * kSectorBytes, kRingBytes = 2 * kSegmentBytes;
constexpr size_t kSegments = 3, kRingHeader = kSegments, kRing = kSegments + 1, kFiles = kSegments + 2;
constexpr size_t kPatchesMax = 64;

using World = std::array<std::vector<uint8_t>, kFiles>;
struct Base {
  World files;
  std::vector<uint8_t> identity;
};

const Base& BaseOf(size_t n) {
  static const std::array<Base, 3> bases = [] {
    std::array<Base, 3> made;
    const char* const names[] = {"journal_v1", "journal_v1_moved", "journal_v1_reshape"};
    for (size_t i = 0; i < made.size(); ++i) {
      const golden::Parts parts = golden::Read(names[i]);
      for (size_t file = 0; file < kFiles; ++file) made[i].files[file].resize(file == kRingHeader ? kSectorBytes : file == kRing ? kRingBytes : kSegmentBytes);
      size_t segment = 0;
      for (const golden::Part& part : parts) {
        if (part.name == "identity") made[i].identity = part.bytes;
        if (part.name == "ring_header") made[i].files[kRingHeader] = part.bytes;
        if (part.name == "ring") made[i].files[kRing] = part.bytes;
        if (part.name.ends_with(".segment") && segment < kSegments) made[i].files[segment++] = part.bytes;
      }
      for (size_t file = 0; file < kFiles; ++file) HOLDS(made[i].files[file].size() == (file == kRingHeader ? kSectorBytes : file == kRing ? kRingBytes : kSegmentBytes));
    }
    return made;
  }();
  return bases[n % bases.size()];
}

uint64_t PrefixOf(const Base& base) {
  IdentityFile identity;
  HOLDS(Load(ConstBytes(base.identity), 0, identity) && identity.segment_bytes == kSegmentBytes && identity.ring_bytes == kRingBytes);
  return identity.journal.prefix();
}

void Patch(World& world, Input& input) {
  for (size_t i = 0; i < kPatchesMax && !input.empty(); ++i) {
    std::vector<uint8_t>& file = world[input.Take<uint8_t>() % kFiles];
    const size_t at = size_t{input.Take<uint16_t>()} * 8 % file.size();
    const ConstBytes bytes = input.TakeBytes(std::min<size_t>(input.Take<uint8_t>(), file.size() - at));
    std::copy(bytes.begin(), bytes.end(), file.begin() + at);
  }
}

/** Records of one batch, which begins at `from` of `bytes` and at `start` of the log. */
void RepairRecords(Bytes bytes, size_t from, Lsn start) {
  BatchHeader batch;
  if (!Load(bytes, from, batch)) return;
  const size_t end = std::min<uint64_t>(bytes.size(), from + std::min<uint64_t>(batch.bytes, kSegmentBytes));
  for (size_t at = from + sizeof(batch); at < end;) {
    RecordHeader header;
    if (!Load(bytes, at, header) || header.magic != kRecordMagic || header.payload_bytes > end - at) return;
    const size_t sums_end = sizeof(header) + size_t{std::min<uint32_t>(header.piece_count, kSegmentBytes)} * 8;
    if (sums_end + header.payload_bytes > end - at) return;
    ConstBytes payload = bytes.subspan(at + sums_end, header.payload_bytes);
    std::vector<uint64_t> sums;
    for (uint64_t i = 0, offset = header.offset; i < header.piece_count; ++i) {
      const size_t part = header.type == RecordType::kWrite ? std::min<uint64_t>(kPageBytes - offset % kPageBytes, payload.size()) : payload.size();
      sums.push_back(PieceSum(header.resource, offset, payload.first(part)));
      Store(bytes, at + sizeof(header) + i * 8, sums.back());
      payload = payload.subspan(part);
      offset += part;
    }
    header.sum = RecordSum(header, sums, start + (at - from));
    Store(bytes, at, header);
    at += RecordBytes(header);
  }
}

void RepairBatches(Bytes bytes, Lsn start, uint64_t journal, size_t first, uint8_t repairs) {
  for (size_t at = first; at + kSectorBytes <= bytes.size(); at += kSectorBytes) {
    BatchHeader batch;
    (void)Load(bytes, at, batch);
    if (batch.magic != kBatchMagic) continue;
    if ((repairs & kRecords) != 0) RepairRecords(bytes, at, start + at);
    if ((repairs & kBatches) == 0) continue;
    batch.start = start + at;
    batch.journal = journal;
    batch.sum = BatchSum(batch);
    Store(bytes, at, batch);
  }
}

void RepairIndex(Bytes segment, uint64_t number, uint64_t journal) {
  IndexFooter footer;
  const size_t at = segment.size() - sizeof(footer);
  (void)Load(segment, at, footer);
  if (footer.magic != kIndexMagic) return;
  footer.journal = journal;
  footer.number = number;
  const size_t bytes = std::min<uint64_t>(footer.bytes, at);
  footer.entries_sum = JournalSum(segment.data() + at - bytes, bytes, number);
  footer.sum = JournalSum(&footer, sizeof(footer) - sizeof(footer.sum), number);
  Store(segment, at, footer);
}

void RepairWorld(World& world, const Base& base, uint8_t repairs) {
  const uint64_t journal = PrefixOf(base);
  for (size_t i = 0; i < kSegments; ++i) {
    const Bytes segment = world[i];
    SegmentHeader header;
    (void)Load(segment, 0, header);
    if (header.magic != kSegmentMagic) continue;
    if ((repairs & kNumbers) != 0) header.number %= 16;
    if ((repairs & kHeaders) != 0) {
      std::memcpy(&header.journal, base.identity.data() + 8, sizeof(header.journal));
      header.sum = JournalSum(&header, sizeof(header) - sizeof(header.sum), 0);
      Store(segment, 0, header);
    }
    RepairBatches(segment, header.number * kSegmentBytes, journal, kSectorBytes, repairs);
    if ((repairs & kIndices) != 0) RepairIndex(segment, header.number, journal);
  }
  uint64_t tail;
  (void)Load(ConstBytes(world[kRingHeader]), offsetof(RingHeader, tail), tail);
  if (tail % kSectorBytes == 0) RepairBatches(Bytes(world[kRing]), tail - tail % kRingBytes, journal, 0, repairs);
}

struct Met {
  RecordHeader header;
  Lsn record, payload;
  std::vector<uint64_t> sums;
  std::vector<uint8_t> bytes;
  bool operator==(const Met& other) const {
    return std::memcmp(&header, &other.header, sizeof(header)) == 0 && record == other.record && payload == other.payload && sums == other.sums && bytes == other.bytes;
  }
};

struct Life {
  Code code = Code::kOk;
  std::vector<Met> met;
  ReplayReport report;
  std::unique_ptr<Journal> journal;
};

JournalOptions OptionsOf(bool salvage) { return {"/d/journal", "ring", kRingBytes, kSegmentBytes, 1 << 20, salvage}; }

Life Open(Env& env, bool salvage) {
  Life life;
  const auto replay = [&](const ReplayedRecord& record) {
    if (NamesPlaces(record.header.type)) {
      HOLDS(record.payload_bytes.size() == record.header.payload_bytes);
      HOLDS(record.sums.size() == 1 ? PieceSum(record.header.resource, record.header.offset, record.payload_bytes) == record.sums[0]
                                    : record.payload_bytes.empty());
    }
    life.met.push_back({record.header, record.record, record.payload, {record.sums.begin(), record.sums.end()}, Copy(record.payload_bytes)});
    return Status::Ok();
  };
  Result<std::unique_ptr<Journal>> journal = Journal::Open(env, OptionsOf(salvage), replay, life.report);
  life.code = journal.code();
  if (!journal.ok()) {
    HOLDS((life.code == Code::kCorrupt || life.code == Code::kInvalid) && !journal.status().detail().empty());
    life.met.clear();
    return life;
  }
  life.journal = std::move(*journal);
  return life;
}

void Restore(GoldenEnv& env, const Base& base, const World& world, bool with_ring) {
  StoreFile(env, "/d/journal/identity", base.identity);
  for (size_t i = 0; i < kSegments; ++i) StoreFile(env, "/d/journal/00000" + std::to_string(i) + ".segment", world[i]);
  if (!with_ring) return;
  Result<std::unique_ptr<SharedMemory>> ring = env.MapShared("ring", kSectorBytes, kRingBytes);
  HOLDS(ring.ok());
  std::copy(world[kRing].begin(), world[kRing].end(), (*ring)->ring());
  std::copy(world[kRingHeader].begin(), world[kRingHeader].end(), (*ring)->header().data());
}

/** All that was met reads as something or is refused; the bytes of a record that was moved, too. */
void ReadAll(Life& life) {
  for (const Met& met : life.met) {
    std::vector<uint8_t> bytes(std::min<uint32_t>(met.header.payload_bytes, kPayloadBytesMax));
    if (!bytes.empty()) (void)life.journal->Read(met.payload, bytes, true);
  }
  if (const std::optional<uint64_t> oldest = life.journal->OldestFull()) {
    Result<std::vector<SegmentRecord>> records = life.journal->RecordsOf(*oldest);
    if (!records.ok()) return;
    for (const SegmentRecord& record : *records) (void)life.journal->PayloadOf(record);
  }
}

/** A new epoch over what was found, and a record in it: the next start finds the same, then the record. */
void GoOn(GoldenEnv& env, Life& life, bool believed_lies) {
  if (!life.journal->Begin({}).ok()) return;
  ReadAll(life);
  // Sums were made right over what no writer says: a mark or a trim that lies goes on lying, and salvage does not mend it.
  if (believed_lies) return;
  const std::vector<uint8_t> payload(100, 7);
  const Result<Appended> added = life.journal->Append({.type = RecordType::kWrite, .resource = 77, .sequence = 1, .offset = 5, .length = payload.size(), .payload = payload});
  if (!added.ok()) return;
  std::vector<Met> before = std::move(life.met);
  life.journal.reset();
  env.ProcessCrash();
  const Life next = Open(env, false);
  HOLDS(next.code == Code::kOk && next.met.size() == before.size() + 1);
  HOLDS(std::equal(before.begin(), before.end(), next.met.begin(), [](const Met& a, const Met& b) {
    return std::memcmp(&a.header, &b.header, sizeof(a.header)) == 0 && a.record == b.record && a.sums == b.sums && a.bytes == b.bytes;
  }));
  const Met& last = next.met.back();
  HOLDS(last.header.resource == 77 && last.record == added->record);
  std::vector<uint8_t> bytes(payload.size());
  HOLDS(next.journal->Read(last.payload, bytes, true).ok() && bytes == payload);
  gone_on();
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto which = input.Take<uint8_t>(), repairs = input.Take<uint8_t>(), choices = input.Take<uint8_t>();
  const Base& base = BaseOf(which);
  World world = base.files;
  Patch(world, input);
  if (repairs != 0) RepairWorld(world, base, repairs);
  const bool salvage = (choices & kSalvage) != 0;
  GoldenEnv env;
  Restore(env, base, world, (choices & kNoRing) == 0);
  Life first = Open(env, salvage);
  if (first.code != Code::kOk) {
    refused();
    HOLDS(Open(env, salvage).code == first.code);
    return;
  }
  if (!first.met.empty()) opened();
  if (first.report.segments > 1) by_index();
  if (first.report.ring_records > 0) from_ring();
  if (first.report.salvaged) salvaged();
  for (const std::string& note : first.report.notes) note.starts_with("torn tail") ? torn() : void();
  first.journal.reset();
  env.ProcessCrash();
  Life second = Open(env, salvage);
  HOLDS(second.code == Code::kOk && second.met == first.met && second.report.end == first.report.end);
  // Nothing but the ring's header stands under no sum: what it says of a ring that is ours is believed.
  const bool header_is_true = (choices & kNoRing) != 0 || world[kRingHeader] == base.files[kRingHeader];
  GoOn(env, second, salvage || !header_is_true);
}

void WriteSeeds(const std::string& directory) {
  const auto write = [&](const std::string& name, uint8_t which, uint8_t repairs, uint8_t choices, size_t file, size_t at) {
    Seed seed;
    seed.Add(which).Add(repairs).Add(choices);
    const ConstBytes bytes = ConstBytes(BaseOf(which).files[file]).subspan(at, std::min<size_t>(80, BaseOf(which).files[file].size() - at));
    // A patch that changes nothing: a mutator changes it.
    seed.Add(static_cast<uint8_t>(file)).Add(static_cast<uint16_t>(at / 8)).Add(static_cast<uint8_t>(bytes.size())).AddBytes(bytes);
    seed.Write(directory, name + "_" + std::to_string(which) + "_" + std::to_string(repairs) + "_" + std::to_string(choices));
  };
  for (uint8_t which = 0; which < 3; ++which) {
    for (const uint8_t repairs : {0x00, 0x1f}) {
      for (const uint8_t choices : {0, 1, 2}) {
        for (size_t file = 0; file < kSegments; ++file) {
          const std::string segment = "segment" + std::to_string(file);
          write(segment + "_header", which, repairs, choices, file, 0);
          write(segment + "_batch", which, repairs, choices, file, kSectorBytes);
          write(segment + "_record", which, repairs, choices, file, kSectorBytes + sizeof(BatchHeader));
          write(segment + "_index", which, repairs, choices, file, kSegmentBytes - sizeof(IndexFooter));
          write(segment + "_entry", which, repairs, choices, file, kSegmentBytes - sizeof(IndexFooter) - sizeof(IndexEntry) - 8);
        }
        write("ring_header", which, repairs, choices, kRingHeader, 0);
        uint64_t tail;
        (void)Load(ConstBytes(BaseOf(which).files[kRingHeader]), offsetof(RingHeader, tail), tail);
        write("ring", which, repairs, choices, kRing, tail % kRingBytes);
      }
    }
  }
}

}  // namespace skerry::fuzz
