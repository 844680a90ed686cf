// The block cache: bounded in bytes, kept by those who ask again, not by those who pass through.
#include "../blocks/block_cache.h"

#include <atomic>
#include <thread>

#include "check.h"

using namespace skerry;

namespace {

constexpr uint32_t kBlock = 66048;

std::shared_ptr<const RecordImage> Record(uint32_t bytes, uint8_t fill) { return std::make_shared<const RecordImage>(bytes, fill); }

RecordKey Key(uint32_t n, uint32_t pool = 1) { return {pool, 1 + n / 200, 512 + n % 200 * kBlock}; }

/** As a reader does: what is not there is fetched and put. True for a hit. */
bool Use(BlockCache& cache, uint32_t n, uint32_t first = 0, uint32_t count = 16) {
  if (cache.Get(Key(n), first, count)) return true;
  cache.Put(Key(n), Record(kBlock, static_cast<uint8_t>(n)));
  return false;
}

}  // namespace

TEST("a record that was put is found under its own key alone") {
  BlockCache cache(8 << 20);
  cache.Put(Key(1), Record(kBlock, 1));
  CHECK(cache.Get(Key(1), 0, 1) != nullptr && (*cache.Get(Key(1), 0, 1))[0] == 1);
  CHECK(cache.Get(Key(2), 0, 1) == nullptr);
  CHECK(cache.Get(Key(1, 2), 0, 1) == nullptr);
  cache.Put(Key(1), Record(kBlock, 9));
  CHECK((*cache.Get(Key(1), 0, 1))[0] == 1);
  cache.Drop(Key(1));
  cache.Drop(Key(1));
  CHECK(cache.Get(Key(1), 0, 1) == nullptr);
  CHECK(cache.usage().hits == 3 && cache.usage().misses == 3 && cache.usage().bytes == 0);
}

TEST("it never holds more bytes than it may, whatever their sizes") {
  for (const size_t bytes_max : {size_t{0}, size_t{100000}, size_t{1} << 20, size_t{20} << 20}) {
    BlockCache cache(bytes_max);
    uint64_t dice = 1;
    for (uint32_t i = 0; i < 3000; ++i) {
      dice = dice * 6364136223846793005ull + 1442695040888963407ull;
      const uint32_t bytes = 512 * (1 + static_cast<uint32_t>(dice >> 40) % 200);
      cache.Put({1, i + 1, 512}, Record(bytes, 1));
      (void)cache.Get({1, 1 + static_cast<uint32_t>(dice >> 33) % (i + 1), 512}, 0, 1);
      CHECK(cache.usage().bytes <= bytes_max);
    }
    CHECK(bytes_max == 0 || cache.usage().records > 0);
  }
}

TEST("a record larger than a shard can hold is passed by") {
  BlockCache cache(1 << 20);
  cache.Put(Key(1), Record(kBlock, 1));
  cache.Put(Key(2), Record(4 << 20, 2));
  CHECK(cache.Get(Key(1), 0, 1) != nullptr && cache.Get(Key(2), 0, 1) == nullptr);
}

TEST("a pass over a large disk leaves what is asked for again in place") {
  BlockCache cache(8 << 20);  // about 120 blocks
  for (int round = 0; round < 6; ++round) {
    for (uint32_t n = 0; n < 60; ++n) (void)Use(cache, n);
  }
  for (uint32_t n = 1000; n < 6000; ++n) CHECK(!Use(cache, n));
  uint32_t kept = 0;
  for (uint32_t n = 0; n < 60; ++n) kept += cache.Get(Key(n), 0, 16) != nullptr;
  CHECK(kept >= 54);
}

TEST("a pass in single pages is a pass, though it touches each block sixteen times") {
  BlockCache cache(8 << 20);
  for (int round = 0; round < 6; ++round) {
    for (uint32_t n = 0; n < 60; ++n) (void)Use(cache, n);
  }
  for (uint32_t n = 1000; n < 3000; ++n) {
    for (uint32_t page = 0; page < 16; ++page) (void)Use(cache, n, page, 1);
  }
  uint32_t kept = 0;
  for (uint32_t n = 0; n < 60; ++n) kept += cache.Get(Key(n), 0, 16) != nullptr;
  CHECK(kept >= 54);
}

TEST("what comes back soon after it was forgotten stays") {
  BlockCache cache(8 << 20);
  for (uint32_t n = 0; n < 400; ++n) (void)Use(cache, n);  // full; the first are forgotten
  uint32_t hits = 0;
  for (int round = 0; round < 20; ++round) {
    for (uint32_t n = 0; n < 80; ++n) hits += Use(cache, n);
    for (uint32_t n = 0; n < 20; ++n) (void)Use(cache, 10000 + static_cast<uint32_t>(round) * 20 + n);
  }
  CHECK(hits > 20 * 80 * 3 / 4);
}

TEST("a record handed out outlives its place in the cache") {
  BlockCache cache(1 << 20);
  cache.Put(Key(0), Record(kBlock, 7));
  const auto held = cache.Get(Key(0), 0, 16);
  for (uint32_t n = 1; n < 200; ++n) (void)Use(cache, n);
  CHECK(cache.Get(Key(0), 0, 16) == nullptr);
  CHECK(held->size() == kBlock && held->front() == 7 && held->back() == 7);
}

TEST("many threads may read, put and drop at once") {
  BlockCache cache(4 << 20);
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      uint64_t dice = t + 1;
      for (int i = 0; i < 4000; ++i) {
        dice = dice * 6364136223846793005ull + 1442695040888963407ull;
        const auto n = static_cast<uint32_t>(dice >> 33) % 150;
        if (const auto record = cache.Get(Key(n), n % 16, 1)) {
          wrong += record->size() != kBlock || (*record)[kBlock / 2] != static_cast<uint8_t>(n);
        } else {
          cache.Put(Key(n), Record(kBlock, static_cast<uint8_t>(n)));
        }
        if (i % 50 == 0) cache.Drop(Key(n));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0 && cache.usage().bytes <= 4u << 20 && cache.usage().hits + cache.usage().misses == 16000);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
