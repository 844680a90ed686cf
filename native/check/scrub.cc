#include "scrub.h"

#include <algorithm>
#include <cstring>

#include "../blocks/pack_handles.h"
#include "../gc/overlay_blocks.h"

namespace skerry {
namespace {

/** Past this many damaged records the disk has other troubles than rot. */
constexpr size_t kRottenMax = 65536;

BlockId WithFingerprint(uint64_t fingerprint) {
  BlockId id;
  std::memcpy(id.bytes.data(), &fingerprint, sizeof(fingerprint));
  return id;
}

const char* NameOf(const PackFooterEntry& entry) { return entry.kind == RecordKind::kNode ? "map node" : "block"; }

}  // namespace

Scrub::Scrub(Store& store, std::shared_ptr<Pool> pool, std::vector<TreeRoot> roots, const MarkLimits& limits)
    : store_(store), pool_(std::move(pool)), packs_(*pool_->packs), roots_(std::move(roots)), limits_(limits), sealed_(packs_.SealedHere()) {
  std::reverse(sealed_.begin(), sealed_.end());
  report_.packs_in_all = sealed_.size();
}

Result<bool> Scrub::Next(const Mark::GoOn& go_on) {
  Status status;
  switch (state_) {
    case State::kPacks:
      if (sealed_.empty()) {
        state_ = State::kCopies;
        break;
      }
      status = ReadPack(sealed_.back(), go_on);
      sealed_.pop_back();
      ++report_.packs;
      break;
    case State::kCopies:
      status = LookForCopies(go_on);
      if (status.ok()) status = MakeDurable();
      state_ = State::kMaps;
      break;
    case State::kMaps:
      status = CompareMaps(go_on);
      if (status.ok()) ReportRotten();
      state_ = State::kDone;
      break;
    case State::kDone:
      break;
  }
  if (!status.ok()) return status;
  return state_ != State::kDone;
}

std::string Scrub::PathOf(uint32_t pack) const { return PackPath("packs", pack, true); }

void Scrub::Report(ScrubFinding finding) {
  ++report_.findings_total;
  if (!finding.repaired && (finding.wanted || finding.what.what != Finding::What::kRecord)) ++report_.open;
  if (report_.findings.size() < kFindingsMax) report_.findings.push_back(std::move(finding));
}

Status Scrub::ReadPack(const PackStore::Sealed& sealed, const Mark::GoOn& go_on) {
  Result<std::vector<PackFooterEntry>> entries = packs_.FooterAtRest(sealed.pack, sealed.bytes);
  if (entries.code() == Code::kTryAgain) return entries.status();
  const bool gone = entries.code() == Code::kNotFound;
  if (gone) {
    Report({{.what = Finding::What::kPack, .missing = true, .pack = sealed.pack, .id = {}, .detail = PathOf(sealed.pack) + " is gone"}});
    // What it held may be known all the same, and be copied somewhere.
    entries = packs_.EntriesOf(sealed.pack);
    if (!entries.ok()) return Status::Ok();
  } else if (const Status header = packs_.HeaderAtRest(sealed.pack); header.code() == Code::kTryAgain) {
    return header;
  } else if (!header.ok()) {
    Report({{.what = Finding::What::kPack, .pack = sealed.pack, .id = {}, .detail = PathOf(sealed.pack) + ": " + header.detail()}});
  }
  if (!entries.ok()) {
    const std::string why = entries.status().detail();
    entries = packs_.ScannedEntries(sealed.pack);
    Report({{.what = Finding::What::kFooter, .pack = sealed.pack, .id = {}, .detail = PathOf(sealed.pack) + ": " + why +
             (entries.ok() ? "; its records tell what it holds, and the next start goes by them" : "; " + entries.status().detail())}});
    std::unordered_set<uint32_t>& found = scanned_[sealed.pack];
    if (!entries.ok()) return Status::Ok();
    for (const PackFooterEntry& entry : *entries) found.insert(entry.offset);
  } else if (entries->size() != sealed.records) {
    ++report_.miscounted;
    Report({{.what = Finding::What::kFooter, .pack = sealed.pack, .id = {}, .detail = PathOf(sealed.pack) + ": its footer lists " +
             std::to_string(entries->size()) + " records, and " + std::to_string(sealed.records) + " are counted"}});
  }
  for (const PackFooterEntry& entry : *entries) {
    if (!go_on()) return Status(Code::kClosed, "cancelled");
    if (Status status = ReadRecord(sealed.pack, entry); !status.ok()) return status;
    if (rotten_.size() > kRottenMax) return Status(Code::kCorrupt, "more than " + std::to_string(kRottenMax) + " records are damaged: copy what can be read to another disk");
  }
  return Status::Ok();
}

Status Scrub::ReadRecord(uint32_t pack, const PackFooterEntry& entry) {
  const BlockId id = IdOf(entry);
  if ((entry.flags & kEntryDamaged) != 0) {
    if (packs_.Find(id) == PlaceOf(pack, entry)) rotten_.push_back({pack, entry, "pages of it fail their sums", true, false});
    return Status::Ok();
  }
  ++report_.records;
  report_.bytes += entry.stored_bytes;
  const Result<PackStore::Payload> payload = packs_.ReadAtRest(pack, entry);
  if (payload.code() == Code::kTryAgain) return payload.status();
  Status status = payload.ok() ? CheckIdentity(entry, *payload) : payload.status();
  if (payload.ok() && !status.ok()) packs_.NoteDamaged(PlaceOf(pack, entry));
  if (!status.ok()) {
    ++report_.damaged;
    rotten_.push_back({pack, entry, status.detail(), false, false});
    (void)RepairAtOnce(rotten_.back());
    return Status::Ok();
  }
  if (packs_.Find(id)) return status;
  packs_.Adopt(pack, entry);
  ++report_.reindexed;
  Report({{.what = Finding::What::kIndex, .pack = pack, .offset = entry.offset, .id = id,
           .detail = "the index did not know a " + std::string(NameOf(entry)) + " that the footer of " + PathOf(pack) + " lists; now it does"},
          true});
  return status;
}

bool Scrub::Missed(const Location& at) const {
  const auto found = scanned_.find(at.pack);
  return found != scanned_.end() && !found->second.contains(at.offset);
}

Status Scrub::CheckIdentity(const PackFooterEntry& entry, const PackStore::Payload& payload) const {
  const auto& [raw, domain] = payload;
  const BlockId id = IdOf(entry);
  if (entry.kind == RecordKind::kNode) return Node::Decode(raw, *pool_->key, id).status();
  if (raw.size() % kPageBytes == 0 && pool_->KeyOf(domain).BlockIdOf(raw) == id) return Status::Ok();
  return Status(Code::kCorrupt, "its content does not hash to its id");
}

bool Scrub::RepairAtOnce(Rotten& rotten) {
  const BlockId id = IdOf(rotten.entry);
  const Location here = PlaceOf(rotten.pack, rotten.entry);
  const std::optional<Location> now = packs_.Find(id);
  if (now && !(*now == here)) {
    uint64_t domain = 0;
    Result<std::vector<uint8_t>> raw = packs_.ReadRecord(*now, id, true, &domain);
    rotten.put_again = raw.ok() && CheckIdentity(rotten.entry, {std::move(*raw), domain}).ok();
    if (rotten.put_again) return true;
  }
  const Result<PackStore::Payload> cached = packs_.ReadCached(rotten.pack, rotten.entry);
  return cached.ok() && CheckIdentity(rotten.entry, *cached).ok() && PutAgain(rotten, *cached);
}

bool Scrub::PutAgain(Rotten& rotten, const PackStore::Payload& payload) {
  const Compression as_it_was{rotten.entry.codec, rotten.entry.codec == Codec::kZstd ? kZstdLevelDefault : uint8_t{0}};
  PackPut put{rotten.entry.kind, IdOf(rotten.entry), payload.raw, {}, false, 0, as_it_was, payload.domain};
  if (!packs_.PutAll({&put, 1}, true).ok()) return false;
  rotten.put_again = !(put.at == PlaceOf(rotten.pack, rotten.entry));
  return rotten.put_again;
}

Status Scrub::LookForCopies(const Mark::GoOn& go_on) {
  std::unordered_map<uint64_t, Rotten*> wanted;
  for (Rotten& rotten : rotten_) {
    if (!rotten.put_again) wanted.emplace(IdOf(rotten.entry).prefix(), &rotten);
  }
  if (wanted.empty()) return Status::Ok();
  for (const PackStore::Sealed& sealed : packs_.SealedHere()) {
    if (!go_on()) return Status(Code::kClosed, "cancelled");
    const Result<std::vector<PackFooterEntry>> entries = packs_.EntriesOf(sealed.pack);
    if (!entries.ok()) continue;
    for (const PackFooterEntry& entry : *entries) {
      const auto found = wanted.find(IdOf(entry).prefix());
      if (found == wanted.end() || (entry.flags & kEntryDamaged) != 0) continue;
      Rotten& rotten = *found->second;
      if (rotten.put_again || std::memcmp(entry.id, rotten.entry.id, sizeof(entry.id)) != 0) continue;
      if (sealed.pack == rotten.pack && entry.offset == rotten.entry.offset) continue;
      const Result<PackStore::Payload> payload = packs_.ReadAtRest(sealed.pack, entry);
      if (payload.ok() && CheckIdentity(entry, *payload).ok()) (void)PutAgain(rotten, *payload);
    }
  }
  return Status::Ok();
}

Status Scrub::MakeDurable() {
  if (std::ranges::none_of(rotten_, &Rotten::put_again)) return Status::Ok();
  if (Status status = packs_.Sync(); !status.ok()) return status;
  // A start that read the footers would take the first of two places, and knows nothing of rot: it shall go by the index as it is now.
  if (Status status = packs_.Seal(); !status.ok()) return status;
  if (Status status = packs_.Checkpoint(true); !status.ok()) return status;
  for (const Rotten& rotten : rotten_) {
    if (!rotten.put_again) continue;
    packs_.NoteRepaired(PlaceOf(rotten.pack, rotten.entry));
    if (!rotten.known) ++report_.repaired;
  }
  return Status::Ok();
}

// As a collection takes its roots: what any of them reaches must be there.
Status Scrub::CompareMaps(const Mark::GoOn& go_on) {
  std::vector<Store::ResourceContent> contents = store_.Contents();
  std::erase_if(contents, [&](const auto& one) { return one.content.stack->pool != pool_; });
  std::sort(contents.begin(), contents.end(), [](const auto& a, const auto& b) { return a.volume->id() < b.volume->id(); });
  const size_t others = contents.size();
  Mark mark(packs_, *pool_->tree, others + 1, packs_.usage().blocks, limits_);
  OverlayBlocks overlays(mark, go_on);
  for (size_t member = 0; member < contents.size(); ++member) {
    const auto& [volume, content] = contents[member];
    uint64_t pages = 0;
    if (Status status = overlays.Add(member, *volume, content, pages); !status.ok()) return status;
    mark.AddRoot(member, content.stack->root);
    mark.AddRoot(member, content.committed);
  }
  for (const TreeRoot& root : roots_) mark.AddRoot(others, root);
  std::unordered_map<uint64_t, bool> rotten;
  for (const Rotten& one : rotten_) {
    if (!one.put_again) rotten.emplace(IdOf(one.entry).prefix(), true);
  }
  std::unordered_map<uint64_t, ReachSets::Set> lost;
  const Status status = mark.Run(go_on, [&](uint64_t fingerprint, ReachSets::Set by) {
    const std::optional<Location> at = packs_.Find(WithFingerprint(fingerprint));
    if (rotten.contains(fingerprint) || !at || Missed(*at)) lost.emplace(fingerprint, by);
  });
  if (!status.ok()) return status;
  for (const Reached& reached : mark.reached()) {
    report_.nodes_reached += reached.nodes;
    report_.blocks_reached += reached.blocks;
  }
  for (const auto& [fingerprint, by] : lost) {
    ResourceId resource = 0;
    mark.sets().ForEach(by, [&](size_t member) {
      if (resource == 0 && member < others) resource = contents[member].volume->id();
    });
    ++report_.lost;
    wanted_.emplace(fingerprint, resource);
    if (rotten.contains(fingerprint)) continue;
    const BlockId id = WithFingerprint(fingerprint);
    const std::optional<Location> at = packs_.Find(id);
    Report({{.what = Finding::What::kBlock, .missing = !at, .pack = at ? at->pack : 0, .offset = at ? at->offset : 0, .resource = resource, .id = id,
             .detail = at ? PathOf(at->pack) + " at byte " + std::to_string(at->offset) + ": no record is there" : "no pack holds it"},
            false, true});
  }
  report_.nodes_unread = mark.nodes_unread();
  if (report_.nodes_unread > 0) {
    Report({{.what = Finding::What::kNode, .id = {}, .detail = std::to_string(report_.nodes_unread) + " map nodes cannot be read (" +
             mark.unread().detail() + "): what they lead to was not compared"}, false, true});
  }
  CompareCounters();
  return status;
}

// What is reached is in some pack, so the packs can hold no less: what they are said to hold is kept step by step.
void Scrub::CompareCounters() {
  const PackStore::Usage usage = packs_.usage();
  if (report_.lost > 0 || (report_.nodes_reached <= usage.nodes && report_.blocks_reached <= usage.blocks)) return;
  ++report_.miscounted;
  Report({{.what = Finding::What::kIndex, .id = {}, .detail = std::to_string(usage.blocks) + " blocks and " + std::to_string(usage.nodes) +
           " map nodes are counted, and maps reach " + std::to_string(report_.blocks_reached) + " and " + std::to_string(report_.nodes_reached) +
           "; the next start counts anew"}});
}

void Scrub::ReportRotten() {
  for (const Rotten& rotten : rotten_) {
    const auto wanted = wanted_.find(IdOf(rotten.entry).prefix());
    const bool is_wanted = wanted != wanted_.end();
    if (rotten.known && !is_wanted) continue;
    const std::string place = PathOf(rotten.pack) + " at byte " + std::to_string(rotten.entry.offset);
    Report({{.what = Finding::What::kRecord, .pack = rotten.pack, .offset = rotten.entry.offset, .resource = is_wanted ? wanted->second : 0,
             .id = IdOf(rotten.entry), .detail = place + ": the record of a " + NameOf(rotten.entry) + " is damaged (" + rotten.why + ")"},
            rotten.put_again, is_wanted});
  }
}

}  // namespace skerry
