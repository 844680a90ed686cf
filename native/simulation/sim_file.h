#pragma once
// An open file of a simulated process.
#include "sim_machine.h"

namespace skerry {

class SimFile : public File {
 public:
  SimFile(std::shared_ptr<SimMachine> machine, SimNames::Inode inode, std::string path, OpenOptions options)
      : machine_(std::move(machine)),
        process_(machine_->process),
        inode_(std::move(inode)),
        path_(std::move(path)),
        options_(options) {}

  Result<size_t> Read(Bytes into, uint64_t offset) override;
  Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) override;
  Status Write(ConstBytes data, uint64_t offset) override;
  Status DataSync() override;
  void ReadAhead(uint64_t, uint64_t) override {}
  Status Allocate(uint64_t bytes) override;
  Status Truncate(uint64_t bytes) override;
  Result<uint64_t> Size() override;

 private:
  Status Check(const char* verb, const void* memory, size_t bytes, uint64_t offset) const;
  Status CheckWritable(const char* verb) const;

  const std::shared_ptr<SimMachine> machine_;
  const uint64_t process_;
  const SimNames::Inode inode_;
  const std::string path_;  // as it was opened
  const OpenOptions options_;
  bool sync_failed_ = false;
};

}  // namespace skerry
