// Encrypted records in a store: put, found, read, recovered, shipped, checked; what a flipped bit costs, what whoever has no key sees,
// and that no key meets two contents.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

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

constexpr uint32_t kBytes = kFramedRawBytes, kBlockPages = kBytes / kPageBytes;
constexpr Compression kNone{};
const RecordCipher kCipher{std::vector<uint8_t>(32, 77)};

struct Encrypted : Fixture {
  explicit Encrypted(uint32_t pack_bytes = 2 << 20) : Fixture(pack_bytes) {
    options.cipher = kCipher;
    // What it was opened as before held nothing.
    store.reset();
    std::filesystem::remove_all(options.directory);
    std::filesystem::remove_all(root + "/index");
    Open();
  }
};

std::vector<uint8_t> RawOf(uint32_t n) { return n % 3 == 0 ? Mixed(n, kBytes) : n % 3 == 1 ? Text(n, kBytes) : Noise(n, kBytes); }
bool Shrinks(uint32_t n) { return n % 3 != 2; }

PackPut PutOf(const DomainKey& key, const std::vector<uint8_t>& raw, const Compression& how, uint32_t lost = 0) {
  return {RecordKind::kBlock, key.BlockIdOf(raw), raw, {}, false, lost, how};
}

template <typename Store>
Location PutAs(Store& store, const DomainKey& key, uint32_t n, const Compression& how, bool* reused = nullptr) {
  const std::vector<uint8_t> raw = RawOf(n);
  PackPut put = PutOf(key, raw, how);
  CHECK_OK(store.PutAll({&put, 1}, true));
  if (reused != nullptr) *reused = put.reused;
  return put.at;
}

/** Page by page, in runs, whole, and by its addresses. */
void CheckReads(PackStore& store, const DomainKey& key, uint32_t n, const Location& at) {
  const std::vector<uint8_t> raw = RawOf(n);
  const BlockId id = key.BlockIdOf(raw);
  std::vector<uint8_t> page(kPageBytes), all(kBytes);
  for (uint32_t i = 0; i < kBlockPages; ++i) {
    CHECK_OK(store.ReadCell(at.pack, CellAddress(at, i), CellSeed(id, i), page, true));
    CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
    CHECK_OK(store.ReadPages(at, id, i, 1, page, true));
    CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
  }
  CHECK_OK(store.ReadPages(at, id, 3, 7, Bytes(all).first(7 * kPageBytes), true));
  CHECK(std::equal(all.begin(), all.begin() + 7 * kPageBytes, raw.begin() + 3 * kPageBytes));
  CHECK_OK(store.ReadPages(at, id, 0, kBlockPages, all, true));
  CHECK(all == raw && store.ReadRecord(at, id, true).value() == raw && store.Verify(at, id));
  CHECK(store.ReadRecord({at.pack, at.offset, 0}, id, true).value() == raw && store.ReadRecord({}, id, true).value() == raw);
  Location full;
  CHECK(store.IdAt({at.pack, at.offset, 0}, &full).value() == id && full == at);
}

PoolCheckReport SurveyOf(Fixture& f, const std::optional<RecordCipher>& cipher) {
  PoolCheckOptions options;
  options.directory = f.options.directory;
  options.checkpoint = f.options.checkpoint;
  options.domain = f.options.domain;
  options.domain_key = std::vector<uint8_t>(32, 42);
  options.cipher = cipher;
  options.content = Content::kSums;
  PoolCheckReport report;
  PackSurvey survey(f.env, options, report);
  CHECK_OK(survey.Run());
  return report;
}

std::vector<uint8_t> FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool Holds(const std::vector<uint8_t>& bytes, ConstBytes what) { return std::search(bytes.begin(), bytes.end(), what.begin(), what.end()) != bytes.end(); }

/** Its header as it rests, and all its bytes. */
std::vector<uint8_t> RecordAt(Fixture& f, const Location& at, bool sealed) {
  const std::vector<uint8_t> file = FileBytes(f.Path(at.pack, sealed));
  CHECK(file.size() >= at.offset + at.stored_bytes);
  return {file.begin() + at.offset, file.begin() + at.offset + at.stored_bytes};
}

}  // namespace

TEST("encrypted blocks are read alike in an open pack, a sealed one, and after each kind of start, compressed or not") {
  for (const Compression& how : {kNone, kLz4, kZstd}) {
    Encrypted f;
    std::vector<Location> at;
    for (uint32_t n = 0; n < 9; ++n) {
      at.push_back(PutAs(*f.store, f.key, n, how));
      CHECK(at[n].framed && (at[n].stored_bytes < EncryptedStoredBytes(kBytes)) == (how.on() && Shrinks(n)));
    }
    // A node is read whole; a short block has fewer pages.
    const std::vector<uint8_t> node = Noise(50, 48 + 3 * 44), small = Text(51, 8 << 10);
    const BlockId node_id = f.key.NodeIdOf(ConstBytes(node).first(48 + 3 * 32)), small_id = f.key.BlockIdOf(small);
    PackPut puts[] = {{RecordKind::kNode, node_id, node, {}, false, 0, how}, {RecordKind::kBlock, small_id, small, {}, false, 0, how}};
    CHECK_OK(f.store->PutAll(puts));
    const auto check = [&] {
      for (uint32_t n = 0; n < 9; ++n) {
        CHECK(f.store->Find(f.key.BlockIdOf(RawOf(n))) == at[n]);
        CheckReads(*f.store, f.key, n, at[n]);
      }
      CHECK(f.store->ReadRecord({}, node_id, true).value() == node && f.store->ReadRecord({}, small_id, true).value() == small);
      CHECK(f.store->Find(node_id) == puts[0].at && f.store->Find(small_id) == puts[1].at);
    };
    check();
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
    const PoolCheckReport report = SurveyOf(f, kCipher);
    CHECK(report.findings_total == 0 && report.blocks == 10 && report.records_read == 11);
    // Without the key, and with another one, all that is read is damaged, and nothing is misread.
    CHECK(SurveyOf(f, std::nullopt).findings_total == 11);
    CHECK(SurveyOf(f, RecordCipher{std::vector<uint8_t>(32, 78)}).findings_total == 11);
  }
}

TEST("what rests has no page, no part of one and no id that could be told without a key") {
  Encrypted f;
  for (uint32_t n = 0; n < 9; ++n) (void)PutAs(*f.store, f.key, n, n % 2 == 0 ? kNone : kLz4);
  CHECK_OK(f.store->Seal());
  const std::vector<uint8_t> file = FileBytes(f.Path(1, true));
  CHECK(file.size() > 9 * 1024);
  const DomainKey guessed{std::vector<uint8_t>(32, 0)};
  for (uint32_t n = 0; n < 9; ++n) {
    const std::vector<uint8_t> raw = RawOf(n);
    // Any sixteen bytes in a row: of text, some would stand in what LZ4 makes of it.
    for (size_t at = 0; at + 16 <= raw.size(); at += 997) CHECK(!Holds(file, ConstBytes(raw).subspan(at, 16)));
    CHECK(!Holds(file, guessed.BlockIdOf(raw).bytes) && Holds(file, f.key.BlockIdOf(raw).bytes));
  }
}

TEST("the same content is one record; put again it has another salt, and no two records share a key") {
  Encrypted f(8 << 20);
  bool reused = true;
  const Location first = PutAs(*f.store, f.key, 1, kNone, &reused);
  CHECK(!reused);
  for (const Compression& how : {kNone, kLz4, kZstd, kZstdBest}) CHECK(PutAs(*f.store, f.key, 1, how, &reused) == first && reused);
  std::set<std::vector<uint8_t>> salts;
  std::set<std::vector<uint8_t>> first_blocks;
  std::vector<Location> places{first};
  // Its pack is condemned, so that it is put anew each time, as a collection and a scrub do.
  for (int round = 0; round < 24; ++round) {
    CHECK_OK(f.store->Seal());
    const uint32_t packs[] = {places.back().pack};
    f.store->Condemn(packs);
    places.push_back(PutAs(*f.store, f.key, 1, round % 3 == 0 ? kNone : round % 3 == 1 ? kLz4 : kZstd, &reused));
    CHECK(!reused && !(places.back() == places[places.size() - 2]));
    CheckReads(*f.store, f.key, 1, places.back());
  }
  CHECK_OK(f.store->Seal());
  for (const Location& at : places) {
    const std::vector<uint8_t> record = RecordAt(f, at, true);
    auto header = ParseHeader(record, at.pack, at.offset);
    CHECK(header.has_value() && header->encrypted());
    salts.emplace(header->salt(), header->salt() + kSaltBytes);
    first_blocks.emplace(record.begin() + sizeof(PackRecordHeader), record.begin() + sizeof(PackRecordHeader) + 16);
  }
  CHECK(salts.size() == places.size() && first_blocks.size() == places.size());
}

TEST("a key is of one record alone: each thing that its header says changes what is written, with the same salt") {
  PackRecordHeader header{};
  header.magic = kPackRecordMagic;
  header.version = kEncryptedRecordVersion;
  header.kind = RecordKind::kBlock;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.raw_bytes = kPageBytes;
  header.stored_bytes = EncryptedStoredBytes(kPageBytes);
  const std::vector<uint8_t> plain(kPageBytes, 5);
  std::set<std::vector<uint8_t>> seen;
  const auto add = [&](const PackRecordHeader& one, uint32_t frame) {
    std::vector<uint8_t> stored(kPageBytes), tag(kTagBytes), back(kPageBytes);
    const PayloadKey key = kCipher.KeyOf(one);
    CHECK(key.Encrypt(frame, plain, stored, tag));
    CHECK(key.Decrypt(frame, stored, tag, back) && back == plain && !key.Decrypt(frame + 1, stored, tag, back));
    seen.insert(std::move(stored));
  };
  add(header, 0);
  add(header, 1);
  const auto changed = [&](auto change) {
    PackRecordHeader other = header;
    change(other);
    add(other, 0);
  };
  changed([](auto& h) { h.id[0] = 1; });
  changed([](auto& h) { h.id[31] = 1; });
  changed([](auto& h) { h.salt()[0] = 1; });
  changed([](auto& h) { h.salt()[kSaltBytes - 1] = 1; });
  changed([](auto& h) { h.codec = Codec::kLz4; });
  changed([](auto& h) { h.frame_bytes[0] = 100; });
  changed([](auto& h) { h.flags = kRecordLostPages; });
  changed([](auto& h) { h.kind = RecordKind::kNode; });
  changed([](auto& h) { h.raw_bytes += 1; });
  CHECK(seen.size() == 11);
  // Not its place: the same bytes may go to another pack where a write to the first one failed.
  changed([](auto& h) { h.pack = 9; });
  CHECK(seen.size() == 11);
}

TEST("a flipped bit costs the page or frame it is in and no other, wherever it is; in the header all, and never data that is wrong") {
  for (const bool compressed : {false, true}) {
    const uint32_t unit_pages = compressed ? kFrameBytes / kPageBytes : 1;
    Encrypted f;
    const Location at = PutAs(*f.store, f.key, 0, compressed ? kLz4 : kNone);
    const BlockId id = f.key.BlockIdOf(RawOf(0));
    const std::vector<uint8_t> raw = RawOf(0);
    CHECK_OK(f.store->Seal());
    const std::vector<uint8_t> record = RecordAt(f, at, true);
    const auto header = ParseHeader(record, at.pack, at.offset);
    CHECK(header.has_value());
    for (uint32_t frame = 0; frame < FrameCount(*header); ++frame) {
      const FramePlace place = FrameAt(*header, frame);
      // Its first and last byte, and its tag's.
      for (const uint32_t byte : {place.offset, place.offset + place.stored_bytes - 1, place.offset + place.stored_bytes, place.end() - 1}) {
        f.Flip(f.Path(at.pack, true), at.offset + byte);
        f.Open();
        std::vector<uint8_t> page(kPageBytes);
        for (uint32_t i = 0; i < kBlockPages; ++i) {
          const Status status = f.store->ReadPages(at, id, i, 1, page, true);
          CHECK(status.code() == (i / unit_pages == frame ? Code::kCorrupt : Code::kOk));
          if (status.ok()) CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
        }
        CHECK(f.store->ReadRecord(at, id, true).code() == Code::kCorrupt && f.store->usage().corrupt_cells > 0);
        f.Flip(f.Path(at.pack, true), at.offset + byte);
      }
    }
    f.Open();
    for (const uint32_t byte : {0u, 6u, 40u, 70u, 90u, 100u, 119u, 127u}) {
      f.Flip(f.Path(at.pack, true), at.offset + byte);
      f.Open();
      std::vector<uint8_t> page(kPageBytes);
      CHECK(!f.store->ReadPages(at, id, 0, 1, page, true).ok() && !f.store->ReadRecord(at, id, true).ok());
      f.Flip(f.Path(at.pack, true), at.offset + byte);
    }
    f.Open();
    CheckReads(*f.store, f.key, 0, at);
  }
}

TEST("whoever can write where the pool rests and has no key cannot have other content served") {
  Encrypted f;
  const Location at = PutAs(*f.store, f.key, 2, kNone), other = PutAs(*f.store, f.key, 5, kNone);
  const BlockId id = f.key.BlockIdOf(RawOf(2));
  CHECK_OK(f.store->Seal());
  const std::string path = f.Path(at.pack, true);
  const std::vector<uint8_t> mine = RecordAt(f, at, true), its = RecordAt(f, other, true);
  const auto serves = [&](std::vector<uint8_t> record) {
    const auto file = std::move(*MakePosixEnv()->Open(path, {.write = true}));
    CHECK_OK(file->Write(record, at.offset));
    f.Open();
    std::vector<uint8_t> page(kPageBytes), all(kBytes);
    bool any = f.store->ReadRecord(at, id, true).ok() || f.store->ReadPages(at, id, 0, kBlockPages, all, true).ok();
    // A place may come from a footer, which has no key either: it says whether there are frames.
    for (const Location& place : {at, Location{at.pack, at.offset, at.stored_bytes, 0}}) {
      any |= f.store->ReadPages(place, id, 0, 1, page, true).ok();
      any |= f.store->ReadCell(place.pack, CellAddress(place, 0), CellSeed(id, 0), page, true).ok();
    }
    return any;
  };
  PackRecordHeader header;
  std::memcpy(&header, mine.data(), sizeof(header));
  // A record that is not encrypted, whole by all its sums.
  std::vector<uint8_t> plain(RecordStoredBytes(kBytes));
  PackRecordHeader forged = header;
  forged.version = kPackVersion;
  forged.stored_bytes = static_cast<uint32_t>(plain.size());
  std::ranges::fill(forged.frame_bytes, 0);
  FillCells(plain, id, Noise(99, kBytes));
  FillHeader(plain, forged, at.offset);
  CHECK(BadCells(plain, *ParseHeader(plain, at.pack, at.offset)).empty() && !serves(plain));
  // Another record of the pool under this one's header, and under a header that is its own but for the id.
  std::vector<uint8_t> swapped = its;
  FillHeader(swapped, header, at.offset);
  CHECK(!serves(swapped));
  std::memcpy(&forged, its.data(), sizeof(forged));
  std::ranges::copy(header.id, forged.id);
  FillHeader(swapped, forged, at.offset);
  CHECK(!serves(swapped));
  CHECK(serves(mine));
}

TEST("a torn encrypted record keeps the pages that are whole; a lost page fails for ever, and its neighbours do not") {
  Encrypted f;
  const std::vector<uint8_t> raw = RawOf(2);
  PackPut put = PutOf(f.key, raw, kLz4, 1u << 5 | 1u << 15);
  CHECK_OK(f.store->PutAll({&put, 1}));
  const Location torn = PutAs(*f.store, f.key, 5, kNone);
  CHECK_OK(f.store->Sync());
  f.store.reset();
  // From its tenth page on nothing has reached the disk.
  const uint32_t written = sizeof(PackRecordHeader) + 9 * (kPageBytes + kTagBytes);
  CHECK_OK(std::move(*MakePosixEnv()->Open(f.Path(torn.pack, false), {.write = true}))->Write(std::vector<uint8_t>(torn.stored_bytes - written), torn.offset + written));
  for (int life = 0; life < 2; ++life) {
    f.Open();
    std::vector<uint8_t> page(kPageBytes);
    for (uint32_t i = 0; i < kBlockPages; ++i) {
      CHECK(f.store->ReadPages(put.at, put.id, i, 1, page, true).code() == (i == 5 || i == 15 ? Code::kCorrupt : Code::kOk));
      if (i != 5 && i != 15) CHECK(std::equal(page.begin(), page.end(), raw.begin() + i * kPageBytes));
      CHECK(f.store->ReadPages(torn, f.key.BlockIdOf(RawOf(5)), i, 1, page, true).code() == (i < 9 ? Code::kOk : Code::kCorrupt));
    }
    // Of what lacks pages nothing new is given up.
    bool reused = true;
    CHECK(life == 1 || (!(PutAs(*f.store, f.key, 5, kNone, &reused) == torn) && !reused));
    CHECK_OK(f.store->Seal());
  }
  CHECK(SurveyOf(f, kCipher).findings_total == 0);
}

TEST("encrypted records are shipped and fetched; what the backend has and what is staged here tell nothing") {
  check::RemotePacksFixture f;
  f.store.reset();
  std::filesystem::remove_all(f.options.directory);
  f.options.cipher = kCipher;
  f.Open();
  std::vector<Location> at;
  for (uint32_t n = 0; n < 9; ++n) at.push_back(PutAs(*f.store, f.key, n, n % 2 == 0 ? kLz4 : kNone));
  f.Ship();
  CHECK(f.Files(".pack") + f.Files(".kept") == 0);
  for (int life = 0; life < 2; ++life) {
    for (uint32_t n = 0; n < 9; ++n) {
      CHECK(f.store->Find(f.key.BlockIdOf(RawOf(n))) == at[n]);
      CheckReads(*f.store, f.key, n, at[n]);
      bool reused = false;
      CHECK(PutAs(*f.store, f.key, n, {}, &reused) == at[n] && reused);
    }
    f.Open();
  }
}

TEST("a store without the key of what it finds believes none of it, and loses none: with the key it is there again") {
  Encrypted f;
  const Location at = PutAs(*f.store, f.key, 1, kLz4);
  CHECK_OK(f.store->Seal());
  for (const std::optional<RecordCipher>& wrong : {std::optional<RecordCipher>(), std::optional(RecordCipher{std::vector<uint8_t>(32, 1)})}) {
    f.options.cipher = wrong;
    f.Open();
    CHECK(f.store->ReadRecord(at, f.key.BlockIdOf(RawOf(1)), true).code() == Code::kCorrupt);
  }
  f.options.cipher = kCipher;
  f.Open();
  CheckReads(*f.store, f.key, 1, at);
  std::vector<uint8_t> large(2 * kBytes);
  PackPut put = PutOf(f.key, large, {});
  CHECK(f.store->PutAll({&put, 1}).code() == Code::kInvalid);
}

namespace {

constexpr const char* kGolden = "pack_v2_encrypted";
constexpr const char* kGoldenFramed = "pack_v2_encrypted_framed";
constexpr const char* kSealed = "/d/packs/00000001.pack";

std::vector<uint8_t> Patterned(uint8_t n, size_t bytes) {
  std::vector<uint8_t> pattern(bytes);
  for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<uint8_t>(n * 64 + i / kPageBytes * 8 + i % 8);
  return pattern;
}

std::unique_ptr<PackStore> OpenGolden(Env& env) {
  PackStoreOptions options{"/d/packs", "/d/index", 256 << 10, 0, 5, 3, DomainKey{std::vector<uint8_t>(32, 5)}};
  options.cipher = kCipher;
  PackReport report;
  Result<std::unique_ptr<PackStore>> store = PackStore::Open(env, options, report);
  CHECK_OK(store.status());
  return std::move(*store);
}

}  // namespace

TEST("encrypted records are read and written as their golden file holds them, and compressed ones are read") {
  const DomainKey key{std::vector<uint8_t>(32, 5)};
  const std::vector<uint8_t> block = Patterned(1, 2 * kPageBytes), node = Patterned(2, 48 + 2 * 44), text = Patterned(3, kBytes);
  const BlockId node_id = key.NodeIdOf(ConstBytes(node).first(48 + 2 * 32));
  {
    GoldenEnv env;
    const auto store = OpenGolden(env);
    PackPut puts[] = {PutOf(key, block, {}), {RecordKind::kNode, node_id, node, {}, false, 0, {}}};
    CHECK_OK(store->PutAll(puts));
    CHECK_OK(store->Seal());
    golden::Compare(kGolden, {{"00000001.pack", LoadFile(env, kSealed)}});
  }
  if (std::getenv(golden::kWriteVariable) != nullptr) {
    GoldenEnv env;
    const auto store = OpenGolden(env);
    PackPut put = PutOf(key, text, kLz4);
    CHECK_OK(store->PutAll({&put, 1}));
    CHECK_OK(store->Seal());
    golden::Compare(kGoldenFramed, {{"00000001.pack", LoadFile(env, kSealed)}});
  }
  for (const bool scan : {false, true}) {
    for (const char* name : {kGolden, kGoldenFramed}) {
      GoldenEnv env;
      std::vector<uint8_t> sealed = golden::BytesOf(golden::Read(name), "00000001.pack");
      if (scan) sealed.back() ^= 1;
      StoreFile(env, kSealed, sealed);
      const auto store = OpenGolden(env);
      if (name == kGoldenFramed) {
        CHECK(store->Find(key.BlockIdOf(text))->framed && store->ReadRecord({}, key.BlockIdOf(text), true).value() == text);
      } else {
        CHECK(store->ReadRecord({}, key.BlockIdOf(block), true).value() == block && store->ReadRecord({}, node_id, true).value() == node);
      }
    }
  }
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
