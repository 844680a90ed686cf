#pragma once
// What JavaScript answers fetches with. A range of some mebibytes is not unpacked on its thread, which has the next one to ask for, nor copied
// for that: its buffer is held where it is, read by a thread of this, and given back.
#include <napi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "addon_mailbox.h"
#include "blocks/pack_backend.h"

namespace skerry::addon {

class FetchedBuffers {
 public:
  using Take = std::function<void(Result<FetchedBytes>)>;

  explicit FetchedBuffers(Mailbox& mailbox) : mailbox_(mailbox) {}
  ~FetchedBuffers() { Stop(); }
  FetchedBuffers(const FetchedBuffers&) = delete;
  FetchedBuffers& operator=(const FetchedBuffers&) = delete;

  // Both on JavaScript's thread.
  /** `take` gets the bytes on the other thread. Once it, and whoever it gave them to, has let them go, the event `fetched` says so. */
  void HandOn(uint64_t errand, const Napi::Uint8Array& buffer, Take take);
  /** Hands on what waits, joins the thread and lets go of all buffers. Afterwards nothing is taken. */
  void Stop();

 private:
  struct Waiting {
    FetchedBytes bytes;
    Take take;
  };
  void Run();
  void GiveBack(uint64_t errand);

  Mailbox& mailbox_;
  std::map<uint64_t, Napi::ObjectReference> held_;   // of JavaScript's thread
  bool stopped_ = false;                             // the same
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  bool stops_ = false;
  std::thread thread_;                               // from the first fetch on
};

}  // namespace skerry::addon
