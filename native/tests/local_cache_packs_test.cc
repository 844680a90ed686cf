// Packs on a backend over the local cache: what was fetched once is read in the next life while the backend is away, and what the disk
// has damaged is fetched again.
#include <algorithm>
#include <fstream>
#include <iterator>

#include "../blocks/errand.h"
#include "../blocks/local_cache.h"
#include "remote_pack_fixture.h"

using namespace skerry;
using namespace skerry::check;

namespace {

constexpr uint32_t kBlocks = 75;   // five packs

struct Cached : RemotePacksFixture {
  explicit Cached(const std::optional<RecordCipher>& cipher = {}) : RemotePacksFixture(1 << 20) {
    options.cipher = cipher;
    Open();
    places = PutMany(kBlocks);
    Ship();
    NextLife();
  }
  ~Cached() { store.reset(); }
  /** A new daemon: nothing but the disk stays. */
  void NextLife() {
    store.reset();
    if (local) local->Stop();
    options.remote->cache = std::make_shared<BlockCache>(options.remote->cache->bytes_max());
    LocalCacheOptions cached;
    cached.directory = root + "/cache";
    cached.bytes_max = 64u << 20;
    cached.segment_bytes = 1u << 20;
    cached.on_failure = [this](const std::string&) { ++failures; };
    local = std::make_shared<LocalCache>(*env, cached, options.remote->cache);
    local->Start();
    options.remote->local = local;
    options.remote->pool = local->NumberOf(pool, options.cipher);
    report = {};
    auto opened = PackStore::Open(*env, options, report);
    CHECK_OK(opened.status());
    store = std::move(*opened);
  }
  uint32_t Held() {
    uint32_t held = 0;
    for (uint32_t n = 0; n < kBlocks; ++n) held += Holds(n, places[n]);
    return held;
  }
  /** All that was fetched is on the disk. */
  void Written() {
    for (int i = 0; i < 5000 && local->usage().records < kBlocks; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(local->usage().records >= kBlocks);
  }
  std::vector<Location> places;
  std::shared_ptr<LocalCache> local;
  PoolUuid pool{9};
  std::atomic<int> failures{0};
};

}  // namespace

TEST("what was fetched is read from this host's disk, in this life and in the next, and nothing is asked of the backend") {
  Cached f;
  CHECK(f.Held() == kBlocks);
  f.Written();
  const uint64_t fetches = f.backend->fetch_count;
  CHECK(f.Held() == kBlocks && f.backend->fetch_count == fetches);
  f.NextLife();
  f.backend->away = true;
  CHECK(f.Held() == kBlocks && f.backend->fetch_count == fetches && f.failures == 0);
  // A read that may not block is given to a thread that may; then it is in memory.
  std::vector<uint8_t> into(kBlock);
  f.NextLife();
  CHECK(f.store->ReadPages(f.places[3], f.IdOf(3), 0, kPages, into, false).code() == Code::kTryAgain);
  CHECK(f.Holds(3, f.places[3]));
  CHECK(f.store->ReadPages(f.places[3], f.IdOf(3), 0, kPages, into, false).ok() && into == f.Block(3));
  // A request that waits for nothing but the disk waits for no errand.
  ReadWaits waits;
  const ReadWaits::Guard guard(&waits);
  const Location two[] = {f.places[40], f.places[41]};
  f.store->FetchAhead(two);
  CHECK(!waits.any() && f.Holds(40, f.places[40]) && f.Holds(41, f.places[41]) && !waits.any());
}

TEST("records of an encrypted pool are on this host's disk as they stand on the backend: read with the key, and not without") {
  Cached f(RecordCipher(std::vector<uint8_t>(32, 5)));
  CHECK(f.Held() == kBlocks);
  f.Written();
  f.NextLife();
  f.backend->away = true;
  CHECK(f.Held() == kBlocks && f.local->usage().passed_over == 0);
  const std::vector<uint8_t> page = f.Block(7);
  for (const auto& file : std::filesystem::directory_iterator(f.root + "/cache")) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)), {});
    CHECK(std::search(bytes.begin(), bytes.end(), page.begin(), page.begin() + 64, [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }) ==
          bytes.end());
  }
  f.options.cipher.emplace(std::vector<uint8_t>(32, 6));
  f.NextLife();
  CHECK(f.Held() == 0);
}

TEST("a cache whose files were damaged everywhere costs fetches, and no wrong byte") {
  Cached f;
  CHECK(f.Held() == kBlocks);
  f.Written();
  f.store.reset();
  f.local->Stop();
  for (const auto& file : std::filesystem::directory_iterator(f.root + "/cache")) {
    for (uint64_t at = 3000; at < file.file_size(); at += 3 * 66048) f.Spoil(file.path(), at, 5);
  }
  f.NextLife();
  const uint64_t fetches = f.backend->fetch_count;
  CHECK(f.Held() == kBlocks && f.backend->fetch_count > fetches && f.local->usage().damaged > 10);
  CHECK(f.store->usage().corrupt_cells == 0 && f.failures == 0);
  // What came along with others is damaged there still: nobody has looked.
  f.Written();
  f.NextLife();
  CHECK(f.Held() == kBlocks && f.store->usage().corrupt_cells == 0);
}

TEST("what came wrong from the backend is not kept") {
  Cached f;
  f.backend->rotten = 1;
  CHECK(f.Held() == kBlocks);
  f.Written();
  f.NextLife();
  f.backend->away = true;
  CHECK(f.Held() == kBlocks);
}

TEST("a pool made anew, whose packs have the numbers of the old one's, finds nothing of it") {
  Cached f;
  CHECK(f.Held() == kBlocks);
  f.Written();
  f.pool = {10};
  f.NextLife();
  f.backend->away = true;
  CHECK(f.Held() == 0 && f.local->usage().hits == 0);
}

TEST("readers by the dozen and the writer go side by side") {
  Cached f;
  std::atomic<uint32_t> held{0};
  std::vector<std::thread> readers;
  for (uint32_t reader = 0; reader < 6; ++reader) {
    readers.emplace_back([&, reader] {
      for (uint32_t i = 0; i < 2 * kBlocks; ++i) {
        const uint32_t n = (i * 7 + reader * 13) % kBlocks;
        held += f.Holds(n, f.places[n]);
        if (i % 40 == 39) f.local->Drop({f.options.remote->pool, f.places[n].pack, f.places[n].offset});
        if (i % 50 == 49) f.local->DropPacks(f.options.remote->pool, {f.places[n].pack});
      }
    });
  }
  for (auto& reader : readers) reader.join();
  CHECK(held == 6 * 2 * kBlocks && f.failures == 0);
}

TEST("a cold volume read from front to back costs few fetches, and hardly a byte twice") {
  RemotePacksFixture f;
  const std::vector<Location> places = f.PutMany(kBlocks);
  f.Ship();
  f.Open();
  const uint64_t before = f.backend->fetch_count, bytes = f.backend->fetched_bytes;
  for (uint32_t n = 0; n < kBlocks; ++n) CHECK(f.Holds(n, places[n]));
  // Five packs of a megabyte: of each the first record, then more and more, to its end. A record that a fetch cuts comes twice.
  CHECK(f.backend->fetch_count - before <= 5 * 4);
  CHECK(f.backend->fetched_bytes - bytes <= uint64_t{kBlocks} * kBlock * 13 / 10);
}

TEST("a region read in no order is fetched whole, and one record of each costs no more than itself") {
  RemotePacksFixture f;
  const std::vector<Location> places = f.PutMany(kBlocks);
  f.Ship();
  f.Open();
  uint64_t before = f.backend->fetch_count;
  for (uint32_t n = 0; n < kBlocks; ++n) CHECK(f.Holds(n * 7 % kBlocks, places[n * 7 % kBlocks]));
  // Of each pack three records, all after the first of these, and the few before it.
  CHECK(f.backend->fetch_count - before <= 5 * 10);
  f.Open();
  before = f.backend->fetched_bytes;
  for (uint32_t n = 3; n < kBlocks; n += 15) CHECK(f.Holds(n, places[n]));
  CHECK(f.backend->fetched_bytes - before <= 5 * 66048);
}

int main(int argc, char** argv) { return RunAll(argc, argv); }
