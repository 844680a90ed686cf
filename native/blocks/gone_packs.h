#pragma once
// Numbers of the packs that were taken off a pool's backend, or were about to be. What the backend still lists of them is never
// believed again: its removal may be on its way, and come long after it was asked for, on another host too. So the list is here and in the
// pool (gone_keeper.h). See docs/formats/gone_packs.md.
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "../env/env.h"

namespace skerry {

inline constexpr uint32_t kGonePacksVersion = 2;
inline constexpr uint32_t kGonePacksMagic = 0x47504b53;  // "SKPG"

struct GonePacksHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t domain;
  uint64_t number;        // not in version 1
  uint64_t range_count;
  uint64_t sum;           // XXH3 of the bytes before, then of the ranges
};
static_assert(sizeof(GonePacksHeader) == 40);

/** Both ends are gone, and all between them. Ranges ascend, and do not touch. */
struct GoneRange {
  uint32_t first;
  uint32_t last;
};
static_assert(sizeof(GoneRange) == 8);

using GoneRanges = std::map<uint32_t, uint32_t>;   // first to last

struct GoneList {
  /** Each list that a host has is one more than the one before, and the first is 1. 0: it has none. */
  uint64_t number = 0;
  GoneRanges ranges;
  bool operator==(const GoneList&) const = default;
};

std::vector<uint8_t> EncodeGonePacks(uint64_t domain, const GoneList& list);
/** kCorrupt where it is not whole, or another pool's. */
Result<GoneList> DecodeGonePacks(ConstBytes bytes, uint64_t domain);

/** Thread-safe. */
class GonePacks {
 public:
  GonePacks(Env& env, std::string directory, uint64_t domain) : env_(env), directory_(std::move(directory)), path_(directory_ + "/gone"), domain_(domain) {}
  /** Ok where there is no list yet. After a failure it is empty. */
  Status Load();
  bool Contains(uint32_t pack) const;
  /** It is in the list that stands. */
  bool Stands(uint32_t pack) const;
  /** 0: none is gone. */
  uint32_t newest() const;
  /** The first list of a host that has none: what the pool has from the hosts before it, as it was encoded there; empty: nothing. Durable. */
  Status Begin(ConstBytes before);
  /**
   * Writes the list with these in it; it is durable once the directory is synced, and stands once its owner says so. After a failure they may be
   * in the list that the next start finds, and then count as gone from here on too.
   */
  Status Add(const std::set<uint32_t>& packs);
  void Stand();

  struct Standing {
    uint64_t number = 0;   // 0: none does
    std::vector<uint8_t> bytes;
  };
  /** The last list that is durable here. What has that number has these bytes, in every life. */
  Standing standing() const;
  uint64_t number() const;

 private:
  Status Write(const GoneList& list);

  Env& env_;
  const std::string directory_, path_;
  const uint64_t domain_;
  mutable std::mutex mutex_;
  GoneList list_, standing_;
};

}  // namespace skerry
