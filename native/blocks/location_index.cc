#include "location_index.h"

#include <mutex>

namespace skerry {
namespace {

constexpr size_t kShardSlotsMin = 256;

/** Three slots of four may be taken. */
bool Full(size_t used, size_t slots) { return (used + 1) * 4 > slots * 3; }

}  // namespace

size_t LocationIndex::SlotOf(const std::vector<Entry>& slots, uint64_t fingerprint) {
  // Fingerprints are bytes of a keyed hash: their upper bits are as random as any.
  const size_t mask = slots.size() - 1;
  size_t slot = static_cast<size_t>(fingerprint >> 16) & mask;
  while (slots[slot].at.raw != 0 && slots[slot].fingerprint != fingerprint) slot = (slot + 1) & mask;
  return slot;
}

/** Every change of a slot's place goes through here, so that the totals are those of the slots. */
void LocationIndex::Shard::Set(Entry& entry, const Entry& to) {
  const Location before = entry.at.location(), after = to.at.location();
  totals.stored_bytes += after.stored_bytes;
  totals.stored_bytes -= before.stored_bytes;
  totals.framed_records += after.framed;
  totals.framed_records -= before.framed;
  totals.framed_bytes += after.framed ? after.stored_bytes : 0;
  totals.framed_bytes -= before.framed ? before.stored_bytes : 0;
  entry = to;
}

void LocationIndex::Rehash(Shard& shard, size_t slot_count) {
  std::vector<Entry> slots(slot_count);
  for (const Entry& entry : shard.slots) {
    if (entry.at.raw != 0) slots[SlotOf(slots, entry.fingerprint)] = entry;
  }
  shard.slots = std::move(slots);
}

std::optional<Location> LocationIndex::Find(uint64_t fingerprint) const {
  const Shard& shard = ShardOf(fingerprint);
  std::shared_lock lock(shard.mutex);
  if (shard.slots.empty()) return std::nullopt;
  const Entry& entry = shard.slots[SlotOf(shard.slots, fingerprint)];
  if (entry.at.raw == 0) return std::nullopt;
  return entry.at.location();
}

bool LocationIndex::Insert(uint64_t fingerprint, const Location& at) {
  Shard& shard = ShardOf(fingerprint);
  std::unique_lock lock(shard.mutex);
  if (shard.slots.empty()) {
    shard.slots.resize(kShardSlotsMin);
  } else if (Full(shard.used, shard.slots.size())) {
    Rehash(shard, shard.slots.size() * 2);
  }
  Entry& entry = shard.slots[SlotOf(shard.slots, fingerprint)];
  if (entry.at.raw != 0) return false;
  shard.Set(entry, {fingerprint, PackedLocation::Of(at)});
  ++shard.used;
  return true;
}

void LocationIndex::Replace(uint64_t fingerprint, const Location& at) {
  if (Insert(fingerprint, at)) return;
  Shard& shard = ShardOf(fingerprint);
  std::unique_lock lock(shard.mutex);
  Entry& entry = shard.slots[SlotOf(shard.slots, fingerprint)];
  if (entry.at.raw == 0) ++shard.used;  // dropped between the two locks; there is room, for it was there before
  shard.Set(entry, {fingerprint, PackedLocation::Of(at)});
}

void LocationIndex::DropIf(const std::function<bool(const PackedLocation&)>& gone) {
  for (Shard& shard : shards_) {
    std::unique_lock lock(shard.mutex);
    bool found = false;
    for (Entry& entry : shard.slots) {
      if (entry.at.raw == 0 || !gone(entry.at)) continue;
      shard.Set(entry, {});
      --shard.used;
      found = true;
    }
    // A hole would end the probes that pass over it.
    if (found) Rehash(shard, shard.slots.size());
  }
}

void LocationIndex::Drop(uint32_t pack, uint32_t offset) {
  DropIf([&](const PackedLocation& at) { return at.pack() == pack && at.location().offset >= offset; });
}

void LocationIndex::Drop(const std::set<uint32_t>& packs) {
  DropIf([&](const PackedLocation& at) { return packs.contains(at.pack()); });
}

void LocationIndex::Clear() {
  for (Shard& shard : shards_) {
    std::unique_lock lock(shard.mutex);
    shard.slots = {};
    shard.used = 0;
    shard.totals = {};
  }
}

std::vector<LocationIndex::Entry> LocationIndex::ShardEntries(size_t shard) const {
  std::vector<Entry> entries;
  std::shared_lock lock(shards_[shard].mutex);
  entries.reserve(shards_[shard].used);
  for (const Entry& entry : shards_[shard].slots) {
    if (entry.at.raw != 0) entries.push_back(entry);
  }
  return entries;
}

size_t LocationIndex::count() const {
  size_t count = 0;
  for (const Shard& shard : shards_) {
    std::shared_lock lock(shard.mutex);
    count += shard.used;
  }
  return count;
}

size_t LocationIndex::bytes() const {
  size_t bytes = 0;
  for (const Shard& shard : shards_) {
    std::shared_lock lock(shard.mutex);
    bytes += shard.slots.capacity() * sizeof(Entry);
  }
  return bytes;
}

LocationIndex::Totals LocationIndex::totals() const {
  Totals totals;
  for (const Shard& shard : shards_) {
    std::shared_lock lock(shard.mutex);
    totals.stored_bytes += shard.totals.stored_bytes;
    totals.framed_records += shard.totals.framed_records;
    totals.framed_bytes += shard.totals.framed_bytes;
  }
  return totals;
}

}  // namespace skerry
