#include "splicer.h"

#include <algorithm>
#include <utility>

#include "../env/mutants.h"

namespace skerry {
namespace {

Status CheckParts(const SpliceOrder& order) {
  BlockIndex end = 0;
  for (const SplicePart& part : order.parts) {
    if (part.from.levels > kNodeLevelMax + 1) return {Code::kInvalid, "a map has too many levels"};
    if (part.blocks == 0 || part.first + part.blocks < part.first) return {Code::kInvalid, "a part has no blocks, or too many"};
    if (part.at < end) return {Code::kInvalid, "parts lie in their order, none over another"};
    end = part.at + part.blocks;
    if (end < part.at || end > order.blocks) return {Code::kInvalid, "a part ends past the volume"};
  }
  return Status::Ok();
}

}  // namespace

Splicer::Splicer(Store& store, SpliceOrder order, size_t slots_max)
    : store_(store), order_(std::move(order)), slots_max_(slots_max), levels_(LevelsFor(order_.blocks)), settler_(*order_.pool) {
  report_.blocks = order_.blocks;
}

Result<std::unique_ptr<Splicer>> Splicer::Begin(Store& store, SpliceOrder order, size_t slots_max) {
  if (Status status = CheckParts(order); !status.ok()) return status;
  std::unique_ptr<Splicer> splicer(new Splicer(store, std::move(order), slots_max));
  std::vector<BlockId> held;
  for (const SplicePart& part : splicer->order_.parts) {
    if (std::ranges::find(held, part.from.id) != held.end()) continue;
    Result<std::shared_ptr<const HeldRoot>> hold = store.HoldKnownRoot(splicer->order_.pool, part.from);
    if (!hold.ok()) return hold.status();
    if (!IsMutant(Mutant::kSourceUnheld)) splicer->sources_.push_back(std::move(*hold));
    held.push_back(part.from.id);
  }
  Result<std::shared_ptr<const HeldRoot>> hold = store.HoldRoot(splicer->order_.pool, {});
  if (!hold.ok()) return hold.status();
  splicer->point_ = {{}, 0, std::move(*hold)};
  return splicer;
}

Result<Splicer::Progress> Splicer::Next(const Mark::GoOn& go_on) {
  if (!go_on()) return Status(Code::kClosed, "cancelled");
  if (Status failure = store_.failure(); !failure.ok()) return failure;
  if (state_ == State::kSplice) {
    if (order_.pool->packs->crowded()) return Progress::kWait;
    if (Status status = SpliceSome(go_on); !status.ok()) return status;
    if (part_ == order_.parts.size()) state_ = State::kSettle;
    return Progress::kMore;
  }
  if (state_ == State::kSettle) {
    const Result<bool> settled = settler_.Settle(point_, true);
    if (!settled.ok()) return settled.status();
    if (!*settled) return Progress::kWait;
    state_ = State::kDone;
  }
  return Progress::kDone;
}

/** From the first node put, or found, till the root that leads there is held it stays in the gate. */
Status Splicer::SpliceSome(const Mark::GoOn& go_on) {
  std::vector<MapChange> changes;
  if (Status status = Collect(changes, go_on); !status.ok()) return status;
  const BlockIndex next = part_ == order_.parts.size() ? order_.blocks : order_.parts[part_].at + done_;
  if (changes.empty()) {
    point_.next = next;
  } else {
    const PutGate::Hold inside = order_.pool->packs->gate().Enter();
    const Result<TreeRoot> root = order_.pool->tree->Update(point_.root, levels_, {}, changes);
    if (!root.ok()) return root.status();
    Result<std::shared_ptr<const HeldRoot>> hold = store_.HoldRoot(order_.pool, *root);
    if (!hold.ok()) return hold.status();
    if (IsMutant(Mutant::kSplicedUnheld)) hold->reset();
    point_ = {*root, next, std::move(*hold)};
  }
  report_.next = next;
  report_.carried_blocks += changes.size();
  return Status::Ok();
}

/** Slots of the parts from where the last call ended, holes passed over by whole subtrees. */
Status Splicer::Collect(std::vector<MapChange>& changes, const Mark::GoOn& go_on) {
  Tree& tree = *order_.pool->tree;
  std::vector<MapSlot> slots;
  while (part_ < order_.parts.size() && changes.size() < slots_max_) {
    if (!go_on()) return {Code::kClosed, "cancelled"};
    const SplicePart& part = order_.parts[part_];
    const BlockIndex from = part.first + done_;
    bool hole = false;
    Result<uint64_t> run = tree.Run(part.from, from, std::min<uint64_t>(part.blocks - done_, slots_max_ - changes.size()), &hole, true);
    if (!run.ok()) return run.status();
    if (hole) run = tree.Run(part.from, from, part.blocks - done_, &hole, true);
    if (!run.ok()) return run.status();
    if (!hole) {
      slots.assign(*run, {});
      if (Status status = tree.LookupRun(part.from, from, static_cast<uint32_t>(*run), slots, true); !status.ok()) return status;
      for (uint64_t i = 0; i < *run; ++i) changes.push_back({part.at + done_ + i, slots[i]});
    }
    done_ += *run;
    if (done_ < part.blocks) continue;
    ++part_;
    done_ = 0;
  }
  return Status::Ok();
}

}  // namespace skerry
