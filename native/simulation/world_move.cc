// Resources of a world change their pool, step by step, while everything else goes on and the world may crash after each.
#include <utility>

#include "world.h"

namespace skerry::simulation {
namespace {

constexpr int kStepsMax = 20;   // of one move, at once

}  // namespace

void World::Move() {
  if (!move_) return BeginMove();
  const uint64_t life = lives_;
  // Some go all the way at once, so that a life need not be long for it.
  for (int steps = Dice(3) == 0 ? 1 : kStepsMax; steps > 0 && move_; --steps) {
    const auto found = catalog_.find(move_->id);
    if (found == catalog_.end() || found->second.dropped || (!move_->taken && Dice(40) == 0)) return GiveUpMove();
    if (!move_->held) {
      const auto held = store_->Held(move_->id);
      if (!held.ok()) return Fail("a hold was lost: " + held.status().detail());
      if (*held) {
        move_->held = **held;
      } else {
        Destage();
      }
    } else if (!move_->copied) {
      if (!CopyMoved()) return;
    } else if (!move_->expected) {
      if (!HasMoved()) return;
      const Status expected = store_->Expect(move_->id, move_->copied->root);
      // A pool without room takes nothing, and says so while all may still stay as it is.
      // A clone came meanwhile.
      if (expected.code() == Code::kTryAgain) return Destage();
      if (!expected.ok() && expected.code() != Code::kNoSpace) return Fail("a copy is not expected: " + expected.detail());
      if (!expected.ok()) return GiveUpMove();
      move_->copied->hold = {};
      move_->expected = true;
      if (!collector_ && Dice(2) == 0) CollectBetween();
    } else if (!move_->taken) {
      TakeMoved();
    } else if (!move_->switched) {
      SwitchMoved(found->second);
    } else {
      LearnWhereLogGoesOn(found->second);
    }
    if (life != lives_ || Crashed() || fault_met_ || !outcome_.failure.empty()) return;
  }
}

void World::BeginMove() {
  std::vector<const Named*> ready;
  for (const auto& [id, named] : catalog_) {
    if (!named.deleting) ready.push_back(&named);
  }
  if (ready.empty()) return;
  const ResourceSpec& spec = ready[Dice(ready.size())]->spec;
  const std::string to = spec.pool == kSecondPool ? PoolOptions().name : kSecondPool;
  const Status held = store_->Hold(spec.volume.id, to);
  if (!held.ok()) return Blame("holding " + std::to_string(spec.volume.id), held);
  move_.emplace();
  move_->id = spec.volume.id;
  move_->to = to;
  Say("hold " + std::to_string(move_->id) + " for " + to);
}

void World::GiveUpMove() {
  store_->Release(move_->id);
  if (move_->switched) (move_->to == kSecondPool ? second_shelf_ : shelf_)->Release(move_->id);
  Say("release " + std::to_string(move_->id));
  move_.reset();
}

bool World::CopyMoved() {
  const std::shared_ptr<Pool> from = store_->FindPool(move_->held->pool), to = store_->FindPool(move_->to);
  Result<CopiedRoot> copied = CopyRoot(*from, move_->held->at.root, *to);
  if (!copied.ok()) {
    // A page that is lost is not carried by this plain copy.
    if (copied.code() != Code::kCorrupt || losses_.empty()) Blame("copying", copied.status());
    if (!Crashed()) GiveUpMove();
    return false;
  }
  move_->copied = std::move(*copied);
  move_->mark = to->packs->Mark();
  Say("copied " + std::to_string(move_->id));
  return true;
}

/** Whether the other pool has all of the copy, whatever becomes of this host. */
bool World::HasMoved() {
  PackStore& packs = *store_->FindPool(move_->to)->packs;
  if (!packs.remote()) return true;
  if (packs.OpenUpTo(move_->mark)) {
    const Status sealed = packs.Seal();
    if (!sealed.ok()) {
      Blame("sealing a copy", sealed);
      return false;
    }
  }
  const Result<bool> shipped = packs.ShippedUpTo(move_->mark);
  if (shipped.ok() && *shipped) return true;
  if (!shipped.ok()) Blame("shipping a copy", shipped.status());
  if (!Crashed() && !fault_met_) (void)WaitForBackend();
  return false;
}

// By somebody who read the catalog before it had the copy; and nothing newer keeps its packs from being looked at.
void World::CollectBetween() {
  const std::shared_ptr<Pool> to = store_->FindPool(move_->to);
  const std::vector<uint8_t> block = Content(kBlockBytes);
  Status newer = to->packs->Seal();
  if (newer.ok()) newer = to->packs->Put(RecordKind::kBlock, to->key->BlockIdOf(block), block, nullptr).status();
  if (!newer.ok()) return Blame("opening a newer pack", newer);
  CollectOptions options;
  options.live_max = 1;
  collector_ = std::make_unique<Collector>(*store_, to, RootsIn(*to), options);
  Say("collect between");
  Collect();
}

// One transaction, which compares what was told with what there is.
void World::TakeMoved() {
  const auto& [id, named] = *catalog_.find(move_->id);
  for (const auto& [other, waiting] : catalog_) {
    if (waiting.spec.pending_of == id) return;
  }
  ResourceSpec& spec = catalog_.at(id).spec;
  const Store::HeldResource& held = *move_->held;
  const bool same = spec.pool == held.pool && spec.volume.lineage == held.at.lineage && spec.root.id == held.at.root.id &&
                    (!named.history || spec.volume.applied_sequence == held.at.applied_sequence);
  if (!same) return Fail("resource " + std::to_string(id) + " got another root while it was held");
  spec.pool = move_->to;
  spec.root = move_->copied->root;
  if (shelf_ && named.history) catalog_.at(id).log.Move(held.at.applied_sequence);
  move_->taken = true;
  Say("taken " + std::to_string(id));
  if (Dice(4) == 0) Crash(HostDies());   // and the store never heard of it
}

void World::SwitchMoved(Named& named) {
  const bool logs = shelf_ && named.history;
  // Chunks that the catalog cannot place would be taken for a log with a gap.
  if (logs) ShelfOf(named).Hold(move_->id);
  const Result<uint64_t> switched = store_->Switch(move_->id, named.log.log.fence);
  if (!switched.ok()) return Fail("what the catalog has taken cannot be switched: " + switched.status().detail());
  if (const Status audit = store_->Audit(); !audit.ok()) return Fail("audit after a switch: " + audit.detail());
  ++outcome_.switches;
  Say("switched " + std::to_string(move_->id) + " to " + move_->to);
  if (logs) move_->switched = *switched;
  else move_.reset();
}

void World::LearnWhereLogGoesOn(Named& named) {
  const ResourceId id = move_->id;
  named.log.Moved(named.spec.volume.applied_sequence, *move_->switched);
  SimLogShelf& there = ShelfOf(named);
  SimLogShelf& left = &there == shelf_.get() ? *second_shelf_ : *shelf_;
  left.Remove(id, [](const LogChunk&) { return true; });
  there.Release(id);
  Say("the log of " + std::to_string(id) + " goes on in " + move_->to);
  move_.reset();
}

}  // namespace skerry::simulation
