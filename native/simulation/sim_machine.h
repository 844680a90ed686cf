#pragma once
// What a simulated process stands on: the disk, memory that outlives processes, dice, time, and the faults that were asked
// for. Open files share it, so that they are safe to use (they say "crashed") and to destroy after the process died.
#include <functional>
#include <optional>

#include "../env/ring_mapping.h"
#include "sim_names.h"

namespace skerry {

/** The next `count` operations on a path that holds `part` meet the fault. */
struct SimFault {
  std::string part;
  uint64_t count = 1;
  uint64_t redirect = 0;  // of misdirected writes: the offset they go to
};

/** A write that went astray: what was to stand at `offset`, and what it went over. */
struct SimStray {
  std::string path;
  uint64_t offset = 0;
  std::vector<uint8_t> data;
  uint64_t redirect = 0;
  std::vector<uint8_t> stood;
};

class SimMachine {
 public:
  explicit SimMachine(uint64_t seed);
  /** As that one stands, apart from it: what becomes of one is not seen on the other. Failpoint, hook and open files stay behind. */
  SimMachine(const SimMachine& other);
  SimMachine& operator=(const SimMachine&) = delete;

  enum class Admission : uint8_t {
    kGo,
    kDying,  // the failpoint: the operation is in flight, it may take effect or not, nobody is told
    kDead,
  };
  /** Every operation that changes the disk passes here, and is counted. `process` is the caller's incarnation. */
  Admission Admit(uint64_t process, const char* operation, const std::string& path);
  /** Of an operation that happens whole or not at all: an operation in flight at death does so by the dice. */
  bool TakesEffect(Admission admission) {
    return admission == Admission::kGo || (admission == Admission::kDying && dice.Chance(1, 2));
  }
  /** Reads are not counted, but a dead process reads nothing either. */
  bool Alive(uint64_t process) const { return !dead && process == this->process; }
  static Status Crashed() { return {Code::kClosed, "crashed"}; }

  /** Takes one use of the first fault of the list that fits. */
  static std::optional<SimFault> Take(std::vector<SimFault>& faults, const std::string& path);

  void Advance(uint64_t nanos);
  void Die();
  void EndProcess();
  /** `memory_stays`: shared memory comes back as it was, as where its files lie on a disk; whose boot it is of is written in it. */
  void CrashHost(bool memory_stays);
  /** The same, with every choice asked for instead of drawn. */
  void CrashHostBy(const SimKeeps& keeps, bool memory_stays);
  /** Of what a process would find: files and shared memory, not clocks and dice. */
  uint64_t ContentDigest();
  uint64_t Digest();

  struct Region {
    size_t header_bytes = 0, ring_bytes = 0;
    std::shared_ptr<RingMapping> mapping;
  };
  std::map<std::string, Region> regions;
  const std::shared_ptr<SimSpace> space;
  SimNames names;

  SimRandom dice;          // crashes, faults
  SimRandom read_dice;     // apart, so that one more cached read does not change which sectors a crash keeps
  SimRandom entropy;       // what the engine gets as random bytes
  std::string boot_id;
  uint64_t nanos = 0;      // since boot
  uint64_t wall_nanos = 0;

  uint64_t process = 1;
  bool dead = false;
  uint64_t operations = 0;
  std::optional<uint64_t> crash_at;
  std::function<void(const char* operation, const std::string& path)> before_operation;

  std::vector<SimFault> sync_faults, write_faults, read_faults, misdirections;
  std::optional<SimStray> stray;   // the last one, until it is put right
  unsigned read_now_miss_percent = 25;

 private:
  std::string NewBootId();
  void DetachRegions();
  static std::shared_ptr<RingMapping> CopyOf(const std::string& name, const Region& region);
  void Reboot();
};

}  // namespace skerry
