// The pack store on real files: what is put is found, what is synced is kept, what is torn is skipped, what rots is told.
#include <algorithm>

#include "pack_fixture.h"

using namespace skerry;
using namespace skerry::pack_fixture;

TEST("a record that was put is read back, page by page and whole") {
  Fixture f;
  const Location at = f.Put(1);
  const std::vector<uint8_t> block = f.Block(1);
  CHECK(f.store->Find(f.IdOf(1)) == at);
  std::vector<uint8_t> page(kPageBytes);
  // Records are written past the page cache: the first read waits for the device, and those after it do not.
  CHECK(f.store->ReadRecord(at, f.IdOf(1), true).value() == block);
  for (uint32_t i = 0; i < 16; ++i) {
    CHECK_OK(f.store->ReadCell(at.pack, CellOffset(at, i), CellSeed(f.IdOf(1), i), page, false));
    CHECK(std::equal(page.begin(), page.end(), block.begin() + i * kPageBytes));
  }
  std::vector<uint8_t> pages(3 * kPageBytes);
  CHECK_OK(f.store->ReadPages(at, f.IdOf(1), 5, 3, pages, false));
  CHECK(std::equal(pages.begin(), pages.end(), block.begin() + 5 * kPageBytes));
  CHECK(f.store->ReadRecord(at, f.IdOf(1), false).value() == block);
  CHECK(f.store->ReadRecord({}, f.IdOf(1), false).value() == block);
  CHECK(f.store->ReadRecord({at.pack, at.offset, 0}, f.IdOf(1), false).value() == block);
  Location full;
  CHECK(f.store->IdAt({at.pack, at.offset, 0}, &full).value() == f.IdOf(1));
  CHECK(full == at);
  CHECK(f.store->Verify(at, f.IdOf(1)) && !f.store->Verify(at, f.IdOf(2)));
}

TEST("a node of any length is read back") {
  Fixture f;
  for (const size_t bytes : {1, 511, 4095, 4096, 4097, 10000, 200001}) {
    const std::vector<uint8_t> node = f.Block(9, bytes);
    const BlockId id = f.key.NodeIdOf(node);
    const Result<Location> at = f.store->Put(RecordKind::kNode, id, node, nullptr);
    CHECK(at.ok() && f.store->ReadRecord(at.value(), id, true).value() == node);
    CHECK(f.store->Verify(at.value(), id));
  }
  CHECK(f.store->usage().nodes == 7 && f.store->usage().blocks == 0);
}

TEST("the same block twice is stored once") {
  Fixture f;
  bool reused = true;
  const Location first = f.Put(1, &reused);
  CHECK(!reused);
  CHECK(f.Put(1, &reused) == first && reused);
  CHECK(f.store->usage().put_records == 1 && f.store->usage().dedup_hits == 1 && f.store->usage().dedup_bytes == 64 << 10);
}

TEST("records put together lie together, and each is stored once") {
  Fixture f;
  f.Put(3);
  std::vector<std::vector<uint8_t>> blocks;
  for (const uint32_t n : {1, 2, 3, 1, 4}) blocks.push_back(f.Block(n));
  std::vector<PackPut> puts;
  for (const auto& block : blocks) puts.push_back({RecordKind::kBlock, f.key.BlockIdOf(block), block, {}, false});
  CHECK_OK(f.store->PutAll(puts));
  CHECK(!puts[0].reused && !puts[1].reused && puts[2].reused && puts[3].reused && !puts[4].reused);
  CHECK(puts[3].at == puts[0].at && puts[1].at.offset == puts[0].at.offset + puts[0].at.stored_bytes);
  CHECK(f.store->usage().put_records == 4 && f.store->usage().dedup_hits == 2);
  f.Open();
  for (const uint32_t n : {1, 2, 3, 4}) CHECK(f.Finds(n));
}

TEST("records that fit in no pack together are put one by one") {
  Fixture f(160 << 10);
  std::vector<std::vector<uint8_t>> blocks;
  for (uint32_t n = 0; n < 12; ++n) blocks.push_back(f.Block(n));
  std::vector<PackPut> puts;
  for (const auto& block : blocks) puts.push_back({RecordKind::kBlock, f.key.BlockIdOf(block), block, {}, false});
  CHECK_OK(f.store->PutAll(puts));
  for (uint32_t n = 0; n < 12; ++n) CHECK(f.Holds(n, puts[n].at));
}

TEST("two ids that begin alike are two records") {
  Fixture f;
  BlockId other = f.IdOf(1);
  other.bytes[31] ^= 1;
  const Location first = f.Put(1);
  bool reused = true;
  const Result<Location> second = f.store->Put(RecordKind::kBlock, other, f.Block(2), &reused);
  CHECK(second.ok() && !reused && second.value() != first);
  CHECK(f.store->Find(f.IdOf(1)) == first);
  CHECK(f.store->ReadRecord(second.value(), other, true).value() == f.Block(2));
  CHECK(f.store->ReadRecord(first, other, true).code() == Code::kNotFound);
}

TEST("a cell passes only for its own block and page") {
  Fixture f;
  const Location at = f.Put(1);
  std::vector<uint8_t> page(kPageBytes);
  CHECK(f.store->ReadCell(at.pack, CellOffset(at, 2), CellSeed(f.IdOf(1), 3), page, true).code() == Code::kCorrupt);
  CHECK(f.store->ReadCell(at.pack, CellOffset(at, 3), CellSeed(f.IdOf(2), 3), page, true).code() == Code::kCorrupt);
}

TEST("full packs are sealed by the next sync, and hold what was put") {
  Fixture f;
  std::vector<Location> at(100);
  for (uint32_t n = 0; n < 100; ++n) at[n] = f.Put(n);
  CHECK(at.back().pack > 5 && f.store->unsynced());
  CHECK_OK(f.store->Sync());
  CHECK(!f.store->unsynced());
  CHECK(std::filesystem::exists(f.Path(1, true)) && std::filesystem::exists(f.Path(at.back().pack, false)));
  CHECK(std::filesystem::file_size(f.Path(1, true)) <= f.options.pack_bytes);
  for (uint32_t n = 0; n < 100; ++n) CHECK(f.Holds(n, at[n]));
  CHECK_OK(f.store->Seal());
  f.Open();
  CHECK(f.report.recovered_open == 0 && f.report.records == 100 && f.report.notes.empty());
  for (uint32_t n = 0; n < 100; ++n) CHECK(f.Finds(n) && f.store->Find(f.IdOf(n)) == at[n]);
}

TEST("what was put survives the process without a sync") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 40; ++n) at.push_back(f.Put(n));
  f.Open();
  CHECK(f.report.recovered_open > 0 && f.report.records == 40);
  for (uint32_t n = 0; n < 40; ++n) {
    CHECK(f.store->Find(f.IdOf(n)) == at[n] && f.Holds(n, at[n]) && f.store->Verify(at[n], f.IdOf(n)));
    CHECK(!f.store->Verify(at[n], f.IdOf(n + 1)));
  }
  f.Open();  // recovering twice is recovering once
  CHECK(f.report.recovered_open == 0 && f.report.records == 40 && f.report.notes.empty());
}

TEST("a new process never gives out a pack number again") {
  Fixture f;
  uint32_t last = 0;
  for (uint32_t n = 0; n < 5; ++n) {
    const Location at = f.Put(n);
    CHECK(at.pack > last);
    last = at.pack;
    if (n == 2) CHECK_OK(f.store->Checkpoint(true));
    f.Open();
  }
  // An open pack that holds nothing whole keeps its number, until a later one has it.
  std::filesystem::resize_file(f.Path(last, true), 0);
  std::filesystem::rename(f.Path(last, true), f.Path(last, false));
  f.Open();
  const Location at = f.Put(100);
  CHECK(at.pack == last + 1);
  // A checkpoint remembers numbers whose packs are gone.
  CHECK_OK(f.store->Seal());
  CHECK_OK(f.store->Checkpoint(true));
  f.store.reset();
  std::filesystem::remove(f.Path(at.pack, true));
  f.Open();
  CHECK(f.Put(101).pack == at.pack + 1);
}

TEST("a checkpoint spares the footers, and a bad one is ignored") {
  Fixture f;
  for (uint32_t n = 0; n < 40; ++n) f.Put(n);
  CHECK_OK(f.store->Seal());
  CHECK_OK(f.store->Checkpoint(true));
  for (uint32_t n = 40; n < 60; ++n) f.Put(n);
  f.Open();
  CHECK(f.report.index_from_checkpoint && f.report.records == 60);
  for (uint32_t n = 0; n < 60; ++n) CHECK(f.Finds(n));
  for (const uint64_t offset : {0, 8, 70, 300, -1}) {
    const uint64_t size = std::filesystem::file_size(f.options.checkpoint);
    CHECK_OK(f.store->Checkpoint(true));
    f.Flip(f.options.checkpoint, offset == uint64_t(-1) ? size - 1 : offset);
    f.Open();
    CHECK(!f.report.index_from_checkpoint && f.report.notes.size() == 1 && f.report.records == 60);
    for (uint32_t n = 0; n < 60; ++n) CHECK(f.Finds(n));
  }
  CHECK_OK(f.store->Checkpoint(true));
  f.store.reset();
  std::filesystem::remove(f.Path(1, true));
  f.Open();
  CHECK(f.report.index_from_checkpoint && !f.store->Find(f.IdOf(0)) && f.Finds(59));
}

TEST("a failed sync is final: it drops what was not synced, and no later sync hides it") {
  Fixture f;
  const Location kept = f.Put(1);
  CHECK_OK(f.store->Sync());
  const Location lost = f.Put(2);
  f.env.faults.fail_sync = true;
  CHECK(f.store->Sync().code() == Code::kIo);
  f.env.faults.fail_sync = false;
  CHECK(f.store->Find(f.IdOf(1)) == kept && !f.store->Find(f.IdOf(2)));
  bool reused = true;
  const Location again = f.Put(2, &reused);
  CHECK(!reused && again.pack != lost.pack && f.Finds(2));
  CHECK(f.store->Sync().code() == Code::kIo);
  f.Open();
  CHECK(f.Finds(1) && f.Finds(2));
  CHECK_OK(f.store->Sync());
}

TEST("a failed write fails its put and nothing else") {
  Fixture f;
  f.Put(1);
  f.env.faults.fail_write = true;
  CHECK(f.store->Put(RecordKind::kBlock, f.IdOf(2), f.Block(2), nullptr).code() == Code::kIo);
  f.env.faults.fail_write = false;
  CHECK(!f.store->Find(f.IdOf(2)));
  f.Put(3);
  CHECK_OK(f.store->Sync());
  f.Open();
  CHECK(f.Finds(1) && f.Finds(3) && !f.store->Find(f.IdOf(2)));
}

TEST("the reserve is for nodes and urgent records; a full disk refuses blocks and forgives once there is room") {
  Fixture f;
  f.options.reserve_bytes = 64 << 20;
  f.Open();
  f.env.faults.free_bytes = 64 << 20;
  const std::vector<uint8_t> node = f.Block(5, 5000);
  const auto put = [&](uint32_t n, bool urgent) { return f.store->Put(RecordKind::kBlock, f.IdOf(n), f.Block(n), nullptr, urgent).code(); };
  CHECK(put(1, false) == Code::kNoSpace && put(1, true) == Code::kOk);
  f.env.faults.free_bytes = 63 << 20;
  CHECK(f.store->Put(RecordKind::kNode, f.key.NodeIdOf(node), node, nullptr).ok());
  CHECK(put(2, false) == Code::kNoSpace);
  CHECK(put(1, false) == Code::kOk);  // known already
  f.env.faults.free_bytes = 640 << 20;
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  CHECK(put(2, false) == Code::kOk);
  // No room for a whole pack: an urgent record makes a small one, another is refused and leaves no file behind.
  CHECK_OK(f.store->Seal());
  f.env.faults.allocate_bytes_max = 300 << 10;
  CHECK(put(3, false) == Code::kNoSpace);
  CHECK(put(3, true) == Code::kOk && f.Finds(3));
  f.env.faults.allocate_bytes_max = 1;
  CHECK_OK(f.store->Seal());
  CHECK(put(4, true) == Code::kNoSpace);
  f.Open();
  CHECK(f.Finds(1) && f.Finds(2) && f.Finds(3) && !f.store->Find(f.IdOf(4)) && f.report.recovered_open == 0);
}

TEST("a read that would wait says so, and a pack that is gone is not found") {
  Fixture f;
  const Location at = f.Put(1);
  std::vector<uint8_t> page(kPageBytes);
  f.env.faults.block_reads = true;
  CHECK(f.store->ReadPages(at, f.IdOf(1), 0, 1, page, false).code() == Code::kTryAgain);
  CHECK(f.store->ReadRecord(at, f.IdOf(1), false).code() == Code::kTryAgain);
  CHECK(f.Holds(1, at));
  CHECK(f.store->ReadRecord(at, f.IdOf(1), true).value() == f.Block(1));
  CHECK(f.store->ReadCell(999, CellOffset(at, 0), 0, page, true).code() == Code::kNotFound);
  CHECK(f.store->ReadRecord({}, f.IdOf(2), true).code() == Code::kNotFound);
}

TEST("large reads are asked for together before they are waited for, and the page cache is asked from then on") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 24; ++n) at.push_back(f.Put(n));  // 15 fit in a pack
  CHECK(at.front().pack + 1 == at.back().pack);
  CHECK_OK(f.store->Sync());
  const auto read = [&](uint32_t n, bool may_block) {
    std::vector<uint8_t> pages((16 - n % 3) * kPageBytes);
    const Status status = f.store->ReadPages(at[n], f.IdOf(n), n % 3, 16 - n % 3, pages, may_block);
    if (status.ok()) CHECK(std::equal(pages.begin(), pages.end(), f.Block(n).begin() + n % 3 * kPageBytes));
    return status.code();
  };
  for (uint32_t n = 0; n < 24; ++n) CHECK(read(n, false) == Code::kTryAgain);
  std::vector<CellRun> runs;
  for (uint32_t i = 0; i < 24; ++i) {
    const uint32_t n = (i * 7) % 24, first = n % 3;  // in no order
    runs.push_back({at[n].pack, CellOffset(at[n], first), n == 0 ? kLargeReadPages - 1 : 16 - first});
  }
  f.env.faults.read_aheads = f.env.faults.read_ahead_bytes = 0;
  f.store->ReadAhead(runs);
  CHECK(f.env.faults.read_aheads == 2);  // a piece of each pack, the short one not among them
  CHECK(f.env.faults.read_ahead_bytes >= 23u * 14 * kCellBytes && f.env.faults.read_ahead_bytes <= 23u * 17 * kCellBytes);
  f.Flip(f.Path(at[9].pack, true), CellOffset(at[9], 12) + 3);
  for (uint32_t n = 0; n < 24; ++n) CHECK(read(n, true) == (n == 9 ? Code::kCorrupt : Code::kOk));
  for (uint32_t n = 1; n < 24; ++n) CHECK(read(n, false) == (n == 9 ? Code::kTryAgain : Code::kOk));
  CHECK(f.Holds(1, at[1]) && !f.Holds(9, at[9]));
  CHECK(f.store->usage().corrupt_cells > 0);
  // Of what is not there the reads that follow tell.
  const CellRun nowhere{999, CellOffset(at[0], 0), 16};
  f.store->ReadAhead({&nowhere, 1});
}

TEST("what cannot be a record or a pack size is refused") {
  Fixture f;
  const std::vector<uint8_t> big(kRecordRawBytesMax + 1);
  const auto put = [&](RecordKind kind, const BlockId& id, ConstBytes raw) { return f.store->Put(kind, id, raw, nullptr).code(); };
  CHECK(put(RecordKind::kBlock, f.IdOf(1), big) == Code::kInvalid);
  CHECK(put(RecordKind::kBlock, f.IdOf(1), {}) == Code::kInvalid);
  CHECK(put(RecordKind::kBlock, {}, f.Block(1)) == Code::kInvalid);
  CHECK(put(RecordKind::kPaged, f.IdOf(1), f.Block(1)) == Code::kInvalid);
  CHECK(put(RecordKind::kNode, f.IdOf(1), f.Block(1, 1 << 20)) == Code::kInvalid);
  for (const uint32_t bytes : {0u, 4096u, (1u << 20) + 1, 128u << 20}) {
    PackStoreOptions options = f.options;
    options.pack_bytes = bytes;
    PackReport report;
    CHECK(PackStore::Open(f.env, options, report).code() == Code::kInvalid);
  }
}

TEST("many threads put, read and sync at once, and a sync covers every put before it") {
  Fixture f;
  constexpr uint32_t kThreads = 4, kEach = 60;
  std::vector<Location> at(kThreads * kEach);
  std::vector<std::thread> threads;
  std::atomic<uint32_t> failures{0}, done{0};
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < kEach; ++i) {
        const uint32_t n = t * kEach + i;
        // Every third block is one that all threads put.
        const uint32_t content = i % 3 == 0 ? 100000 + i : n;
        const Result<Location> put = f.store->Put(RecordKind::kBlock, f.IdOf(content), f.Block(content), nullptr);
        if (!put.ok() || !f.Holds(content, put.value())) ++failures;
        if (put.ok()) at[n] = put.value();
        if (i % 16 == 5 && !f.store->Sync().ok()) ++failures;
        if (i % 20 == 7 && !f.store->Checkpoint(i % 40 == 7).ok()) ++failures;
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      (void)f.store->usage();
      if (!f.store->Sync().ok()) ++failures;
      if (!f.store->Seal().ok()) ++failures;
    }
  });
  for (uint32_t t = 0; t < kThreads; ++t) threads[t].join();
  done = 1;
  threads.back().join();
  CHECK(failures == 0);
  CHECK_OK(f.store->Sync());
  f.Open();
  for (uint32_t n = 0; n < at.size(); ++n) CHECK(f.Holds(n % kEach % 3 == 0 ? 100000 + n % kEach : n, at[n]));
}

TEST("a sync that fails among many threads is heard by each that put before it") {
  Fixture f;
  std::atomic<int> heard{0}, unheard{0};
  std::vector<std::thread> threads;
  f.env.faults.fail_sync = true;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 10; ++i) {
        (void)f.store->Put(RecordKind::kBlock, f.IdOf(t * 10 + i), f.Block(t * 10 + i), nullptr).ok();
        ++(f.store->Sync().ok() ? unheard : heard);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(heard == 40 && unheard == 0);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
