#pragma once
// A file of the real machine. Its methods keep no position, so many threads may use one at once.
#include <atomic>
#include <memory>
#include <string>

#include "descriptor.h"
#include "env.h"

namespace skerry {

class PosixFile : public File {
 public:
  static Result<std::unique_ptr<File>> Open(const std::string& path, const OpenOptions& options);

  PosixFile(Descriptor descriptor, std::string path, bool direct)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), direct_(direct) {}

  int descriptor() const override { return descriptor_.get(); }
  Result<size_t> Read(Bytes into, uint64_t offset) override;
  Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) override;
  Status Write(ConstBytes data, uint64_t offset) override;
  Status DataSync() override;
  void ReadAhead(uint64_t offset, uint64_t bytes) override;
  Status Allocate(uint64_t bytes) override;
  Status Truncate(uint64_t bytes) override;
  Result<uint64_t> Size() override;
  Result<DataRange> NextData(uint64_t offset) override;

 private:
  Status CheckDirect(const char* verb, const void* memory, size_t bytes, uint64_t offset) const;

  const Descriptor descriptor_;
  const std::string path_;
  const bool direct_;
  // The kernel reports a lost write once and then calls the pages clean: a second fdatasync would succeed over the loss.
  std::atomic<bool> sync_failed_{false};
};

}  // namespace skerry
