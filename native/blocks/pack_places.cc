// Where a record can be read: the index knows one place of each, and the others that a start meets are kept here. Torn or rotten,
// each may have pages that the next one lacks.
#include <algorithm>

#include "pack_store_impl.h"

namespace skerry {
namespace {

/** What to say of a record that two places do not give: rot only where nothing else stands in the way, absence only where there is no more. */
Status Graver(Status one, Status other) {
  const auto weight = [](const Status& status) { return status.code() == Code::kNotFound ? 0 : status.code() == Code::kCorrupt ? 1 : 2; };
  return weight(one) >= weight(other) ? one : other;
}

bool IsNewer(const Location& a, const Location& b) { return a.pack != b.pack ? a.pack > b.pack : a.offset > b.offset; }

}  // namespace

/**
 * Of a record with a bad page the others can be read, so it has a place, until a whole copy is met: packs come in any order. Of several
 * such the index has the newest, which was put because the older ones lacked something.
 */
void PackStore::Impl::AdoptRecord(const BlockId& id, const Location& at, bool damaged) {
  // No new data is given up for a damaged one; where no more of those can be remembered, it has no place.
  if (damaged && !MarkDamaged(at.pack, at.offset)) return;
  if (index_.Insert(id.prefix(), at)) return;
  const std::optional<Location> known = index_.Find(id.prefix());
  if (!known || *known == at) return;
  const bool serves_better = IsDamaged(*known) && (!damaged || IsNewer(at, *known));
  KeepOther(id, serves_better ? *known : at);
  if (serves_better) index_.Replace(id.prefix(), at);
}

void PackStore::Impl::KeepOther(const BlockId& id, const Location& at) {
  std::lock_guard lock(damage_mutex_);
  const auto [from, to] = others_.equal_range(id.prefix());
  if (others_.size() >= kOtherPlacesMax || std::any_of(from, to, [&](const auto& other) { return other.second == at; })) return;
  others_.emplace(id.prefix(), at);
}

bool PackStore::Impl::HasOthers() const {
  std::lock_guard lock(damage_mutex_);
  return !others_.empty();
}

std::vector<Location> PackStore::Impl::Places(const BlockId& id) const {
  std::vector<Location> places;
  if (const std::optional<Location> known = Find(id)) places.push_back(*known);
  std::lock_guard lock(damage_mutex_);
  const auto [from, to] = others_.equal_range(id.prefix());
  for (auto other = from; other != to; ++other) {
    if (std::ranges::find(places, other->second) == places.end()) places.push_back(other->second);
  }
  return places;
}

Status PackStore::Impl::ReadBlock(const Location& hint, const BlockId& id, uint32_t first, uint32_t count, Bytes into, bool may_block) {
  Status status(Code::kNotFound, "a mapped block is in no pack");
  if (hint.known()) {
    status = ReadPages(hint, id, first, count, into, may_block);
    if (status.ok() || status.code() == Code::kTryAgain) return status;
  }
  const bool hint_is_rotten = status.code() == Code::kCorrupt;
  const std::vector<Location> places = Places(id);
  for (const Location& at : places) {
    if (at == hint) continue;
    Status there = ReadPages(at, id, first, count, into, may_block);
    const bool settled = there.ok() || there.code() == Code::kTryAgain;
    status = settled ? std::move(there) : Graver(std::move(status), std::move(there));
    if (settled) break;
  }
  // What no copy has whole they may have between them.
  if (status.code() == Code::kCorrupt && count > 1 && places.size() > 1) {
    status = {};
    for (uint32_t page = 0; page < count && status.ok(); ++page) {
      status = ReadBlock(hint, id, first + page, 1, into.subspan(size_t{page} * kPageBytes, kPageBytes), may_block);
    }
    return status;
  }
  // What a scrub has put again serves whoever asks: the rot at the old place costs nobody anything.
  if (status.ok() && hint_is_rotten) NoteRepaired(hint);
  return status;
}

Result<uint64_t> PackStore::Impl::DomainOf(const Location& hint, const BlockId& id) {
  Status status(Code::kNotFound, "a mapped block is in no pack");
  std::vector<Location> places = Places(id);
  if (hint.known()) places.insert(places.begin(), hint);
  for (const Location& at : places) {
    Result<PackRecordHeader> header = Elsewhere(at.pack) ? RemoteHeader(at, true) : ReadHeader(at, true);
    if (WentAway(header.status(), at.pack)) header = RemoteHeader(at, true);
    if (header.ok() && std::ranges::equal(header->id, id.bytes)) return header->domain;
    if (!header.ok()) status = Graver(std::move(status), header.status());
  }
  return status;
}

}  // namespace skerry
