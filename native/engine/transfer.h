#pragma once
// Copies between a resource and a raw file of the host, on a thread of its own: holes and zeroes are skipped both ways.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "engine.h"

namespace skerry {

struct TransferProgress {
  uint64_t done_bytes = 0, total_bytes = 0, data_bytes = 0;
  bool finished = false;
};

class Transfer {
 public:
  enum class Direction : uint8_t { kImport, kExport };
  using Done = std::function<void(Status, TransferProgress)>;
  /** `done` is called once, from the transfer's thread, with what was copied. An export creates `path` (present: kInvalid) and syncs it; a failed one removes it. */
  Transfer(Env& env, Engine& engine, Direction direction, ResourceId resource, std::string path, Done done);
  ~Transfer();
  void Cancel() { cancelled_.store(true); }
  TransferProgress progress() const;

 private:
  void Run();
  Status Import(LiveVolume& volume);
  Status Export(LiveVolume& volume);
  Status ExportTo(LiveVolume& volume, File& file);
  Status WriteAdmitted(LiveVolume& volume, uint64_t offset, ConstBytes data);

  Env& env_;
  Engine& engine_;
  const Direction direction_;
  const ResourceId resource_;
  const std::string path_;
  Done done_;
  std::atomic<bool> cancelled_{false}, finished_{false};
  std::atomic<uint64_t> done_bytes_{0}, total_bytes_{0}, data_bytes_{0};
  std::thread thread_;
};

}  // namespace skerry
