#include "point_settler.h"

#include "../env/mutants.h"

namespace skerry {

Result<bool> PointSettler::Settle(const CarryPoint& point, bool last) {
  PackStore& packs = *pool_.packs;
  if (last && settling_ && settling_->point.next != point.next) settling_.reset();
  if (!settling_) {
    if (Status status = IsMutant(Mutant::kCarriedUndurable) ? Status::Ok() : packs.Sync(); !status.ok()) return status;
    settling_ = {point, packs.Mark()};
  }
  if (packs.remote() && !IsMutant(Mutant::kCarriedUndurable)) {
    if (last && packs.OpenUpTo(settling_->mark)) {
      if (Status status = packs.Seal(); !status.ok()) return status;
    }
    const Result<bool> shipped = packs.ShippedUpTo(settling_->mark);
    if (!shipped.ok()) return shipped.status();
    if (!*shipped) return false;
  }
  durable_ = std::move(settling_->point);
  settling_.reset();
  return true;
}

}  // namespace skerry
