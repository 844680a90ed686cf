#pragma once
// Brings sealed packs of this host to the pool's backend, and knows which packs have a file here. A file is staged until
// the backend has its chunk durably; from then on it is a copy, kept for as long as there is room. It starts no thread and
// touches no file: its owner calls Begin, renames what was shipped and removes what is to be dropped.
#include <map>
#include <mutex>
#include <shared_mutex>

#include "../env/env.h"
#include "pack_backend.h"

namespace skerry {

struct ShipLimits {
  unsigned in_flight_max = 2;
  uint64_t staged_bytes_max = 1ull << 30;  // what waits to be shipped: beyond it, writes wait
  uint64_t kept_bytes_max = 1ull << 30;    // of copies
};

/** Thread-safe. Held by its owner and by the calls under way. */
class PackShipper : public std::enable_shared_from_this<PackShipper> {
 public:
  PackShipper(Env& env, std::shared_ptr<PackBackend> backend, std::string directory, ShipLimits limits);

  /** Its file is here and takes records. */
  void Opened(uint32_t pack);
  /** Its file is here, whole and durable under its name; the backend is not known to have it. `kept`: under the name of a copy. */
  void Staged(uint32_t pack, uint64_t bytes, bool kept_name);
  /** Its file is a copy of what the backend has. */
  void Kept(uint32_t pack, uint64_t bytes, bool kept_name);
  /** Its file is gone, or of no use. */
  void Forget(uint32_t pack);

  /** There is a file of this pack on this host. */
  bool IsLocal(uint32_t pack) const;
  /** There is a copy here of what the backend has. */
  bool IsKept(uint32_t pack) const;
  /** No pack up to and including `mark` takes records or waits to be shipped. */
  bool ShippedUpTo(uint32_t mark) const;
  bool Crowded() const;

  /** Begins what can be begun, oldest first; what failed waits a little longer each time. */
  void Begin();
  /** Shipped, and still under the name of a staged pack. */
  std::vector<uint32_t> ToRename() const;
  void Renamed(uint32_t pack);
  /** Copies to be dropped for the others to keep within their bytes, oldest first, with their sizes. */
  std::vector<std::pair<uint32_t, uint64_t>> ToDrop() const;

  /** `changed` is called, from any thread, when a pack was shipped or could not be. Empty: no more. */
  void OnChange(std::function<void()> changed);

  struct Usage {
    uint64_t staged_packs = 0, staged_bytes = 0, kept_packs = 0, kept_bytes = 0, shipped_packs = 0, shipped_bytes = 0, failures = 0;
    bool no_space = false;      // the backend is full
    std::string last_failure;   // empty once a pack was shipped after it
  };
  Usage usage() const;

 private:
  enum class State : uint8_t { kOpen, kStaged, kShipping, kKept };
  struct Local {
    State state = State::kOpen;
    bool kept_name = false;
    uint64_t bytes = 0;
    uint64_t retry_nanos = 0;
    unsigned failures = 0;
  };
  void Put(uint32_t pack, Local local);
  void Shipped(uint32_t pack, const Status& status);

  Env& env_;
  const std::shared_ptr<PackBackend> backend_;
  const std::string directory_;
  const ShipLimits limits_;

  mutable std::shared_mutex mutex_;
  std::map<uint32_t, Local> packs_;
  unsigned in_flight_ = 0;
  Usage usage_;

  std::mutex change_mutex_;            // held while `changed_` runs, so that OnChange({}) waits for it
  std::function<void()> changed_;
};

}  // namespace skerry
