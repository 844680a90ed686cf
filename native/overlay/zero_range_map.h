#pragma once
// Ranges of pages that read as zeroes: disjoint, ascending, equal neighbours merged. A newer range wins over what it covers.
#include <cstdint>
#include <map>
#include <vector>

#include "generation.h"

namespace skerry {

class ZeroRangeMap {
 public:
  /** Pages [first, end) are zero from now on. */
  void Put(PageIndex first, PageIndex end, bool hole);

  struct Span {
    PageIndex start = 0;
    PageIndex end = 0;
    bool hole = false;
  };
  /** The range that covers `page`; empty (end 0) where none does. */
  Span Covering(PageIndex page) const;
  /** Pages from `page` to the next range at or above it, at most `pages_max`; 0 when one covers it. */
  uint64_t RunBetween(PageIndex page, uint64_t pages_max) const;

  bool empty() const { return spans_.empty(); }
  uint64_t count() const { return spans_.size(); }
  uint64_t bytes() const { return spans_.size() * kSpanBytes; }
  std::vector<Generation::ZeroRange> All() const;

 private:
  struct Rest {
    PageIndex end;
    bool hole;
  };
  static constexpr uint64_t kSpanBytes = 80;  // a node of std::map with this value, as allocated
  std::map<PageIndex, Rest> spans_;
};

}  // namespace skerry
