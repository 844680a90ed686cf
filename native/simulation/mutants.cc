#include "mutants.h"

#include <algorithm>
#include <array>
#include <utility>

namespace skerry::simulation {
namespace {

constexpr SownBug kSownBugs[] = {
    {Mutant::kJournalSyncSkipped, "journal-sync-skipped", "a flush waits for no device", 100},
    {Mutant::kSealUnsynced, "seal-unsynced", "a segment's index vouches for records that are not durable", 500},
    {Mutant::kSegmentHeaderUnsynced, "segment-header-unsynced", "batches may be durable under the header of the slot's last segment", 2000, 0, Theme::kShortJournal},
    {Mutant::kMarkAhead, "mark-ahead", "batches call durable what is only written", 500},
    {Mutant::kEpochReused, "epoch-reused", "recovery goes on in the epoch of the life before", 0, 2},
    {Mutant::kDeadEpochReplayed, "dead-epoch-replayed", "what lies beyond the log's end is replayed", 0, 2},
    {Mutant::kTornBatchReplayed, "torn-batch-replayed", "a batch is replayed although a payload in it fails its sum", 500},
    {Mutant::kForeignRing, "foreign-ring", "the ring of another boot is believed", 500},
    {Mutant::kRingNotRewritten, "ring-not-rewritten", "what only the ring held is not moved to segments at recovery", 100},
    {Mutant::kVacatedUndurable, "vacated-undurable", "a segment goes before the copies of its records are durable", 2000},
    {Mutant::kFailedSyncForgotten, "failed-sync-forgotten", "a sync that failed counts as one that succeeded", 2000, 0, Theme::kFailingSyncs},
    {Mutant::kEndUnsynced, "end-unsynced", "a log's end is marked though what stands before it was not synced", 500, 0, Theme::kLostHosts},
    {Mutant::kEndForgotten, "end-forgotten", "the mark of a log's end counts although a later epoch was begun", 2000, 0, Theme::kLostHosts},
    {Mutant::kPublishedUnappended, "published-unappended", "zeroes show before they have a place in the journal", 2000},
    {Mutant::kBarrierSkipped, "barrier-skipped", "a snapshot leaves no record in the journal", 100},
    {Mutant::kCloneReadsNewer, "clone-reads-newer", "a clone of a pending snapshot reads what was written since", 100},
    {Mutant::kDropUnawaited, "drop-unawaited", "a deleted volume's records go before the word of its deletion is durable", 2000},
    {Mutant::kTrimmedEarly, "trimmed-early", "the journal forgets what was destaged before its root is committed", 100},
    {Mutant::kCutIgnored, "cut-ignored", "whole blocks that were trimmed stay in the map", 100},
    {Mutant::kEdgeIgnored, "edge-ignored", "the ends of a range of zeroes, within a block, stay as they were", 100},
    {Mutant::kOldLineageCommits, "old-lineage-commits", "a root from before a rollback is taken", 1000},
    {Mutant::kHeldNamesPacks, "held-names-packs", "a large write to a volume on its way to another pool names packs of the old one", 2000},
    {Mutant::kHeldDestaged, "held-destaged", "a volume on its way to another pool is destaged to the old one", 2000},
    {Mutant::kExpectedUnmarked, "expected-unmarked", "the root that a volume is about to rest on is not kept in its new pool", 2000},
    {Mutant::kRefBeforeBytes, "ref-before-bytes", "a flush covers references, not the bytes that they name", 200},
    {Mutant::kRootBeforePacks, "root-before-packs", "a root is offered before its packs are durable", 200},
    {Mutant::kRootBeforeShipped, "root-before-shipped", "a root is offered before the backend has its packs", 500},
    {Mutant::kJournalSumUnchecked, "journal-sum-unchecked", "journalled pages are read without their sums", 500},
    {Mutant::kPageSumUnchecked, "page-sum-unchecked", "pages in packs are read without their sums", 500},
    {Mutant::kOneMark, "one-mark", "packs go by what was reached before they were condemned", 2000},
    {Mutant::kFindersUnawaited, "finders-unawaited", "nobody waits for who may have found a record in a condemned pack", 2000},
    {Mutant::kCondemnedFound, "condemned-found", "a write finds its block in a condemned pack", 2000},
    {Mutant::kNamesIgnored, "names-ignored", "packs go that the journal names", 2000},
    {Mutant::kCopiesUnsynced, "copies-unsynced", "a pack goes before the copies of its records are durable", 2000},
    {Mutant::kCopiesUnshipped, "copies-unshipped", "a pack goes from the backend before it has the copies of its records", 6000},
    {Mutant::kSealedUncounted, "sealed-uncounted", "the map nodes of a sealed pack are not counted", 500},
    {Mutant::kGoneForgotten, "gone-forgotten", "nothing says which packs are being taken off the backend", 2000},
    {Mutant::kGoneUnpooled, "gone-unpooled", "nothing in the pool says which packs are being taken off it", 2000, 0, Theme::kLostHosts},
    {Mutant::kGoneUnread, "gone-unread", "a new host does not hear which packs were being taken off the backend", 2000, 0, Theme::kLostHosts},
    {Mutant::kCarriedUnheld, "carried-unheld", "nobody holds what was carried to a pool so far", 2000},
    {Mutant::kSourceUnheld, "source-unheld", "nobody holds what is carried to another pool", 2000},
    {Mutant::kSplicedUnheld, "spliced-unheld", "nobody holds what was made so far of parts of others", 2000},
    {Mutant::kCarriedUndurable, "carried-undurable", "a carried root is called durable before its packs are", 2000},
    {Mutant::kFlushBeforePool, "flush-before-pool", "a flush is answered before the pool has what it covers", 200, 0, Theme::kLostHosts},
    {Mutant::kLogUnrooted, "log-unrooted", "a flush is answered out of a log over a root that does not hold what came before it", 2000, 0, Theme::kLostHosts},
    {Mutant::kMovedLogUnheld, "moved-log-unheld", "flushes of a volume on its way to another pool are answered out of the log that stays behind", 2000, 0, Theme::kLostHosts},
    {Mutant::kMovedLogUnrooted, "moved-log-unrooted", "flushes of a volume in its new pool do not wait for a root with what was written while it was held", 2000, 0, Theme::kLostHosts},
};

}  // namespace

std::span<const SownBug> SownBugs() { return kSownBugs; }

const SownBug* FindSownBug(std::string_view name) {
  const auto found = std::ranges::find_if(kSownBugs, [&](const SownBug& bug) { return name == bug.name; });
  return found == std::end(kSownBugs) ? nullptr : &*found;
}

Mutant Sow([[maybe_unused]] Mutant mutant) {
#ifdef SKERRY_MUTANTS
  return std::exchange(mutant_alive, mutant);
#else
  return Mutant::kNone;
#endif
}

}  // namespace skerry::simulation
