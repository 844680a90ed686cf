#pragma once
// Takes packs off a pool's backend that are gone from the pool. Whoever has given them to it is done with them: what cannot be
// removed now is asked for again, and what a crash forgets the next start finds in the backend's list. It starts no thread: its
// owner calls Begin. Nothing is asked for before the pool has the list of what is gone.
#include <map>
#include <memory>
#include <mutex>

#include "../env/env.h"
#include "gone_keeper.h"
#include "pack_backend.h"

namespace skerry {

/** Thread-safe. Held by its owner and by the calls under way. */
class PackSweeper : public std::enable_shared_from_this<PackSweeper> {
 public:
  PackSweeper(Env& env, std::shared_ptr<PackBackend> backend, std::shared_ptr<GoneKeeper> gone)
      : env_(env), backend_(std::move(backend)), gone_(std::move(gone)) {}

  /** Of a pack that is on the list which stands. Nothing where it is to be removed already. */
  void Add(uint32_t pack);
  /** Begins what can be begun; after a failure it waits, each time a little longer. */
  void Begin();
  /** The pool has the list; where it has not, that is begun, as above. */
  bool Listed();

  struct Usage {
    uint64_t waiting = 0, removed = 0, failures = 0;
    bool failing = false;   // the last answer was a failure
  };
  Usage usage() const;

 private:
  void Removed(uint32_t pack, const Status& status);
  void Failed();

  Env& env_;
  const std::shared_ptr<PackBackend> backend_;
  const std::shared_ptr<GoneKeeper> gone_;
  mutable std::mutex mutex_;
  std::map<uint32_t, bool> packs_;   // whether it was asked for, and not answered
  uint32_t last_ = 0;                // that was asked for
  unsigned in_flight_ = 0, failures_in_a_row_ = 0;
  bool listing_ = false;             // the list is on its way to the pool
  uint64_t retry_nanos_ = 0;
  Usage usage_;
};

}  // namespace skerry
