#pragma once
// A whole machine in memory, for the engine to live and die on. One seed gives one world: the same calls get the same
// answers, crashes and losses. For one thread.
//
// A process crash takes every handle; files, unsynced or not, and shared memory stay. A host crash takes shared memory
// too, and of what was not synced keeps a random part: 512-byte sectors each for itself and in no order, sizes and
// names in order. What was synced is there after both.
#include "sim_machine.h"

namespace skerry {

class SimEnv : public Env {
 public:
  explicit SimEnv(uint64_t seed);
  /** A machine as that one stands, on which other things may happen. */
  SimEnv(const SimEnv& other);

  uint64_t NowNanos() override { return machine_->nanos; }
  uint64_t WallMillis() override { return machine_->wall_nanos / 1'000'000; }
  uint64_t ThreadCpuNanos() override { return machine_->nanos; }
  void Random(Bytes into) override;
  std::string BootId() override { return machine_->boot_id; }
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override;
  void ReadMany(std::span<FileRead> reads) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override;
  Result<uint64_t> FreeBytes(const std::string& path) override;
  Result<uint64_t> FileSystemOf(const std::string&) override { return uint64_t{1}; }
  Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header_bytes, size_t ring_bytes) override;
  Status RemoveShared(const std::string& name) override;

  /** Time passes: operations take some of their own accord, waiting takes what is given here. */
  void Advance(uint64_t nanos) { machine_->Advance(nanos); }

  /** Every open file and mapping is dead from here on; this Env serves the next process. Also ends `crashed()`. */
  void ProcessCrash() { machine_->EndProcess(); }
  /** `memory_stays`: see SimMachine::CrashHost. */
  void HostCrash(bool memory_stays = false) { machine_->CrashHost(memory_stays); }
  /** A host crash of which nothing is left to the dice. */
  void HostCrashBy(const SimKeeps& keeps, bool memory_stays = false) { machine_->CrashHostBy(keeps, memory_stays); }

  /**
   * The failpoint: `operations` more operations that change the disk succeed; the next is caught in flight (it may take
   * effect, in part or not at all) and answers kClosed, as does everything after it, until ProcessCrash or HostCrash.
   * Shared memory goes on as it was at that moment: what the dead code does to its mapping is not seen.
   */
  void CrashAfterOperations(uint64_t operations) { machine_->crash_at = machine_->operations + operations; }
  void DisarmCrash() { machine_->crash_at.reset(); }
  /** The process is dead already: nothing that the code claims since then counts as acknowledged. */
  bool crashed() const { return machine_->dead; }
  /** Operations so far that changed the disk: create, write, sync, allocate, truncate, rename, remove, directory sync. */
  uint64_t operations() const { return machine_->operations; }
  /** Called before each of these, with its name and path. May call ProcessCrash or HostCrash: the operation then never was. */
  void BeforeOperation(std::function<void(const char* operation, const std::string& path)> hook) {
    machine_->before_operation = std::move(hook);
  }

  // Faults, on paths that hold `part`. They wait until met; ClearFaults takes back those that were not.
  /** kIo; of the changes since the last sync a random part is durable, the rest is lost at a host crash though still read. */
  void FailDataSync(std::string part, uint64_t count = 1) { machine_->sync_faults.push_back({std::move(part), count}); }
  /** kIo, with a random beginning written. */
  void FailWrites(std::string part, uint64_t count = 1) { machine_->write_faults.push_back({std::move(part), count}); }
  void FailReads(std::string part, uint64_t count = 1) { machine_->read_faults.push_back({std::move(part), count}); }
  /** The next write succeeds, but lands at `offset` of its file. */
  void MisdirectWrite(std::string part, uint64_t offset) { machine_->misdirections.push_back({std::move(part), 1, offset}); }
  /** Puts right what the last misdirected write did; false where none did anything. Waits for none that was not met either. */
  bool HealMisdirected();
  void ClearFaults();
  /** Flips a bit (0 to 7) of a byte on the disk and in the page cache. kNotFound without such a file or byte. */
  Status FlipBit(const std::string& path, uint64_t offset, unsigned bit);
  /** Puts the bytes that stand at `from` at `to` too, as a write that went astray would have, and gives back what stood there. */
  Result<std::vector<uint8_t>> Misplace(const std::string& path, uint64_t from, uint64_t to, size_t bytes);
  /** Undoes Misplace. */
  Status Restore(const std::string& path, uint64_t to, ConstBytes bytes);
  /** The disk takes this many more bytes of new pages, then says kNoSpace. Removed and cut files give theirs back. */
  void SetFreeBytes(uint64_t bytes) { machine_->space->capacity_bytes = machine_->space->used_bytes + bytes; }
  /** How often a read that may not wait would have to. */
  void SetReadNowMissPercent(unsigned percent) { machine_->read_now_miss_percent = percent; }

  /** Of all files, sorted. */
  std::vector<std::string> Paths() const;
  /** Of the whole world: equal for equal seeds and calls. */
  uint64_t Digest() { return machine_->Digest(); }
  /** Of what a process that starts now would find. */
  uint64_t ContentDigest() { return machine_->ContentDigest(); }

 private:
  Status Refuse(Code code, const std::string& doing, const std::string& path, const std::string& why) const;

  const std::shared_ptr<SimMachine> machine_;
};

}  // namespace skerry
