// What is torn or rotten in a pack: what it costs, what is still read, what a start makes of it.
#include "pack_fixture.h"

using namespace skerry;
using namespace skerry::pack_fixture;

TEST("a record of an open pack with a page that fails keeps its other pages, its neighbours, and the word of its damage") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 6; ++n) at.push_back(f.Put(n));
  f.store.reset();
  f.Flip(f.Path(at[1].pack, false), CellOffset(at[1], 7) + 100);  // a cell
  f.Flip(f.Path(at[3].pack, false), at[3].offset + 40);           // a header
  f.Flip(f.Path(at[5].pack, false), CellOffset(at[5], 15) + 10);  // the last one
  f.Open();
  CHECK(f.report.records == 5 && f.report.notes.size() == 1);
  for (uint32_t n = 0; n < 6; ++n) CHECK(f.Finds(n) == (n % 2 == 0) && f.store->Verify(at[n], f.IdOf(n)) == (n % 2 == 0));
  std::vector<uint8_t> page(kPageBytes);
  for (const uint32_t n : {1u, 5u}) {
    const uint32_t bad = n == 1 ? 7 : 15;
    for (uint32_t i = 0; i < 16; ++i) {
      CHECK(f.store->ReadPages(*f.store->Find(f.IdOf(n)), f.IdOf(n), i, 1, page, true).code() == (i == bad ? Code::kCorrupt : Code::kOk));
    }
  }
}

TEST("only what was durable before is counted as rot: a torn record is no alarm") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 3; ++n) at.push_back(f.Put(n));
  f.store.reset();
  for (const uint32_t n : {1u, 2u}) f.Flip(f.Path(at[n].pack, false), CellOffset(at[n], 7) + 100);
  f.Open();
  CHECK(f.store->usage().corrupt_cells == 0);
  CHECK(f.store->RottenPages(at[0], f.IdOf(0)) == 0 && f.store->RottenPages(at[1], f.IdOf(2)) == 0);
  CHECK(f.store->RottenPages(at[1], f.IdOf(1)) == 1 && f.store->usage().corrupt_cells == 1);
  CHECK(f.store->RottenPages(at[1], f.IdOf(1)) == 0 && f.store->usage().corrupt_cells == 1);  // told once
}

TEST("new data is never given up for a record known to be damaged, in this life or a later one") {
  for (const bool checkpoint : {false, true}) {
    Fixture f;
    const Location at = f.Put(1);
    f.Put(2);
    f.store.reset();
    f.Flip(f.Path(at.pack, false), CellOffset(at, 7) + 100);
    for (int life = 0; life < 3; ++life) {
      f.Open();
      if (checkpoint) CHECK_OK(f.store->Checkpoint(true));
      CHECK(f.store->Find(f.IdOf(1)) == at);
    }
    bool reused = true;
    const Location fresh = f.Put(1, &reused);
    CHECK(!reused && fresh.pack != at.pack && f.Finds(1));
    CHECK_OK(f.store->Sync());
    for (int life = 0; life < 3; ++life) {
      f.Open();
      if (checkpoint) CHECK_OK(f.store->Checkpoint(true));
      CHECK(f.store->Find(f.IdOf(1)) == fresh && f.Finds(1));
    }
  }
}

TEST("of a block that no pack has whole every page is read that any of them has") {
  Fixture f;
  const std::vector<uint8_t> block = Fixture::Block(1);
  const BlockId id = f.IdOf(1);
  const auto reads = [&](const Location& hint, std::set<uint32_t> lost) {
    std::vector<uint8_t> page(kPageBytes), head(size_t{9} * kPageBytes);
    for (uint32_t i = 0; i < 16; ++i) {
      const Status read = f.store->ReadBlock(hint, id, i, 1, page, true);
      CHECK(read.code() == (lost.contains(i) ? Code::kCorrupt : Code::kOk));
      CHECK(!read.ok() || std::equal(page.begin(), page.end(), block.begin() + size_t{i} * kPageBytes));
    }
    CHECK(f.store->ReadBlock(hint, id, 0, 9, head, true).ok() == (lost.empty() || *lost.begin() >= 9));
    return true;
  };
  const Location old = f.Put(1);
  f.store.reset();
  for (const uint32_t page : {3u, 9u}) f.Flip(f.Path(old.pack, false), CellOffset(old, page) + 100);  // torn by a crash
  f.Open();
  CHECK(reads(old, {3, 9}));

  PackPut put{RecordKind::kBlock, id, block, {}, false, 1u << 9, {}};
  CHECK_OK(f.store->PutAll({&put, 1}));
  CHECK(!put.reused && !(put.at == old));
  CHECK_OK(f.store->Sync());
  for (int life = 0; life < 2; ++life) {
    CHECK(reads(old, {9}) && reads({}, {9}) && f.store->Find(id) == put.at);
    f.Open();
  }

  f.store.reset();
  f.Flip(f.Path(put.at.pack, true), CellOffset(put.at, 5) + 100);  // rotten: now the old one has it alone
  f.Open();
  CHECK(reads(old, {9}) && reads({}, {9}));

  const Location fresh = f.Put(1);
  CHECK(!(fresh == old) && !(fresh == put.at) && reads(old, {}));
  f.store.reset();
  for (const uint32_t page : {0u, 9u}) f.Flip(f.Path(fresh.pack, false), CellOffset(fresh, page) + 100);  // torn too
  f.Open();
  CHECK(f.store->Find(id) == fresh && reads(old, {9}) && reads({}, {9}));
}

TEST("of a record that was put again for rot both places are known to a start without a checkpoint") {
  Fixture f;
  const Location first = f.Put(1);
  f.Put(2);
  CHECK_OK(f.store->Seal());
  f.store.reset();
  f.Flip(f.Path(first.pack, true), CellOffset(first, 7) + 100);
  f.Open();
  CHECK(!f.Holds(1, first));
  const Location second = f.Put(1);
  CHECK(!(second == first) && f.Holds(1, second));
  CHECK_OK(f.store->Sync());
  f.store.reset();
  std::filesystem::remove(f.options.checkpoint);
  f.Open();
  std::vector<uint8_t> into(Fixture::Block(1).size());
  for (const Location& hint : {first, Location{}}) {
    CHECK(f.store->ReadBlock(hint, f.IdOf(1), 0, 16, into, true).ok() && into == Fixture::Block(1));
  }
}

TEST("records in the payload of a record are not taken for records") {
  Fixture f;
  const Location outer_at{1, kWriteAlignBytes, 0};
  // What a guest would write to forge a record: a whole one, made for the very place where it will lie.
  std::vector<uint8_t> outer(64 << 10);
  const uint32_t inner_offset = outer_at.offset + 4 * kPackAlignBytes;
  const BlockId forged_id = f.IdOf(77);
  const std::vector<uint8_t> forged = f.Block(77, 1000);
  std::vector<uint8_t> record(RecordStoredBytes(1000));
  FillCells(record, forged_id, forged);
  PackRecordHeader header{kPackRecordMagic, kPackVersion, RecordKind::kBlock, Codec::kRaw, HashAlgorithm::kHmacSha256, 1, 1000, 1,
                          static_cast<uint32_t>(record.size()), 0, {}, 1, {}, {}, 0};
  std::memcpy(header.id, forged_id.bytes.data(), 32);
  FillHeader(record, header, inner_offset);
  std::copy(record.begin(), record.end(), outer.begin() + (inner_offset - CellOffset(outer_at, 0)));
  CHECK(f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(outer), outer, nullptr).value().offset == outer_at.offset);
  f.store.reset();
  f.Flip(f.Path(1, false), CellOffset(outer_at, 9));  // damaged: its other pages hold, the forged record's among them
  f.Open();
  CHECK(f.report.records == 1 && !f.store->Find(forged_id));
}

TEST("one flipped bit in a sealed pack costs its page and no other") {
  Fixture f;
  const Location at = f.Put(1);
  CHECK_OK(f.store->Seal());
  f.Flip(f.Path(at.pack, true), CellOffset(at, 4) + 1234);
  std::vector<uint8_t> page(kPageBytes);
  for (uint32_t i = 0; i < 16; ++i) {
    CHECK(f.store->ReadPages(at, f.IdOf(1), i, 1, page, true).code() == (i == 4 ? Code::kCorrupt : Code::kOk));
    const Status now = f.store->ReadCell(at.pack, CellOffset(at, i), CellSeed(f.IdOf(1), i), page, false);
    CHECK(now.code() == (i == 4 ? Code::kTryAgain : Code::kOk));
  }
  CHECK(f.store->usage().corrupt_cells == 1);
  CHECK(f.store->ReadRecord(at, f.IdOf(1), true).code() == Code::kCorrupt);
  CHECK(!f.store->Verify(at, f.IdOf(1)));
  // Good bytes that come again are not given up for the rotten ones.
  bool reused = true;
  const Location fresh = f.Put(1, &reused);
  CHECK(!reused && fresh != at && f.Finds(1) && f.store->Find(f.IdOf(1)) == fresh);
}

TEST("a damaged footer is replaced by reading the records") {
  for (const uint64_t from_end : {10, 60, 100}) {
    Fixture f;
    for (uint32_t n = 0; n < 5; ++n) f.Put(n);
    CHECK_OK(f.store->Seal());
    f.store.reset();
    f.Flip(f.Path(1, true), std::filesystem::file_size(f.Path(1, true)) - from_end);
    f.Open();
    CHECK(!f.report.notes.empty() && f.report.records == 5);
    for (uint32_t n = 0; n < 5; ++n) CHECK(f.Finds(n));
  }
}

TEST("a pack goes only once the checkpoint leads to the other place of what it held") {
  Fixture f;
  const Location first = f.Put(1);
  CHECK_OK(f.store->Seal());
  f.store->Condemn({&first.pack, 1});
  const Location second = f.Put(1);
  f.store->Pardon(first.pack);
  CHECK_OK(f.store->Seal());
  (void)f.Put(2);
  CHECK_OK(f.store->Seal());   // the newest pack never goes
  f.Open();
  CHECK_OK(f.store->Checkpoint(true));
  const Location led = *f.store->Find(f.IdOf(1)), other = led == first ? second : first;
  // It rots there, a scrub finds the other copy, and the rotten one's pack is given back.
  f.store->NoteDamaged(led);
  const Result<std::vector<PackFooterEntry>> entries = f.store->EntriesOf(other.pack);
  CHECK(entries.ok() && entries->size() == 1);
  f.store->Adopt(other.pack, entries->front());
  CHECK(f.store->Find(f.IdOf(1)) == other);
  f.store->Condemn({&led.pack, 1});
  CHECK_OK(f.store->Remove({&led.pack, 1}));
  f.Open();
  CHECK(f.report.index_from_checkpoint && f.store->Find(f.IdOf(1)) == other && f.Finds(1));
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
