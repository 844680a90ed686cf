#include "store.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

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
  for (const ResourceSpec& spec : resources) {
    if (spec.pending_of != 0) {
      waiting.emplace(spec.volume.id, &spec);
    } else if (Status status = AddLocked(spec); !status.ok()) {
      return status;
    }
  }
  std::set<ResourceId> ended;
  std::map<ResourceId, uint64_t> trailing;
  bool gap = false;
  const auto admit_clones = [&](ResourceId snapshot) -> Status {
    for (const ResourceSpec& spec : resources) {
      if (spec.pending_of != snapshot || spec.kind == ResourceKind::kSnapshot || !waiting.contains(spec.volume.id)) continue;
      waiting.erase(spec.volume.id);
      if (Status status = AddLocked(spec); !status.ok()) return status;
    }
    return Status::Ok();
  };
  for (const ResourceSpec& spec : resources) {
    if (spec.pending_of != 0) continue;
    if (Status status = admit_clones(spec.volume.id); !status.ok()) return status;
  }
  Status status = log.ForEach([&](const ReplayedRecord& record) -> Status {
    const auto found = entries_.find(record.header.resource);
    if (found == entries_.end() || ended.contains(record.header.resource)) return Status::Ok();
    LiveVolume& volume = *found->second.volume;
    if (record.header.type == RecordType::kRef) {
      for (size_t at = 0; at + sizeof(RefPlace) <= record.payload_bytes.size(); at += sizeof(RefPlace)) {
        RefPlace place;
        std::memcpy(&place, record.payload_bytes.data() + at, sizeof(place));
        BlockId id;
        std::memcpy(id.bytes.data(), place.id, sizeof(place.id));
        const Location named{place.pack, place.offset, place.stored_bytes};
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
    if (record.header.sequence > volume.sequence() + 1 && gaps) gap = true;
    if (Status applied = volume.Replay(record, gaps); !applied.ok()) return applied;
    const auto snapshot = waiting.find(record.header.offset);
    if (record.header.type != RecordType::kBarrier || before || snapshot == waiting.end()) return Status::Ok();
    const ResourceSpec& spec = *snapshot->second;
    if (spec.kind != ResourceKind::kSnapshot || spec.pending_of != record.header.resource) return Status::Ok();
    Entry entry;
    entry.kind = spec.kind;
    entry.pending_of = spec.pending_of;
    entry.base = volume.ReplaySnapshot(spec.volume.id, record.header.sequence);
    entry.volume = std::make_shared<LiveVolume>(spec.volume, entry.base, *journal_, volume.pool(), admission_);
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
  for (size_t i = 0; i < rewinds.size(); ++i) entries_.at(rewinds[i].resource).volume->Rewound((*begun)[i]);
  return Status::Ok();
}

Status Store::AddLocked(const ResourceSpec& spec) {
  if (entries_.contains(spec.volume.id)) return Status(Code::kInvalid, "resource " + std::to_string(spec.volume.id) + " is known already");
  const std::shared_ptr<Pool> pool = FindPool(spec.pool);
  if (!pool) return Status(Code::kNotFound, "resource " + std::to_string(spec.volume.id) + " is in pool " + spec.pool + ", which is not open");
  Entry entry;
  entry.kind = spec.kind;
  entry.pending_of = spec.pending_of;
  if (spec.pending_of != 0) {
    const auto source = entries_.find(spec.pending_of);
    if (source == entries_.end()) return Status(Code::kNotFound, "resource " + std::to_string(spec.pending_of) + " to clone from is not known");
    if (source->second.volume->pool() != pool) return Status(Code::kInvalid, "a clone is made in the pool of its source");
    std::shared_ptr<Base> base = source->second.base ? source->second.base : source->second.volume->base();
    entry.volume = std::make_shared<LiveVolume>(spec.volume, base, *journal_, pool, admission_);
    if (!base->pending) {
      entry.pending_of = 0;
      OfferRootLocked(spec.volume.id, *entry.volume, base->root);
    }
  } else {
    auto base = std::make_shared<Base>();
    base->root = spec.root;
    entry.volume = std::make_shared<LiveVolume>(spec.volume, std::move(base), *journal_, pool, admission_);
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
  entry.pending_of = volume;
  entry.base = *base;
  entry.volume = std::make_shared<LiveVolume>(VolumeSpec{snapshot, found->second.volume->size(), true, false, 0, 0}, *base, *journal_,
                                              found->second.volume->pool(), admission_);
  entries_.emplace(snapshot, std::move(entry));
  return outcome;
}

Result<WriteOutcome> Store::Drop(ResourceId id) {
  std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "no resource " + std::to_string(id));
  WriteOutcome outcome;
  if (!volume->read_only()) {
    const Lsn first = volume->load().first_lsn;
    std::unique_lock lock(mutex_);
    Result<WriteOutcome> dropped = volume->Drop();
    if (!dropped.ok()) return dropped.status();
    outcome = *dropped;
    dropping_.push_back({first, outcome.end});
  }
  std::unique_lock lock(mutex_);
  entries_.erase(id);
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
  return found->second.volume->Rollback(snapshot, base->root, from->second.volume->size());
}

Status Store::Freeze(ResourceId id) {
  std::shared_ptr<LiveVolume> volume = Find(id);
  if (!volume) return Status(Code::kNotFound, "no resource " + std::to_string(id));
  std::unique_lock lock(mutex_);  // closing reads the base, which commits change
  volume->Freeze();
  return Status::Ok();
}

void Store::FreezeAll() {
  std::unique_lock lock(mutex_);
  for (auto& [id, entry] : entries_) entry.volume->Freeze();
}

bool Store::Settled(ResourceId id) const {
  std::shared_lock lock(mutex_);
  for (const auto& [resource, entry] : entries_) {
    if (id != 0 && resource != id) continue;
    const LiveVolume::Load load = entry.volume->load();
    if (entry.busy || load.frozen > 0 || load.active || entry.volume->base()->pending) return false;
  }
  return true;
}

Store::Usage Store::usage() const {
  std::shared_lock lock(mutex_);
  Usage usage;
  for (const auto& [id, entry] : entries_) {
    const LiveVolume::Load load = entry.volume->load();
    usage.overlay_bytes += load.overlay_bytes;
    usage.overlay_pages += load.overlay_pages;
    usage.journal_bytes += load.journal_bytes;
    usage.generations += load.frozen + (load.active ? 1 : 0);
  }
  usage.destaged_generations = destaged_generations_.load();
  usage.destaged_bytes = destaged_bytes_.load();
  return usage;
}

}  // namespace skerry
