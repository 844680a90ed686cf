#pragma once
// A pack store in a directory of its own, over an environment that can be told to fail, and which may die and open again.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "../blocks/cell.h"
#include "../blocks/pack_footer.h"
#include "../blocks/pack_handles.h"
#include "../blocks/pack_store_impl.h"
#include "check.h"

namespace skerry::pack_fixture {

/** Faults that a test switches on, in pack files only. */
struct Faults {
  std::atomic<bool> fail_sync{false}, fail_write{false}, block_reads{false};
  std::atomic<uint64_t> allocate_bytes_max{UINT64_MAX};
  std::atomic<uint64_t> free_bytes{UINT64_MAX};  // UINT64_MAX: what the real one says
  std::atomic<uint64_t> read_aheads{0}, read_ahead_bytes{0};  // counted, not caused
};

class FaultFile : public File {
 public:
  FaultFile(std::unique_ptr<File> file, Faults& faults) : file_(std::move(file)), faults_(faults) {}
  Result<size_t> Read(Bytes into, uint64_t offset) override { return file_->Read(into, offset); }
  Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) override {
    if (faults_.block_reads) return Status(Code::kTryAgain, {});
    return file_->ReadNow(into, offset);
  }
  Status Write(ConstBytes data, uint64_t offset) override {
    return faults_.fail_write ? Status(Code::kIo, "injected") : file_->Write(data, offset);
  }
  Status DataSync() override { return faults_.fail_sync ? Status(Code::kIo, "injected") : file_->DataSync(); }
  void ReadAhead(uint64_t offset, uint64_t bytes) override {
    ++faults_.read_aheads;
    faults_.read_ahead_bytes += bytes;
    file_->ReadAhead(offset, bytes);
  }
  Status Allocate(uint64_t bytes) override {
    return bytes > faults_.allocate_bytes_max ? Status(Code::kNoSpace, "injected") : file_->Allocate(bytes);
  }
  Status Truncate(uint64_t bytes) override { return file_->Truncate(bytes); }
  Result<uint64_t> Size() override { return file_->Size(); }

 private:
  std::unique_ptr<File> file_;
  Faults& faults_;
};

class FaultEnv : public Env {
 public:
  Faults faults;
  uint64_t NowNanos() override { return real_->NowNanos(); }
  uint64_t WallMillis() override { return real_->WallMillis(); }
  uint64_t ThreadCpuNanos() override { return real_->ThreadCpuNanos(); }
  void Random(Bytes into) override { real_->Random(into); }
  std::string BootId() override { return real_->BootId(); }
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override {
    Result<std::unique_ptr<File>> file = real_->Open(path, options);
    if (!file.ok() || path.find("/packs/") == std::string::npos) return file;
    return std::unique_ptr<File>(std::make_unique<FaultFile>(std::move(*file), faults));
  }
  void ReadMany(std::span<FileRead> reads) override { real_->ReadMany(reads); }
  Status Rename(const std::string& from, const std::string& to) override { return real_->Rename(from, to); }
  Status Remove(const std::string& path) override { return real_->Remove(path); }
  Status MakeDirectory(const std::string& path) override { return real_->MakeDirectory(path); }
  Status SyncDirectory(const std::string& path) override { return real_->SyncDirectory(path); }
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override { return real_->List(path); }
  Result<uint64_t> FreeBytes(const std::string& path) override {
    if (faults.free_bytes != UINT64_MAX) return faults.free_bytes.load();
    return real_->FreeBytes(path);
  }
  Result<uint64_t> FileSystemOf(const std::string& path) override { return real_->FileSystemOf(path); }
  Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header, size_t ring) override {
    return real_->MapShared(name, header, ring);
  }
  Status RemoveShared(const std::string& name) override { return real_->RemoveShared(name); }
  std::unique_ptr<Env> real_ = MakePosixEnv();
};

/** A directory, an environment and a store in them, which may die and open again. */
struct Fixture {
  std::string root;
  FaultEnv env;
  PackStoreOptions options;
  PackReport report;
  std::unique_ptr<PackStore> store;
  DomainKey key{std::vector<uint8_t>(32, 42)};

  explicit Fixture(uint32_t pack_bytes = 1 << 20) {
    std::string name = (std::filesystem::temp_directory_path() / "skerry-pack-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw check::Failure{"mkdtemp failed"};
    root = name;
    options.directory = root + "/packs";
    options.checkpoint = root + "/index/checkpoint";
    options.pack_bytes = pack_bytes;
    options.reserve_bytes = 0;
    options.key = key;
    Open();
  }
  ~Fixture() {
    store.reset();
    std::filesystem::remove_all(root);
  }
  /** Kills the store, as a process dies: nothing is sealed. Opens it again. */
  void Open() {
    store.reset();
    report = {};
    Result<std::unique_ptr<PackStore>> opened = PackStore::Open(env, options, report);
    if (!opened.ok()) throw check::Failure{"open failed: " + opened.status().detail()};
    store = std::move(*opened);
  }
  static std::vector<uint8_t> Block(uint32_t n, size_t bytes = 64 << 10) {
    std::vector<uint8_t> block(bytes);
    for (size_t i = 0; i < bytes; i += 4) {
      const auto word = static_cast<uint32_t>(n * 2654435761u + i * 40503u + 1);
      std::memcpy(block.data() + i, &word, std::min<size_t>(4, bytes - i));
    }
    return block;
  }
  BlockId IdOf(uint32_t n) { return key.BlockIdOf(Block(n)); }
  Location Put(uint32_t n, bool* reused = nullptr) {
    Result<Location> at = store->Put(RecordKind::kBlock, IdOf(n), Block(n), reused);
    if (!at.ok()) throw check::Failure{"put failed: " + at.status().detail()};
    return *at;
  }
  bool Holds(uint32_t n, const Location& at) {
    std::vector<uint8_t> into(64 << 10);
    return store->ReadPages(at, IdOf(n), 0, 16, into, true).ok() && into == Block(n);
  }
  bool Finds(uint32_t n) { return store->Find(IdOf(n)) && Holds(n, *store->Find(IdOf(n))); }
  std::string Path(uint32_t pack, bool sealed) { return PackPath(options.directory, pack, sealed); }
  void Flip(const std::string& path, uint64_t offset) {
    OpenOptions how;
    how.write = true;
    Result<std::unique_ptr<File>> file = MakePosixEnv()->Open(path, how);
    uint8_t byte;
    if (!file.ok() || !(*file)->Read({&byte, 1}, offset).ok()) throw check::Failure{"no byte to flip"};
    byte ^= 1;
    CHECK_OK((*file)->Write({&byte, 1}, offset));
  }
};

}  // namespace skerry::pack_fixture
