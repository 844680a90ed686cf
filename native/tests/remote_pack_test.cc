// Packs that rest on a backend: shipped before their files may go, fetched once for all who want them, checked as ever.
#include <atomic>
#include <filesystem>
#include <thread>

#include "../blocks/errand.h"
#include "../blocks/pack_handles.h"
#include "remote_pack_fixture.h"

using namespace skerry;
using Fixture = check::RemotePacksFixture;
using check::kBlock;
using check::kPages;

TEST("packs are shipped, their files go, and every page is read from the backend") {
  Fixture f;
  const auto at = f.PutMany(40);
  f.Ship();
  CHECK(f.backend->packs() == 3 && f.Files(".kept") == 0 && f.Files(".pack") == 0 && f.Files(".foot") == 3);
  for (uint32_t n = 0; n < 40; ++n) {
    CHECK(f.Holds(n, at[n]));
    std::vector<uint8_t> page(kPageBytes);
    for (const uint32_t i : {0u, 7u, 15u}) {
      CHECK_OK(f.store->ReadCell(at[n].pack, CellOffset(at[n], i), CellSeed(f.IdOf(n), i), page, true));
      CHECK(std::memcmp(page.data(), Fixture::Block(n).data() + i * kPageBytes, kPageBytes) == 0);
    }
    const auto record = f.store->ReadRecord({at[n].pack, at[n].offset, 0}, f.IdOf(n), true);
    CHECK(record.ok() && *record == Fixture::Block(n));
    CHECK(f.store->ReadRecord(at[n], f.IdOf(n + 1), true).code() == Code::kNotFound);
    Location full;
    CHECK(*f.store->IdAt({at[n].pack, at[n].offset, 0}, &full) == f.IdOf(n) && full == at[n]);
    CHECK(f.store->Verify(at[n], f.IdOf(n)) && !f.store->Verify(at[n], f.IdOf(n + 1)));
  }
  CHECK(f.store->usage().shipped_packs == 3 && f.store->usage().corrupt_cells == 0);
}

TEST("a file stays until the backend has its pack, however often that fails") {
  Fixture f;
  f.backend->away = true;
  const auto at = f.PutMany(20);
  CHECK_OK(f.store->Seal());
  const uint32_t mark = f.store->Mark();
  for (int i = 0; i < 50; ++i) {
    CHECK_OK(f.store->Upkeep());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  CHECK(!*f.store->ShippedUpTo(mark) && f.store->usage().ship_failures > 0 && f.Files(".pack") == 2);
  for (uint32_t n = 0; n < 20; ++n) CHECK(f.Holds(n, at[n]));
  f.backend->away = false;
  f.Ship();
  CHECK(*f.store->ShippedUpTo(mark) && f.Files(".pack") == 0 && f.backend->packs() == 2);
}

TEST("a mark is shipped only when every pack up to it is, open ones too") {
  Fixture f;
  (void)f.Put(1);
  const uint32_t mark = f.store->Mark();
  CHECK(f.store->OpenUpTo(mark) && !*f.store->ShippedUpTo(mark));
  f.backend->held = true;
  CHECK_OK(f.store->Seal());
  CHECK_OK(f.store->Upkeep());
  CHECK(!f.store->OpenUpTo(mark) && !*f.store->ShippedUpTo(mark));
  std::atomic<int> told{0};
  f.store->OnShipped([&] { ++told; });
  f.backend->held = false;
  while (told == 0) std::this_thread::yield();
  CHECK(*f.store->ShippedUpTo(mark));
  f.store->OnShipped({});
}

TEST("copies are kept within their bytes, the oldest go first") {
  Fixture f;
  f.store.reset();
  f.options.remote->kept_bytes_max = 5 << 19;  // two packs and a half
  f.Open();
  const auto at = f.PutMany(75);  // five packs
  f.Ship();
  CHECK(f.Files(".kept") == 2 && f.Files(".foot") == 3);
  const uint64_t before = f.backend->fetch_count;
  CHECK(f.Holds(74, at[74]) && f.Holds(50, at[50]) && f.backend->fetch_count == before);
  CHECK(f.Holds(0, at[0]) && f.backend->fetch_count > before);
}

TEST("many who want one record wait for one fetch") {
  Fixture f;
  const auto at = f.PutMany(3);
  f.Ship();
  f.backend->held = true;
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) threads.emplace_back([&] { good += f.Holds(1, at[1]); });
  while (f.store->usage().fetches == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  f.backend->held = false;
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 8 && f.backend->fetch_count == 1);
}

TEST("records that lie together are fetched together, and a reader who goes on is given more") {
  Fixture f;
  const auto at = f.PutMany(15);
  f.Ship();
  f.store->FetchAhead(at);
  for (uint32_t n = 0; n < 15; ++n) CHECK(f.Holds(n, at[n]));
  CHECK(f.backend->fetch_count == 1);
  f.Open();
  const uint64_t before = f.backend->fetch_count;
  for (uint32_t n = 0; n < 15; ++n) CHECK(f.Holds(n, at[n]));
  CHECK(f.backend->fetch_count - before <= 5);
}

TEST("a read that must not hold its thread comes again, and gets on even without a cache") {
  Fixture f(0);
  const auto at = f.PutMany(15);
  f.Ship();
  ReadWaits waits;
  std::vector<uint8_t> into(kBlock);
  CHECK(f.store->ReadPages(at[3], f.IdOf(3), 0, kPages, into, false).code() == Code::kTryAgain && f.backend->fetch_count == 0);
  int rounds = 0;
  for (Status status(Code::kTryAgain, {}); status.code() == Code::kTryAgain; ++rounds) {
    {
      f.backend->held = true;  // or it may answer before the read looks
      const ReadWaits::Guard guard(&waits);
      status = Status::Ok();
      for (uint32_t n = 0; n < 4 && status.ok(); ++n) {
        status = f.store->ReadPages(at[n * 3], f.IdOf(n * 3), 0, kPages, into, true);
        CHECK(!status.ok() || into == Fixture::Block(n * 3));
      }
    }
    if (status.ok()) break;
    CHECK(status.code() == Code::kTryAgain && waits.any());
    std::atomic<bool> ready{false};
    waits.WhenDone([&] { ready = true; });
    f.backend->held = false;
    while (!ready) std::this_thread::yield();
  }
  CHECK(rounds == 4 && f.backend->fetch_count == 4);
}

TEST("a pack that is not there is gone only after a listing that began later") {
  Fixture f;
  const auto at = f.PutMany(2);
  f.Ship();
  std::vector<uint8_t> chunk = f.backend->Take(at[0].pack);
  const uint64_t lists = f.backend->list_count;
  std::vector<uint8_t> into(kBlock);
  CHECK(f.store->ReadPages(at[0], f.IdOf(0), 0, kPages, into, true).code() == Code::kNotFound);
  CHECK(f.backend->list_count > lists && f.backend->fetch_count >= 2);
  f.backend->lists = false;
  CHECK(f.store->ReadPages(at[0], f.IdOf(0), 0, kPages, into, true).code() == Code::kIo);
  f.backend->lists = true;
  f.backend->Give(at[0].pack, std::move(chunk));
  CHECK(f.Holds(0, at[0]));
  // A hint that names a pack which never was costs no question.
  const uint64_t fetches = f.backend->fetch_count;
  CHECK(f.store->ReadPages({77, at[0].offset, at[0].stored_bytes}, f.IdOf(0), 0, kPages, into, true).code() == Code::kNotFound);
  CHECK(f.backend->fetch_count == fetches);
}

TEST("a backend that is away fails reads, and serves them when it is back") {
  Fixture f;
  const auto at = f.PutMany(2);
  f.Ship();
  f.backend->away = true;
  std::vector<uint8_t> into(kBlock);
  CHECK(f.store->ReadPages(at[0], f.IdOf(0), 0, kPages, into, true).code() == Code::kIo);
  CHECK(f.store->usage().fetch_failures == 1);
  f.backend->away = false;
  CHECK(f.Holds(0, at[0]) && f.Holds(1, at[1]));
}

TEST("what is on the backend is not stored again, and finding that out asks nothing of it") {
  Fixture f;
  const auto at = f.PutMany(15);
  f.Ship();
  const uint64_t fetches = f.backend->fetch_count;
  for (uint32_t n = 0; n < 15; ++n) {
    bool reused = false;
    const auto put = f.store->Put(RecordKind::kBlock, f.IdOf(n), Fixture::Block(n), &reused);
    CHECK(put.ok() && reused && *put == at[n]);
  }
  CHECK(f.backend->fetch_count == fetches && f.store->usage().dedup_hits == 15);
}

TEST("a store opens again from what this host has, with the backend away") {
  Fixture f;
  const auto at = f.PutMany(40);
  f.Ship();
  f.backend->away = true;
  for (const bool checkpoint : {true, false}) {
    if (checkpoint) {
      CHECK_OK(f.store->Checkpoint(true));
    } else {
      std::filesystem::remove(f.options.checkpoint);
    }
    f.Open();
    CHECK(f.report.packs == 3 && f.report.records == 40 && !f.report.notes.empty());
    for (uint32_t n = 0; n < 40; ++n) CHECK(f.store->Find(f.IdOf(n)) == at[n]);
  }
  f.backend->away = false;
  CHECK_OK(f.store->RefreshIndex());
  for (uint32_t n = 0; n < 40; ++n) CHECK(f.Holds(n, at[n]));
  CHECK(f.Put(100).pack == 4);
}

TEST("a host that has nothing learns all from the backend, or says that it cannot") {
  Fixture f;
  const auto at = f.PutMany(40);
  f.Ship();
  f.store.reset();
  std::filesystem::remove_all(f.root);
  f.backend->away = true;
  PackReport report;
  CHECK(PackStore::Open(*f.env, f.options, report).code() == Code::kIo);
  f.backend->away = false;
  f.Open();
  CHECK(f.report.packs == 3 && f.report.records == 40 && f.Files(".foot") == 3);
  for (uint32_t n = 0; n < 40; ++n) CHECK(f.store->Find(f.IdOf(n)) == at[n] && f.Holds(n, at[n]));
  CHECK(f.Put(100).pack == 4);
}

TEST("packs that another start shipped are learnt when something is looked for in vain") {
  Fixture f;
  f.backend->lists = false;
  f.store.reset();
  f.Open();  // it has its first checkpoint, and knows that it does not know all
  Fixture other;
  const auto at = other.PutMany(5);
  other.Ship();
  f.backend->Give(at[0].pack, other.backend->Take(at[0].pack));
  CHECK(f.store->RefreshIndex().code() == Code::kIo && !f.store->Find(f.IdOf(0)));
  f.backend->lists = true;
  CHECK_OK(f.store->RefreshIndex());
  for (uint32_t n = 0; n < 5; ++n) CHECK(f.store->Find(f.IdOf(n)) == at[n] && f.Holds(n, at[n]));
  CHECK(f.Put(100).pack == at[0].pack + 1);
}

TEST("a copy of a pack that the backend has lost is shipped again") {
  Fixture f(8 << 20, check::kAllKept);
  const auto at = f.PutMany(20);
  f.Ship();
  CHECK(f.Files(".kept") == 2);
  CHECK(!f.backend->Take(1).empty());
  f.Open();
  CHECK(f.store->usage().staged_packs == 1);
  f.Ship();
  CHECK(f.backend->packs() == 2 && f.Holds(0, at[0]));
}

TEST("a pack left open by a crash is sealed and shipped by the next start") {
  Fixture f;
  const auto at = f.PutMany(5);
  CHECK_OK(f.store->Sync());
  f.Open();
  CHECK(f.report.recovered_open == 1 && f.store->usage().staged_packs == 1);
  f.Ship();
  CHECK(f.backend->packs() == 1);
  for (uint32_t n = 0; n < 5; ++n) CHECK(f.Holds(n, at[n]));
}

TEST("a pack that a crash takes the sealed name from is put again with the same bytes") {
  Fixture f(8 << 20, check::kAllKept);
  const auto at = f.PutMany(5);
  f.Ship();
  f.store.reset();
  std::filesystem::rename(f.options.directory + "/00000001.kept", f.options.directory + "/00000001.open");
  f.backend->lists = false;   // else it is known from there
  f.Open();
  CHECK(f.report.recovered_open == 1 && f.store->usage().staged_packs == 1);
  f.Ship();   // the backend refuses other bytes
  CHECK(f.backend->ship_count == 2 && f.Files(".kept") == 1 && f.Holds(4, at[4]));
}

TEST("a chunk whose put was never answered is put again, whatever the backend lists") {
  Fixture f(8 << 20, check::kAllKept);
  const auto at = f.PutMany(5);
  f.Ship();
  const uint64_t ships = f.backend->ship_count;
  f.store.reset();
  std::filesystem::rename(f.options.directory + "/00000001.kept", f.options.directory + "/00000001.pack");
  f.Open();
  CHECK(f.store->usage().staged_packs == 1 && !*f.store->ShippedUpTo(1));
  f.Ship();
  CHECK(f.backend->ship_count == ships + 1 && f.Files(".kept") == 1 && f.Holds(0, at[0]));
}

TEST("writes wait when too much waits to be shipped, urgent ones do not; a full backend is told") {
  Fixture f;
  f.options.remote->staged_bytes_max = 2 << 20;
  f.Open();
  f.backend->full = true;
  Status status;
  uint32_t n = 0;
  for (; n < 200 && status.ok(); ++n) status = f.store->Put(RecordKind::kBlock, f.IdOf(n), Fixture::Block(n), nullptr).status();
  CHECK(status.code() == Code::kTryAgain && n > 30 && n < 120);
  CHECK(f.store->crowded());
  (void)f.Put(1000);
  for (int i = 0; i < 2000 && !f.store->usage().backend_full; ++i) {
    CHECK_OK(f.store->Upkeep());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(f.store->usage().backend_full);
  f.backend->full = false;
  f.Ship();
  CHECK(!f.store->usage().backend_full && !f.store->crowded());
  CHECK(f.store->Put(RecordKind::kBlock, f.IdOf(2000), Fixture::Block(2000), nullptr).ok());
}

TEST("readers, writers, shipping and dropping go on at once") {
  Fixture f(1 << 20);
  std::atomic<uint32_t> written{0};
  std::atomic<bool> ends{false};
  std::atomic<uint64_t> wrong{0}, reads{0};
  std::vector<Location> at(400);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (uint32_t n = 0; n < at.size(); ++n) {
      at[n] = f.Put(n);
      written.store(n + 1);
    }
    ends = true;
  });
  threads.emplace_back([&] {
    while (!ends) {
      wrong += !f.store->Upkeep().ok();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      uint64_t dice = t + 1;
      std::vector<uint8_t> page(kPageBytes);
      while (!ends) {
        dice = dice * 6364136223846793005ull + 1442695040888963407ull;
        const uint32_t known = written;
        if (known == 0) continue;
        const uint32_t n = static_cast<uint32_t>(dice >> 33) % known, i = static_cast<uint32_t>(dice >> 20) % kPages;
        const Status status = f.store->ReadCell(at[n].pack, CellOffset(at[n], i), CellSeed(f.IdOf(n), i), page, true);
        wrong += !status.ok() || std::memcmp(page.data(), Fixture::Block(n).data() + i * kPageBytes, kPageBytes) != 0;
        ++reads;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  f.Ship();
  for (uint32_t n = 0; n < at.size(); ++n) CHECK(f.Holds(n, at[n]));
  CHECK(wrong == 0 && reads > 0);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
