#pragma once
// Learns which packs the backend holds, and reads the footers of those that the index does not know: at the start, and when
// something is looked for in vain.
#include <deque>
#include <map>

#include "errand.h"
#include "gone_keeper.h"
#include "pack_backend.h"
#include "pack_footer.h"

namespace skerry {

/** Thread-safe. Held by its owner and by the calls under way. */
class PackListing : public std::enable_shared_from_this<PackListing> {
 public:
  struct Owner {
    /** The index covers this pack. */
    std::function<bool(uint32_t pack)> known;
    std::function<void(uint32_t pack, uint64_t bytes, const std::vector<PackFooterEntry>& entries)> learn;
  };
  PackListing(std::shared_ptr<PackBackend> backend, std::shared_ptr<GoneKeeper> gone, Owner owner)
      : backend_(std::move(backend)), gone_(std::move(gone)), owner_(std::move(owner)) {}

  /** Lists, then learns what is not known. Done once both are; what began before this call is not what it waits for. */
  std::shared_ptr<Errand> Refresh();
  /** Reads the footers of these packs, some at a time. */
  std::shared_ptr<Errand> Learn(std::vector<PackBackend::Chunk> packs);
  /** The last refresh left nothing out. */
  bool complete() const { return complete_.load(); }
  void SetComplete(bool complete) { complete_.store(complete); }
  /** The owner is not called any more once this has returned. */
  void Close();

 private:
  struct Lesson {
    std::mutex mutex;
    std::deque<PackBackend::Chunk> packs;
    size_t in_flight = 0;
    Status failure;
    std::shared_ptr<Errand> done = std::make_shared<Errand>();
  };
  void Begin();
  void List();
  void End(const Status& status);
  void Next(const std::shared_ptr<Lesson>& lesson);
  void ReadTail(const std::shared_ptr<Lesson>& lesson, PackBackend::Chunk pack, uint64_t bytes);
  void Took(const std::shared_ptr<Lesson>& lesson, const Status& status);

  const std::shared_ptr<PackBackend> backend_;
  const std::shared_ptr<GoneKeeper> gone_;
  std::mutex owner_mutex_;
  Owner owner_;
  std::atomic<bool> complete_{false};
  std::mutex mutex_;
  std::shared_ptr<Errand> running_, next_;   // next_: for those who came after running_ began
};

}  // namespace skerry
