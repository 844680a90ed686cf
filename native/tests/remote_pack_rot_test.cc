// What rotted or was torn, in packs that rest on a backend: never handed out, healed from a copy, nothing given up for it.
#include "../blocks/cell.h"
#include "../blocks/pack_handles.h"
#include "remote_pack_fixture.h"

using namespace skerry;
using Fixture = check::RemotePacksFixture;
using check::kBlock;
using check::kPages;

TEST("what comes wrong is fetched again, what stays wrong is told and never handed out") {
  Fixture f;
  const auto at = f.PutMany(3);
  f.Ship();
  f.backend->rotten = 1;
  CHECK(f.Holds(0, at[0]) && f.store->usage().corrupt_cells == 0);
  f.Open();  // with an empty cache
  f.backend->rotten = 1000;
  std::vector<uint8_t> into(kBlock);
  CHECK(f.store->ReadPages(at[1], f.IdOf(1), 0, kPages, into, true).code() == Code::kCorrupt);
  CHECK(f.store->ReadRecord(at[2], f.IdOf(2), true).code() == Code::kCorrupt);
  CHECK(f.store->usage().corrupt_cells > 0);
  f.backend->rotten = 0;
  // New data is not given up for a record that has rotted.
  bool reused = true;
  const auto again = f.store->Put(RecordKind::kBlock, f.IdOf(1), Fixture::Block(1), &reused);
  CHECK(again.ok() && !reused && f.Holds(1, *again));
}

TEST("rot that only the cache has seen is healed by the backend") {
  Fixture f;
  const auto at = f.PutMany(1);
  f.Ship();
  CHECK(f.Holds(0, at[0]));
  const RecordKey key{f.options.remote->pool, at[0].pack, at[0].offset};
  auto bad = std::make_shared<RecordImage>(*f.options.remote->cache->Peek(key));
  (*bad)[5000] ^= 1;
  f.options.remote->cache->Drop(key);
  f.options.remote->cache->Put(key, bad);
  CHECK(f.Holds(0, at[0]) && f.store->usage().corrupt_cells == 0);
  const uint64_t before = f.backend->fetch_count;
  CHECK(f.Holds(0, at[0]) && f.backend->fetch_count == before);
}

TEST("rot in a copy that is kept here costs nothing while the backend has the pack") {
  Fixture f(8 << 20, check::kAllKept);
  const auto at = f.PutMany(3);
  f.Ship();
  f.store.reset();
  for (const uint32_t n : {1, 2}) f.Spoil(KeptPackPath(f.options.directory, 1), CellOffset(at[n], 4) + 200, 100);
  f.Open();
  for (int round = 0; round < 2; ++round) {
    for (uint32_t n = 0; n < 3; ++n) CHECK(f.Holds(n, at[n]));
    const Result<std::vector<uint8_t>> record = f.store->ReadRecord(at[2], f.IdOf(2), true);
    CHECK(record.ok() && *record == Fixture::Block(2));
  }
  CHECK(f.store->usage().corrupt_cells == 0);
  f.backend->rotten = 1000;
  f.options.remote->cache = std::make_shared<BlockCache>(f.options.remote->cache->bytes_max());
  f.Open();
  std::vector<uint8_t> into(kBlock);
  CHECK(f.store->ReadPages(at[1], f.IdOf(1), 0, kPages, into, true).code() == Code::kCorrupt);
  CHECK(f.Holds(0, at[0]));
}

TEST("a copy that cannot be dropped keeps no other here") {
  Fixture f(8 << 20, check::kAllKept);
  f.PutMany(40);
  f.Ship();
  CHECK(f.Files(".kept") == 3);
  f.store.reset();
  std::filesystem::remove_all(f.options.directory + "/00000001.foot");
  f.options.remote->kept_bytes_max = 0;
  f.Open();
  const std::string kept = KeptPackPath(f.options.directory, 1);
  f.Spoil(kept, std::filesystem::file_size(kept) - 512, 512);
  CHECK(!f.store->Upkeep().ok());
  CHECK(f.Files(".kept") == 1);
}

TEST("a record that was found damaged is shipped as it is, and no new data is given up for it") {
  Fixture f;
  const auto at = f.PutMany(3);
  CHECK_OK(f.store->Sync());
  f.store.reset();
  f.Spoil(f.options.directory + "/00000001.open", CellOffset(at[1], 4) + 200, 100);
  for (const bool first : {true, false}) {
    f.Open();
    if (first) f.Ship();
    std::vector<uint8_t> page(kPageBytes);
    CHECK_OK(f.store->ReadPages(at[1], f.IdOf(1), 3, 1, page, true));
    CHECK(std::memcmp(page.data(), Fixture::Block(1).data() + 3 * kPageBytes, kPageBytes) == 0);
    CHECK(f.store->ReadPages(at[1], f.IdOf(1), 4, 1, page, true).code() == Code::kCorrupt);
    CHECK(!f.store->Verify(at[1], f.IdOf(1)) && f.store->Verify(at[2], f.IdOf(2)));
  }
  bool reused = true;
  const auto again = f.store->Put(RecordKind::kBlock, f.IdOf(1), Fixture::Block(1), &reused);
  CHECK(again.ok() && !reused && f.Holds(1, *again));
}

TEST("a whole record goes before a damaged one that is met first, on a host that has nothing as well") {
  Fixture f;
  const auto at = f.PutMany(3);
  CHECK_OK(f.store->Sync());
  f.store.reset();
  f.Spoil(f.options.directory + "/00000001.open", CellOffset(at[1], 4) + 200, 100);
  f.Open();
  const Location again = f.Put(1);
  CHECK(again.pack != at[1].pack);
  f.Ship();
  for (const bool empty : {false, true}) {
    if (empty) {
      f.store.reset();
      std::filesystem::remove_all(f.options.directory);
      std::filesystem::remove(f.options.checkpoint);
    }
    f.Open();
    const auto found = f.store->Find(f.IdOf(1));
    CHECK(found && found->pack == again.pack && f.Holds(1, *found));
  }
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
