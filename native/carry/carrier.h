#pragma once
// Copies what a tree of one pool holds into another pool, by what differs from a tree that is there already. Each pool has a key of
// its own, so no id of one means anything in the other: blocks are read, every page checked, hashed under the target's key of
// the domain that they are of, and put, and the target's tree is made of that.
//
// Nothing that it needs is collected meanwhile. What it reads is reached from roots that it holds. What it has put, or found, in the
// target is named within one stay in the gate by an interim root, equal to the source's up to some block, which is held before the
// gate is left: whatever packs are condemned, a mark meets either that root, or the one before and none of what was found since.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../gc/mark.h"
#include "../volume/store.h"
#include "point_settler.h"

namespace skerry {

struct CarryOrder {
  std::shared_ptr<Pool> source, target;
  TreeRoot from, to;           // of the source
  TreeRoot have;               // of the target: holds what `to` does in blocks below `next`, and what `from` does in all others
  BlockIndex next = 0;
  uint64_t blocks = 0;         // that a volume with `to` has
  std::optional<Compression> compression{};   // of blocks that are put; absent: as the target pool does
};

struct CarryLimits {
  size_t batch_blocks_max = 128;                  // in memory at a time: 8 MiB
  size_t batch_cuts_max = 4096;
  uint64_t checkpoint_bytes = 128ull << 20;       // carried between two points that are made durable on the way: all that a crash costs
};

struct CarryReport {
  uint64_t blocks = 0;          // of the volume
  BlockIndex next = 0;          // equal below; at the end past all of them
  uint64_t carried_blocks = 0;  // read: the target had found_blocks of them, and the others take put_bytes there
  uint64_t found_blocks = 0, put_blocks = 0, put_bytes = 0;
  uint64_t cut_ranges = 0;      // of holes that were not
  uint64_t lost_pages = 0;      // rotten in the source, and lost in the target
  std::optional<PageIndex> first_lost{};
  uint64_t nodes_compared = 0;
};

/** One copy, in steps. One thread; there may be several at once, of different trees. */
class Carrier {
 public:
  /**
   * `from` and `to`: that a resource has, or somebody holds. `have`: that collections are given, or somebody holds. kNotFound where a
   * pool or a source's root is gone.
   */
  static Result<std::unique_ptr<Carrier>> Begin(Store& store, const CarryOrder& order, const CarryLimits& limits = {});

  enum class Progress : uint8_t { kMore, kWait, kDone };
  /**
   * kWait: for room in the target, or for its backend. kDone: the root is durable in the target, and was compared. Failures: kClosed
   * where `go_on` said no, kNoSpace, kCorrupt where a map node of the source cannot be read or a block is in no pack, kIo. After any but
   * a sync's, which is final, it may be called again and goes on from its point.
   */
  Result<Progress> Next(const Mark::GoOn& go_on);

  const CarryReport& report() const { return report_; }
  /** How far it is. */
  const CarryPoint& point() const { return point_; }
  /** The last point that a catalog may name: all that it reaches is durable in the target. None yet: no hold. */
  const CarryPoint& durable() const { return settler_.durable(); }
  /** Of `from` and `to`: for who goes on from them later. */
  const std::vector<std::shared_ptr<const HeldRoot>>& sources() const { return sources_; }

 private:
  enum class State : uint8_t { kCarry, kCompare, kSettle, kDone };
  struct Batch;
  Carrier(Store& store, const CarryOrder& order, const CarryLimits& limits);

  Result<Progress> CarryBatch(const Mark::GoOn& go_on);
  Status Collect(Batch& batch, const Mark::GoOn& go_on);
  Status CollectDiffering(Batch& batch, uint64_t blocks);
  Status ReadAll(Batch& batch);
  Status ReadBlock(const MapSlot& slot, Bytes block, uint32_t& lost);
  Result<uint64_t> DomainOf(const MapSlot& slot);
  Status Name(Batch& batch);
  Status Put(std::span<PackPut> puts);
  void Count(const Batch& batch);
  Result<bool> MakeDurable(bool last);

  Store& store_;
  const CarryOrder order_;
  const CarryLimits limits_;
  const uint8_t levels_;        // of the root that is made
  const BlockIndex end_;        // no block of any of the trees lies there or beyond
  State state_ = State::kCarry;
  std::optional<AlignedBuffer> memory_;   // of a batch
  std::vector<std::shared_ptr<const HeldRoot>> sources_;
  CarryPoint point_;
  PointSettler settler_;
  uint64_t unsettled_bytes_ = 0;   // carried since the last point that was to be made durable
  CarryReport report_;
};

}  // namespace skerry
