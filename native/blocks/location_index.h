#pragma once
// From the first eight bytes of an id to a place: sixteen bytes an entry, whatever the pool's size. Eight bytes are a
// fingerprint, not proof: who acts on a place compares the whole id in the record there. A cache of the footers, no truth.
#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <shared_mutex>

#include "pack.h"

namespace skerry {

/** A Location in eight bytes: pack 32 bits, offset 17 and length 14, both in units of kPackAlignBytes; between these one bit, framed. 0 is no place. */
struct PackedLocation {
  static constexpr uint64_t kFramed = 1u << 14, kLengthMask = kFramed - 1;
  uint64_t raw = 0;
  static PackedLocation Of(const Location& at) {
    return {uint64_t{at.pack} << 32 | uint64_t{at.offset / kPackAlignBytes} << 15 | (at.framed ? kFramed : 0) |
            (at.stored_bytes / kPackAlignBytes & kLengthMask)};
  }
  Location location() const {
    return {static_cast<uint32_t>(raw >> 32), static_cast<uint32_t>(raw >> 15 & 0x1ffff) * kPackAlignBytes,
            static_cast<uint32_t>(raw & kLengthMask) * kPackAlignBytes, framed()};
  }
  uint32_t pack() const { return static_cast<uint32_t>(raw >> 32); }
  bool framed() const { return (raw & kFramed) != 0; }
};
static_assert(kPackBytes / kPackAlignBytes <= 1u << 17);

/** Thread-safe. */
class LocationIndex {
 public:
  struct Entry {
    uint64_t fingerprint = 0;
    PackedLocation at;
  };
  static_assert(sizeof(Entry) == 16);
  static constexpr size_t kShards = 16;

  std::optional<Location> Find(uint64_t fingerprint) const;
  /** False where the fingerprint is known: its first place stays. */
  bool Insert(uint64_t fingerprint, const Location& at);
  /** The place of this fingerprint is `at` from now on, known before or not. */
  void Replace(uint64_t fingerprint, const Location& at);
  /** Forgets all places in `pack` at or after `offset`. Walks the whole index: for failures only. */
  void Drop(uint32_t pack, uint32_t offset);
  /** Forgets all places in these packs. */
  void Drop(const std::set<uint32_t>& packs);
  void Clear();
  /** A copy of one shard's entries, in no order. */
  std::vector<Entry> ShardEntries(size_t shard) const;

  size_t count() const;
  size_t bytes() const;
  /** Of the records that it knows. */
  struct Totals {
    uint64_t stored_bytes = 0, framed_records = 0, framed_bytes = 0;
  };
  Totals totals() const;

 private:
  struct Shard {
    mutable std::shared_mutex mutex;
    std::vector<Entry> slots;
    size_t used = 0;
    Totals totals;
    void Set(Entry& entry, const Entry& to);
  };
  Shard& ShardOf(uint64_t fingerprint) { return shards_[fingerprint % kShards]; }
  const Shard& ShardOf(uint64_t fingerprint) const { return shards_[fingerprint % kShards]; }
  /** The slot that holds the fingerprint, or the empty one where it belongs. The shard has slots. */
  static size_t SlotOf(const std::vector<Entry>& slots, uint64_t fingerprint);
  static void Rehash(Shard& shard, size_t slot_count);
  void DropIf(const std::function<bool(const PackedLocation&)>& gone);

  std::array<Shard, kShards> shards_;
};

}  // namespace skerry
