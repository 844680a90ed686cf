// The simulator's own laws: what it keeps, what it may lose, and that it does lose it.
#include "../simulation/sim_env.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "check.h"

namespace skerry {
namespace {

constexpr OpenOptions kCreate{.write = true, .create = true};
constexpr uint64_t kSeeds = 300;

std::vector<uint8_t> Fill(size_t bytes, uint8_t value) { return std::vector<uint8_t>(bytes, value); }

std::unique_ptr<File> MustOpen(Env& env, const std::string& path, OpenOptions options = kCreate) {
  Result<std::unique_ptr<File>> file = env.Open(path, options);
  CHECK_OK(file.status());
  return std::move(*file);
}

std::vector<uint8_t> Content(Env& env, const std::string& path) {
  auto file = MustOpen(env, path, {});
  std::vector<uint8_t> bytes(file->Size().value());
  const Result<size_t> got = file->Read(bytes, 0);
  CHECK(got.ok() && got.value() == bytes.size());
  return bytes;
}

/** A directory /d, and in it a synced file of `bytes` times 'a'. */
void Prepare(SimEnv& env, const std::string& path, size_t bytes) {
  CHECK_OK(env.MakeDirectory("/d"));
  auto file = MustOpen(env, path);
  CHECK_OK(file->Write(Fill(bytes, 'a'), 0));
  CHECK_OK(file->DataSync());
}

TEST("files read back what was written, sparse and unaligned, short only at the end") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory("/d/e/"));
  auto file = MustOpen(env, "/d//e/f");
  const auto data = Fill(10000, 7);
  CHECK_OK(file->Write(data, (64 << 20) + 3));
  std::vector<uint8_t> back(10010);
  const Result<size_t> got = file->Read(back, (64 << 20) - 1);
  CHECK(got.ok() && got.value() == 10004);
  CHECK(back[0] == 0 && back[3] == 0 && back[4] == 7 && back[10003] == 7);
  CHECK(file->Size().value() == (64 << 20) + 10003);
  CHECK_OK(file->Truncate(1));
  CHECK_OK(file->Truncate(64 << 20));
  CHECK(Content(env, "/d/e/f") == std::vector<uint8_t>(64 << 20));
  CHECK(env.Open("/d/x", {}).code() == Code::kNotFound);
  CHECK(env.Open("/no/x", kCreate).code() == Code::kNotFound);
  CHECK(env.Open("/d/e/f", {.write = true, .create = true, .exclusive = true}).code() == Code::kInvalid);
  CHECK(MustOpen(env, "/d/e/f", {})->Write(data, 0).code() == Code::kInvalid);
  const Result<std::vector<DirectoryEntry>> entries = env.List("/d/e");
  CHECK(entries.ok() && entries.value().size() == 1 && entries.value()[0].name == "f" && entries.value()[0].bytes == 64 << 20);
  CHECK(env.List("/d").value().empty());
  CHECK(env.List("/no").code() == Code::kNotFound);
}

TEST("direct files take whole aligned sectors only, as the real ones do") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory("/d"));
  auto file = MustOpen(env, "/d/f", {.write = true, .create = true, .direct = true});
  AlignedBuffer buffer(8192);
  CHECK_OK(file->Write(buffer.bytes(), 4096));
  CHECK(file->Write(buffer.bytes().first(512), 0).code() == Code::kInvalid);
  CHECK(file->Write(buffer.bytes().first(4096), 512).code() == Code::kInvalid);
  CHECK(file->Write(buffer.bytes().subspan(512, 4096), 0).code() == Code::kInvalid);
  const Bytes part = buffer.bytes();
  CHECK(file->ReadNow({&part, 1}, 0).code() == Code::kTryAgain);
}

TEST("a process crash keeps files and shared memory, and ends every handle") {
  SimEnv env(5);
  Prepare(env, "/d/f", 4096);
  auto file = MustOpen(env, "/d/f");
  CHECK_OK(file->Write(Fill(100, 'b'), 0));
  auto unnamed = MustOpen(env, "/d/new");
  auto memory = env.MapShared("ring", 64, 8192);
  CHECK_OK(memory.status());
  (*memory)->ring()[8192 + 5] = 9;
  (*memory)->header()[63] = 8;
  const std::string boot = env.BootId();
  env.ProcessCrash();
  CHECK(file->Write(Fill(10, 'c'), 0).code() == Code::kClosed);
  CHECK(file->DataSync().code() == Code::kClosed);
  CHECK(file->Size().code() == Code::kClosed);
  (*memory)->ring()[5] = 77;  // a dead process writes to nobody
  auto again = env.MapShared("ring", 64, 8192);
  CHECK_OK(again.status());
  CHECK((*again)->ring()[5] == 9 && (*again)->ring()[8192 + 5] == 9 && (*again)->header()[63] == 8);
  CHECK(env.BootId() == boot);
  const auto content = Content(env, "/d/f");
  CHECK(content[0] == 'b' && content[99] == 'b' && content[100] == 'a');
  CHECK(env.Paths() == (std::vector<std::string>{"/d/f", "/d/new"}));
  auto other = env.MapShared("ring", 64, 4096);
  CHECK_OK(other.status());
  CHECK((*other)->header()[63] == 0);
}

TEST("a host crash takes shared memory, changes the boot id, and keeps what was synced") {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 10000);
    auto memory = env.MapShared("ring", 64, 4096);
    CHECK_OK(memory.status());
    (*memory)->ring()[0] = 1;
    const std::string boot = env.BootId();
    const uint64_t wall = env.WallMillis();
    env.HostCrash();
    CHECK(env.BootId() != boot && env.BootId().size() == 16);
    CHECK(env.WallMillis() > wall);
    memory = env.MapShared("ring", 64, 4096);
    CHECK((*memory)->ring()[0] == 0);
    CHECK(Content(env, "/d/f") == Fill(10000, 'a'));
    env.HostCrash();
    CHECK(Content(env, "/d/f") == Fill(10000, 'a'));
  }
}

TEST("after a host crash a sector holds one of its versions since the last sync; all, none and mixtures occur") {
  uint64_t all = 0, none = 0, reordered = 0, torn = 0, middle = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 16 * 512);
    auto file = MustOpen(env, "/d/f");
    CHECK_OK(file->Write(Fill(16 * 512, 'b'), 0));
    CHECK_OK(file->Write(Fill(16 * 512, 'c'), 0));
    env.HostCrash();
    const auto content = Content(env, "/d/f");
    CHECK(content.size() == 16 * 512);
    std::set<uint8_t> seen;
    for (size_t sector = 0; sector < 16; ++sector) {
      const uint8_t value = content[sector * 512];
      CHECK(value == 'a' || value == 'b' || value == 'c');
      CHECK(std::all_of(&content[sector * 512], &content[sector * 512] + 512, [&](uint8_t b) { return b == value; }));
      if (sector > 0 && content[(sector - 1) * 512] == 'a' && value != 'a') ++reordered;
      seen.insert(value);
    }
    if (seen == std::set<uint8_t>{'c'}) ++all;
    if (seen == std::set<uint8_t>{'a'}) ++none;
    if (seen.contains('b')) ++middle;
    if (seen.size() > 1) ++torn;
  }
  CHECK(all > 10 && none > 10 && reordered > 10 && torn > 100 && middle > 50);
}

TEST("a sector that survives carries the earlier unsynced bytes that stood in it") {
  bool second_alone = false;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 512);
    auto file = MustOpen(env, "/d/f");
    CHECK_OK(file->Write(Fill(100, 'b'), 0));
    CHECK_OK(file->Write(Fill(100, 'c'), 300));
    env.HostCrash();
    const auto content = Content(env, "/d/f");
    if (content[300] == 'c') {
      CHECK(content[0] == 'b');
      second_alone = true;
    }
  }
  CHECK(second_alone);
}

TEST("unsynced growth may be lost, in whole or part, and what is between reads zero") {
  std::set<uint64_t> sizes;
  bool hole = false;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 1000);
    auto file = MustOpen(env, "/d/f");
    CHECK_OK(file->Write(Fill(5000, 'b'), 1000));
    CHECK_OK(file->Write(Fill(5000, 'c'), 6000));
    env.HostCrash();
    const auto content = Content(env, "/d/f");
    CHECK(std::all_of(content.begin(), content.begin() + 1000, [](uint8_t b) { return b == 'a'; }));
    for (size_t i = 1000; i < content.size(); ++i) CHECK(content[i] == 0 || content[i] == (i < 6000 ? 'b' : 'c'));
    if (std::count(content.begin(), content.end(), 0) > 0) hole = true;
    sizes.insert(content.size());
  }
  CHECK(sizes == (std::set<uint64_t>{1000, 6000, 11000}));
  CHECK(hole);
}

TEST("names not synced may be undone, in order; a rename is one or the other; a synced directory stays") {
  std::map<std::string, int> outcomes;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 10);
    CHECK_OK(env.SyncDirectory("/d"));
    auto file = MustOpen(env, "/d/f.new");
    CHECK_OK(file->Write(Fill(10, 'n'), 0));
    CHECK_OK(file->DataSync());
    CHECK_OK(env.Rename("/d/f.new", "/d/f"));
    if (seed % 2 == 0) CHECK_OK(env.SyncDirectory("/d"));
    (void)MustOpen(env, "/d/later");
    env.HostCrash();
    std::string found;
    for (const std::string& path : env.Paths()) found += path.substr(3) + " ";
    const uint8_t first = Content(env, "/d/f")[0];
    if (seed % 2 == 0) CHECK(first == 'n');
    // The new file was synced, so it is there under one of its names; "later" is never there without the rename before it.
    CHECK(found == "f " || found == "f f.new " || found == "f later ");
    CHECK((first == 'a') == (found == "f f.new "));
    ++outcomes[found + (seed % 2 == 0 ? "synced" : "")];
  }
  CHECK(outcomes.size() == 5);
}

TEST("a removal not synced may come back with what was durable; a file never synced may come back empty") {
  bool back = false, gone = false, empty = false;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 10);
    CHECK_OK(env.Remove("/d/f"));
    CHECK_OK(env.Remove("/d/f"));
    CHECK_OK(MustOpen(env, "/d/g")->Write(Fill(10, 'g'), 0));
    env.HostCrash();
    const auto paths = env.Paths();
    const bool has_f = std::count(paths.begin(), paths.end(), "/d/f") > 0;
    (has_f ? back : gone) = true;
    if (has_f) CHECK(Content(env, "/d/f") == Fill(10, 'a'));
    if (std::count(paths.begin(), paths.end(), "/d/g") > 0 && Content(env, "/d/g").empty()) empty = true;
  }
  CHECK(back && gone && empty);
}

TEST("syncing one directory keeps nothing of another, but for what a rename ties to it") {
  bool lost = false;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    CHECK_OK(env.MakeDirectory("/a"));
    CHECK_OK(env.MakeDirectory("/b"));
    CHECK_OK(env.MakeDirectory("/c"));
    (void)MustOpen(env, "/c/loose");
    (void)MustOpen(env, "/a/one");
    CHECK_OK(env.Rename("/a/one", "/b/one"));
    CHECK_OK(env.SyncDirectory("/b"));
    env.HostCrash();
    const auto paths = env.Paths();
    CHECK(std::count(paths.begin(), paths.end(), "/b/one") == 1 && std::count(paths.begin(), paths.end(), "/a/one") == 0);
    if (paths.size() == 1) lost = true;
  }
  CHECK(lost);
}

TEST("the failpoint stops everything after the given number of operations, the next one half way") {
  std::set<uint8_t> after;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 1024);
    auto file = MustOpen(env, "/d/f");
    auto memory = env.MapShared("ring", 64, 4096);
    const uint64_t before = env.operations();
    env.CrashAfterOperations(2);
    CHECK_OK(file->Write(Fill(512, 'b'), 0));
    CHECK_OK(file->DataSync());
    (*memory)->ring()[0] = 1;
    CHECK(!env.crashed() && env.operations() == before + 2);
    CHECK(file->Write(Fill(1024, 'c'), 0).code() == Code::kClosed);
    (*memory)->ring()[0] = 2;
    CHECK(env.crashed() && env.operations() == before + 2);
    std::vector<uint8_t> back(10);
    CHECK(file->Read(back, 0).code() == Code::kClosed);
    CHECK(env.Open("/d/f", {}).code() == Code::kClosed);
    CHECK(env.MapShared("ring", 64, 4096).code() == Code::kClosed);
    CHECK(env.SyncDirectory("/d").code() == Code::kClosed);
    env.ProcessCrash();
    CHECK(!env.crashed());
    memory = env.MapShared("ring", 64, 4096);
    CHECK((*memory)->ring()[0] == 1);
    const auto content = Content(env, "/d/f");
    CHECK(content[0] == 'b' || content[0] == 'c');
    after.insert(content[0]);
    after.insert(content[1023]);
  }
  CHECK(after == (std::set<uint8_t>{'a', 'b', 'c'}));
}

TEST("a hook may end the world before an operation, which then never was") {
  SimEnv env(3);
  Prepare(env, "/d/f", 512);
  auto file = MustOpen(env, "/d/f");
  env.BeforeOperation([&](const char* operation, const std::string& path) {
    if (std::string(operation) == "write" && path == "/d/f") env.ProcessCrash();
  });
  CHECK(file->Write(Fill(512, 'b'), 0).code() == Code::kClosed);
  env.BeforeOperation({});
  CHECK(Content(env, "/d/f")[0] == 'a');
}

TEST("a sync that failed says so for ever, and its data can be read but not relied on") {
  bool lost = false;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SimEnv env(seed);
    Prepare(env, "/d/f", 512);
    auto file = MustOpen(env, "/d/f");
    CHECK_OK(file->Write(Fill(2048, 'b'), 0));
    env.FailDataSync("f");
    CHECK(file->DataSync().code() == Code::kIo);
    CHECK(file->DataSync().code() == Code::kIo);
    CHECK(Content(env, "/d/f") == Fill(2048, 'b'));
    auto second = MustOpen(env, "/d/f");
    CHECK_OK(second->DataSync());
    env.HostCrash();
    const auto content = Content(env, "/d/f");
    CHECK(content.size() == 2048);
    if (content != Fill(2048, 'b')) lost = true;
  }
  CHECK(lost);
}

TEST("writes and reads fail where asked, as often as asked") {
  SimEnv env(3);
  Prepare(env, "/d/f", 512);
  Prepare(env, "/d/g", 512);
  auto f = MustOpen(env, "/d/f");
  auto g = MustOpen(env, "/d/g");
  env.FailWrites("/f", 2);
  CHECK_OK(g->Write(Fill(10, 'b'), 0));
  CHECK(f->Write(Fill(10, 'b'), 0).code() == Code::kIo);
  CHECK(f->Write(Fill(10, 'b'), 0).code() == Code::kIo);
  CHECK_OK(f->Write(Fill(10, 'b'), 0));
  env.FailReads("/g");
  std::vector<uint8_t> back(10);
  CHECK(g->Read(back, 0).code() == Code::kIo);
  CHECK_OK(g->Read(back, 0).status());
  env.FailWrites("/g");
  env.ClearFaults();
  CHECK_OK(g->Write(Fill(10, 'b'), 0));
}

TEST("a full disk takes rewrites, says kNoSpace to new pages, and takes them again once there is room") {
  SimEnv env(3);
  Prepare(env, "/d/f", 8192);
  CHECK_OK(MustOpen(env, "/d/big")->Allocate(40960));
  env.SetFreeBytes(8192);
  auto file = MustOpen(env, "/d/f");
  CHECK(env.FreeBytes("/d").value() == 8192);
  CHECK(file->Allocate(8192 + 3 * 4096).code() == Code::kNoSpace);
  CHECK(file->Size().value() == 8192);
  CHECK(file->Write(Fill(5 * 4096, 'b'), 4096).code() == Code::kNoSpace);
  CHECK(file->Size().value() == 4096 * 4);
  CHECK(env.FreeBytes("/d/f").value() == 0);
  CHECK_OK(file->Write(Fill(8192, 'c'), 0));
  CHECK_OK(MustOpen(env, "/d/big")->Write(Fill(40960, 'd'), 0));
  CHECK(MustOpen(env, "/d/new")->Write(Fill(1, 'b'), 0).code() == Code::kNoSpace);
  CHECK_OK(file->Truncate(8192));
  CHECK(env.FreeBytes("/d").value() == 8192);
  CHECK_OK(env.Remove("/d/big"));
  CHECK(env.FreeBytes("/d").value() == 8192 + 40960);
  CHECK_OK(env.SyncDirectory("/d"));
  env.HostCrash();
  CHECK(env.FreeBytes("/d").value() >= 8192 + 40960);
}

TEST("a flipped bit stays through syncs and crashes; a misdirected write lands elsewhere and says nothing") {
  SimEnv env(4);
  Prepare(env, "/d/f", 4096);
  auto file = MustOpen(env, "/d/f");
  CHECK_OK(file->Write(Fill(512, 0), 512));
  CHECK_OK(env.FlipBit("/d/f", 600, 3));
  CHECK_OK(env.FlipBit("/d/f", 5, 0));
  CHECK(env.FlipBit("/d/f", 4096, 0).code() == Code::kNotFound);
  CHECK(env.FlipBit("/d/none", 0, 0).code() == Code::kNotFound);
  CHECK_OK(file->DataSync());
  env.HostCrash();
  CHECK(Content(env, "/d/f")[600] == 8);
  CHECK(Content(env, "/d/f")[5] == ('a' ^ 1));
  file = MustOpen(env, "/d/f");
  env.MisdirectWrite("f", 2048);
  CHECK_OK(file->Write(Fill(512, 'm'), 4096));
  const auto content = Content(env, "/d/f");
  CHECK(content.size() == 4608 && content[2048] == 'm' && content[2559] == 'm' && content[4096] == 0);
  CHECK(env.HealMisdirected() && !env.HealMisdirected());
  env.HostCrash();
  const auto healed = Content(env, "/d/f");
  CHECK(healed.size() == 4608 && healed[2048] == 'a' && healed[2559] == 'a' && healed[4096] == 'm');
}

TEST("a read that may not wait sometimes would have to") {
  SimEnv env(4);
  Prepare(env, "/d/f", 4096);
  auto file = MustOpen(env, "/d/f");
  std::vector<uint8_t> a(1000), b(5000);
  const std::vector<Bytes> parts{a, b};
  int done = 0, again = 0;
  for (int i = 0; i < 100; ++i) {
    const Result<size_t> got = file->ReadNow(parts, 96);
    if (got.ok()) CHECK(got.value() == 4000 && b[2999] == 'a');
    ++(got.ok() ? done : again);
  }
  CHECK(done > 50 && again > 5);
  env.SetReadNowMissPercent(0);
  for (int i = 0; i < 100; ++i) CHECK_OK(file->ReadNow(parts, 0).status());
}

/** Some hundred random calls and a few crashes. */
uint64_t RandomWorld(uint64_t seed) {
  SimEnv env(seed);
  SimRandom random(seed);
  CHECK_OK(env.MakeDirectory("/d"));
  for (int step = 0; step < 400; ++step) {
    const std::string path = "/d/" + std::to_string(random.Below(5));
    auto file = env.Open(path, kCreate);
    if (file.ok()) {
      const std::vector<uint8_t> data = Fill(random.Below(9000), static_cast<uint8_t>(random.Next()));
      (void)(*file)->Write(data, random.Below(20000));
      if (random.Chance(1, 4)) (void)(*file)->DataSync();
      if (random.Chance(1, 9)) (void)(*file)->Truncate(random.Below(20000));
    }
    if (random.Chance(1, 9)) (void)env.Rename(path, "/d/" + std::to_string(random.Below(5)));
    if (random.Chance(1, 9)) (void)env.Remove(path);
    if (random.Chance(1, 9)) (void)env.SyncDirectory("/d");
    if (random.Chance(1, 20)) env.CrashAfterOperations(random.Below(5));
    if (random.Chance(1, 50)) env.ProcessCrash();
    if (random.Chance(1, 50)) env.HostCrash();
  }
  return env.Digest();
}

TEST("the same seed gives the same world, another seed another") {
  std::set<uint64_t> digests;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const uint64_t digest = RandomWorld(seed);
    CHECK(digest == RandomWorld(seed));
    digests.insert(digest);
  }
  CHECK(digests.size() == 20);
}

TEST("a handle outlives its world safely") {
  std::unique_ptr<File> file;
  std::unique_ptr<SharedMemory> memory;
  {
    SimEnv env(1);
    Prepare(env, "/d/f", 512);
    file = MustOpen(env, "/d/f");
    memory = std::move(env.MapShared("ring", 64, 4096).value());
  }
  memory->ring()[4096] = 1;
  CHECK(memory->ring()[0] == 1);
}

TEST("clocks move with work and waiting, random bytes come from the seed") {
  SimEnv a(9), b(9), c(10);
  const uint64_t start = a.NowNanos();
  a.Advance(5'000'000);
  CHECK(a.NowNanos() == start + 5'000'000);
  Prepare(a, "/d/f", 10);
  CHECK(a.NowNanos() > start + 5'000'000);
  std::vector<uint8_t> x(33), y(33), z(33);
  a.Random(x);
  b.Random(y);
  c.Random(z);
  CHECK(x == y && x != z);
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
