#include "shadow_env.h"

#include <algorithm>

#include "ring_mapping.h"

namespace skerry {
namespace {

/** Reads what is there; a file that is not there yet has no bytes. */
class ShadowFile : public File {
 public:
  explicit ShadowFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  int descriptor() const override { return file_ ? file_->descriptor() : -1; }
  Result<size_t> Read(Bytes into, uint64_t offset) override { return file_ ? file_->Read(into, offset) : Result<size_t>(size_t{0}); }
  Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) override {
    return file_ ? file_->ReadNow(into, offset) : Result<size_t>(size_t{0});
  }
  Status Write(ConstBytes, uint64_t) override { return {}; }
  Status DataSync() override { return {}; }
  void ReadAhead(uint64_t offset, uint64_t bytes) override {
    if (file_) file_->ReadAhead(offset, bytes);
  }
  Status Allocate(uint64_t) override { return {}; }
  Status Truncate(uint64_t) override { return {}; }
  Result<uint64_t> Size() override { return file_ ? file_->Size() : Result<uint64_t>(uint64_t{0}); }
  Result<DataRange> NextData(uint64_t offset) override { return file_ ? file_->NextData(offset) : Result<DataRange>(DataRange{}); }

 private:
  const std::unique_ptr<File> file_;
};

class ShadowMemory : public SharedMemory {
 public:
  explicit ShadowMemory(std::unique_ptr<RingMapping> mapping) : mapping_(std::move(mapping)) {}
  Bytes header() override { return mapping_->header(); }
  uint8_t* ring() override { return mapping_->ring(); }
  size_t ring_bytes() const override { return mapping_->ring_bytes(); }

 private:
  const std::unique_ptr<RingMapping> mapping_;
};

class ShadowEnv : public Env {
 public:
  explicit ShadowEnv(Env& system) : system_(system) {}

  uint64_t NowNanos() override { return system_.NowNanos(); }
  uint64_t WallMillis() override { return system_.WallMillis(); }
  uint64_t ThreadCpuNanos() override { return system_.ThreadCpuNanos(); }
  void Random(Bytes into) override { system_.Random(into); }
  std::string BootId() override { return system_.BootId(); }

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override {
    Result<std::unique_ptr<File>> file = system_.Open(path, {.direct = options.direct});
    if (file.ok()) return std::unique_ptr<File>(std::make_unique<ShadowFile>(std::move(*file)));
    if (file.code() != Code::kNotFound || !options.create) return file.status();
    return std::unique_ptr<File>(std::make_unique<ShadowFile>(nullptr));
  }
  void ReadMany(std::span<FileRead> reads) override {
    for (FileRead& read : reads) {
      Result<size_t> got = read.file->Read(read.into, read.offset);
      read.status = !got.ok() ? got.status() : *got == read.into.size() ? Status::Ok() : Status(Code::kIo, "the file is shorter than it should be");
    }
  }
  Status Rename(const std::string&, const std::string&) override { return {}; }
  Status Remove(const std::string&) override { return {}; }
  Status MakeDirectory(const std::string&) override { return {}; }
  Status SyncDirectory(const std::string&) override { return {}; }
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override { return system_.List(path); }
  Result<uint64_t> FreeBytes(const std::string& path) override { return system_.FreeBytes(path); }
  Result<uint64_t> FileSystemOf(const std::string& path) override { return system_.FileSystemOf(path); }

  Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header_bytes, size_t ring_bytes) override {
    Result<uint64_t> wanted = RingMapping::FileBytes(header_bytes, ring_bytes);
    if (!wanted.ok()) return wanted.status();
    Result<std::unique_ptr<RingMapping>> mapping = RingMapping::MapAnonymous(name, header_bytes, ring_bytes);
    if (!mapping.ok()) return mapping.status();
    if (Status status = Copy(name, *wanted, **mapping); !status.ok()) return status;
    return std::unique_ptr<SharedMemory>(std::make_unique<ShadowMemory>(std::move(*mapping)));
  }
  Status RemoveShared(const std::string&) override { return {}; }

 private:
  /** One that is absent, or of another size, is as new: zeroes. */
  Status Copy(const std::string& name, uint64_t bytes, RingMapping& into) {
    if (name.empty()) return {};
    Result<std::unique_ptr<File>> file = system_.Open("/dev/shm/" + name, {});
    if (file.code() == Code::kNotFound) return {};
    if (!file.ok()) return file.status();
    Result<uint64_t> size = (*file)->Size();
    if (!size.ok()) return size.status();
    if (*size != bytes) return {};
    Result<size_t> got = (*file)->Read(into.header(), 0);
    if (!got.ok()) return got.status();
    got = (*file)->Read({into.ring(), into.ring_bytes()}, bytes - into.ring_bytes());
    return got.ok() ? Status::Ok() : got.status();
  }

  Env& system_;
};

}  // namespace

std::unique_ptr<Env> MakeShadowEnv(Env& system) { return std::make_unique<ShadowEnv>(system); }

}  // namespace skerry
