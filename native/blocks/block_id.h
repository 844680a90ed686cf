#pragma once
// Identity of blocks and nodes. page hash = HMAC-SHA-256(domain key, page); block id = HMAC-SHA-256(domain key, its page
// hashes). A node's id = HMAC-SHA-256(domain key, "node" || its canonical bytes). The id of the all-zero block is never
// stored: a zero block is an absent slot.
//
// A pool has its own domain, whose key is the pool's, and those of accounts, whose keys are made of it: key of domain d =
// HMAC-SHA-256(pool's key, "domain" || d in 8 bytes). Blocks are of a domain, nodes are the pool's.
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include "../env/env.h"
#include "sha256_lanes.h"

namespace skerry {

struct BlockId {
  std::array<uint8_t, 32> bytes{};
  bool operator==(const BlockId&) const = default;
  auto operator<=>(const BlockId&) const = default;
  bool empty() const { return *this == BlockId{}; }
  /** The first eight bytes: seed of sums, key of hash tables. */
  uint64_t prefix() const { uint64_t v; std::memcpy(&v, bytes.data(), 8); return v; }
};

struct BlockIdHash {
  size_t operator()(const BlockId& id) const { return id.prefix(); }
};

/** How pages are hashed: in lanes where the processor can, or one after another by OpenSSL everywhere. Ids are the same. */
enum class PageHashing : uint8_t { kFastest, kPortable };

/** A domain's hashing key with its midstates computed once. Copyable, thread-safe to use. */
class DomainKey {
 public:
  explicit DomainKey(ConstBytes key32);
  /** HMAC-SHA-256(key, data). */
  BlockId Mac(ConstBytes data) const;
  /** `block`: whole pages, at least one. Tests force the portable hashing. */
  BlockId BlockIdOf(ConstBytes block, PageHashing hashing = PageHashing::kFastest) const;
  BlockId NodeIdOf(ConstBytes canonical) const;
  /** Of a pool's key: that of `domain` in the pool whose own domain is `own`. 0: its own too. Costs as much as hashing 256 bytes. */
  DomainKey ForDomain(uint64_t domain, uint64_t own) const;

 private:
  /** HMACs of the first whole pages of `pages`, one to each of `macs`. False, and nothing done: see CompressLanes. */
  bool MacWholePages(ConstBytes pages, std::span<BlockId> macs) const;

  Sha256State inner_{};
  Sha256State outer_{};
};

/** Of a node at rest: how many of its bytes its id is the hash of (docs/formats/node.md). 0 for what is as long as no node. */
constexpr size_t NodeCanonicalBytes(size_t node_bytes) {
  constexpr size_t kHeader = 48, kId = 32, kHint = 12;
  if (node_bytes <= kHeader || (node_bytes - kHeader) % (kId + kHint) != 0) return 0;
  return kHeader + (node_bytes - kHeader) / (kId + kHint) * kId;
}

bool IsZero(ConstBytes bytes);

}  // namespace skerry
