#pragma once
// Places where the process may be told to die, for tests of what a crash there leaves. SKERRY_FAILPOINT=NAME:N kills the daemon when it
// comes to NAME for the Nth time. They are compiled in always: one relaxed load where nothing is armed, and only at places that are
// passed seldom, never by each request. Some are passed by TypeScript (src/engine/failpoints.ts). The process is one, and so is this.
#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "status.h"

namespace skerry {

enum class Failpoint : uint8_t {
  kNone,
  kJournalSealing,           // a segment is full and durable, and has no index yet
  kJournalRecycled,          // a segment may be written over again, and nothing on disk says so
  kPackFooterWritten,        // a full pack has its footer, and neither is durable
  kPackSynced,               // a full pack is durable under the name of an open one
  kPackSealed,               // it has its new name, which may not be durable
  kCheckpointWritten,        // the index checkpoint is durable under another name
  kRootChunkPut,             // a root is in the pool and not in the catalog
  kRootCommitted,            // a root is in the catalog, and the journal is not trimmed
  kGcListed,                 // condemned packs are on the list of what is gone, and still on the backend
  kGoneKept,                 // that list is in the pool, and nothing on it was asked to be removed
  kGcRemoving,               // what condemned packs held is elsewhere, and they are still there
  kGcRemovedOne,             // one of them is gone
  kSnapshotBarrierDurable,   // the journal has a snapshot's barrier, and the snapshot no name
  kRollbackRecorded,         // the journal has a rollback, and the catalog the root from before it
  kLogChunkPut,              // a log chunk is in the pool, and no flush was answered for it
  kLogRestored,              // a volume's log is in the new journal, and the catalog says another one
  kLogBegun,                 // the catalog has a volume's next log, and the engine has not begun it
  kMoveStep,                 // a part of what moves is in the new pool, and the catalog says so
  kMoveCarried,              // all of it is, and its destage is held
  kMoveRootsPut,             // the new pool has its root chunks, too
  kMoveCommitted,            // the catalog says that it is in the new pool, and the engine has it in the old one
  kMoveLogKnown,             // the catalog knows where the log of what moved goes on, and its pool does not
  kReplicaStep,              // a part of a replica is in its pool, and the catalog says so
};

struct FailpointName {
  Failpoint point;
  std::string_view name;
};

inline constexpr std::array kFailpointNames = {
    FailpointName{Failpoint::kJournalSealing, "journal-sealing"},
    FailpointName{Failpoint::kJournalRecycled, "journal-recycled"},
    FailpointName{Failpoint::kPackFooterWritten, "pack-footer-written"},
    FailpointName{Failpoint::kPackSynced, "pack-synced"},
    FailpointName{Failpoint::kPackSealed, "pack-sealed"},
    FailpointName{Failpoint::kCheckpointWritten, "checkpoint-written"},
    FailpointName{Failpoint::kRootChunkPut, "root-chunk-put"},
    FailpointName{Failpoint::kRootCommitted, "root-committed"},
    FailpointName{Failpoint::kGcListed, "gc-listed"},
    FailpointName{Failpoint::kGoneKept, "gone-kept"},
    FailpointName{Failpoint::kGcRemoving, "gc-removing"},
    FailpointName{Failpoint::kGcRemovedOne, "gc-removed-one"},
    FailpointName{Failpoint::kSnapshotBarrierDurable, "snapshot-barrier-durable"},
    FailpointName{Failpoint::kRollbackRecorded, "rollback-recorded"},
    FailpointName{Failpoint::kLogChunkPut, "log-chunk-put"},
    FailpointName{Failpoint::kLogRestored, "log-restored"},
    FailpointName{Failpoint::kLogBegun, "log-begun"},
    FailpointName{Failpoint::kMoveStep, "move-step"},
    FailpointName{Failpoint::kMoveCarried, "move-carried"},
    FailpointName{Failpoint::kMoveRootsPut, "move-roots-put"},
    FailpointName{Failpoint::kMoveCommitted, "move-committed"},
    FailpointName{Failpoint::kMoveLogKnown, "move-log-known"},
    FailpointName{Failpoint::kReplicaStep, "replica-step"},
};

/** "NAME:N", N from 1 to 999999. kInvalid, with all names, where it is none. */
Status ArmFailpoint(std::string_view text);
/** kNone where there is none of that name. */
Failpoint FailpointOf(std::string_view name);

inline std::atomic<Failpoint> failpoint_armed{Failpoint::kNone};
/** Counts, and kills the process when the count is full. */
void PassArmed();

/** The process is at this place. It may not come back. */
inline void Pass(Failpoint point) {
  if (failpoint_armed.load(std::memory_order_relaxed) == point) [[unlikely]] PassArmed();
}

}  // namespace skerry
