#pragma once
// A simulated machine whose dice, clock and boot id are written down here: golden files must not change with the simulator.
#include "../simulation/sim_env.h"
#include "golden.h"

namespace skerry {

class GoldenEnv : public SimEnv {
 public:
  GoldenEnv() : SimEnv(1) {}
  uint64_t WallMillis() override { return 1'750'000'000'000; }
  std::string BootId() override { return "golden file boot"; }
  void Random(Bytes into) override {
    for (uint8_t& byte : into) byte = next_++;
  }

  std::vector<uint8_t> Load(const std::string& path) {
    Result<std::unique_ptr<File>> file = Open(path, {});
    CHECK_OK(file.status());
    Result<uint64_t> size = (*file)->Size();
    CHECK_OK(size.status());
    std::vector<uint8_t> bytes(*size);
    CHECK((*file)->Read(bytes, 0).ok());
    return bytes;
  }
  /** Durably. */
  void Store(const std::string& path, const std::vector<uint8_t>& bytes) {
    const std::string directory = path.substr(0, path.find_last_of('/'));
    CHECK_OK(MakeDirectory(directory));
    Result<std::unique_ptr<File>> file = Open(path, {.write = true, .create = true});
    CHECK_OK(file.status());
    CHECK_OK((*file)->Truncate(bytes.size()));
    CHECK_OK((*file)->Write(bytes, 0));
    CHECK_OK((*file)->DataSync());
    CHECK_OK(SyncDirectory(directory));
  }

 private:
  uint8_t next_ = 0x41;
};

}  // namespace skerry
