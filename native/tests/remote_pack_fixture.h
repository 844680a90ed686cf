#pragma once
// A store whose packs rest on a fake backend, in a directory of its own.
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../blocks/block_cache.h"
#include "../blocks/pack.h"
#include "check.h"
#include "fake_backend.h"

namespace skerry::check {

inline constexpr uint32_t kPages = 16, kBlock = kPages * kPageBytes;

/** Copies of all that is shipped. */
inline constexpr uint64_t kAllKept = 64 << 20;

struct RemotePacksFixture {
  explicit RemotePacksFixture(size_t cache_bytes = 8 << 20, uint64_t kept_bytes_max = 0) {
    std::string path = "/tmp/skerry-remote-XXXXXX";
    CHECK(mkdtemp(path.data()) != nullptr);
    root = path;
    options.directory = root + "/packs";
    options.checkpoint = root + "/index.checkpoint";
    options.pack_bytes = 1060 << 10;  // fifteen blocks, each put by itself
    options.reserve_bytes = 0;
    RemotePackOptions& remote = options.remote.emplace();
    remote.backend = backend;
    remote.cache = std::make_shared<BlockCache>(cache_bytes);
    remote.kept_bytes_max = kept_bytes_max;
    Open();
  }
  ~RemotePacksFixture() {
    store.reset();
    std::filesystem::remove_all(root);
  }
  void Open() {
    store.reset();
    report = {};
    options.remote->cache = std::make_shared<BlockCache>(options.remote->cache->bytes_max());
    auto opened = PackStore::Open(*env, options, report);
    if (!opened.ok()) throw Failure{opened.status().detail()};
    store = std::move(*opened);
  }
  /** Content `n`: pages differ. */
  static std::vector<uint8_t> Block(uint32_t n) {
    std::vector<uint8_t> block(kBlock);
    for (size_t i = 0; i < block.size(); i += 4) {
      const uint32_t word = n * 2654435761u + static_cast<uint32_t>(i) * 40503u + 1;
      std::memcpy(block.data() + i, &word, 4);
    }
    return block;
  }
  BlockId IdOf(uint32_t n) { return key.BlockIdOf(Block(n)); }
  Location Put(uint32_t n) {
    Result<Location> at = store->Put(RecordKind::kBlock, IdOf(n), Block(n), nullptr, true);
    if (!at.ok()) throw Failure{at.status().detail()};
    return *at;
  }
  std::vector<Location> PutMany(uint32_t count, uint32_t from = 0) {
    std::vector<Location> places;
    for (uint32_t n = 0; n < count; ++n) places.push_back(Put(from + n));
    return places;
  }
  /** Ships all there is, and drops the copies there is no room for. */
  void Ship() {
    CHECK_OK(store->Seal());
    const uint32_t mark = store->Mark();
    for (int i = 0; i < 5000; ++i) {
      CHECK_OK(store->Upkeep());
      const Result<bool> shipped = store->ShippedUpTo(mark);
      CHECK(shipped.ok());
      if (*shipped && store->usage().staged_packs == 0) {
        CHECK_OK(store->Upkeep());
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    CHECK(!"packs are shipped in the end");
  }
  bool Holds(uint32_t n, const Location& at) {
    std::vector<uint8_t> into(kBlock);
    return store->ReadPages(at, IdOf(n), 0, kPages, into, true).ok() && into == Block(n);
  }
  /** Other bytes in a file at rest. */
  void Spoil(const std::string& path, uint64_t offset, size_t bytes) {
    Result<std::unique_ptr<File>> file = env->Open(path, {.write = true});
    CHECK_OK(file.status());
    CHECK_OK((*file)->Write(std::vector<uint8_t>(bytes, 0xee), offset));
  }
  size_t Files(const std::string& ending) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options.directory)) count += entry.path().extension() == ending;
    return count;
  }

  std::string root;
  std::unique_ptr<Env> env = MakePosixEnv();
  std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>();
  PackStoreOptions options;
  PackReport report;
  DomainKey key{std::vector<uint8_t>(32, 9)};
  std::unique_ptr<PackStore> store;
};

}  // namespace skerry::check
