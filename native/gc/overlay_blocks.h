#pragma once
// What journalled writes hold that no map does yet: blocks that large ones put in packs, for a mark, and how many pages there are.
#include <memory>
#include <unordered_map>
#include <vector>

#include "../volume/store.h"
#include "mark.h"

namespace skerry {

/** Generations that several resources read, a pending snapshot and its volume, are looked at once: volumes come first. */
class OverlayBlocks {
 public:
  OverlayBlocks(Mark& mark, const Mark::GoOn& go_on) : mark_(mark), go_on_(go_on) {}

  /** `pages`: with content, each once. kClosed where `go_on` says no. */
  Status Add(size_t member, const LiveVolume& volume, const LiveVolume::Content& content, uint64_t& pages);
  /** Of blocks in packs, by all that was added: each as often as a generation names it. */
  uint64_t uses() const { return uses_; }

 private:
  struct Seen {
    std::shared_ptr<const Generation> generation;
    std::vector<uint64_t> blocks;
    uint64_t pages = 0;   // of this one and all that are older
  };
  void Reach(size_t member, const Seen& seen);
  Status Look(const LiveVolume& volume, const LiveVolume::Content& content);

  Mark& mark_;
  const Mark::GoOn& go_on_;
  std::unordered_map<const Generation*, Seen> seen_;
  uint64_t uses_ = 0;
};

}  // namespace skerry
