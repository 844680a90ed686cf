#pragma once
// Bugs sown on purpose, for the simulator to catch: a check that catches none is no check. Each stands where the right code
// stands, behind IsMutant. Only a build with SKERRY_MUTANTS has any; everywhere else IsMutant is constant false and nothing
// of them is left in the program. What each is called and how soon it must be caught: native/simulation/mutants.cc.
#include <cstdint>

namespace skerry {

enum class Mutant : uint8_t {
  kNone,
  // The journal.
  kJournalSyncSkipped,       // a flush waits for no device
  kSealUnsynced,             // a segment's index vouches for records that are not durable
  kSegmentHeaderUnsynced,    // batches may be durable under the header of what the slot held before
  kMarkAhead,                // batches call durable what is only written
  kEpochReused,              // recovery goes on in the epoch of the life before
  kDeadEpochReplayed,        // what lies beyond the end of the log is replayed
  kTornBatchReplayed,        // a batch above every mark is replayed although a payload in it fails its sum
  kForeignRing,              // the ring of another boot is believed
  kRingNotRewritten,         // what only the ring held is not moved to segments before the ring is used again
  kVacatedUndurable,         // a segment goes before the copies of its records are durable
  kFailedSyncForgotten,      // a sync that failed counts as one that succeeded
  kEndUnsynced,              // the log's end is marked though what stands before it was not synced
  kEndForgotten,             // the mark of a log's end counts although a later epoch was begun
  // Volumes and the overlay.
  kPublishedUnappended,      // zeroes show before they have a place in the journal
  kBarrierSkipped,           // a snapshot leaves no record
  kCloneReadsNewer,          // a clone of a pending snapshot reads what was written since
  kDropUnawaited,            // a deleted volume's records go before the word of its deletion is durable
  kTrimmedEarly,             // the journal forgets what was destaged before its root is committed
  // Destage and roots.
  kCutIgnored,               // whole blocks that were trimmed stay in the map
  kEdgeIgnored,              // the ends of a range of zeroes, within a block, are left as they were
  kOldLineageCommits,        // a root from before a rollback is taken
  // From pool to pool.
  kHeldNamesPacks,           // a large write to a volume that is held names packs
  kHeldDestaged,             // generations of a volume that is held close, and become roots
  kExpectedUnmarked,         // the root that a volume is about to rest on is not kept in its pool
  // Packs and pools.
  kRefBeforeBytes,           // a flush covers references, not the bytes that they name
  kRootBeforePacks,          // a root is offered before its packs are durable
  kRootBeforeShipped,        // a root is offered before the backend has its packs
  kJournalSumUnchecked,      // journalled pages are read without their sums
  kPageSumUnchecked,         // pages in packs are read without their sums
  // Collecting.
  kOneMark,                  // packs go by what was reached before they were condemned
  kFindersUnawaited,         // nobody waits for those who may have found a record in a condemned pack
  kCondemnedFound,           // a write finds its block in a condemned pack
  kNamesIgnored,             // packs go that the journal names
  kCopiesUnsynced,           // a pack goes before the copies of its records are durable
  kCopiesUnshipped,          // a pack goes from the backend before it has the copies of its records
  kSealedUncounted,          // the map nodes of a sealed pack are not counted
  kGoneForgotten,            // nothing says which packs are being taken off the backend
  kGoneUnpooled,             // nothing in the pool does
  kGoneUnread,               // a new host takes nothing over of what the pool has of that
  // Carrying from pool to pool.
  kCarriedUnheld,            // nobody holds what was carried so far
  kSourceUnheld,             // nor what is carried
  kCarriedUndurable,         // a carried root is called durable before its packs are
  kSplicedUnheld,            // nobody holds what was spliced so far
  kFlushBeforePool,          // a flush is answered before the pool has what it covers
  kLogUnrooted,              // nor does it wait for a root with what came before the log
  kMovedLogUnheld,           // flushes are answered while the volume is held, out of the log in the pool that it leaves
  kMovedLogUnrooted,         // in its new pool they do not wait for a root with what was written while it was held
};

#ifdef SKERRY_MUTANTS
/** The one that lives: set before a world begins, by a program that runs one world at a time. */
inline Mutant mutant_alive = Mutant::kNone;
inline bool IsMutant(Mutant mutant) { return mutant == mutant_alive; }
#else
constexpr bool IsMutant(Mutant) { return false; }
#endif

}  // namespace skerry
