#pragma once
// A file of the simulated disk: what is durable, what readers see, and the changes between the two in order. A write is
// held as whole 512-byte sectors, each as it was after that write: so a sector that survives is one that really stood there.
#include <functional>
#include <memory>
#include <unordered_set>
#include <vector>

#include "sim_image.h"
#include "sim_random.h"

namespace skerry {

inline constexpr size_t kSimTearBytes = 512;  // what a device writes whole or not at all

/** The simulated disk's room. Shared by its files. */
struct SimSpace {
  uint64_t capacity_bytes = 1ull << 50;
  uint64_t used_bytes = 0;
  uint64_t free() const { return capacity_bytes > used_bytes ? capacity_bytes - used_bytes : 0; }
};

/** Asked for each thing that a crash may keep or lose, in an order that depends on nothing but the answers before. */
using SimKeeps = std::function<bool()>;

/** How a host crash treats a file's changes that were never synced. */
enum class SimSurvival : uint8_t { kAny /* the dice choose */, kAll, kNone };

class SimInode {
 public:
  explicit SimInode(std::shared_ptr<SimSpace> space) : space_(std::move(space)) {}
  ~SimInode();
  SimInode(const SimInode&) = delete;
  SimInode& operator=(const SimInode&) = delete;

  const SimImage& current() const { return current_; }
  bool unsynced() const { return !changes_.empty(); }

  /** Claims room for [offset, offset + bytes); returns how many leading bytes of it have room now. */
  uint64_t Claim(uint64_t offset, uint64_t bytes);
  /** Claims room for all of [0, bytes) or nothing. */
  bool Reserve(uint64_t bytes);

  /** The last name is gone: its room is free for others, unless a crash brings the name back. */
  void Unlink();

  void Write(ConstBytes data, uint64_t offset);
  void Resize(uint64_t bytes);
  void Sync();
  /** A sync that failed: some of the changes are on the device, none will ever be written again, readers still see them all. */
  void FailSync(SimRandom& random);
  void Crash(SimSurvival survival, SimRandom& random);
  /** The same with every choice asked for: sizes in order, each sector that would differ for itself. */
  void CrashBy(const SimKeeps& keeps);
  /** As it stands, apart from this one. */
  std::shared_ptr<SimInode> Copy(std::shared_ptr<SimSpace> space) const;
  void Flip(uint64_t offset, unsigned bit);
  /** Of a file at rest: these bytes stand there, on the device and for readers, and nobody was told. */
  void Replace(ConstBytes data, uint64_t offset);
  uint64_t Digest() const;

 private:
  struct Change {
    bool resize = false;
    uint64_t offset = 0;         // of a write: a multiple of a sector
    uint64_t bytes = 0;          // of a write, in whole sectors; of a resize, the new size
    std::vector<uint8_t> data{}; // empty for zeroes
  };
  void ApplyAll();
  void ApplySome(SimRandom& random);
  void Apply(const Change& change, uint64_t at, uint64_t bytes);
  bool Stands(const Change& change, uint64_t at) const;
  void Settle();
  void ReleaseFrom(uint64_t bytes);
  void Count(bool counted);

  const std::shared_ptr<SimSpace> space_;
  std::unordered_set<uint64_t> pages_claimed_;
  bool counted_ = true;  // pages_claimed_ are in space_->used_bytes
  SimImage durable_;
  SimImage current_;
  std::vector<Change> changes_;
};

}  // namespace skerry
