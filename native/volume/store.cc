#include "store.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "../env/mutants.h"
#include "replay_log.h"

namespace skerry {
Store::Store(Env& env, const StoreOptions& options)
    : env_(env), options_(options), admission_(env, {options.journal.journal_bytes_max, options.overlay_bytes_max}),
      node_cache_(Tree::MakeCache(options.node_cache_bytes_max)) {}

Result<std::unique_ptr<Store>> Store::Open(Env& env, const StoreOptions& options, const std::vector<ResourceSpec>& resources, StoreReport& report) {
  if (options.pools.empty()) return Status(Code::kInvalid, "a store needs a pool");
  std::unique_ptr<Store> store(new Store(env, options));
  for (const PoolOptions& pool : options.pools) {
    const Result<std::shared_ptr<Pool>> added = store->AddPool(pool, report.packs);
    if (!added.ok()) return Status(added.code(), "pool " + pool.name + ": " + added.status().detail());
  }
  if (Status status = store->Replay(resources, report); !status.ok()) return status;
  // A log is replayed from further back than what roots do not hold, and no commit may come to say so.
  store->Trim();
  store->Pace();
  return store;
}

Status Store::Replay(const std::vector<ResourceSpec>& resources, StoreReport& report) {
  ReplayLog log;
  Result<std::unique_ptr<Journal>> journal = Journal::Open(
      env_, options_.journal,
      [&log](const ReplayedRecord& record) {
        log.Add(record);
        return Status::Ok();
      },
      report.journal);
  if (!journal.ok()) return journal.status();
  journal_ = std::move(*journal);

  // What pends on nothing first; a snapshot that pends enters when its barrier is met, and with it the clones that pend on it.
  std::unordered_map<ResourceId, const ResourceSpec*> waiting;
  std::unordered_map<ResourceId, std::vector<const ResourceSpec*>> clones;   // by the snapshot they pend on
  entries_.reserve(resources.size());
  for (const ResourceSpec& spec : resources) {
    if (spec.pending_of != 0) {
      waiting.emplace(spec.volume.id, &spec);
      if (spec.kind != ResourceKind::kSnapshot) clones[spec.pending_of].push_back(&spec);
    } else if (Status status = AddLocked(spec); !status.ok()) {
      return status;
    }
  }
  std::set<ResourceId> ended;
  std::map<ResourceId, uint64_t> trailing;
  bool gap = false;
  const auto admit_clones = [&](ResourceId snapshot) -> Status {
    const auto found = clones.find(snapshot);
    if (found == clones.end()) return Status::Ok();
    for (const ResourceSpec* spec : found->second) {
      if (waiting.erase(spec->volume.id) == 0) continue;
      if (Status status = AddLocked(*spec); !status.ok()) return status;
    }
    return Status::Ok();
  };
  std::vector<ResourceId> sources;
  for (const auto& [source, pending] : clones) {
    if (entries_.contains(source)) sources.push_back(source);
  }
  std::sort(sources.begin(), sources.end());
  for (ResourceId source : sources) {
    if (Status status = admit_clones(source); !status.ok()) return status;
  }
  Status status = log.ForEach([&](const ReplayedRecord& record) -> Status {
    const auto found = entries_.find(record.header.resource);
    if (found == entries_.end() || ended.contains(record.header.resource)) return Status::Ok();
    LiveVolume& volume = *found->second.volume;
    // What the volume's root holds was whole when that was committed; it may have been moved to other packs since, and the volume to
    // another pool, where these names say nothing.
    if (record.header.type == RecordType::kRef && record.header.sequence > volume.sequence()) {
      NoteNamedLocked(record.header, record.payload_bytes, std::max(record.record, report.journal.end));
      for (size_t at = 0; at + sizeof(RefPlace) <= record.payload_bytes.size(); at += sizeof(RefPlace)) {
        RefPlace place;
        std::memcpy(&place, record.payload_bytes.data() + at, sizeof(place));
        BlockId id;
        std::memcpy(id.bytes.data(), place.id, sizeof(place.id));
        const Location named = PlaceOf(place.pack, place.offset, place.length);
        PackStore& packs = *volume.pool()->packs;
        if (record.below_durable) {
          // It was durable, so what fails now is rot, and costs its pages alone.
          if (const uint32_t rotten = packs.RottenPages(named, id); rotten > 0) {
            report.notes.push_back(std::to_string(rotten) + " pages of volume " + std::to_string(record.header.resource) + " near offset " +
                                   std::to_string(record.header.offset + at / sizeof(RefPlace) * kBlockBytes) +
                                   " are damaged in the pool: reading them is an I/O error");
          }
          continue;
        }
        const Result<bool> whole = packs.Confirm(named, id);
        if (!whole.ok()) return whole.status();
        if (*whole) continue;
        ended.insert(record.header.resource);
        report.notes.push_back("the log of volume " + std::to_string(record.header.resource) + " ends before write " +
                               std::to_string(record.header.sequence) + ", which was never flushed");
        return Status::Ok();
      }
    }
    const bool before = record.header.sequence <= volume.sequence();
    // A recovery that was itself cut short may have left its rewind as the last word: it is no write.
    if (record.header.type != RecordType::kRewind) {
      trailing.erase(record.header.resource);
    } else if (!before) {
      trailing.try_emplace(record.header.resource, volume.sequence());
    }
    const bool gaps = options_.journal.salvage || record.record < report.journal.gaps_below;
    if (record.header.sequence > volume.sequence() + 1 && gaps) {
      gap = true;
      // Its pool has all that was flushed, and goes on from where the journal has everything: what comes behind the gap would not do.
      if (volume.flushes_to_pool() && record.header.type != RecordType::kDrop) {
        ended.insert(record.header.resource);
        report.notes.push_back("salvage: the journal of volume " + std::to_string(record.header.resource) + " ends before write " +
                               std::to_string(volume.sequence() + 1) + "; what was flushed after that is read from its pool");
        return Status::Ok();
      }
    }
    if (Status applied = volume.Replay(record, gaps); !applied.ok()) return applied;
    const auto snapshot = waiting.find(record.header.offset);
    if (record.header.type != RecordType::kBarrier || before || snapshot == waiting.end()) return Status::Ok();
    const ResourceSpec& spec = *snapshot->second;
    if (spec.kind != ResourceKind::kSnapshot || spec.pending_of != record.header.resource) return Status::Ok();
    Entry entry;
    entry.kind = spec.kind;
    links_.Link(spec.volume.id, spec.pending_of);
    entry.base = volume.ReplaySnapshot(spec.volume.id, record.header.sequence);
    entry.volume = std::make_shared<LiveVolume>(spec.volume, entry.base, *journal_, admission_, changed_);
    entries_.emplace(spec.volume.id, std::move(entry));
    waiting.erase(snapshot);
    return admit_clones(spec.volume.id);
  });
  if (!status.ok()) return status;
  const bool bearable = options_.journal.salvage || report.journal.gaps_below > 0;
  for (const ResourceSpec& spec : resources) {
    if (!bearable || !waiting.contains(spec.volume.id)) continue;
    waiting.erase(spec.volume.id);
    report.lost.push_back(spec.volume.id);
    report.notes.push_back("salvage: snapshot or clone " + std::to_string(spec.volume.id) + " is lost: the journal no longer holds what it was made of");
  }
  if (!waiting.empty()) {
    return Status(Code::kCorrupt, "snapshot or clone " + std::to_string(waiting.begin()->first) +
                                      " waits for a root, and the journal does not hold what it is made of");
  }
  // Decided together with the mark that vouches for what lies before: a crash leaves both or neither.
  std::vector<RecordDraft> rewinds;
  for (ResourceId id : ended) {
    trailing.try_emplace(id, entries_.at(id).volume->sequence());
    rewinds.push_back(entries_.at(id).volume->RewindDraft());
  }
  report.rewound.assign(trailing.begin(), trailing.end());
  Result<std::vector<Appended>> begun = journal_->Begin(rewinds, options_.journal.salvage && (gap || !report.lost.empty()));
  if (!begun.ok()) return begun.status();
  rewinds_ = log.rewinds();
  for (size_t i = 0; i < rewinds.size(); ++i) {
    const RecordDraft& rewind = rewinds[i];
    rewinds_.Add(rewind.resource, (*begun)[i].record, rewind.sequence);
    entries_.at(rewind.resource).volume->Rewound((*begun)[i]);
  }
  return Status::Ok();
}

Status Store::AddLocked(const ResourceSpec& spec) {
  if (entries_.contains(spec.volume.id)) return Status(Code::kInvalid, "resource " + std::to_string(spec.volume.id) + " is known already");
  const std::shared_ptr<Pool> pool = FindPool(spec.pool);
  if (!pool) return Status(Code::kNotFound, "resource " + std::to_string(spec.volume.id) + " is in pool " + spec.pool + ", which is not open");
  Entry entry;
  entry.kind = spec.kind;
  if (spec.pending_of != 0) {
    const auto source = entries_.find(spec.pending_of);
    if (source == entries_.end()) return Status(Code::kNotFound, "resource " + std::to_string(spec.pending_of) + " to clone from is not known");
    if (source->second.volume->pool() != pool) return Status(Code::kInvalid, "a clone is made in the pool of its source");
    std::shared_ptr<Base> base = source->second.base ? source->second.base : source->second.volume->base();
    if (IsMutant(Mutant::kCloneReadsNewer) && entries_.contains(links_.Of(spec.pending_of))) {
      base = std::make_shared<Base>(*base);
      base->layers.insert(base->layers.begin(), entries_.at(links_.Of(spec.pending_of)).volume->content().active);
    }
    entry.volume = std::make_shared<LiveVolume>(spec.volume, base, *journal_, admission_, changed_);
    if (base->pending) {
      links_.Link(spec.volume.id, spec.pending_of);
    } else {
      OfferRootLocked(spec.volume.id, *entry.volume, base->root);
    }
  } else {
    entry.volume = std::make_shared<LiveVolume>(spec.volume, MakeBase(spec.root, pool), *journal_, admission_, changed_);
  }
  entries_.emplace(spec.volume.id, std::move(entry));
  return Status::Ok();
}

Status Store::Add(const ResourceSpec& spec) {
  std::unique_lock lock(mutex_);
  return AddLocked(spec);
}

std::shared_ptr<LiveVolume> Store::Find(ResourceId id) const {
  std::shared_lock lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.volume;
}

Result<WriteOutcome> Store::Snapshot(ResourceId volume, ResourceId snapshot, uint64_t* sequence) {
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(volume);
  if (found == entries_.end()) return Status(Code::kNotFound, "no volume " + std::to_string(volume));
  if (entries_.contains(snapshot)) return Status(Code::kInvalid, "resource " + std::to_string(snapshot) + " is known already");
  WriteOutcome outcome;
  Result<std::shared_ptr<Base>> base = found->second.volume->Snapshot(snapshot, outcome, sequence);
  if (!base.ok()) return base.status();
  Entry entry;
  entry.kind = ResourceKind::kSnapshot;
  entry.base = *base;
  links_.Link(snapshot, volume);
  entry.volume = std::make_shared<LiveVolume>(VolumeSpec{snapshot, found->second.volume->size(), true, false, 0, 0}, *base, *journal_,
                                              admission_, changed_);
  entries_.emplace(snapshot, std::move(entry));
  return outcome;
}

Result<WriteOutcome> Store::Drop(ResourceId id) {
  std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "no resource " + std::to_string(id));
  WriteOutcome outcome;
  if (!volume->read_only()) {
    Lsn first = 0;
    std::unique_lock lock(mutex_);
    const LiveVolume::Content before = volume->content();
    Result<WriteOutcome> dropped = volume->Drop(first);
    if (!dropped.ok()) return dropped.status();
    outcome = *dropped;
    if (!IsMutant(Mutant::kDropUnawaited)) dropping_.push_back({first, outcome.end});
    ForgoLocked(before, outcome.end);
  }
  std::unique_lock lock(mutex_);
  entries_.erase(id);
  leaving_.erase(id);
  book_.Forget(id);
  busy_.erase(id);
  // What waits for it still hears of its root through its own link, which its volume's commit takes away.
  if (links_.Dependents(id).empty()) links_.Unlink(id);
  TrimLocked();
  return outcome;
}

Result<WriteOutcome> Store::Resize(ResourceId id, uint64_t size_bytes) {
  std::unique_lock lock(mutex_);  // a snapshot reads the size of its volume under it
  const auto found = entries_.find(id);
  if (found == entries_.end()) return Status(Code::kNotFound, "no volume " + std::to_string(id));
  return found->second.volume->Resize(size_bytes);
}

Result<WriteOutcome> Store::Rollback(ResourceId volume, ResourceId snapshot) {
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(volume), from = entries_.find(snapshot);
  if (found == entries_.end()) return Status(Code::kNotFound, "no volume " + std::to_string(volume));
  if (from == entries_.end()) return Status(Code::kNotFound, "no snapshot " + std::to_string(snapshot));
  const std::shared_ptr<Base> base = from->second.volume->base();
  if (base->pending) return Status(Code::kTryAgain, "the snapshot still waits for its root");
  if (base->pool != found->second.volume->pool()) return Status(Code::kInvalid, "the snapshot is in another pool than the volume");
  const LiveVolume::Content before = found->second.volume->content();
  Result<WriteOutcome> outcome = found->second.volume->Rollback(snapshot, base->root, from->second.volume->size());
  if (outcome.ok()) ForgoLocked(before, outcome->end);
  return outcome;
}

Result<size_t> Store::RestoreLog(ResourceId id, ConstBytes entries, uint64_t until) {
  const std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "no volume " + std::to_string(id));
  return volume->Restore(entries, until);
}

Status Store::BeginLog(ResourceId id, uint64_t fence, uint64_t sequence) {
  const std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return {Code::kNotFound, "no volume " + std::to_string(id)};
  if (Status status = volume->BeginLog(fence, sequence); !status.ok()) return status;
  return Freeze(id);
}

void Store::ForgoLocked(const LiveVolume::Content& before, Lsn end) {
  std::erase_if(forgone_, [durable = journal_->durable()](const Forgone& forgone) { return forgone.end <= durable; });
  forgone_.push_back({end, before.stack->pool, before.stack->root, before.committed});
}

Status Store::Freeze(ResourceId id, uint64_t* sequence) {
  std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "no resource " + std::to_string(id));
  std::unique_lock lock(mutex_);  // closing reads the base, which commits change
  const uint64_t last = volume->Freeze();
  if (sequence != nullptr) *sequence = last;
  return Status::Ok();
}

void Store::FreezeAll() {
  std::unique_lock lock(mutex_);
  RefreshLocked();
  for (ResourceId id : book_.Active()) FreezeLocked(id);
}

void Store::FreezeTrims(const Pool& pool) {
  std::unique_lock lock(mutex_);
  for (const auto& [id, entry] : entries_) {
    if (entry.volume->pool().get() == &pool && entry.volume->trims().active) entry.volume->Freeze();
  }
}

Store::Trims Store::trims(const Pool& pool) const {
  std::shared_lock lock(mutex_);
  Trims trims;
  for (const auto& [id, entry] : entries_) {
    if (entry.volume->pool().get() != &pool) continue;
    const LiveVolume::Trims of = entry.volume->trims();
    trims.volumes += of.active || of.closed ? 1 : 0;
    trims.closed += of.closed ? 1 : 0;
  }
  return trims;
}

bool Store::Settled(ResourceId id) {
  std::unique_lock lock(mutex_);
  RefreshLocked();
  if (id == 0) return book_.holders() == 0 && busy_.empty() && links_.empty();
  const auto found = entries_.find(id);
  return found == entries_.end() || (book_.Of(id).empty() && !busy_.contains(id) && !found->second.volume->base()->pending);
}

bool Store::Settled(ResourceId id, uint64_t sequence) {
  std::shared_lock lock(mutex_);  // no commit is half taken
  const auto found = entries_.find(id);
  return found == entries_.end() || found->second.volume->Destaged(sequence);
}

Store::Usage Store::usage() {
  std::unique_lock lock(mutex_);
  RefreshLocked();
  Usage usage;
  usage.overlay_bytes = book_.overlay_bytes();
  usage.overlay_pages = book_.overlay_pages();
  usage.journal_bytes = book_.journal_bytes();
  usage.generations = book_.generations();
  usage.destaged_generations = destaged_generations_.load();
  usage.destaged_bytes = destaged_bytes_.load();
  return usage;
}

Status Store::Audit() {
  std::unique_lock lock(mutex_);
  RefreshLocked();
  Usage sums;
  Lsn lowest = ~0ull;
  size_t holders = 0;
  std::unordered_map<const Pool*, PoolLoad> in_pools;
  for (const auto& [id, entry] : entries_) {
    const VolumeLoad load = entry.volume->load();
    const VolumeLoad noted = book_.Of(id);
    if (load.empty() ? !noted.empty() : load != noted) return Status(Code::kInvalid, "the book has another load for resource " + std::to_string(id));
    if (!entry.volume->StackIsCurrent()) return Status(Code::kInvalid, "resource " + std::to_string(id) + " reads what is no longer below it");
    if (entry.volume->base()->pending != (links_.Of(id) != 0)) return Status(Code::kInvalid, "the link is wrong of resource " + std::to_string(id));
    if (load.empty()) continue;
    ++holders;
    sums.overlay_bytes += load.overlay_bytes;
    sums.overlay_pages += load.overlay_pages;
    sums.journal_bytes += load.journal_bytes;
    PoolLoad& in_pool = in_pools[entry.volume->pool().get()];
    in_pool.blocks_bound += load.blocks_bound;
    ++in_pool.holders;
    if (load.frozen > 0) in_pool.frozen.insert(id);
    sums.generations += load.frozen + (load.active ? 1 : 0);
    lowest = std::min(lowest, load.first_lsn);
  }
  for (const auto& pool : *PoolsNow()) {
    const PoolLoad& noted = book_.In(pool.get());
    const PoolLoad& found = in_pools[pool.get()];
    if (found.blocks_bound != noted.blocks_bound || found.holders != noted.holders || found.frozen != noted.frozen) {
      return Status(Code::kInvalid, "the book has another load for pool " + pool->name);
    }
  }
  if (sums.overlay_bytes != book_.overlay_bytes() || sums.overlay_pages != book_.overlay_pages() || sums.journal_bytes != book_.journal_bytes() ||
      sums.generations != book_.generations() || holders != book_.holders() || lowest != book_.lowest()) {
    return Status(Code::kInvalid, "the book's sums are not those of the volumes: journal bytes " + std::to_string(book_.journal_bytes()) + " for " +
                                      std::to_string(sums.journal_bytes) + ", overlay bytes " + std::to_string(book_.overlay_bytes()) + " for " +
                                      std::to_string(sums.overlay_bytes) + ", holders " + std::to_string(book_.holders()) + " for " +
                                      std::to_string(holders) + ", lowest " + std::to_string(book_.lowest()) + " for " + std::to_string(lowest));
  }
  return Status::Ok();
}

}  // namespace skerry
