// What a guest writes into a block may look like a record of the pack that the block goes to. Once that block's own header is
// torn, a scan looks at it: it must never be believed.
#include <algorithm>

#include "../simulation/sim_env.h"
#include "../volume/store.h"
#include "file_image.h"
#include "pack_fixture.h"
#include "small_store.h"

using namespace skerry;
using namespace skerry::pack_fixture;

namespace {

constexpr uint32_t kFirstRecord = kWriteAlignBytes;
/** Inside the first cell of the first record. */
constexpr uint32_t kInside = kFirstRecord + kPackAlignBytes;

/** A record that is whole in all a guest can know: made for its place, under an id of the guest's choice. */
std::vector<uint8_t> Forge(const BlockId& id, ConstBytes raw, uint32_t offset, const DomainKey* key, RecordKind kind = RecordKind::kBlock) {
  std::vector<uint8_t> record(RecordStoredBytes(static_cast<uint32_t>(raw.size())));
  FillCells(record, id, raw);
  PackRecordHeader header{kPackRecordMagic, kPackVersion, kind, Codec::kRaw, HashAlgorithm::kHmacSha256, 1,
                          static_cast<uint32_t>(raw.size()), 1, static_cast<uint32_t>(record.size()), 0, {}, 1, {}, {}, 0};
  std::ranges::copy(id.bytes, header.id);
  if (key != nullptr) std::ranges::copy(ProofOf(header, offset, *key), header.proof);
  FillHeader(record, header, offset);
  return record;
}

/** A block that holds `record` where it will lie at `offset` of the pack. */
std::vector<uint8_t> BlockWith(ConstBytes record, uint32_t offset) {
  std::vector<uint8_t> block = Fixture::Block(1);
  std::copy(record.begin(), record.end(), block.begin() + (offset - CellOffset({1, kFirstRecord, 0}, 0)));
  return block;
}

/** As a power cut leaves a sector that was never written. */
void TearHeader(Env& env, const std::string& path, uint64_t offset) {
  Result<std::unique_ptr<File>> file = env.Open(path, {.write = true});
  CHECK_OK(file.status());
  CHECK_OK((*file)->Write(std::vector<uint8_t>(kPackAlignBytes), offset));
  CHECK_OK((*file)->DataSync());
}

}  // namespace

TEST("a forged record in the payload of a record whose header was torn does not enter the index, under whatever id") {
  const DomainKey guessed{ConstBytes{}};
  for (const DomainKey* key : {static_cast<const DomainKey*>(nullptr), &guessed}) {
    Fixture f;
    const BlockId victim = f.IdOf(77);
    const std::vector<uint8_t> block = BlockWith(Forge(victim, Fixture::Block(78, 1000), kInside, key), kInside);
    CHECK(f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(block), block, nullptr).value().offset == kFirstRecord);
    const Location neighbour = f.Put(2);
    f.store.reset();
    TearHeader(f.env, f.Path(1, false), kFirstRecord);
    f.Open();
    CHECK(!f.store->Find(victim) && f.report.records == 1);
    CHECK(f.store->Find(f.IdOf(2)) == neighbour && f.Finds(2));
    CHECK(std::ranges::any_of(f.report.notes, [](const std::string& note) { return note.find("not written by this store") != std::string::npos; }));
    bool reused = true;
    (void)f.Put(77, &reused);
    CHECK(!reused && f.Finds(77));
    f.Open();
    CHECK(f.Finds(77) && f.Finds(2));
  }
}

TEST("the length that a forged header claims hides nothing") {
  Fixture f;
  std::vector<uint8_t> record = Forge(f.IdOf(77), Fixture::Block(78, 512 << 10), kInside, nullptr);
  record.resize(1024);
  const std::vector<uint8_t> block = BlockWith(record, kInside);
  CHECK(f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(block), block, nullptr).ok());
  for (uint32_t n = 2; n < 6; ++n) f.Put(n);
  f.store.reset();
  TearHeader(f.env, f.Path(1, false), kFirstRecord);
  f.Open();
  CHECK(f.report.records == 4);
  for (uint32_t n = 2; n < 6; ++n) CHECK(f.Finds(n));
}

TEST("a forged record of which a page holds is not kept as a damaged one") {
  Fixture f;
  // Its last cell, of some bytes, is placed within one cell of the block: it holds.
  const uint32_t raw_bytes = kPageBytes + 600;
  std::vector<uint8_t> record = Forge(f.IdOf(77), Fixture::Block(78, raw_bytes), kInside, nullptr);
  std::vector<uint8_t> block = BlockWith(ConstBytes(record).first(1024), kInside);
  // Where a byte of the pack lies in the block: the sums between the pages are not the guest's.
  for (uint32_t i = 0; i < record.size(); ++i) {
    const uint32_t in_cells = kInside + i - CellOffset({1, kFirstRecord, 0}, 0);
    if (in_cells % kCellBytes < kPageBytes) block[in_cells / kCellBytes * kPageBytes + in_cells % kCellBytes] = record[i];
  }
  CHECK(f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(block), block, nullptr).ok());
  f.store.reset();
  TearHeader(f.env, f.Path(1, false), kFirstRecord);
  f.Open();
  CHECK(f.report.records == 0 && !f.store->Find(f.IdOf(77)));
}

// The scan fuzzer's: a node's id was computed only where its length was a node's, and was zeroes for every other.
TEST("a forged node that is as long as no node does not enter the index under an id of zeroes") {
  Fixture f;
  const std::vector<uint8_t> block = BlockWith(Forge(BlockId{}, Fixture::Block(78, 1001), kInside, nullptr, RecordKind::kNode), kInside);
  CHECK(f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(block), block, nullptr).value().offset == kFirstRecord);
  f.store.reset();
  TearHeader(f.env, f.Path(1, false), kFirstRecord);
  f.Open();
  CHECK(!f.store->Find(BlockId{}) && f.report.records == 0);
}

TEST("records of writers that gave no proof are kept where their content is what their id says, and only then") {
  Fixture f;
  f.store.reset();
  const std::string path = f.Path(1, false);
  std::filesystem::create_directories(f.options.directory);
  std::vector<uint8_t> pack(256 << 10);
  const std::vector<uint8_t> header = EncodeFileHeader(1, 1, 1, 0);
  std::ranges::copy(header, pack.begin());
  uint32_t at = kPackAlignBytes;
  for (uint32_t n = 1; n < 4; ++n) {
    const std::vector<uint8_t> record = Forge(n == 2 ? f.IdOf(77) : f.IdOf(n), Fixture::Block(n), at, nullptr);
    std::ranges::copy(record, pack.begin() + at);
    at += static_cast<uint32_t>(record.size());
  }
  StoreFile(f.env, path, pack);
  f.Open();
  CHECK(f.Finds(1) && f.Finds(3) && !f.store->Find(f.IdOf(77)) && f.report.records == 2);
}

TEST("a store proves with the key of its domain: a guest's record does not survive a torn header") {
  SimEnv env(1);
  const StoreOptions options = check::SmallStore("/d");
  const std::vector<ResourceSpec> specs{{{1, 8 << 20, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0}};
  StoreReport report;
  Result<std::unique_ptr<Store>> store = Store::Open(env, options, specs, report);
  CHECK_OK(store.status());
  const DomainKey guessed{ConstBytes{}};
  const BlockId victim = DomainKey(options.pools[0].domain_key).BlockIdOf(Fixture::Block(77));
  const std::vector<uint8_t> block = BlockWith(Forge(victim, Fixture::Block(78, 1000), kInside, &guessed), kInside);
  CHECK_OK((*store)->Find(1)->Write(0, block).status());
  CHECK_OK((*store)->Find(1)->Write(kBlockBytes, Fixture::Block(2)).status());
  store->reset();
  env.ProcessCrash();
  TearHeader(env, "/d/default/00000001.open", kFirstRecord);
  store = Store::Open(env, options, specs, report);
  CHECK_OK(store.status());
  CHECK(!(*store)->pools().front()->packs->Find(victim));
  CHECK((*store)->pools().front()->packs->Find(DomainKey(options.pools[0].domain_key).BlockIdOf(Fixture::Block(2))).has_value());
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
