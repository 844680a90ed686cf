#pragma once
// Makes roots durable that were made in a pool: synced, and in a pool whose packs rest on a backend there as well.
#include <cstdint>
#include <memory>
#include <optional>

#include "../volume/store.h"

namespace skerry {

/** A root of the target that equals what it is made of up to a block. What it reaches is wanted as long as somebody has `hold`. */
struct CarryPoint {
  TreeRoot root;
  BlockIndex next = 0;
  std::shared_ptr<const HeldRoot> hold;
};

/** One thread. */
class PointSettler {
 public:
  explicit PointSettler(Pool& pool) : pool_(pool) {}

  /**
   * True once durable() is what was settled last. `last`: `point`, and soon; else whatever settles as packs fill. Failures: of a sync,
   * which are final, and of the backend.
   */
  Result<bool> Settle(const CarryPoint& point, bool last);
  bool settling() const { return settling_.has_value(); }
  /** The last point that a catalog may name. None yet: no hold. */
  const CarryPoint& durable() const { return durable_; }

 private:
  /** Becomes durable_ once the backend has all up to the mark. */
  struct Settling {
    CarryPoint point;
    uint32_t mark = 0;
  };
  Pool& pool_;
  std::optional<Settling> settling_;
  CarryPoint durable_;
};

}  // namespace skerry
