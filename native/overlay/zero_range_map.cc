#include "zero_range_map.h"

#include <algorithm>

namespace skerry {

void ZeroRangeMap::Put(PageIndex first, PageIndex end, bool hole) {
  if (first >= end) return;
  auto at = spans_.lower_bound(first);
  if (at != spans_.begin()) {
    const auto before = std::prev(at);
    const Rest old = before->second;
    if (old.end >= first && old.hole == hole) {
      if (old.end >= end) return;  // told already
      first = before->first;
      at = before;
    } else if (old.end > first) {
      before->second.end = first;
      if (old.end > end) at = spans_.emplace_hint(at, end, old);
    }
  }
  while (at != spans_.end() && at->first <= end) {
    const Rest old = at->second;
    if (old.hole == hole) {
      end = std::max(end, old.end);
    } else if (at->first == end) {
      break;
    } else if (old.end > end) {
      at = spans_.erase(at);
      at = spans_.emplace_hint(at, end, old);
      break;
    }
    at = spans_.erase(at);
  }
  spans_.emplace_hint(at, first, Rest{end, hole});
}

ZeroRangeMap::Span ZeroRangeMap::Covering(PageIndex page) const {
  auto at = spans_.upper_bound(page);
  if (at == spans_.begin()) return {};
  --at;
  if (at->second.end <= page) return {};
  return {at->first, at->second.end, at->second.hole};
}

uint64_t ZeroRangeMap::RunBetween(PageIndex page, uint64_t pages_max) const {
  if (Covering(page).end != 0) return 0;
  const auto next = spans_.upper_bound(page);
  return next == spans_.end() ? pages_max : std::min(pages_max, next->first - page);
}

std::vector<Generation::ZeroRange> ZeroRangeMap::All() const {
  std::vector<Generation::ZeroRange> all;
  all.reserve(spans_.size());
  for (const auto& [start, rest] : spans_) all.push_back({start, rest.end - start, rest.hole});
  return all;
}

}  // namespace skerry
