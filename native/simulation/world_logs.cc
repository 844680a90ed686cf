// Volumes of a world whose flushes reach the pool: their logs from life to life, and hosts that are lost with all that was on them.
#include <memory>
#include <utility>

#include "../journal/whole_journal.h"
#include "world.h"

namespace skerry::simulation {
namespace {

constexpr int kRoomTriesMax = 4000;

}  // namespace

// Nothing is left but the pool and the catalog; what waited for a root was never answered.
void World::LoseHost() {
  home_ = "/sim" + std::to_string(++hosts_lost_);
  std::erase_if(catalog_, [](const auto& entry) { return entry.second.spec.pending_of != 0; });
  host_lost_ = true;
  ++outcome_.hosts_lost;
  Say("the host is lost");
}

/** Now and then a life ends in order: then its host may be booted, and nothing is missing. */
bool World::EndInOrder() {
  if (!shelf_ || fault_asked_ || Crashed() || Dice(6) != 0) return false;
  const Status ended = store_->End();
  if (!ended.ok()) Blame("ending in order", ended);
  if (ended.ok()) ++outcome_.orderly_ends;
  Say(ended.ok() ? "ended in order" : "ending in order was cut short");
  return ended.ok();
}

/** Before the journal is opened: what it may lack, its logs have. A crash in what follows must not make it look as if it had all. */
bool World::DistrustPartialJournal() {
  if (!shelf_) return true;
  const Result<std::array<uint8_t, 16>> whole = WholeJournal(env_, Options().journal);
  if (!whole.ok()) {
    Blame("looking at the journal", whole.status());
    return false;
  }
  for (auto& [id, named] : catalog_) {
    if (named.history && named.log.journal != *whole) named.log.journal = {};
  }
  return true;
}

bool World::BeginLogs() {
  if (!shelf_) return true;
  for (auto& [id, named] : catalog_) {
    if (!named.history || named.deleting) continue;
    if (!BeginLog(named)) return false;
  }
  return true;
}

bool World::BeginLog(Named& named) {
  const ResourceId id = named.spec.volume.id;
  const std::array<uint8_t, 16> journal = store_->journal().id();
  uint64_t fence = named.log.log.fence + 1;
  if (journal != named.log.journal) {
    if (!RestoreLog(named)) return false;
    fence = std::max(fence, ShelfOf(named).FenceMax(id) + 1);
  }
  if (!MakeDurable()) return false;
  const uint64_t sequence = store_->Find(id)->sequence();
  named.log.NextLife(named.spec.volume.applied_sequence, journal, sequence, fence);
  // The catalog has it, and the engine never hears of it.
  if (Dice(12) == 0) return false;
  const Status begun = store_->BeginLog(id, fence, sequence);
  if (!begun.ok()) Fail("a log cannot be begun: " + begun.detail());
  const LogBook& book = named.log;
  ShelfOf(named).Remove(id, [&](const LogChunk& chunk) {
    return chunk.fence != fence && !(book.older && chunk.fence == book.older->fence && chunk.number >= book.older->first);
  });
  return begun.ok();
}

bool World::RestoreLog(Named& named) {
  const ResourceId id = named.spec.volume.id;
  const LogSpan span = named.log.Readable(named.spec.volume.applied_sequence);
  uint64_t number = span.first;
  for (;; ++number) {
    const LogChunk* chunk = ShelfOf(named).Find(id, span.fence, number);
    if (chunk == nullptr || chunk->first_sequence > span.until) break;
    const std::shared_ptr<const std::vector<uint8_t>> entries = chunk->entries;
    int tries = 0;
    for (ConstBytes left = *entries; !left.empty();) {
      const Result<size_t> done = store_->RestoreLog(id, left, span.until);
      if (Crashed()) return false;
      if (!done.ok()) {
        Fail("the log of volume " + std::to_string(id) + " cannot be restored: " + done.status().detail());
        return false;
      }
      left = left.subspan(*done);
      if (!left.empty() && !MakeRoom()) return false;
      if (++tries > kRoomTriesMax) {
        Fail("there is no room for a log that is restored");
        return false;
      }
    }
    if (Dice(8) == 0 && !MakeRoom()) return false;
  }
  const LogChunk* last = ShelfOf(named).Last(id, span.fence);
  if (last != nullptr && last->settled > number) {
    Fail("log chunk " + std::to_string(number) + " of volume " + std::to_string(id) + " is gone, and chunk " + std::to_string(last->number) + " says that it was there");
    return false;
  }
  Say("restored " + std::to_string(id) + " to " + std::to_string(store_->Find(id)->sequence()));
  return true;
}

/** What a daemon does while it has no room for what it restores: roots are made, and the catalog takes them. */
bool World::MakeRoom() {
  env_.Advance(50000000);
  if (!MakeDurable()) return false;
  store_->FreezeAll();
  for (const auto& pool : store_->pools()) {
    Result<std::optional<RootCommit>> commit = store_->DestageStep(*pool);
    if (!commit.ok()) {
      Blame("destage while a log is restored", commit.status());
      return false;
    }
    if (!*commit) continue;
    TakeRoot(**commit);
    store_->Committed((*commit)->token, true);
  }
  Pump();
  return !Crashed() && outcome_.failure.empty();
}

/** The catalog's side of a root: what of its log a volume needs no more goes. */
void World::ShortenLog(Named& named, const RootTaker& taker) {
  if (!shelf_ || !named.history) return;
  const bool had_older = named.log.older.has_value();
  named.log.Over(taker.applied_sequence, taker.log);
  const LogSpan& log = named.log.log;
  const bool older_goes = had_older && !named.log.older;
  ShelfOf(named).Remove(taker.id, [&](const LogChunk& chunk) { return chunk.fence == log.fence ? chunk.number < log.first : older_goes && chunk.fence < log.fence; });
}

/** Of a volume that was just added. */
void World::FirstLog(Named& named) {
  if (!shelf_) return;
  named.history->KeepAll();
  named.log.journal = store_->journal().id();
  const Status begun = store_->BeginLog(named.spec.volume.id, named.log.log.fence, 0);
  if (!begun.ok()) Fail("the first log of a volume cannot be begun: " + begun.detail());
}

/** Each is answered once its pool has it, whether the journal does or not. */
void World::FlushToPool() {
  if (!shelf_) return;
  for (auto& [id, named] : catalog_) {
    const std::shared_ptr<LiveVolume> volume = named.history && !named.deleting ? store_->Find(id) : nullptr;
    if (!volume) continue;
    volume->WhenInPool(volume->FlushTarget(), [this, id = id, sequence = named.history->last().sequence, life = lives_](const Status& status) {
      const auto found = catalog_.find(id);
      if (!status.ok() || life != lives_ || Crashed() || found == catalog_.end()) return;
      found->second.log.promised = std::max(found->second.log.promised, sequence);
      ++outcome_.pool_flushes;
    });
  }
}

}  // namespace skerry::simulation
