#include "collector.h"

#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "overlay_blocks.h"

namespace skerry {
namespace {

/** Put together: they lie together, in few writes. */
constexpr uint64_t kCopyBatchBytes = 1u << 20;

Result<Collector::Progress> Wait(const Mark::GoOn& go_on) {
  return go_on() ? Result<Collector::Progress>(Collector::Progress::kWait) : Result<Collector::Progress>(Status(Code::kClosed, "cancelled"));
}

}  // namespace

Collector::Collector(Store& store, std::shared_ptr<Pool> pool, std::vector<TreeRoot> roots, const CollectOptions& options, const MarkLimits& limits)
    : store_(store), pool_(std::move(pool)), packs_(*pool_->packs), roots_(std::move(roots)), options_(options), limits_(limits) {}

Collector::~Collector() {
  for (const Candidate& candidate : condemned_) packs_.Pardon(candidate.pack);
}

Result<Collector::Progress> Collector::Next(const Mark::GoOn& go_on) {
  Status status;
  switch (state_) {
    case State::kSurvey:
      status = Survey(go_on);
      state_ = options_.dry_run ? State::kDone : State::kCondemn;
      break;
    case State::kCondemn:
      if (candidates_.empty()) {
        state_ = State::kSweep;
        break;
      }
      Condemn();
      state_ = State::kWait;
      break;
    case State::kWait:
      if (!packs_.gate().Passed(turn_) && !IsMutant(Mutant::kFindersUnawaited)) return Wait(go_on);
      LeaveNamed();
      state_ = State::kMark;
      break;
    case State::kMark:
      status = condemned_.empty() || IsMutant(Mutant::kOneMark) ? Status::Ok() : MarkCondemned(go_on);
      state_ = State::kCopy;
      break;
    case State::kCopy: {
      if (next_ == condemned_.size()) {
        state_ = State::kSettle;
        break;
      }
      const Result<bool> copied = CopyOut(condemned_[next_], go_on);
      status = copied.status();
      if (copied.ok() && !*copied) {
        Keep(report_.damaged, condemned_[next_]);
        condemned_.erase(condemned_.begin() + static_cast<std::ptrdiff_t>(next_));
      } else {
        ++next_;
      }
      break;
    }
    case State::kSettle: {
      const Result<bool> settled = Settle();
      if (settled.ok() && !*settled) return Wait(go_on);
      status = settled.status();
      state_ = State::kRemove;
      break;
    }
    case State::kRemove:
      status = RemoveAll();
      state_ = State::kCondemn;
      break;
    case State::kSweep:
      if (report_.packs_removed > 0 && packs_.Sweep()) return Wait(go_on);
      state_ = State::kDone;
      break;
    case State::kDone:
      break;
  }
  if (!status.ok()) return status;
  return state_ == State::kDone ? Progress::kDone : Progress::kMore;
}

// What the catalog has is where a start begins, so it stays reachable until the catalog has something else, whatever a volume is by now.
// And what is expected here is asked for before what is here: it may come to be that in between.
Status Collector::MarkAll(const Mark::GoOn& go_on, const Mark::OnReached& on_reached) {
  std::vector<TreeRoot> untaken;
  std::vector<Store::ResourceContent> contents = store_.Contents(*pool_, untaken);
  std::erase_if(contents, [&](const auto& one) { return one.content.stack->pool != pool_; });
  std::sort(contents.begin(), contents.end(), [](const auto& a, const auto& b) { return a.volume->id() < b.volume->id(); });
  Mark mark(packs_, *pool_->tree, 1, packs_.usage().blocks, limits_);
  OverlayBlocks overlays(mark, go_on);
  for (const auto& [volume, content] : contents) {
    uint64_t pages = 0;
    if (Status status = overlays.Add(0, *volume, content, pages); !status.ok()) return status;
    mark.AddRoot(0, content.stack->root);
    mark.AddRoot(0, content.committed);
  }
  for (const TreeRoot& root : untaken) mark.AddRoot(0, root);
  for (const TreeRoot& root : roots_) mark.AddRoot(0, root);
  if (Status status = mark.Run(go_on, on_reached); !status.ok()) return status;
  report_.nodes_read += mark.nodes_read();
  if (mark.nodes_unread() == 0) return Status::Ok();
  const Code code = mark.unread().code() == Code::kNotFound ? Code::kCorrupt : mark.unread().code();
  return Status(code, std::to_string(mark.nodes_unread()) + " map nodes cannot be read (" + mark.unread().detail() +
                          "), so it cannot be told what is wanted: nothing is removed");
}

Status Collector::Survey(const Mark::GoOn& go_on) {
  const std::vector<PackStore::Sealed> sealed = packs_.Removable();
  std::unordered_map<uint32_t, uint64_t> live;
  Status status = MarkAll(go_on, [&](uint64_t fingerprint, ReachSets::Set) {
    BlockId id;
    std::memcpy(id.bytes.data(), &fingerprint, sizeof(fingerprint));
    if (const std::optional<Location> at = packs_.Find(id)) live[at->pack] += at->stored_bytes;
    if (IsMutant(Mutant::kOneMark)) live_.insert(fingerprint);
  });
  if (!status.ok()) return status;
  store_.Trim();   // what was deleted is named no more; nothing else may come to say so
  const std::set<uint32_t> named = store_.NamedPacks(*pool_);
  for (const PackStore::Sealed& pack : sealed) {
    Candidate candidate{pack.pack, pack.bytes, std::min(live[pack.pack], pack.bytes), {}, 0};
    ++report_.packs;
    report_.stored_bytes += candidate.bytes;
    report_.live_bytes += candidate.live_bytes;
    if (static_cast<double>(candidate.live_bytes) >= options_.live_max * static_cast<double>(candidate.bytes)) {
      Keep(report_.half_live, candidate);
    } else if (pack.damaged) {
      Keep(report_.damaged, candidate);
    } else if (named.contains(pack.pack) && !IsMutant(Mutant::kNamesIgnored)) {
      Keep(report_.journalled, candidate);
    } else {
      candidates_.push_back(std::move(candidate));
    }
  }
  // Those that cost least are taken first, from the end.
  std::stable_sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return static_cast<double>(a.live_bytes) * static_cast<double>(b.bytes) > static_cast<double>(b.live_bytes) * static_cast<double>(a.bytes);
  });
  report_.packs_wanted = candidates_.size();
  if (!options_.dry_run) return status;
  for (const Candidate& candidate : candidates_) {
    ++report_.packs_removed;
    report_.removed_bytes += candidate.bytes;
    report_.copied_bytes += candidate.live_bytes;
    if (candidate.live_bytes > 0) ++report_.packs_moved;
  }
  return status;
}

void Collector::Condemn() {
  uint64_t copies = 0;
  size_t records = 0;
  std::vector<uint32_t> packs;
  while (!candidates_.empty()) {
    Candidate& candidate = candidates_.back();
    Result<std::vector<PackFooterEntry>> entries = packs_.EntriesOf(candidate.pack);
    if (entries.ok()) {
      copies += candidate.live_bytes;
      records += entries->size();
      if (!packs.empty() && (copies > options_.copy_bytes_max || records > options_.records_max)) break;
      packs.push_back(candidate.pack);
      candidate.entries = std::move(*entries);
      condemned_.push_back(std::move(candidate));
    } else {
      Keep(report_.damaged, candidate);
    }
    candidates_.pop_back();
  }
  packs_.Condemn(packs);
  turn_ = packs_.gate().Turn();
  next_ = 0;
}

// No write that begins now can name a condemned pack, and those that had begun have named theirs.
void Collector::LeaveNamed() {
  const std::set<uint32_t> named = store_.NamedPacks(*pool_);
  std::erase_if(condemned_, [&](const Candidate& candidate) {
    if (!named.contains(candidate.pack) || IsMutant(Mutant::kNamesIgnored)) return false;
    Keep(report_.journalled, candidate);
    return true;
  });
}

Status Collector::MarkCondemned(const Mark::GoOn& go_on) {
  std::unordered_set<uint64_t> here;
  for (const Candidate& candidate : condemned_) {
    for (const PackFooterEntry& entry : candidate.entries) here.insert(IdOf(entry).prefix());
  }
  live_.clear();
  return MarkAll(go_on, [&](uint64_t fingerprint, ReachSets::Set) {
    if (here.contains(fingerprint)) live_.insert(fingerprint);
  });
}

std::optional<bool> Collector::IsElsewhere(const Candidate& candidate, const PackFooterEntry& entry) {
  const BlockId id = IdOf(entry);
  const std::optional<Location> now = packs_.Find(id);
  if (!now || *now == PlaceOf(candidate.pack, entry)) return false;
  // Eight bytes are no proof of the id, and a header none of what follows it: a crash may have torn the copy.
  // What a footer vouches for was whole when it was shipped; here it must be whole now.
  if (packs_.Verify(*now, id) && (!packs_.remote() || packs_.ReadRecord(*now, id, true).ok())) return true;
  const Result<BlockId> there = packs_.IdAt(*now, nullptr);
  return !there.ok() || *there == id ? std::optional<bool>(false) : std::nullopt;
}

Result<bool> Collector::CopyOut(Candidate& candidate, const Mark::GoOn& go_on) {
  std::vector<const PackFooterEntry*> wanted;
  for (const PackFooterEntry& entry : candidate.entries) {
    if (!live_.contains(IdOf(entry).prefix())) continue;
    const std::optional<bool> elsewhere = IsElsewhere(candidate, entry);
    if (!elsewhere) return false;
    if (!*elsewhere) wanted.push_back(&entry);
  }
  PutAt put_at;
  for (size_t first = 0; first < wanted.size();) {
    if (!go_on()) return Status(Code::kClosed, "cancelled");
    size_t end = first;
    for (uint64_t bytes = 0; end < wanted.size() && bytes < kCopyBatchBytes; ++end) bytes += wanted[end]->raw_bytes;
    const Status status = CopyBatch(candidate, std::span(wanted).subspan(first, end - first), put_at);
    // It could be read when it was surveyed, or nobody has tried: whoever reads it is told.
    if (status.code() == Code::kCorrupt || status.code() == Code::kNotFound) return false;
    if (!status.ok()) return status;
    first = end;
  }
  // Only what the index leads to elsewhere is safe to lose here.
  return std::ranges::all_of(candidate.entries, [&](const PackFooterEntry& entry) {
    const BlockId id = IdOf(entry);
    if (!live_.contains(id.prefix())) return true;
    const auto put_now = put_at.find(id.prefix());
    return (put_now != put_at.end() && packs_.Find(id) == put_now->second) || IsElsewhere(candidate, entry).value_or(false);
  });
}

Status Collector::CopyBatch(Candidate& candidate, std::span<const PackFooterEntry* const> batch, PutAt& put_at) {
  std::vector<Location> places;
  for (const PackFooterEntry* entry : batch) places.push_back(PlaceOf(candidate.pack, *entry));
  packs_.FetchAhead(places);
  std::vector<std::vector<uint8_t>> payloads;
  std::vector<PackPut> puts;
  for (size_t i = 0; i < batch.size(); ++i) {
    const PackFooterEntry& entry = *batch[i];
    uint64_t domain = 0;
    Result<std::vector<uint8_t>> payload = packs_.ReadRecord(places[i], IdOf(entry), true, &domain);
    if (!payload.ok()) return payload.status();
    payloads.push_back(std::move(*payload));
    const Compression as_it_was{entry.codec, entry.codec == Codec::kZstd ? kZstdLevelDefault : uint8_t{0}};
    puts.push_back({entry.kind, IdOf(entry), payloads.back(), {}, false, 0, as_it_was, domain});
  }
  Status status = packs_.PutAll(puts, true);
  for (const PackPut& one : puts) {
    put_at[one.id.prefix()] = one.at;
    if (!one.reused) candidate.copied_bytes += one.at.stored_bytes;
  }
  return status;
}

Result<bool> Collector::Settle() {
  if (condemned_.empty()) return true;
  if (!shipping_) {
    if (Status status = IsMutant(Mutant::kCopiesUnsynced) ? Status::Ok() : packs_.Sync(); !status.ok()) return status;
    if (!packs_.remote() || IsMutant(Mutant::kCopiesUnshipped)) return true;
    shipping_ = packs_.Mark();
  }
  // What this host alone has would go with it, and what it is a copy of is about to be taken off the backend.
  if (packs_.OpenUpTo(*shipping_)) {
    if (Status status = packs_.Seal(); !status.ok()) return status;
  }
  const Result<bool> shipped = packs_.ShippedUpTo(*shipping_);
  if (!shipped.ok()) return shipped.status();
  // The lists that the pool has leave no number out, so that who looks for the last one finds it.
  if (!*shipped || !packs_.GoneListed()) return false;
  shipping_.reset();
  return true;
}

Status Collector::RemoveAll() {
  if (condemned_.empty()) return Status::Ok();
  std::vector<uint32_t> packs;
  for (const Candidate& candidate : condemned_) packs.push_back(candidate.pack);
  if (Status status = packs_.Remove(packs); !status.ok()) return status;
  for (const Candidate& candidate : condemned_) {
    ++report_.packs_removed;
    report_.removed_bytes += candidate.bytes;
    report_.copied_bytes += candidate.copied_bytes;
    if (candidate.copied_bytes > 0) ++report_.packs_moved;
  }
  condemned_.clear();
  // Without it the next start reads the footers of what has changed: slower, and as right.
  (void)packs_.Checkpoint(false);
  return Status::Ok();
}

void Collector::Keep(PacksKept& why, const Candidate& candidate) {
  packs_.Pardon(candidate.pack);
  ++why.packs;
  why.dead_bytes += candidate.dead_bytes();
}

}  // namespace skerry
