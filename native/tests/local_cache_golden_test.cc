// Segments of the local cache as version 1 lays them down. See docs/formats/local_cache.md.
#include "../blocks/local_cache.h"
#include "golden_env.h"
#include "record_image.h"

namespace skerry {
namespace {

constexpr const char* kGolden = "local_cache_v1";
constexpr const char* kDirectory = "/d/cache";
constexpr const char* kFull = "/d/cache/00000001.cache";
constexpr const char* kNewest = "/d/cache/00000002.cache";
constexpr uint32_t kRecords = 7;

struct Cache {
  explicit Cache(Env& env) : cache(env, {kDirectory, 1 << 20, 24 << 10}, std::make_shared<BlockCache>(0)) {
    cache.Load();
    for (uint8_t i = 0; i < 2; ++i) {
      PoolUuid uuid;
      for (size_t at = 0; at < uuid.size(); ++at) uuid[at] = static_cast<uint8_t>(i * 64 + at);
      pools[i] = cache.NumberOf(uuid);
    }
  }
  RecordKey KeyOf(uint8_t n) const { return {pools[n % 2], 1u + n, 4096u + n * 512u}; }
  LocalCache cache;
  uint32_t pools[2];
};

golden::Part FileOf(Env& env, const std::string& path) {
  Result<std::unique_ptr<File>> file = env.Open(path, {});
  CHECK_OK(file.status());
  std::vector<uint8_t> bytes((*file)->Size().value());
  const Result<size_t> got = (*file)->Read(bytes, 0);
  CHECK(got.ok() && *got == bytes.size());
  return {path, std::move(bytes)};
}

}  // namespace

TEST("a full segment and one that takes records have the form they always had") {
  GoldenEnv env;
  env.SetFreeBytes(1 << 30);
  Cache cache(env);
  for (uint8_t n = 0; n < kRecords; ++n) cache.cache.Offer(cache.KeyOf(n), check::RecordAt(cache.KeyOf(n), n, 1));
  while (cache.cache.WriteSome()) {}
  golden::Compare(kGolden, {FileOf(env, kFull), FileOf(env, kNewest)});
}

TEST("segments of version 1 are read as they were written") {
  const golden::Parts parts = golden::Read(kGolden);
  GoldenEnv env;
  env.SetFreeBytes(1 << 30);
  CHECK_OK(env.MakeDirectory(kDirectory));
  for (const golden::Part& part : parts) {
    Result<std::unique_ptr<File>> file = env.Open(part.name, {.write = true, .create = true});
    CHECK_OK(file.status());
    CHECK_OK((*file)->Write(part.bytes, 0));
  }
  Cache cache(env);
  for (uint8_t n = 0; n < kRecords; ++n) {
    const auto record = cache.cache.Read(cache.KeyOf(n));
    CHECK(record && *record == *check::RecordAt(cache.KeyOf(n), n, 1));
  }
  CHECK(cache.cache.usage().records == kRecords && cache.cache.usage().damaged == 0);
}

}  // namespace skerry

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
