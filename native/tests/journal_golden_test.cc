// The journal as version 1 lays it down: segments, one sealed and one not, and the ring that continues them. See
// docs/formats/journal.md.
#include <cstring>
#include <tuple>

#include "file_image.h"
#include "golden_env.h"
#include "journal_lives.h"

namespace skerry {
namespace {

constexpr const char* kGolden = "journal_v1";
constexpr uint64_t kSmallSegmentBytes = 16 * kSectorBytes;
constexpr const char* kFiles[] = {"identity", "000000.segment", "000001.segment"};
const JournalOptions kSmall{"/d/journal", "ring", 2 * kSmallSegmentBytes, kSmallSegmentBytes, 1 << 20, false};

struct Written {
  RecordDraft draft;
  std::vector<uint8_t> payload;
};

/** Eight bytes of a page over and over, so that the golden file stays short; other bytes on other pages. */
std::vector<uint8_t> Paged(uint64_t offset, size_t bytes) {
  std::vector<uint8_t> data(bytes);
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<uint8_t>((offset + i) / kPageBytes * 16 + (offset + i) % 8 + 1);
  return data;
}

/** No two places alike. */
std::vector<uint8_t> Mixed(size_t bytes) {
  std::vector<uint8_t> data(bytes);
  uint32_t state = 12345;
  for (uint8_t& byte : data) byte = static_cast<uint8_t>((state = state * 1103515245 + 12345) >> 16);
  return data;
}

std::vector<uint8_t> Places() {
  RefPlace places[2]{};
  for (uint8_t i = 0; i < 32; ++i) {
    places[0].id[i] = static_cast<uint8_t>(0xa0 + i);
    places[1].id[i] = static_cast<uint8_t>(0xc0 + i);
  }
  places[0].pack = 3, places[0].offset = 512, places[0].length = 66048;
  places[1].pack = 3, places[1].offset = 66560, places[1].length = 66048;
  std::vector<uint8_t> bytes(sizeof places);
  std::memcpy(bytes.data(), places, sizeof places);
  return bytes;
}

Written Of(RecordType type, uint64_t sequence, uint64_t offset, uint64_t length, std::vector<uint8_t> payload = {}) {
  const RecordDraft draft{.type = type, .resource = 7, .sequence = sequence, .fence = 2, .offset = offset, .length = length};
  return {draft, std::move(payload)};
}
Written Pages(uint64_t sequence, uint64_t page, size_t pages) {
  return Of(RecordType::kWrite, sequence, page * kPageBytes, pages * kPageBytes, Paged(page * kPageBytes, pages * kPageBytes));
}

/** Types of records, each once, `first` the sequence of the first. */
std::vector<Written> EachType(uint64_t first) {
  std::vector<Written> all;
  all.push_back(Pages(first, 2, 2));
  all.push_back(Of(RecordType::kWrite, first + 1, 10 * kPageBytes + 1000, 5000, Paged(10 * kPageBytes + 1000, 5000)));
  all.push_back(Of(RecordType::kWrite, first + 2, 12 * kPageBytes - 101, 301, Mixed(301)));
  all.push_back(Of(RecordType::kZero, first + 3, 20 * kPageBytes + 512, 70'000));
  all.push_back(Of(RecordType::kTrim, first + 4, 1 << 20, uint64_t{3} << 32));
  all.push_back(Of(RecordType::kRef, first + 5, 4 << 16, 2 << 16, Places()));
  all.push_back(Of(RecordType::kBarrier, first + 6, 9, 0));
  all.push_back(Of(RecordType::kDrop, first + 7, 0, 0));
  all.back().draft.resource = 8;
  all.push_back(Of(RecordType::kRewind, first + 8, 0, 0));
  all.back().draft.resource = 6;
  return all;
}

std::vector<Written> Filling() {
  std::vector<Written> all;
  for (uint64_t i = 0; i < 3; ++i) all.push_back(Pages(10 + i, 40 + 2 * i, 2));
  return all;
}
const uint64_t kFirstOfSecond = 13;
Written Decision() { return Of(RecordType::kRewind, 22, 0, 0); }
std::vector<Written> InRing() { return {Pages(22, 60, 1), Of(RecordType::kWrite, 23, 61 * kPageBytes + 8, 16, Mixed(16))}; }

std::vector<Written> operator+(std::vector<Written> all, const std::vector<Written>& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
std::vector<Written> InSegments() {
  return EachType(1) + Filling() + EachType(kFirstOfSecond) + std::vector<Written>{Decision()};
}

RecordDraft DraftOf(const Written& written) {
  RecordDraft draft = written.draft;
  draft.payload = written.payload;
  return draft;
}

void AppendAll(Lives& lives, const std::vector<Written>& all) {
  for (const Written& written : all) (void)lives.Append(DraftOf(written));
}

Bytes RingOf(Env& env, std::unique_ptr<SharedMemory>& ring) {
  Result<std::unique_ptr<SharedMemory>> mapped = env.MapShared(kSmall.ring_name, kSectorBytes, kSmall.ring_bytes);
  CHECK_OK(mapped.status());
  ring = std::move(*mapped);
  return {ring->ring(), ring->ring_bytes()};
}

/** A machine that has these files and this ring. */
void Restore(GoldenEnv& env, const golden::Parts& parts, bool with_ring) {
  for (const char* name : kFiles) StoreFile(env, kSmall.directory + "/" + name, golden::BytesOf(parts, name));
  if (!with_ring) return;
  std::unique_ptr<SharedMemory> ring;
  const Bytes bytes = RingOf(env, ring);
  std::memcpy(bytes.data(), golden::BytesOf(parts, "ring").data(), bytes.size());
  std::memcpy(ring->header().data(), golden::BytesOf(parts, "ring_header").data(), kSectorBytes);
}

/** `lives` found exactly these, in order, and reads their bytes. */
void CheckFound(Lives& lives, const std::vector<Written>& all) {
  CHECK(lives.kept.size() == all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const RecordHeader& header = lives.kept[i].header;
    const RecordDraft& draft = all[i].draft;
    CHECK(header.type == draft.type && header.flags == draft.flags && header.resource == draft.resource);
    CHECK(header.sequence == draft.sequence && header.fence == draft.fence);
    CHECK(header.offset == draft.offset && header.length == draft.length);
    std::vector<uint8_t> bytes(header.payload_bytes);
    CHECK_OK(lives.journal->Read(lives.kept[i].payload, bytes, true));
    CHECK(bytes == all[i].payload && lives.kept[i].ref == (NamesPlaces(draft.type) ? bytes : std::vector<uint8_t>{}));
    if (draft.type == RecordType::kWrite) CHECK(PassesSums(lives.kept[i], bytes));
  }
}

TEST("the journal writes what its golden file holds, byte for byte") {
  GoldenEnv env;
  Lives lives{env, kSmall};
  CHECK(lives.Open() == Code::kOk);
  AppendAll(lives, EachType(1));
  lives.Flush();
  AppendAll(lives, Filling());
  AppendAll(lives, EachType(kFirstOfSecond));
  lives.Flush();
  env.ProcessCrash();
  const Written decision = Decision();
  const RecordDraft decisions[] = {DraftOf(decision)};
  CHECK(lives.Open(decisions) == Code::kOk);
  AppendAll(lives, InRing());
  lives.journal.reset();

  golden::Parts parts;
  for (const char* name : kFiles) parts.push_back({name, LoadFile(env, kSmall.directory + "/" + name)});
  std::unique_ptr<SharedMemory> ring;
  const Bytes bytes = RingOf(env, ring);
  parts.push_back({"ring_header", {ring->header().begin(), ring->header().end()}});
  parts.push_back({"ring", {bytes.begin(), bytes.end()}});
  golden::Compare(kGolden, parts);
}

TEST("a journal of version 1 opens: a sealed segment by its index, one that is not by its batches, the ring behind them") {
  GoldenEnv env;
  Restore(env, golden::Read(kGolden), true);
  Lives lives{env, kSmall};
  CHECK(lives.Open() == Code::kOk && lives.report.notes.empty());
  CHECK(lives.report.epoch == 3 && lives.report.segments == 2 && lives.report.ring_used && lives.report.ring_records == 2);
  CheckFound(lives, InSegments() + InRing());
  // And it goes on.
  AppendAll(lives, {Pages(24, 70, 1)});
  env.ProcessCrash();
  CHECK(lives.Open() == Code::kOk);
  CheckFound(lives, InSegments() + InRing() + std::vector<Written>{Pages(24, 70, 1)});
}

TEST("a journal of version 1 opens on a host that has booted since: what only the ring held is gone") {
  GoldenEnv env;
  Restore(env, golden::Read(kGolden), false);
  Lives lives{env, kSmall};
  CHECK(lives.Open() == Code::kOk && lives.report.notes.empty() && !lives.report.ring_used);
  CheckFound(lives, InSegments());
}

TEST("a sealed segment of version 1 is read by its batches too, once its index is gone") {
  GoldenEnv env;
  golden::Parts parts = golden::Read(kGolden);
  for (golden::Part& part : parts) {
    if (part.name == "000000.segment") part.bytes.back() ^= 1;
  }
  Restore(env, parts, false);
  Lives lives{env, kSmall};
  lives.options.salvage = true;
  CHECK(lives.Open() == Code::kOk && lives.report.notes.size() == 1);
  CheckFound(lives, InSegments());
}

constexpr const char* kReshapeGolden = "journal_v1_reshape";

std::vector<uint8_t> RollbackTo() {
  RollbackPlace place{};
  for (uint8_t i = 0; i < 32; ++i) place.root[i] = static_cast<uint8_t>(0x60 + i);
  place.pack = 4, place.offset = 4096, place.stored_bytes = 1024, place.levels = 2;
  place.size_bytes = uint64_t{5} << 30, place.lineage = 3;
  std::vector<uint8_t> bytes(sizeof place);
  std::memcpy(bytes.data(), &place, sizeof place);
  return bytes;
}

std::vector<Written> Reshaping() {
  return {Of(RecordType::kResize, 1, 0, uint64_t{6} << 30), Of(RecordType::kRollback, 2, 9, 0, RollbackTo()), Pages(3, 2, 1)};
}

TEST("resizes, rollbacks and salvage are written as their golden file holds them, byte for byte") {
  GoldenEnv env;
  Lives lives{env, kSmall};
  CHECK(lives.Open() == Code::kOk);
  AppendAll(lives, Reshaping());
  (void)lives.Append({.type = RecordType::kSalvage});
  lives.Flush();
  lives.journal.reset();
  golden::Parts parts;
  for (const char* name : {"identity", "000000.segment"}) parts.push_back({name, LoadFile(env, kSmall.directory + "/" + name)});
  golden::Compare(kReshapeGolden, parts);
}

/** A number as docs/formats/journal.md says it lies: little-endian. Nothing here knows the engine's structs. */
uint64_t NumberAt(const std::vector<uint8_t>& bytes, size_t at, size_t width = 8) {
  uint64_t number = 0;
  for (size_t i = width; i-- > 0;) number = number << 8 | bytes.at(at + i);
  return number;
}

/** Where the records of a segment begin, in order, by the tables of batches and records alone. */
std::vector<size_t> RecordsOf(const std::vector<uint8_t>& segment, size_t segment_start = 0) {
  std::vector<size_t> records;
  for (size_t batch = 4096; batch < segment.size() && NumberAt(segment, batch, 4) == 0x424a4b53;) {
    CHECK(NumberAt(segment, batch + 16) == segment_start + batch && NumberAt(segment, batch + 4, 4) == 1);
    const size_t end = batch + NumberAt(segment, batch + 24);
    for (size_t at = batch + 64; at < end;) {
      CHECK(NumberAt(segment, at, 4) == 0x524a4b53 && NumberAt(segment, at + 4, 1) == 1);
      records.push_back(at);
      at += (72 + 8 * NumberAt(segment, at + 52, 4) + NumberAt(segment, at + 48, 4) + 7) / 8 * 8;
    }
    batch = (end + 4095) / 4096 * 4096;
  }
  return records;
}

TEST("the golden file of resizes, rollbacks and salvage says what the format's page says, read by its tables alone") {
  const golden::Parts parts = golden::Read(kReshapeGolden);
  const std::vector<uint8_t>& segment = golden::BytesOf(parts, "000000.segment");
  const std::vector<size_t> at = RecordsOf(segment);
  CHECK(at.size() == 4);
  const auto field = [&](size_t record, size_t offset, size_t width = 8) { return NumberAt(segment, at.at(record) + offset, width); };
  for (const auto& [record, type, sequence] : {std::tuple{0, 8, 1}, {1, 9, 2}, {2, 1, 3}, {3, 10, 0}}) {
    CHECK(field(record, 5, 1) == static_cast<uint64_t>(type) && field(record, 16) == static_cast<uint64_t>(sequence));
    CHECK(field(record, 8) == (type == 10 ? 0 : 7) && field(record, 24) == (type == 10 ? 0 : 2));
  }
  CHECK(field(0, 40) == uint64_t{6} << 30 && field(0, 48, 4) == 0 && field(0, 52, 4) == 0);
  CHECK(field(1, 32) == 9 && field(1, 48, 4) == 64 && field(1, 52, 4) == 1);
  CHECK(field(3, 32) == 0 && field(3, 40) == 0 && field(3, 48, 4) == 0 && field(3, 52, 4) == 0);
  constexpr size_t kRoot = 72 + 8;  // the payload stands behind the sum of its one piece
  for (size_t i = 0; i < 32; ++i) CHECK(field(1, kRoot + i, 1) == 0x60 + i);
  CHECK(field(1, kRoot + 32, 4) == 4 && field(1, kRoot + 36, 4) == 4096 && field(1, kRoot + 40, 4) == 1024 && field(1, kRoot + 44, 4) == 2);
  CHECK(field(1, kRoot + 48) == uint64_t{5} << 30 && field(1, kRoot + 56) == 3);
}

TEST("resizes and rollbacks of version 1 are found; salvage is the journal's own word") {
  const golden::Parts parts = golden::Read(kReshapeGolden);
  GoldenEnv env;
  for (const char* name : {"identity", "000000.segment"}) StoreFile(env, kSmall.directory + "/" + name, golden::BytesOf(parts, name));
  Lives lives{env, kSmall};
  CHECK(lives.Open() == Code::kOk && lives.report.notes.empty());
  CheckFound(lives, Reshaping());
}

constexpr const char* kMovedGolden = "journal_v1_moved";

/** Two of these records stand in the first segment, which is full; the test moves them behind the rest. */
std::vector<Written> BeforeMoving() {
  return std::vector<Written>{Of(RecordType::kWrite, 1, 5 * kPageBytes + 8, 16, Mixed(16)), Of(RecordType::kRef, 2, 4 << 16, 2 << 16, Places())} + Filling() +
         std::vector<Written>{Pages(13, 46, 2), Pages(14, 48, 2), Pages(15, 50, 1)};
}

TEST("moved records are written as their golden file holds them, byte for byte") {
  GoldenEnv env;
  Lives lives{env, kSmall};
  CHECK(lives.Open() == Code::kOk);
  AppendAll(lives, BeforeMoving());
  lives.Flush();
  const auto records = lives.journal->RecordsOf(*lives.journal->OldestFull());
  CHECK_OK(records.status());
  for (const SegmentRecord& record : std::span(*records).first(2)) {
    const auto payload = lives.journal->PayloadOf(record);
    CHECK_OK(payload.status());
    CHECK_OK(lives.journal->Move(record, *payload));
  }
  lives.Flush();
  lives.journal.reset();
  golden::Parts parts;
  for (const char* name : kFiles) parts.push_back({name, LoadFile(env, kSmall.directory + "/" + name)});
  golden::Compare(kMovedGolden, parts);
}

TEST("moved records of version 1 are found, known by where they first stood, and read there when their segment is gone") {
  const golden::Parts parts = golden::Read(kMovedGolden);
  const std::vector<uint8_t>& second = golden::BytesOf(parts, "000001.segment");
  for (const bool gone : {false, true}) {
    GoldenEnv env;
    for (const char* name : kFiles) StoreFile(env, kSmall.directory + "/" + name, golden::BytesOf(parts, name));
    Lives lives{env, kSmall};
    CHECK(lives.Open() == Code::kOk && lives.report.notes.empty());
    if (gone) {
      lives.journal->Vacate(0);
      lives.Flush();
      lives.journal->Trim(kSectorBytes);
      CHECK(lives.journal->usage().segments == 1);
    }
    const size_t copies = lives.kept.size() - 2;
    for (size_t i = 0; i < 2; ++i) {
      const Kept& first = lives.kept[i];
      const Kept& copy = lives.kept[copies + i];
      CHECK(copy.record == first.record && copy.payload == first.payload && copy.below_durable && copy.sums == first.sums && copy.ref == first.ref);
      std::vector<uint8_t> bytes(copy.header.payload_bytes);
      CHECK_OK(lives.journal->Read(copy.payload, bytes, true));
      CHECK(bytes == BeforeMoving()[i].payload);
    }
    // By the page of the format alone: flag 1, and the position in the bytes from 56 on.
    size_t flagged = 0;
    for (const size_t at : RecordsOf(second, kSmallSegmentBytes)) {
      if (NumberAt(second, at + 6, 2) != 1) continue;
      CHECK(NumberAt(second, at + 56) == lives.kept[flagged++].record);
    }
    CHECK(flagged == 2);
  }
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
