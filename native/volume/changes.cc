#include "changes.h"

#include <algorithm>
#include <unordered_set>

namespace skerry {
namespace {

constexpr uint64_t kRunPagesMax = 256;

Status InDifferentPools() { return {Code::kInvalid, "they are in different pools, whose blocks cannot be compared"}; }

/** Generations that are in one of the two and not in both. */
std::vector<const Generation*> GenerationsApart(const Layers& a, const Layers& b) {
  std::unordered_set<const Generation*> in_b;
  for (const auto& layer : b) in_b.insert(layer.get());
  std::vector<const Generation*> apart;
  for (const auto& layer : a) {
    if (in_b.erase(layer.get()) == 0) apart.push_back(layer.get());
  }
  apart.insert(apart.end(), in_b.begin(), in_b.end());
  return apart;
}

}  // namespace

bool TouchedRun(const Generation& generation, PageIndex page, uint64_t& pages) {
  if (const uint64_t below = generation.RunBelow(page, pages); below > 0) {
    pages = below;
    return false;
  }
  bool hole = false;
  uint64_t run = generation.RunZero(page, pages, &hole);
  const uint64_t pages_max = std::min(pages, kRunPagesMax);
  while (run < pages_max && generation.Lookup(page + run).kind != PageState::Kind::kBelow) ++run;
  pages = std::max<uint64_t>(run, 1);
  return true;
}

std::shared_ptr<const Stack> LiveVolume::StackAt(PageIndex page, uint64_t& pages, bool& touched) const {
  Lock lock(mutex_);
  touched = TouchedRun(*active_, page, pages);
  return stack_;
}

Result<bool> VolumeChanges::RunAt(PageIndex page, uint64_t& pages, Apart& apart, bool may_block) const {
  bool touched = false;
  const std::shared_ptr<const Stack> now = to_->StackAt(page, pages, touched);
  if (touched) return true;
  const std::shared_ptr<const Stack> old = from_->StackAt(page, pages, touched);
  if (touched) return true;
  if (apart.old != old || apart.now != now) apart = {old, now, GenerationsApart(old->layers, now->layers)};
  for (const Generation* generation : apart.generations) {
    if (TouchedRun(*generation, page, pages)) return true;
  }
  // One of them may change its pool between two runs.
  if (old->pool != now->pool) return InDifferentPools();
  const BlockIndex first = page / kPagesPerBlock, last = (page + pages - 1) / kPagesPerBlock;
  bool differs = false;
  Result<uint64_t> blocks = now->pool->tree->DiffRun(old->root, now->root, first, last - first + 1, &differs, may_block);
  if (!blocks.ok()) return blocks.status();
  pages = std::min(pages, (first + *blocks) * kPagesPerBlock - page);
  return differs;
}

Result<std::vector<ChangedExtent>> VolumeChanges::Extents(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) {
  // Its active generation is on both sides then, which no other pair has.
  if (from_ == to_) return std::vector<ChangedExtent>{{offset, length, false, false}};
  if (from_->pool() != to_->pool()) return InDifferentPools();
  std::vector<ChangedExtent> extents;
  const uint64_t end = offset + length;
  Apart apart;
  for (uint64_t at = offset; at < end;) {
    const PageIndex page = at / kPageBytes;
    uint64_t pages = (end + kPageBytes - 1) / kPageBytes - page;
    Result<bool> changed = RunAt(page, pages, apart, may_block);
    if (!changed.ok()) return changed.status();
    uint64_t to = std::min((page + pages) * kPageBytes, end);
    ChangedExtent extent{at, 0, *changed, false};
    if (*changed) {
      Result<std::vector<Extent>> now = to_->BlockStatus(at, to - at, 1, may_block);
      if (!now.ok()) return now.status();
      extent.zero = now->front().zero;
      to = std::min(to, now->front().offset + now->front().length);
      if (extent.zero) {
        // Zeroed where it was zero before: nothing a reader could tell.
        Result<std::vector<Extent>> old = from_->BlockStatus(at, to - at, 1, may_block);
        if (!old.ok()) return old.status();
        to = std::min(to, old->front().offset + old->front().length);
        extent.changed = !old->front().zero;
      }
    }
    if (!extent.changed) extent.zero = false;
    if (!extents.empty() && extents.back().changed == extent.changed && extents.back().zero == extent.zero) {
      extents.back().length += to - at;
    } else {
      if (extents.size() == extents_max) break;
      extent.length = to - at;
      extents.push_back(extent);
    }
    at = to;
  }
  return extents;
}

}  // namespace skerry
