// Records in frames in a store: put, found, read, recovered, shipped, checked; beside raw ones, and whatever becomes of the setting.
#include "../blocks/frames.h"
#include "../check/pack_survey.h"
#include "compressible.h"
#include "file_image.h"
#include "golden_env.h"
#include "pack_fixture.h"
#include "remote_pack_fixture.h"

using namespace skerry;
using namespace skerry::compressible;
using namespace skerry::pack_fixture;

namespace {

constexpr uint32_t kBytes = kFramedRawBytes;

std::vector<uint8_t> RawOf(uint32_t n) { return n % 3 == 0 ? Mixed(n, kBytes) : n % 3 == 1 ? Text(n, kBytes) : Noise(n, kBytes); }
/** What shrinks is put in frames, where the put asks for it. */
bool Shrinks(uint32_t n) { return n % 3 != 2; }

template <typename Store>
Location PutAs(Store& store, const DomainKey& key, uint32_t n, const Compression& how, bool* reused = nullptr) {
  const std::vector<uint8_t> raw = RawOf(n);
  PackPut put{RecordKind::kBlock, key.BlockIdOf(raw), raw, {}, false, 0, how};
  CHECK_OK(store.PutAll({&put, 1}, true));
  if (reused != nullptr) *reused = put.reused;
  return put.at;
}

BlockId IdOf(const DomainKey& key, uint32_t n) { return key.BlockIdOf(RawOf(n)); }

/** Page by page, in runs, whole, by its addresses, and past the page cache. */
void CheckReads(PackStore& store, const DomainKey& key, uint32_t n, const Location& at) {
  const std::vector<uint8_t> raw = RawOf(n);
  const BlockId id = IdOf(key, n);
  std::vector<uint8_t> page(kPageBytes), all(kBytes);
  for (uint32_t i = 0; i < 16; ++i) {
    CHECK_OK(store.ReadCell(at.pack, CellAddress(at, i), CellSeed(id, i), page, true));
    CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
    CHECK_OK(store.ReadPages(at, id, i, 1, page, true));
    CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
  }
  CHECK_OK(store.ReadPages(at, id, 3, 7, Bytes(all).first(7 * kPageBytes), true));
  CHECK(std::equal(all.begin(), all.begin() + 7 * kPageBytes, raw.begin() + 3 * kPageBytes));
  CHECK_OK(store.ReadPages(at, id, 0, 16, all, true));
  CHECK(all == raw && store.ReadRecord(at, id, true).value() == raw && store.Verify(at, id));
  CHECK(store.ReadRecord({at.pack, at.offset, 0}, id, true).value() == raw && store.ReadRecord({}, id, true).value() == raw);
  Location full;
  CHECK(store.IdAt({at.pack, at.offset, 0}, &full).value() == id && full == at);
}

PoolCheckReport SurveyOf(Fixture& f) {
  PoolCheckOptions options;
  options.directory = f.options.directory;
  options.checkpoint = f.options.checkpoint;
  options.domain = f.options.domain;
  options.domain_key = std::vector<uint8_t>(32, 42);
  options.content = Content::kHashes;
  PoolCheckReport report;
  PackSurvey survey(f.env, options, report);
  CHECK_OK(survey.Run());
  return report;
}

}  // namespace

TEST("blocks put in frames, and those that do not shrink, are read alike in an open pack, a sealed one, and after each kind of start") {
  for (const Compression& how : kAll) {
    Fixture f;
    std::vector<Location> at;
    for (uint32_t n = 0; n < 12; ++n) {
      at.push_back(PutAs(*f.store, f.key, n, how));
      CHECK(at[n].framed == Shrinks(n) && (at[n].stored_bytes < RecordStoredBytes(kBytes)) == Shrinks(n));
    }
    const auto check = [&] {
      for (uint32_t n = 0; n < 12; ++n) {
        CHECK(f.store->Find(IdOf(f.key, n)) == at[n]);
        CheckReads(*f.store, f.key, n, at[n]);
      }
      const PackStore::Usage usage = f.store->usage();
      CHECK(usage.framed_records == 8 && usage.uncompressed_record_bytes() == 12 * RecordStoredBytes(kBytes));
      CHECK(usage.record_bytes == f.store->RecordBytes() && usage.record_bytes < usage.uncompressed_record_bytes());
    };
    check();
    CHECK(f.store->usage().put_framed_records == 8 && f.store->usage().put_record_bytes == f.store->RecordBytes());
    f.Open();   // killed: the pack is scanned
    CHECK(f.report.recovered_open > 0);
    check();
    CHECK_OK(f.store->Seal());
    f.Open();   // by footers
    check();
    CHECK_OK(f.store->Checkpoint(true));
    f.Open();
    CHECK(f.report.index_from_checkpoint);
    check();
    const PoolCheckReport report = SurveyOf(f);
    CHECK(report.findings_total == 0 && report.blocks == 12 && report.records_read == 12);
  }
}

TEST("the same content is one record, whatever it is to be compressed with now and was before") {
  Fixture f;
  bool reused = true;
  const Location raw = PutAs(*f.store, f.key, 1, {}, &reused);
  CHECK(!reused && !raw.framed);
  const Location lz4 = PutAs(*f.store, f.key, 4, kLz4, &reused);
  CHECK(!reused && lz4.framed);
  for (const Compression& how : {Compression{}, kLz4, kZstd, kZstdBest}) {
    CHECK(PutAs(*f.store, f.key, 1, how, &reused) == raw && reused);
    CHECK(PutAs(*f.store, f.key, 4, how, &reused) == lz4 && reused);
  }
  CheckReads(*f.store, f.key, 1, raw);
  CheckReads(*f.store, f.key, 4, lz4);
  // Twins in one call; and blocks of another length, nodes and blocks with lost pages stay raw.
  const std::vector<uint8_t> text = Text(50, kBytes), small = Text(51, 8 << 10), node = Text(52, 48 + 44);
  const BlockId id = f.key.BlockIdOf(text);
  PackPut puts[] = {{RecordKind::kBlock, id, text, {}, false, 0, kLz4}, {RecordKind::kBlock, id, text, {}, false, 0, {}},
                    {RecordKind::kBlock, f.key.BlockIdOf(small), small, {}, false, 0, kLz4},
                    {RecordKind::kNode, f.key.NodeIdOf(ConstBytes(node).first(80)), node, {}, false, 0, kLz4}};
  CHECK_OK(f.store->PutAll(puts));
  CHECK(puts[0].at.framed && puts[1].at == puts[0].at && puts[1].reused && !puts[2].at.framed && !puts[3].at.framed);
  std::vector<uint8_t> lost = Text(60, kBytes);
  PackPut put{RecordKind::kBlock, f.key.BlockIdOf(lost), lost, {}, false, 1u << 5, kLz4};
  CHECK_OK(f.store->PutAll({&put, 1}));
  CHECK(!put.at.framed);
}

TEST("what the index says its records take is the sum over them, whatever came, was replaced and was dropped") {
  std::mt19937 dice(3);
  LocationIndex index;
  for (int round = 0; round < 20000; ++round) {
    const Location at{1 + static_cast<uint32_t>(dice() % 5), static_cast<uint32_t>(dice() % 1000 * kPackAlignBytes + 4096),
                      static_cast<uint32_t>(1 + dice() % 200) * kPackAlignBytes, static_cast<uint32_t>(dice() % 2)};
    const uint64_t fingerprint = dice() % 3000 * 0x9e3779b97f4a7c15ull;
    if (dice() % 3 == 0) index.Replace(fingerprint, at);
    else (void)index.Insert(fingerprint, at);
    if (dice() % 500 == 0) index.Drop(at.pack, at.offset);
    if (dice() % 9000 == 0) index.Clear();
    if (round % 100 != 0) continue;
    LocationIndex::Totals sums;
    for (size_t shard = 0; shard < LocationIndex::kShards; ++shard) {
      for (const LocationIndex::Entry& entry : index.ShardEntries(shard)) {
        const Location found = entry.at.location();
        sums.stored_bytes += found.stored_bytes;
        sums.framed_records += found.framed;
        sums.framed_bytes += found.framed ? found.stored_bytes : 0;
      }
    }
    const LocationIndex::Totals totals = index.totals();
    CHECK(totals.stored_bytes == sums.stored_bytes && totals.framed_records == sums.framed_records && totals.framed_bytes == sums.framed_bytes);
  }
}

TEST("records in frames are asked for whole, together with those of cells") {
  Fixture f;
  std::vector<Location> at;
  std::vector<CellRun> runs;
  uint64_t bytes = 0;
  for (uint32_t n = 0; n < 12; ++n) {
    at.push_back(n % 2 == 0 ? PutAs(*f.store, f.key, n, kLz4) : PutAs(*f.store, f.key, n, {}));
    runs.push_back({at[n].pack, CellAddress(at[n], n % 4), 16 - n % 4});
    bytes += at[n].stored_bytes;
  }
  CHECK_OK(f.store->Seal());
  f.env.faults.read_aheads = f.env.faults.read_ahead_bytes = 0;
  f.store->ReadAhead(runs);
  CHECK(f.env.faults.read_aheads >= 1 && f.env.faults.read_aheads <= 12);
  CHECK(f.env.faults.read_ahead_bytes <= bytes + 12u * 2 * kSectorBytes);
  std::vector<uint8_t> pages(16 * kPageBytes);
  for (uint32_t n = 0; n < 12; ++n) {
    const Bytes into = Bytes(pages).first((16 - n % 4) * kPageBytes);
    CHECK_OK(f.store->ReadPages(at[n], IdOf(f.key, n), n % 4, 16 - n % 4, into, true));
    CHECK(std::equal(into.begin(), into.end(), RawOf(n).begin() + n % 4 * kPageBytes));
  }
}

TEST("a read that may not block answers from the page cache, and says so where that has not got it") {
  Fixture f;
  const Location at = PutAs(*f.store, f.key, 1, kLz4);
  CheckReads(*f.store, f.key, 1, at);
  std::vector<uint8_t> page(kPageBytes);
  f.env.faults.block_reads = true;
  CHECK(f.store->ReadPages(at, IdOf(f.key, 1), 0, 1, page, false).code() == Code::kTryAgain);
  CHECK(f.store->ReadCell(at.pack, CellAddress(at, 2), CellSeed(IdOf(f.key, 1), 2), page, false).code() == Code::kTryAgain);
  f.env.faults.block_reads = false;
  CHECK_OK(f.store->ReadPages(at, IdOf(f.key, 1), 0, 1, page, false));
  CHECK_OK(f.store->ReadCell(at.pack, CellAddress(at, 15), CellSeed(IdOf(f.key, 1), 15), page, false));
  CHECK(f.store->ReadCell(at.pack + 7, CellAddress(at, 0), 0, page, true).code() == Code::kNotFound);
  CHECK(f.store->ReadCell(at.pack, kFramedCell, 0, page, true).code() == Code::kCorrupt);
}

TEST("a frame that rots costs its four pages; new data is not given up for it, and a start remembers") {
  Fixture f;
  const Location at = PutAs(*f.store, f.key, 0, kLz4), other = PutAs(*f.store, f.key, 1, kLz4);
  const auto header_bytes = static_cast<uint32_t>(sizeof(PackRecordHeader));
  const BlockId id = IdOf(f.key, 0);
  const auto check = [&](PackStore& store) {
    std::vector<uint8_t> page(kPageBytes);
    for (uint32_t i = 0; i < 16; ++i) CHECK(store.ReadPages(at, id, i, 1, page, true).code() == (i < 4 ? Code::kCorrupt : Code::kOk));
    CHECK(store.ReadRecord(at, id, true).code() == Code::kCorrupt && !store.Verify(at, id));
    CheckReads(store, f.key, 1, other);
  };
  CHECK_OK(f.store->Sync());
  f.store.reset();
  f.Flip(f.Path(at.pack, false), at.offset + header_bytes + 100);
  f.Open();   // found by the scan: torn, or rotten
  CHECK(f.report.notes.size() == 1 && f.store->RottenPages(at, id) == 4);
  check(*f.store);
  CHECK(f.store->usage().corrupt_cells > 4 && SurveyOf(f).findings_total == 0);   // what the footer calls damaged is told where it is reached
  f.Open();
  check(*f.store);
  bool reused = true;
  const Location fresh = PutAs(*f.store, f.key, 0, kZstd, &reused);
  CHECK(!reused && fresh.framed && f.store->Find(id) == fresh);
  CheckReads(*f.store, f.key, 0, fresh);
  // Rot in a sealed pack whose footer knows nothing of it.
  CHECK_OK(f.store->Seal());
  f.Flip(f.Path(fresh.pack, true), fresh.offset + fresh.stored_bytes / 2);
  f.Open();
  CHECK(f.store->ReadRecord(fresh, id, true).code() == Code::kCorrupt);
  CHECK(SurveyOf(f).findings_total == 1);
  CHECK(PutAs(*f.store, f.key, 0, kLz4, &reused).framed && !reused);
}

TEST("a record whose header is torn is skipped, and what looks like a record of frames inside a payload is none") {
  Fixture f;
  const Location first = PutAs(*f.store, f.key, 1, kLz4);
  // A guest has seen a pack, and writes what stood there where the scan will look.
  std::vector<uint8_t> record(first.stored_bytes);
  CHECK(std::move(*MakePosixEnv()->Open(f.Path(first.pack, false), {}))->Read(record, first.offset).ok());
  std::vector<uint8_t> outer = Noise(99, kBytes);
  Result<Location> outer_at = f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(outer), outer, nullptr);
  CHECK_OK(outer_at.status());
  const Location last = PutAs(*f.store, f.key, 4, kZstd);
  CHECK_OK(f.store->Sync());
  f.store.reset();
  const std::string path = f.Path(first.pack, false);
  PackRecordHeader header;
  std::memcpy(&header, record.data(), sizeof(header));
  {
    // Its sum is made to hold at the place where it lies now: sums are no secret, proofs are.
    OpenOptions how;
    how.write = true;
    const auto file = std::move(*MakePosixEnv()->Open(path, how));
    FillHeader(record, header, outer_at->offset + 1024);
    CHECK_OK(file->Write(record, outer_at->offset + 1024));
  }
  f.Flip(path, outer_at->offset + 30);
  f.Open();
  CHECK(f.report.records == 2 && f.store->Find(IdOf(f.key, 1)) == first && f.store->Find(IdOf(f.key, 4)) == last);
  CheckReads(*f.store, f.key, 1, first);
  CheckReads(*f.store, f.key, 4, last);
}

TEST("records in frames are shipped and fetched, page by page and whole, and rot on the way is no data") {
  check::RemotePacksFixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 9; ++n) at.push_back(PutAs(*f.store, f.key, n, n % 2 == 0 ? kLz4 : kZstd));
  f.Ship();
  CHECK(f.Files(".pack") + f.Files(".kept") == 0);
  for (int life = 0; life < 2; ++life) {
    for (uint32_t n = 0; n < 9; ++n) {
      CHECK(f.store->Find(IdOf(f.key, n)) == at[n]);
      CheckReads(*f.store, f.key, n, at[n]);
      bool reused = false;
      CHECK(PutAs(*f.store, f.key, n, {}, &reused) == at[n] && reused);
    }
    f.Open();
  }
}

namespace {

constexpr const char* kGolden = "pack_v1_framed";
constexpr const char* kSealed = "/d/packs/00000001.pack";

/** As in pack_golden_test.cc: it shrinks to little, so that the golden file stays short, and its pages differ. */
std::vector<uint8_t> Patterned(uint8_t n) {
  std::vector<uint8_t> bytes(kBytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(n * 64 + i / kPageBytes * 8 + i % 8 + (i % 509 == 0 ? i / 509 : 0));
  return bytes;
}

}  // namespace

// What a library makes of bytes changes with its version, so that the golden file is read, and never compared with what is written.
TEST("frames of LZ4 and of Zstandard are read as their golden file holds them, by footer and by scan") {
  const DomainKey key{std::vector<uint8_t>(32, 5)};
  const auto open = [&](Env& env, PackReport& report) {
    Result<std::unique_ptr<PackStore>> store = PackStore::Open(env, {"/d/packs", "/d/index", 256 << 10, 0, 5, 3, key}, report);
    CHECK_OK(store.status());
    return std::move(*store);
  };
  PackReport report;
  if (std::getenv(golden::kWriteVariable) != nullptr) {
    GoldenEnv env;
    const auto store = open(env, report);
    for (const uint8_t n : {1, 2}) {
      const std::vector<uint8_t> raw = Patterned(n);
      PackPut put{RecordKind::kBlock, key.BlockIdOf(raw), raw, {}, false, 0, n == 1 ? kLz4 : kZstd};
      CHECK_OK(store->PutAll({&put, 1}));
    }
    CHECK_OK(store->Seal());
    golden::Compare(kGolden, {{"00000001.pack", LoadFile(env, kSealed)}});
  }
  for (const bool scan : {false, true}) {
    GoldenEnv env;
    std::vector<uint8_t> sealed = golden::BytesOf(golden::Read(kGolden), "00000001.pack");
    if (scan) sealed.back() ^= 1;
    StoreFile(env, kSealed, sealed);
    const auto store = open(env, report);
    for (const uint8_t n : {1, 2}) {
      const std::vector<uint8_t> raw = Patterned(n);
      const std::optional<Location> at = store->Find(key.BlockIdOf(raw));
      CHECK(at.has_value() && at->framed && store->ReadRecord(*at, key.BlockIdOf(raw), true).value() == raw);
      std::vector<uint8_t> page(kPageBytes);
      for (uint32_t i = 0; i < 16; ++i) {
        CHECK_OK(store->ReadPages(*at, key.BlockIdOf(raw), i, 1, page, true));
        CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
      }
    }
  }
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
