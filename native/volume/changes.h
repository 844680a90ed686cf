#pragma once
// Where a volume differs from something older that it shares most of its map with: generations that only one of the two
// has, then their maps, of which equal subtrees are never looked into. So it costs by what differs.
#include <memory>

#include "live_volume.h"

namespace skerry {

class VolumeChanges : public Changes {
 public:
  VolumeChanges(std::shared_ptr<LiveVolume> from, std::shared_ptr<LiveVolume> to) : from_(std::move(from)), to_(std::move(to)) {}

  /**
   * What is not `changed` is equal in both. What is changed may yet be equal where it was written with what was there, and
   * where it is as fine as a block. Past the end of the older one its bytes count as zeroes. kInvalid where the two are in
   * different pools, which share no map.
   */
  Result<std::vector<ChangedExtent>> Extents(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) override;

 private:
  /** Generations that only one of two stacks has; looked for again when a stack has become another. */
  struct Apart {
    std::shared_ptr<const Stack> old, now;
    std::vector<const Generation*> generations;
  };
  /** The run of pages from `page` on, at most `pages`, that is changed or not; narrows `pages` to it. */
  Result<bool> RunAt(PageIndex page, uint64_t& pages, Apart& apart, bool may_block) const;

  const std::shared_ptr<LiveVolume> from_, to_;
};

}  // namespace skerry
