#pragma once
// A volume as users see it: bytes that are read, written, zeroed and flushed. What is behind it (live_volume.h) is no
// concern of the NBD server.
#include <cstdint>
#include <memory>
#include <vector>

#include "../env/env.h"
#include "../journal/record.h"

namespace skerry {

struct Extent {
  uint64_t offset, length;
  bool hole, zero;
};

struct WriteOutcome {
  Lsn end = 0;         // durable() >= end makes it durable
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
  virtual Result<WriteOutcome> Zero(uint64_t offset, uint64_t length, bool punch_hole) = 0;
  /** Fills all of `into`. may_block false: kTryAgain when a device would have to be waited for. kCorrupt, kIo: EIO. */
  virtual Status Read(uint64_t offset, Bytes into, bool may_block) = 0;
  /** Extents that cover [offset, offset + length) without gaps, ascending, at most `extents_max`; may stop early. */
  virtual Result<std::vector<Extent>> BlockStatus(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) = 0;
  /** The Lsn whose durability makes every write completed so far durable; 0 when there is nothing to wait for. */
  virtual Lsn FlushTarget() const = 0;
};

}  // namespace skerry
