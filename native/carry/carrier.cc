#include "carrier.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>

#include "../env/mutants.h"
#include "../map/node_format.h"
#include "map_comparison.h"

namespace skerry {
namespace {

constexpr size_t kPartBlocks = 16;                        // read, or put, together
constexpr uint64_t kLostBlockTag = 0x6b636f6c'6274736full; // "ostblock"
constexpr uint64_t kLookBlocks = 256;                     // a leaf's

uint64_t BlocksOf(const TreeRoot& root) { return root.id.empty() ? 0 : 1ull << (8 * root.levels); }

uint8_t LevelsOf(const TreeRoot& root) { return root.id.empty() ? uint8_t{1} : root.levels; }

/**
 * What stands for a lost page belongs to the block that lost it and to those it lost: carried again it is the same, and no other block
 * has it. It is keyed: nobody can write it.
 */
void FillLost(const DomainKey& key, const BlockId& source, uint32_t lost, Bytes block) {
  for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
    if ((lost >> i & 1) == 0) continue;
    uint64_t name[7] = {kLostBlockTag, lost, i};
    std::memcpy(name + 3, source.bytes.data(), source.bytes.size());
    const BlockId filler = key.Mac({reinterpret_cast<const uint8_t*>(name), sizeof(name)});
    for (size_t at = 0; at < kPageBytes; at += filler.bytes.size()) {
      std::memcpy(block.data() + i * kPageBytes + at, filler.bytes.data(), filler.bytes.size());
    }
  }
}

/** Calls `part` for so many of `count` at a time, side by side where the pool has somebody for that. The first failure ends it. */
Status InParts(Pool& pool, size_t count, const std::function<Status(size_t first, size_t count)>& part) {
  const size_t parts = (count + kPartBlocks - 1) / kPartBlocks;
  std::mutex mutex;
  Status failed;
  std::atomic<bool> over{false};
  const auto run = [&](size_t number) {
    if (over.load(std::memory_order_relaxed)) return;
    const size_t first = number * kPartBlocks;
    Status status = part(first, std::min(kPartBlocks, count - first));
    if (status.ok() || over.exchange(true)) return;
    const std::lock_guard lock(mutex);
    failed = std::move(status);
  };
  if (pool.background != nullptr && parts > 1) {
    pool.background->Run(parts, run);
  } else {
    for (size_t number = 0; number < parts; ++number) run(number);
  }
  return failed;
}

}  // namespace

/** Blocks that are carried together, and ranges that are cut. */
struct Carrier::Batch {
  BlockIndex end = 0;                // what is named after it equals the source's below
  std::vector<MapCut> cuts;
  std::vector<MapSlot> sources;      // of the changes, by number
  std::vector<MapChange> changes;    // in the target
  std::vector<uint32_t> lost;
  std::vector<PackPut> puts;
};

Carrier::Carrier(Store& store, const CarryOrder& order, const CarryLimits& limits)
    : store_(store),
      order_(order),
      limits_(limits),
      levels_(std::max({LevelsFor(order.blocks), LevelsOf(order.have), LevelsOf(order.to)})),
      end_(std::max({order.blocks, BlocksOf(order.from), BlocksOf(order.to)})),
      settler_(*order_.target) {
  report_.blocks = order.blocks;
  report_.next = std::min(order.next, order.blocks);
}

Result<std::unique_ptr<Carrier>> Carrier::Begin(Store& store, const CarryOrder& order, const CarryLimits& limits) {
  if (order.source == order.target) return Status(Code::kInvalid, "what is carried goes to another pool");
  if (std::max({order.from.levels, order.to.levels, order.have.levels}) > kNodeLevelMax + 1) return Status(Code::kInvalid, "a map has too many levels");
  std::unique_ptr<Carrier> carrier(new Carrier(store, order, limits));
  for (const TreeRoot& root : {order.to, order.from}) {
    Result<std::shared_ptr<const HeldRoot>> hold = store.HoldKnownRoot(order.source, root);
    if (!hold.ok()) return hold.status();
    if (!IsMutant(Mutant::kSourceUnheld)) carrier->sources_.push_back(std::move(*hold));
  }
  Result<std::shared_ptr<const HeldRoot>> hold = store.HoldRoot(order.target, order.have);
  if (!hold.ok()) return hold.status();
  carrier->point_ = {order.have, order.next, std::move(*hold)};
  return carrier;
}

Result<Carrier::Progress> Carrier::Next(const Mark::GoOn& go_on) {
  if (!go_on()) return Status(Code::kClosed, "cancelled");
  if (Status failure = store_.failure(); !failure.ok()) return failure;
  switch (state_) {
    case State::kCarry:
      return CarryBatch(go_on);
    case State::kCompare: {
      const MapsToCompare maps{*order_.source, *order_.target, order_.from, order_.to, point_.root};
      if (Status status = CompareMaps(maps, go_on, report_.nodes_compared); !status.ok()) return status;
      state_ = State::kSettle;
      return Progress::kMore;
    }
    case State::kSettle: {
      const Result<bool> settled = MakeDurable(true);
      if (!settled.ok()) return settled.status();
      if (!*settled) return Progress::kWait;
      state_ = State::kDone;
      return Progress::kDone;
    }
    case State::kDone:
      break;
  }
  return Progress::kDone;
}

Result<Carrier::Progress> Carrier::CarryBatch(const Mark::GoOn& go_on) {
  Pool& target = *order_.target;
  if (settler_.settling()) {
    if (const Result<bool> settled = MakeDurable(false); !settled.ok()) return settled.status();
  }
  if (target.packs->crowded()) return Progress::kWait;
  Batch batch;
  if (Status status = Collect(batch, go_on); !status.ok()) return status;
  if (!batch.changes.empty()) {
    // It takes room as a write does: what others were promised stays theirs.
    if (target.room.room() == Room::kNone) return Status(Code::kNoSpace, "pool " + target.name + " is full");
    if (!target.room.Take(batch.changes.size() * kBlockBytes).ok()) return Progress::kWait;
    if (Status status = ReadAll(batch); !status.ok()) return status;
  }
  if (Status status = Name(batch); !status.ok()) return status;
  unsettled_bytes_ += batch.changes.size() * kBlockBytes;
  if (point_.next >= end_) {
    state_ = State::kCompare;
  } else if (unsettled_bytes_ >= limits_.checkpoint_bytes && !settler_.settling()) {
    if (const Result<bool> settled = MakeDurable(false); !settled.ok()) return settled.status();
  }
  return Progress::kMore;
}

Status Carrier::Collect(Batch& batch, const Mark::GoOn& go_on) {
  batch.end = point_.next;
  uint64_t look = kLookBlocks;
  while (batch.end < end_ && batch.changes.size() < limits_.batch_blocks_max && batch.cuts.size() < limits_.batch_cuts_max) {
    if (!go_on()) return {Code::kClosed, "cancelled"};
    bool differs = false;
    const uint64_t asked = std::min(look, end_ - batch.end);
    const Result<uint64_t> run = order_.source->tree->DiffRun(order_.from, order_.to, batch.end, asked, &differs, true);
    if (!run.ok()) return run.status();
    if (differs) {
      look = kLookBlocks;
      if (Status status = CollectDiffering(batch, *run); !status.ok()) return status;
    } else {
      // Equal subtrees cost nothing whatever their size; who looks further at once would read all nodes of what differs there.
      if (*run == asked) look = std::min(look * 2, end_);
      batch.end += *run;
    }
  }
  return Status::Ok();
}

/** Takes the holes at the batch's end, or the mapped blocks up to the next hole. `blocks`: that differ from there on. */
Status Carrier::CollectDiffering(Batch& batch, uint64_t blocks) {
  Tree& tree = *order_.source->tree;
  const auto count = static_cast<uint32_t>(std::min<uint64_t>(blocks, limits_.batch_blocks_max - batch.changes.size()));
  std::vector<MapSlot> slots(count);
  if (Status status = tree.LookupRun(order_.to, batch.end, count, slots, true); !status.ok()) return status;
  if (slots.front().hole()) {
    bool hole = true;
    const Result<uint64_t> run = tree.Run(order_.to, batch.end, end_ - batch.end, &hole, true);
    if (!run.ok()) return run.status();
    batch.cuts.push_back({batch.end, *run});
    batch.end += *run;
    return Status::Ok();
  }
  for (const MapSlot& slot : slots) {
    if (slot.hole()) break;
    batch.sources.push_back(slot);
    batch.changes.push_back({batch.end++, {}});
  }
  return Status::Ok();
}

Status Carrier::ReadAll(Batch& batch) {
  const size_t blocks = batch.changes.size();
  if (!memory_) memory_.emplace(limits_.batch_blocks_max * kBlockBytes);
  batch.lost.assign(blocks, 0);
  batch.puts.resize(blocks);
  std::vector<Location> places;
  std::vector<CellRun> runs;
  for (const MapSlot& slot : batch.sources) {
    if (!slot.at.known()) continue;
    places.push_back(slot.at);
    runs.push_back({slot.at.pack, CellAddress(slot.at, 0), kPagesPerBlock});
  }
  PackStore& packs = *order_.source->packs;
  if (packs.remote()) {
    packs.FetchAhead(places);
  } else {
    packs.ReadAhead(runs);
  }
  const Compression compression = order_.compression.value_or(order_.target->compression.wish().value_or(Compression{}));
  // Of the source, which has nobody where it rests on a backend: those who help destage must not wait for that.
  return InParts(*order_.source, blocks, [&](size_t first, size_t count) -> Status {
    for (size_t i = first; i < first + count; ++i) {
      const Bytes block = memory_->bytes().subspan(i * kBlockBytes, kBlockBytes);
      if (Status read = ReadBlock(batch.sources[i], block, batch.lost[i]); !read.ok()) return read;
      const Result<uint64_t> domain = DomainOf(batch.sources[i]);
      if (!domain.ok()) return domain.status();
      const BlockId id = order_.target->KeyOf(*domain).BlockIdOf(block);
      batch.puts[i] = {RecordKind::kBlock, id, block, {}, false, batch.lost[i], compression, *domain};
    }
    return Status::Ok();
  });
}

/** Rotten is only what was read past every cache and fails its sum; all else may come back, and what is called lost is lost for good. */
Status Carrier::ReadBlock(const MapSlot& slot, Bytes block, uint32_t& lost) {
  PackStore& packs = *order_.source->packs;
  Status status = packs.ReadBlock(slot.at, slot.id, 0, kPagesPerBlock, block, true);
  if (status.code() == Code::kNotFound) return {Code::kCorrupt, "a block is in no pack of pool " + order_.source->name + ": " + status.detail()};
  if (status.code() != Code::kCorrupt) return status;
  for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
    status = packs.ReadBlock(slot.at, slot.id, i, 1, block.subspan(i * kPageBytes, kPageBytes), true);
    if (status.code() == Code::kCorrupt) lost |= 1u << i;
    else if (!status.ok()) return status;
  }
  FillLost(*order_.target->key, slot.id, lost, block);
  return Status::Ok();
}

/** In the target: what is of the source's own domain becomes of the target's, and so does what no header is left of. */
Result<uint64_t> Carrier::DomainOf(const MapSlot& slot) {
  PackStore& packs = *order_.source->packs;
  Result<uint64_t> domain = packs.DomainOf(slot.at, slot.id);
  // Its pack was collected since it was read: by now the index knows where it has gone.
  if (domain.code() == Code::kNotFound) domain = packs.DomainOf({}, slot.id);
  if (domain.code() == Code::kCorrupt || (domain.ok() && *domain == order_.source->domain)) return 0;
  return domain;
}

/** From the first put, or find, till the root that leads there is held it stays in the gate. */
Status Carrier::Name(Batch& batch) {
  Pool& target = *order_.target;
  const PutGate::Hold inside = target.packs->gate().Enter();
  Status status = InParts(target, batch.puts.size(), [&](size_t first, size_t count) { return Put(std::span(batch.puts).subspan(first, count)); });
  if (!status.ok()) return status;
  for (size_t i = 0; i < batch.puts.size(); ++i) batch.changes[i].slot = {batch.puts[i].id, batch.puts[i].at};
  const Result<TreeRoot> root = target.tree->Update(point_.root, levels_, batch.cuts, batch.changes);
  if (!root.ok()) return root.status();
  Result<std::shared_ptr<const HeldRoot>> hold = store_.HoldRoot(order_.target, *root);
  if (!hold.ok()) return hold.status();
  if (IsMutant(Mutant::kCarriedUnheld)) hold->reset();
  point_ = {*root, batch.end, std::move(*hold)};
  Count(batch);
  return Status::Ok();
}

/** What the pool had already is read: this may be the last whole copy, and the other one is about to be given up. */
Status Carrier::Put(std::span<PackPut> puts) {
  PackStore& packs = *order_.target->packs;
  if (Status status = packs.PutAll(puts); !status.ok()) return status;
  for (PackPut& put : puts) {
    for (int attempt = 0; put.reused && put.lost == 0; ++attempt) {
      const Result<bool> whole = packs.Confirm(put.at, put.id);
      if (!whole.ok()) return whole.status();
      if (*whole) break;
      if (attempt > 0) return {Code::kCorrupt, "a block that pool " + order_.target->name + " knows cannot be read there, nor put anew"};
      put.reused = false;
      // That it fails is known by now, so that it is found no more.
      if (Status status = packs.PutAll({&put, 1}); !status.ok()) return status;
    }
  }
  return Status::Ok();
}

void Carrier::Count(const Batch& batch) {
  report_.next = std::min(batch.end, order_.blocks);
  report_.carried_blocks += batch.changes.size();
  report_.cut_ranges += batch.cuts.size();
  for (size_t i = 0; i < batch.puts.size(); ++i) {
    const PackPut& put = batch.puts[i];
    ++(put.reused ? report_.found_blocks : report_.put_blocks);
    if (!put.reused) report_.put_bytes += put.at.stored_bytes;
    if (put.lost == 0) continue;
    report_.lost_pages += static_cast<uint64_t>(std::popcount(put.lost));
    if (!report_.first_lost) report_.first_lost = batch.changes[i].block * kPagesPerBlock + static_cast<uint64_t>(std::countr_zero(put.lost));
  }
}

Result<bool> Carrier::MakeDurable(bool last) {
  if (last || !settler_.settling()) unsettled_bytes_ = 0;
  return settler_.Settle(point_, last);
}

}  // namespace skerry
