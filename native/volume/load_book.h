#pragma once
// What all volumes hold that no committed root does, summed up and in order. A volume announces a change before it makes
// it; only those that did are asked again, so that a look costs what changed and not how many volumes there are.
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../journal/record.h"

namespace skerry {

using ResourceId = uint64_t;

/** What one volume holds. */
struct VolumeLoad {
  bool active = false;             // the active generation holds something
  uint64_t active_overlay_bytes = 0, overlay_bytes = 0, overlay_pages = 0, journal_bytes = 0, ranges = 0;
  uint64_t blocks_bound = 0;       // at most this many blocks must still be written when it is destaged
  Lsn first_lsn = ~0ull;           // of all that is not in a committed root
  Lsn last_end = 0;                // of its last record
  size_t frozen = 0;
  bool empty() const { return !active && frozen == 0 && first_lsn == ~0ull; }
  bool operator==(const VolumeLoad&) const = default;
};

/** Ids of volumes that have changed, or are about to, since they were last taken. Its lock is taken last of all. */
class ChangedVolumes {
 public:
  void Add(ResourceId id) {
    std::lock_guard lock(mutex_);
    ids_.push_back(id);
  }
  std::vector<ResourceId> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(ids_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<ResourceId> ids_;
};

struct Pool;

/** What the volumes of one pool hold together. */
struct PoolLoad {
  uint64_t blocks_bound = 0;
  size_t holders = 0;              // volumes that hold anything
  std::set<ResourceId> frozen;     // volumes with frozen generations
};

/** Not thread-safe: the store's lock guards it. */
class LoadBook {
 public:
  /** `now` in nanoseconds: a volume rests from the time of its last record on. `pool`: that it is in by now. */
  void Set(ResourceId id, const VolumeLoad& load, uint64_t now, const Pool* pool);
  void Forget(ResourceId id);

  uint64_t journal_bytes() const { return journal_bytes_; }
  uint64_t overlay_bytes() const { return overlay_bytes_; }
  uint64_t overlay_pages() const { return overlay_pages_; }
  uint64_t generations() const { return generations_; }
  /** Volumes that hold anything. */
  size_t holders() const { return loads_.size(); }
  /** The first record that any volume still needs; ~0 where none does. */
  Lsn lowest() const { return by_first_lsn_.empty() ? ~0ull : by_first_lsn_.begin()->first; }
  const PoolLoad& In(const Pool* pool) const;
  /** Volumes with something in their active generation. */
  std::vector<ResourceId> Active() const;
  /** Of those that `wanted` says yes to. */
  std::optional<ResourceId> OldestActive(const std::function<bool(ResourceId)>& wanted) const;
  std::optional<ResourceId> LargestActive(const std::function<bool(ResourceId)>& wanted) const;
  /** Volumes with something in their active generation that had their last record before `before`. */
  std::vector<ResourceId> RestingSince(uint64_t before) const;
  /** What is on record of a volume; nothing for one that holds nothing. */
  VolumeLoad Of(ResourceId id) const;

 private:
  struct Line {
    VolumeLoad load;
    uint64_t quiet_since = 0;
    const Pool* pool = nullptr;
  };
  using Order = std::set<std::pair<uint64_t, ResourceId>>;
  void Enter(ResourceId id, const Line& line);
  void Leave(ResourceId id, const Line& line);

  std::unordered_map<ResourceId, Line> loads_;   // of those that hold anything
  Order by_first_lsn_, active_by_lsn_, active_by_bytes_, active_by_rest_;
  std::unordered_map<const Pool*, PoolLoad> pools_;   // of those whose volumes hold anything
  uint64_t journal_bytes_ = 0, overlay_bytes_ = 0, overlay_pages_ = 0, generations_ = 0;
};

}  // namespace skerry
