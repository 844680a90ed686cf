#pragma once
// Numbers of the packs that were taken off a pool's backend, or were about to be. What the backend still lists of them is never
// believed again: its removal may be on its way, and come long after it was asked for. See docs/formats/gone_packs.md.
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "../env/env.h"

namespace skerry {

inline constexpr uint32_t kGonePacksVersion = 1;
inline constexpr uint32_t kGonePacksMagic = 0x47504b53;  // "SKPG"

struct GonePacksHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t domain;
  uint64_t range_count;
  uint64_t sum;   // XXH3 of the bytes before, then of the ranges
};
static_assert(sizeof(GonePacksHeader) == 32);

/** Both ends are gone, and all between them. Ranges ascend, and do not touch. */
struct GoneRange {
  uint32_t first;
  uint32_t last;
};
static_assert(sizeof(GoneRange) == 8);

using GoneRanges = std::map<uint32_t, uint32_t>;   // first to last

std::vector<uint8_t> EncodeGonePacks(uint64_t domain, const GoneRanges& ranges);
/** kCorrupt where it is not whole, or another pool's. */
Result<GoneRanges> DecodeGonePacks(ConstBytes bytes, uint64_t domain);

/** Thread-safe. */
class GonePacks {
 public:
  GonePacks(Env& env, std::string directory, uint64_t domain) : env_(env), path_(directory + "/gone"), domain_(domain) {}
  /** Ok where there is no list yet. After a failure it is empty. */
  Status Load();
  bool Contains(uint32_t pack) const;
  /** 0: none is gone. */
  uint32_t newest() const;
  /**
   * Writes the list with these in it; it is durable once the directory is synced. After a failure they may be in the list that
   * the next start finds, and then count as gone from here on too.
   */
  Status Add(const std::set<uint32_t>& packs);

 private:
  Status Write(const GoneRanges& ranges, const std::string& path);

  Env& env_;
  const std::string path_;
  const uint64_t domain_;
  mutable std::mutex mutex_;
  GoneRanges ranges_;
};

}  // namespace skerry
