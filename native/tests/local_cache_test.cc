// The local cache: what earlier lives left is found, nothing damaged or another pool's is believed, the disk's room is kept to, and a
// disk that fails ends it without a word to those who read.
#include "../blocks/local_cache.h"

#include "../simulation/sim_env.h"
#include "check.h"
#include "record_image.h"

using namespace skerry;
using skerry::check::RecordAt;

namespace {

constexpr const char* kDirectory = "/cache-test/cache";
constexpr uint32_t kRecord = 66048;
constexpr uint32_t kSegment = 1u << 20;   // fifteen records
constexpr uint64_t kAmple = 1ull << 30;
const PoolUuid kPool{1, 2, 3}, kAnother{1, 2, 4};

/** The cache of one life, without a thread. */
struct Life {
  explicit Life(SimEnv& env, uint64_t bytes_max = 64 * kSegment, size_t memory_bytes = 0)
      : memory(std::make_shared<BlockCache>(memory_bytes)),
        cache(env, {kDirectory, bytes_max, kSegment, 8u << 20, [this](const std::string& message) { told.push_back(message); }}, memory) {
    cache.Load();
    pool = cache.NumberOf(kPool);
  }
  RecordKey Key(uint32_t n) const { return {pool, 1 + n / 100, 4096 + n % 100 * kRecord}; }
  void Put(uint32_t n) {
    cache.Offer(Key(n), RecordAt(Key(n), static_cast<uint8_t>(n)));
    while (cache.WriteSome()) {}
  }
  void PutAll(uint32_t from, uint32_t to) {
    for (uint32_t n = from; n < to; ++n) Put(n);
  }
  /** False where it is not there. It is never another. */
  bool Has(uint32_t n) {
    const auto record = cache.Read(Key(n));
    CHECK(!record || *record == *RecordAt(Key(n), static_cast<uint8_t>(n)));
    return record != nullptr;
  }
  uint32_t Count(uint32_t from, uint32_t to) {
    uint32_t count = 0;
    for (uint32_t n = from; n < to; ++n) count += Has(n);
    return count;
  }
  std::vector<std::string> told;
  std::shared_ptr<BlockCache> memory;
  LocalCache cache;
  uint32_t pool = 0;
};

struct Disk {
  Disk() {
    env.SetFreeBytes(kAmple);
  }
  SimEnv env{7};
};

std::vector<std::string> Files(SimEnv& env) {
  std::vector<std::string> files;
  for (const std::string& path : env.Paths()) {
    if (path.ends_with(".cache")) files.push_back(path);
  }
  return files;
}

}  // namespace

TEST("what was offered is read back, before it is written, after, and in the next lives") {
  Disk disk;
  {
    Life life(disk.env);
    life.cache.Offer(life.Key(1), RecordAt(life.Key(1), 1));
    CHECK(life.Has(1) && !life.Has(2));
    CHECK(!life.cache.WriteSome());
    CHECK(life.Has(1) && life.cache.Prepare(life.Key(1)) && !life.cache.Prepare(life.Key(2)));
    life.PutAll(2, 40);   // two full segments, and a part of one
    CHECK(life.Count(1, 40) == 39);
    const LocalCache::Usage usage = life.cache.usage();
    CHECK(usage.records == 39 && usage.damaged == 0 && usage.misses == 1 && usage.bytes == usage.written_bytes + 3 * 64 + 2 * CacheTableBytes(15));
  }
  for (uint32_t more = 40; more < 60; more += 5) {
    disk.env.ProcessCrash();
    Life life(disk.env);
    CHECK(life.Count(1, more) == more - 1);
    life.PutAll(more, more + 5);
  }
  // The newest goes on where it ended: restarts make no small ones.
  CHECK(Files(disk.env).size() == 4);
}

TEST("a crash of the host leaves records that are right or absent, and the ring goes on") {
  uint32_t found = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SimEnv env(seed);
    env.SetFreeBytes(kAmple);
    {
      Life life(env);
      env.CrashAfterOperations(seed);
      life.PutAll(0, 40);
    }
    env.HostCrash();
    Life life(env);
    CHECK(life.told.empty());
    found += life.Count(0, 40);
    life.PutAll(100, 140);
    CHECK(life.Count(100, 140) == 40 && life.told.empty());
  }
  CHECK(found > 0);
}

TEST("a bit that flipped anywhere in a segment costs a record at most one fetch, and is never handed out") {
  Disk disk;
  {
    Life life(disk.env);
    life.PutAll(0, 40);
  }
  uint64_t damaged = 0;
  for (uint32_t i = 0; i < 300; ++i) {
    const std::vector<std::string> files = Files(disk.env);
    const std::string& path = files[i % files.size()];
    const uint64_t bytes = (*disk.env.Open(path, {}))->Size().value();
    const uint64_t at = i < 60 ? i : (uint64_t{i} * 2654435761u) % bytes;
    CHECK_OK(disk.env.FlipBit(path, at, i % 8));
    SimEnv copy(disk.env);
    Life life(copy);
    const uint32_t there = life.Count(0, 40);
    // A segment whose own header is damaged goes as a whole.
    CHECK(there >= (at < sizeof(CacheSegmentHeader) ? 20u : 24u));
    damaged += life.cache.usage().damaged;
    CHECK(life.told.empty());
    // What was damaged is taken in again.
    life.PutAll(0, 40);
    CHECK(life.Count(0, 40) == 40);
    CHECK_OK(disk.env.FlipBit(path, at, i % 8));
  }
  CHECK(damaged > 100);
}

TEST("what another pool left at the same place is not found") {
  Disk disk;
  {
    Life life(disk.env);
    life.PutAll(0, 20);
  }
  Life life(disk.env);
  const uint32_t another = life.cache.NumberOf(kAnother);
  CHECK(another != life.pool && another == life.cache.NumberOf(kAnother));
  for (uint32_t n = 0; n < 20; ++n) {
    RecordKey key = life.Key(n);
    key.pool = another;
    CHECK(!life.cache.Read(key));
  }
  CHECK(life.Count(0, 20) == 20);
}

TEST("a file under another number, of another version, or that is none of the cache's is not believed") {
  Disk disk;
  {
    Life life(disk.env);
    life.PutAll(0, 20);
  }
  CHECK_OK(disk.env.Rename(std::string(kDirectory) + "/00000001.cache", std::string(kDirectory) + "/00000007.cache"));
  CHECK_OK(disk.env.Open(std::string(kDirectory) + "/notes", {.write = true, .create = true}).status());
  Life life(disk.env);
  CHECK(life.Count(0, 15) == 0 && life.Count(15, 20) == 5 && life.told.empty());
  CHECK(disk.env.Open(std::string(kDirectory) + "/notes", {}).ok());
  CHECK(!disk.env.Open(std::string(kDirectory) + "/00000007.cache", {}).ok());
}

TEST("it keeps to its bytes: the oldest goes, but for what was read since") {
  Disk disk;
  Life life(disk.env, 8 * kSegment);
  life.PutAll(0, 30);
  // Read between the writes of a long scan, as hot blocks are.
  for (uint32_t n = 30; n < 1000; ++n) {
    life.Put(n);
    if (n % 10 == 0) CHECK(life.Count(0, 6) == 6);
    CHECK(life.cache.usage().bytes <= 8 * kSegment);
  }
  CHECK(life.Count(6, 30) == 0);
  CHECK(life.Count(960, 1000) == 40);
  const LocalCache::Usage usage = life.cache.usage();
  CHECK(usage.evicted > 800 && usage.kept > 10);
  // Kept ones cost less than as much again.
  CHECK(usage.written_bytes < 2 * 1000 * uint64_t{kRecord});
}

TEST("what memory holds is kept too, though nobody asks the disk for it") {
  Disk disk;
  Life life(disk.env, 8 * kSegment, 4 << 20);
  life.PutAll(0, 30);
  for (uint32_t n = 0; n < 6; ++n) life.memory->Put(life.Key(n), RecordAt(life.Key(n), static_cast<uint8_t>(n)));
  life.PutAll(30, 500);
  CHECK(life.Count(0, 6) == 6 && life.Count(6, 30) == 0);
}

TEST("where everything is hot new records come in all the same") {
  Disk disk;
  Life life(disk.env, 8 * kSegment);
  for (uint32_t n = 0; n < 600; ++n) {
    life.Put(n);
    (void)life.Count(n < 100 ? 0 : n - 100, n + 1);
    CHECK(life.Has(n) && life.cache.usage().bytes <= 8 * kSegment);
  }
}

TEST("it takes a quarter of the room there is at most, and gives it back to those who need it") {
  Disk disk;
  disk.env.SetFreeBytes(16 * kSegment);
  Life life(disk.env);
  life.PutAll(0, 200);
  const uint64_t held = life.cache.usage().bytes;
  CHECK(held > 2 * kSegment && held <= 4 * kSegment);
  disk.env.SetFreeBytes(2 * kSegment);
  CHECK(!life.cache.WriteSome());
  CHECK(life.cache.usage().bytes == 0 && Files(disk.env).empty());
  life.PutAll(200, 210);
  CHECK(Files(disk.env).empty() && life.told.empty() && life.cache.usage().passed_over > 0);
  disk.env.SetFreeBytes(kAmple);
  life.PutAll(300, 310);
  CHECK(life.Count(300, 310) == 10 && !life.cache.usage().failed);
}

TEST("a disk that fails ends it with one line, and no reader hears of it") {
  for (const bool reads : {true, false}) {
    Disk disk;
    Life life(disk.env);
    life.PutAll(0, 20);
    if (reads) {
      disk.env.FailReads(".cache");
      CHECK(!life.Has(3));
    } else {
      disk.env.FailWrites(".cache");
      life.PutAll(20, 40);
    }
    CHECK(life.told.size() == 1 && life.cache.usage().failed);
    CHECK(life.Count(0, 40) == 0);
    life.PutAll(40, 60);
    CHECK(!life.cache.WriteSome());
    CHECK(life.told.size() == 1 && life.Count(40, 60) == 0 && Files(disk.env).empty());
    // The next start tries again.
    Life next(disk.env);
    next.PutAll(0, 20);
    CHECK(next.Count(0, 20) == 20);
  }
}

TEST("where a write finds no room it ends, and its files go") {
  Disk disk;
  Life life(disk.env);
  life.PutAll(0, 40);
  // Between two looks at the disk somebody else took all of it.
  life.cache.Offer(life.Key(50), RecordAt(life.Key(50), 50));
  disk.env.BeforeOperation([&](const char* operation, const std::string& path) {
    if (std::string(operation) == "write" && path.ends_with(".cache")) disk.env.SetFreeBytes(0);
  });
  CHECK(!life.cache.WriteSome());
  CHECK(!life.cache.WriteSome());
  CHECK(life.told.size() == 1 && life.told.front().find("space") != std::string::npos);
  CHECK(Files(disk.env).empty());
}

TEST("what fails its own sums is not kept, and what proved wrong is forgotten") {
  Disk disk;
  Life life(disk.env);
  RecordImage wrong = *RecordAt(life.Key(1), 1);
  wrong[5000] ^= 1;
  life.cache.Offer(life.Key(1), std::make_shared<const RecordImage>(wrong));
  life.cache.Offer(life.Key(2), RecordAt(life.Key(3), 2));   // another place's
  CHECK(!life.cache.WriteSome());
  CHECK(!life.Has(1) && !life.cache.Read(life.Key(2)) && life.cache.usage().passed_over == 2);
  life.Put(4);
  CHECK(life.Has(4));
  life.cache.Drop(life.Key(4));
  CHECK(!life.Has(4) && life.cache.usage().damaged == 1);
  life.cache.Offer(life.Key(5), RecordAt(life.Key(5), 5));
  life.cache.Drop(life.Key(5));
  CHECK(!life.cache.WriteSome());
  CHECK(!life.Has(5));
  life.Put(4);
  CHECK(life.Has(4));
}

TEST("what waits to be written is bounded; more is passed over") {
  Disk disk;
  Life life(disk.env);
  for (uint32_t n = 0; n < 200; ++n) life.cache.Offer(life.Key(n), RecordAt(life.Key(n), static_cast<uint8_t>(n)));
  CHECK(life.cache.usage().passed_over == 200 - (8u << 20) / kRecord);
  while (life.cache.WriteSome()) {}
  CHECK(life.cache.usage().records == (8u << 20) / kRecord);
}

TEST("packs that are gone leave nothing behind") {
  Disk disk;
  Life life(disk.env);
  life.PutAll(0, 300);
  std::set<uint32_t> packs{1, 2};
  life.cache.DropPacks(life.pool + 1, packs);
  CHECK(life.Count(0, 300) == 300);
  const size_t before = Files(disk.env).size();
  life.cache.DropPacks(life.pool, packs);
  CHECK(life.Count(0, 200) == 0 && life.Count(200, 300) == 100);
  CHECK(!life.cache.WriteSome());
  CHECK(Files(disk.env).size() < before / 2);
}

TEST("less room in a later life: the oldest goes at once") {
  Disk disk;
  {
    Life life(disk.env);
    life.PutAll(0, 300);
  }
  Life life(disk.env, 4 * kSegment);
  CHECK(!life.cache.WriteSome());
  CHECK(life.cache.usage().bytes <= 4 * kSegment);
  CHECK(life.Count(0, 240) == 0 && life.Count(280, 300) == 20);
}

TEST("without bytes there is no such cache: nothing is made, and what was there is given back") {
  Disk disk;
  Life life(disk.env, 0);
  life.PutAll(0, 10);
  CHECK(life.Count(0, 10) == 0 && disk.env.Paths().empty() && !life.cache.usage().failed);
  {
    Life with(disk.env);
    with.PutAll(0, 40);
  }
  Life without(disk.env, 0);
  CHECK(without.Count(0, 40) == 0 && Files(disk.env).empty());
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
