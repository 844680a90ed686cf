#pragma once
// A volume as users see it: bytes that are read, written, zeroed and flushed. What is behind it (live_volume.h) is no
// concern of the NBD server.
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "../env/env.h"
#include "../journal/record.h"
#include "rate_limit.h"
#include "write_gate.h"

namespace skerry {

struct Extent {
  uint64_t offset, length;
  bool hole, zero;
};

/** A run that is `changed` against something older, or not; `zero`: it is changed, and reads zero now. */
struct ChangedExtent {
  uint64_t offset, length;
  bool changed, zero;
};

/** What a volume changed since something older. Thread-safe. */
class Changes {
 public:
  virtual ~Changes() = default;
  /** As Volume::BlockStatus answers, for changes. */
  virtual Result<std::vector<ChangedExtent>> Extents(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) = 0;
};

struct WriteOutcome {
  Lsn end = 0;         // durable() >= end makes it durable
};

/** What a large write has brought to the pool, and nobody sees yet. */
class StagedWrite {
 public:
  virtual ~StagedWrite() = default;
};

class Volume {
 public:
  virtual ~Volume() = default;
  virtual ResourceId id() const = 0;
  virtual uint64_t size() const = 0;
  virtual bool read_only() const = 0;
  virtual bool writethrough() const = 0;

  // Offsets and lengths are in bytes and lie inside the volume: the caller has checked. kTryAgain: no room right now
  // (ring, journal share or overlay), nothing was acknowledged; the caller retries after WhenAdmitted or a short wait.
  virtual Result<WriteOutcome> Write(uint64_t offset, ConstBytes data) = 0;
  /** True for a write that takes long enough to be staged on another thread; Write does both at once. */
  virtual bool Stages(uint64_t, uint64_t) const { return false; }
  /** Any thread, and may wait for a device. kNoSpace: the pool is full. */
  virtual Result<std::unique_ptr<StagedWrite>> Stage(uint64_t, ConstBytes) { return Status(Code::kInvalid, "this volume stages no writes"); }
  /** Makes a staged write visible: its place in the order of writes. `data` is as it was staged. */
  virtual Result<WriteOutcome> Publish(uint64_t, ConstBytes, const StagedWrite&) { return Status(Code::kInvalid, "this volume stages no writes"); }
  /** Held by staged writes from arrival to Publish. */
  WriteGate& gate() { return gate_; }
  virtual Result<WriteOutcome> Zero(uint64_t offset, uint64_t length, bool punch_hole) = 0;
  /** Fills all of `into`. may_block false: kTryAgain when a device would have to be waited for. kCorrupt, kIo: EIO. */
  virtual Status Read(uint64_t offset, Bytes into, bool may_block) = 0;
  /** Extents that cover [offset, offset + length) without gaps, ascending, at most `extents_max`; may stop early. */
  virtual Result<std::vector<Extent>> BlockStatus(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) = 0;
  /** The Lsn whose durability makes every write completed so far durable; 0 when there is nothing to wait for. */
  virtual Lsn FlushTarget() const = 0;
  /** A flush promises that the pool has what was written, too: WhenInPool. */
  virtual bool flushes_to_pool() const { return false; }
  /** Calls `done` once the pool has what was written up to `target`; kIo where that takes too long, and then a later call may do better. */
  virtual void WhenInPool(Lsn, std::function<void(Status)> done) { done(Status::Ok()); }

  RateLimit rate;

 private:
  WriteGate gate_;
};

}  // namespace skerry
