#pragma once
// Sees to it that the list of what is gone is in the pool too, before anything goes from there, and that a host which has none takes over
// what the hosts before it had. Until a host's first list is in the pool it believes nothing that the backend lists: who comes after it goes
// by its lists and not by those before, of which one may arrive later still. It starts no thread.
#include <atomic>
#include <memory>
#include <mutex>

#include "errand.h"
#include "gone_packs.h"
#include "pack_backend.h"

namespace skerry {

/** Thread-safe. Held by its owner and by the calls under way. */
class GoneKeeper : public std::enable_shared_from_this<GoneKeeper> {
 public:
  GoneKeeper(std::shared_ptr<GonePacks> gone, std::shared_ptr<PackBackend> backend) : gone_(std::move(gone)), backend_(std::move(backend)) {}

  /** The pool has the list that stands. */
  bool kept() const;
  /** Puts it there, or waits for who does; what came to stand meanwhile is not in it. kCorrupt: the list of the hosts before cannot be read. */
  std::shared_ptr<Errand> Keep();
  /** Done once this host knows all that the hosts before it said was gone: what is listed may be believed. */
  std::shared_ptr<Errand> Known();
  /** No file is touched any more once this has returned. */
  void Close();

 private:
  void Begin();
  void Put();
  void End(const Status& status);

  const std::shared_ptr<GonePacks> gone_;
  const std::shared_ptr<PackBackend> backend_;
  std::atomic<uint64_t> kept_{0};   // the number of the last list that is known to be in the pool
  std::mutex file_mutex_;           // held while a file is written
  bool closed_ = false;             // under file_mutex_
  std::mutex mutex_;
  std::shared_ptr<Errand> running_;
};

}  // namespace skerry
