#pragma once
// Makes a tree of parts of other trees of the same pool: a disk of what lies elsewhere as objects, or parts of them. No block is read or
// put: the new tree names those that the others name, so only its nodes are new, and where parts lie at the bounds of leaves in both not
// even all of these.
//
// Nothing that it names is collected meanwhile. It reaches no block that the sources do not reach, and these are held until whoever asked
// has the result; its own nodes are named within one stay in the gate by an interim root, which is held before the gate is left.
#include <memory>
#include <vector>

#include "carrier.h"

namespace skerry {

/** Blocks [first, first + blocks) of `from` become blocks from `at` on. Holes stay holes. */
struct SplicePart {
  TreeRoot from;
  BlockIndex first = 0;
  uint64_t blocks = 0;
  BlockIndex at = 0;
};

struct SpliceOrder {
  std::shared_ptr<Pool> pool;
  std::vector<SplicePart> parts;   // in the order in which they lie in the new tree, none over another
  uint64_t blocks = 0;             // of the new volume: no part ends past them
};

/** One splice, in steps. One thread; there may be several at once. */
class Splicer {
 public:
  /** `slots_max`: looked up between two roots. Roots of parts: that a resource has, or somebody holds. kNotFound where the pool or such a root is gone. */
  static Result<std::unique_ptr<Splicer>> Begin(Store& store, SpliceOrder order, size_t slots_max = 4096);

  using Progress = Carrier::Progress;
  /** As Carrier::Next. kDone: the root is durable. */
  Result<Progress> Next(const Mark::GoOn& go_on);

  /** `next`: blocks below are as they will be. */
  const CarryPoint& point() const { return point_; }
  const CarryPoint& durable() const { return settler_.durable(); }
  const std::vector<std::shared_ptr<const HeldRoot>>& sources() const { return sources_; }
  /** carried_blocks: that are named in the new tree so far. */
  const CarryReport& report() const { return report_; }

 private:
  enum class State : uint8_t { kSplice, kSettle, kDone };
  Splicer(Store& store, SpliceOrder order, size_t slots_max);
  Status SpliceSome(const Mark::GoOn& go_on);
  Status Collect(std::vector<MapChange>& changes, const Mark::GoOn& go_on);

  Store& store_;
  const SpliceOrder order_;
  const size_t slots_max_;
  const uint8_t levels_;
  State state_ = State::kSplice;
  size_t part_ = 0;                // that is under way
  uint64_t done_ = 0;              // of its blocks
  std::vector<std::shared_ptr<const HeldRoot>> sources_;
  CarryPoint point_;
  PointSettler settler_;
  CarryReport report_;
};

}  // namespace skerry
