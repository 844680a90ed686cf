#pragma once
// The real machine with faults that a test switches on: syncs that fail, reads that would block, a disk that is full.
#include <atomic>

#include "../env/env.h"

namespace skerry::check {

/** Shared by the environment and its files. Only files whose path contains `only` are concerned. */
struct Faults {
  std::string only;
  std::atomic<bool> fail_sync{false};
  std::atomic<bool> fail_write{false};
  std::atomic<bool> fail_rename{false};
  std::atomic<bool> block_reads{false};                // ReadNow answers kTryAgain
  std::atomic<uint64_t> allocate_bytes_max{UINT64_MAX};  // a longer Allocate is kNoSpace
  std::atomic<uint64_t> free_bytes{UINT64_MAX};        // UINT64_MAX: what the real one says
  std::atomic<uint64_t> syncs{0}, directory_syncs{0};
  std::atomic<uint64_t> sync_nanos{0};                 // spent in each sync before it begins
};

class FaultFile : public File {
 public:
  FaultFile(std::unique_ptr<File> file, Faults& faults, Env& env, bool concerned)
      : file_(std::move(file)), faults_(faults), env_(env), concerned_(concerned) {}
  Result<size_t> Read(Bytes into, uint64_t offset) override { return file_->Read(into, offset); }
  Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) override {
    if (concerned_ && faults_.block_reads) return Status(Code::kTryAgain, {});
    return file_->ReadNow(into, offset);
  }
  Status Write(ConstBytes data, uint64_t offset) override {
    if (concerned_ && faults_.fail_write) return {Code::kIo, "injected"};
    return file_->Write(data, offset);
  }
  Status DataSync() override {
    ++faults_.syncs;
    for (const uint64_t until = env_.NowNanos() + faults_.sync_nanos; env_.NowNanos() < until;) {}
    if (concerned_ && faults_.fail_sync) return {Code::kIo, "injected"};
    return file_->DataSync();
  }
  void StartWriteback(uint64_t offset, uint64_t bytes) override { file_->StartWriteback(offset, bytes); }
  Status Allocate(uint64_t bytes) override {
    if (concerned_ && bytes > faults_.allocate_bytes_max) return {Code::kNoSpace, "injected"};
    return file_->Allocate(bytes);
  }
  Status Truncate(uint64_t bytes) override { return file_->Truncate(bytes); }
  Result<uint64_t> Size() override { return file_->Size(); }

 private:
  std::unique_ptr<File> file_;
  Faults& faults_;
  Env& env_;
  const bool concerned_;
};

class FaultEnv : public Env {
 public:
  explicit FaultEnv(Env& env) : env_(env) {}
  Faults faults;

  uint64_t NowNanos() override { return env_.NowNanos(); }
  uint64_t WallMillis() override { return env_.WallMillis(); }
  void Random(Bytes into) override { env_.Random(into); }
  std::string BootId() override { return env_.BootId(); }
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override {
    Result<std::unique_ptr<File>> file = env_.Open(path, options);
    if (!file.ok()) return file;
    const bool concerned = path.find(faults.only) != std::string::npos;
    return std::unique_ptr<File>(std::make_unique<FaultFile>(std::move(*file), faults, env_, concerned));
  }
  Status Rename(const std::string& from, const std::string& to) override {
    if (faults.fail_rename && from.find(faults.only) != std::string::npos) return {Code::kIo, "injected"};
    return env_.Rename(from, to);
  }
  Status Remove(const std::string& path) override { return env_.Remove(path); }
  Status MakeDirectory(const std::string& path) override { return env_.MakeDirectory(path); }
  Status SyncDirectory(const std::string& path) override {
    ++faults.directory_syncs;
    return env_.SyncDirectory(path);
  }
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override { return env_.List(path); }
  Result<uint64_t> FreeBytes(const std::string& path) override {
    if (faults.free_bytes != UINT64_MAX) return faults.free_bytes.load();
    return env_.FreeBytes(path);
  }
  Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header_bytes, size_t ring_bytes) override {
    return env_.MapShared(name, header_bytes, ring_bytes);
  }
  Status RemoveShared(const std::string& name) override { return env_.RemoveShared(name); }

 private:
  Env& env_;
};

}  // namespace skerry::check
