#include "sim_log_shelf.h"

#include <utility>

namespace skerry::simulation {
namespace {

constexpr uint64_t kForEver = ~0ull;

}  // namespace

void SimLogShelf::Arrive(const LogChunk& chunk) {
  const auto [at, fresh] = chunks_.try_emplace({chunk.volume, chunk.fence, chunk.number}, chunk);
  if (!fresh && *at->second.entries != *chunk.entries && wrong_.empty())
    wrong_ = "log chunk " + std::to_string(chunk.number) + " of volume " + std::to_string(chunk.volume) + " was put again with other bytes";
}

void SimLogShelf::Deliver() {
  for (const LogChunk& chunk : std::exchange(late_, {})) {
    if (dice_.Chance(1, 4)) Arrive(chunk);
    else late_.push_back(chunk);
  }
  std::vector<Underway> puts;
  puts.swap(underway_);
  while (!puts.empty()) {
    const auto which = static_cast<ptrdiff_t>(dice_.Below(puts.size()));
    Underway put = std::move(puts[static_cast<size_t>(which)]);
    puts.erase(puts.begin() + which);
    if (held_.contains(put.chunk.volume)) {
      underway_.push_back(std::move(put));
      continue;
    }
    const uint64_t fate = dice_.Below(8);
    // Whoever does not hear of it puts the same once more.
    if (fate < 4) {
      if (fate == 0) Arrive(put.chunk);
      underway_.push_back(std::move(put));
      continue;
    }
    Arrive(put.chunk);
    if (fate == 4) late_.push_back(put.chunk);
    put.done(Status::Ok());
  }
}

void SimLogShelf::Forget() {
  for (const Underway& put : underway_) {
    if (held_.contains(put.chunk.volume)) continue;
    const uint64_t fate = dice_.Below(3);
    if (fate == 0) Arrive(put.chunk);
    if (fate == 1) late_.push_back(put.chunk);
  }
  underway_.clear();
  held_.clear();
}

const LogChunk* SimLogShelf::Find(ResourceId volume, uint64_t fence, uint64_t number) const {
  const auto found = chunks_.find({volume, fence, number});
  return found == chunks_.end() ? nullptr : &found->second;
}

const LogChunk* SimLogShelf::Last(ResourceId volume, uint64_t fence) const {
  const auto past = chunks_.upper_bound({volume, fence, kForEver});
  if (past == chunks_.begin()) return nullptr;
  const LogChunk& last = std::prev(past)->second;
  return last.volume == volume && last.fence == fence ? &last : nullptr;
}

uint64_t SimLogShelf::FenceMax(ResourceId volume) const {
  const auto past = chunks_.upper_bound({volume, kForEver, kForEver});
  if (past == chunks_.begin()) return 0;
  const LogChunk& last = std::prev(past)->second;
  return last.volume == volume ? last.fence : 0;
}

void SimLogShelf::Remove(ResourceId volume, const std::function<bool(const LogChunk&)>& unwanted) {
  std::erase_if(chunks_, [&](const auto& one) {
    const LogChunk& chunk = one.second;
    return chunk.volume == volume && unwanted(chunk) && !dice_.Chance(1, 8);
  });
}

}  // namespace skerry::simulation
