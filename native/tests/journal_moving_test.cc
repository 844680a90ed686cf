// Records that are copied to the log's end: known by where they first stood, whatever became of that place.
#include "../simulation/sim_env.h"
#include "../volume/replay_log.h"
#include "journal_lives.h"

namespace skerry {
namespace {

/** Records 1 to `few` of volume 7, then enough of volume 8 to fill some segments; all durable. */
void FillSegments(Lives& lives, uint64_t few) {
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= few; ++i) lives.Append(i, 3000);
  for (uint64_t i = 1; lives.journal->appended() < 4 * kSegmentBytes; ++i) {
    RecordDraft draft = WriteDraft(i, {});
    const std::vector<uint8_t> data = Pattern(kVolume + 1, i, 5000);
    draft.resource = kVolume + 1;
    draft.payload = data;
    draft.length = data.size();
    lives.Append(draft);
  }
  lives.Flush();
}

/** Moves what volume 7 has in the oldest segment; how many records these were. */
uint64_t MoveOldest(Lives& lives) {
  const auto segment = lives.journal->OldestFull();
  CHECK(segment.has_value());
  auto records = lives.journal->RecordsOf(*segment);
  CHECK_OK(records.status());
  uint64_t moved = 0;
  for (const SegmentRecord& record : *records) {
    if (record.header.resource != kVolume) continue;
    const auto payload = lives.journal->PayloadOf(record);
    CHECK_OK(payload.status());
    CHECK_OK(lives.journal->Move(record, *payload));
    ++moved;
  }
  lives.journal->Vacate(*segment);
  return moved;
}

/** What a replay in order finds of volume 7: records 1 to `last`, each once, each with its bytes. */
void CheckMoved(Lives& lives, const std::vector<Appended>& places) {
  ReplayLog log;
  for (const Kept& kept : lives.kept) {
    ReplayedRecord record;
    record.header = kept.header;
    record.record = kept.record;
    record.payload = kept.payload;
    record.sums = kept.sums;
    log.Add(record);
  }
  uint64_t next = 1;
  CHECK_OK(log.ForEach([&](const ReplayedRecord& record) {
    if (record.header.resource != kVolume) return Status::Ok();
    CHECK(record.header.sequence == next && record.record == places[next - 1].record && record.payload == places[next - 1].payload);
    std::vector<uint8_t> bytes(record.header.payload_bytes);
    CHECK_OK(lives.journal->Read(record.payload, bytes, true));
    CHECK(bytes == Pattern(kVolume, next, bytes.size()));
    ++next;
    return Status::Ok();
  }));
  CHECK(next == places.size() + 1);
}

std::vector<Appended> PlacesOf(const Lives& lives) {
  std::vector<Appended> places;
  for (const Kept& kept : lives.kept) {
    if (kept.header.resource == kVolume) places.push_back({kept.record, 0, kept.payload});
  }
  return places;
}

}  // namespace

TEST("a moved record is read by the place where it first stood, once its segment has gone and after every death") {
  SimEnv env(1);
  Lives lives{env, kSimulated};
  FillSegments(lives, 6);
  CHECK(lives.Open() == Code::kOk);
  const std::vector<Appended> places = PlacesOf(lives);
  CHECK(places.size() == 6);
  const uint64_t before = lives.journal->usage().segments;
  CHECK(MoveOldest(lives) == 6);
  lives.Flush();
  lives.journal->Trim(places[0].record);
  CHECK(lives.journal->usage().segments < before);
  for (size_t i = 0; i < places.size(); ++i) {
    std::vector<uint8_t> bytes(3000);
    CHECK_OK(lives.journal->Read(places[i].payload, bytes, true));
    CHECK(bytes == Pattern(kVolume, i + 1, bytes.size()));
  }
  for (const bool host : {false, true, true}) {
    lives.journal.reset();
    if (host) env.HostCrash(); else env.ProcessCrash();
    CHECK(lives.Open() == Code::kOk);
    CheckMoved(lives, places);
  }
}

TEST("a segment stays until the copies are durable, and both are there after a death in between: each record counts once") {
  for (const bool host : {false, true}) {
    for (uint64_t operations = 0; operations < 12; ++operations) {
      SimEnv env(10 + operations);
      Lives lives{env, kSimulated};
      FillSegments(lives, 6);
      CHECK(lives.Open() == Code::kOk);
      const std::vector<Appended> places = PlacesOf(lives);
      const uint64_t before = lives.journal->usage().segments;
      CHECK(MoveOldest(lives) == 6);
      lives.journal->Trim(places[0].record);
      CHECK(lives.journal->usage().segments == before);
      env.CrashAfterOperations(operations);
      for (Result<bool> wrote = true; wrote.ok() && *wrote;) wrote = lives.journal->Write();
      (void)lives.journal->Sync();
      lives.journal->Trim(places[0].record);
      lives.journal.reset();
      env.DisarmCrash();
      if (host) env.HostCrash(); else env.ProcessCrash();
      CHECK(lives.Open() == Code::kOk);
      CheckMoved(lives, places);
    }
  }
}

TEST("what was moved can be moved again, and is forgotten once nothing so old is wanted") {
  SimEnv env(2);
  Lives lives{env, kSimulated};
  FillSegments(lives, 4);
  CHECK(lives.Open() == Code::kOk);
  const std::vector<Appended> places = PlacesOf(lives);
  uint64_t moved = 0;
  for (int lap = 0; lap < 12; ++lap) {
    moved += MoveOldest(lives);
    for (uint64_t i = 0; i < 40; ++i) {
      RecordDraft draft = WriteDraft(1000 + lap * 40 + i, {});
      const std::vector<uint8_t> data = Pattern(kVolume + 1, i, 5000);
      draft.resource = kVolume + 1;
      draft.payload = data;
      draft.length = data.size();
      lives.Append(draft);
    }
    lives.Flush();
    lives.journal->Trim(places[0].record);
  }
  CHECK(moved >= 8);
  CHECK(lives.Open() == Code::kOk);
  CheckMoved(lives, places);
  lives.journal->Trim(lives.journal->durable());
  std::vector<uint8_t> bytes(3000);
  CHECK(lives.journal->Read(places[0].payload, bytes, true).code() == Code::kNotFound);
}

TEST("a log that is full to its last segment goes on once what pins it is moved") {
  SimEnv env(4);
  JournalOptions options = kSimulated;
  options.journal_bytes_max = 6 * kSegmentBytes;
  Lives lives{env, options};
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= 3; ++i) lives.Append(i, 3000);
  const std::vector<uint8_t> data = Pattern(kVolume + 1, 1, 5000);
  uint64_t sequence = 0;
  const auto append = [&] {
    RecordDraft draft = WriteDraft(sequence + 1, data);
    draft.resource = kVolume + 1;
    const Code code = lives.journal->Append(draft).code();
    if (code == Code::kOk) ++sequence;
    return code;
  };
  // Three in a row that no written batch and no prepared segment helps: there is no room.
  for (int refused = 0; refused < 3;) {
    refused = append() == Code::kOk ? 0 : refused + 1;
    if (refused == 0) continue;
    lives.Flush();
    CHECK_OK(lives.journal->PrepareSegment().status());
  }
  const auto records = lives.journal->RecordsOf(*lives.journal->OldestFull());
  CHECK_OK(records.status());
  std::vector<Appended> places;
  for (const SegmentRecord& record : *records) {
    if (record.header.resource != kVolume) continue;
    places.push_back({record.record, 0, record.record + sizeof(RecordHeader) + record.sums.size() * 8});
    const auto payload = lives.journal->PayloadOf(record);
    CHECK_OK(payload.status());
    Status moved = lives.journal->Move(record, *payload);
    for (int attempt = 0; moved.code() == Code::kTryAgain && attempt < 3; ++attempt) moved = lives.journal->Move(record, *payload);
    CHECK_OK(moved);
  }
  CHECK(append() == Code::kTryAgain || lives.journal->usage().segments <= 7);
  lives.journal->Vacate(*lives.journal->OldestFull());
  lives.Flush();
  lives.journal->Trim(places[0].record);
  for (int i = 0; i < 5; ++i) CHECK(append() == Code::kOk);
  CHECK(lives.Open() == Code::kOk);
  CHECK(places.size() == 3);
  CheckMoved(lives, places);
}

TEST("a record that has rotted is not moved: its copy would end the log") {
  SimEnv env(3);
  Lives lives{env, kSimulated};
  FillSegments(lives, 3);
  CHECK(lives.Open() == Code::kOk);
  const std::vector<Appended> places = PlacesOf(lives);
  Flip(lives, PathOf(lives, places[1].payload), (places[1].payload + 100) % kSegmentBytes);
  const auto records = lives.journal->RecordsOf(*lives.journal->OldestFull());
  CHECK_OK(records.status());
  uint64_t rotten = 0;
  for (const SegmentRecord& record : *records) {
    if (record.header.resource != kVolume) continue;
    const Code code = lives.journal->PayloadOf(record).code();
    CHECK(code == (record.header.sequence == 2 ? Code::kCorrupt : Code::kOk));
    rotten += code == Code::kCorrupt;
  }
  CHECK(rotten == 1);
}

}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
