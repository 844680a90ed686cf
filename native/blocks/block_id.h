#pragma once
// Identity of blocks and nodes. page hash = HMAC-SHA-256(domain key, page); block id = HMAC-SHA-256(domain key, its page
// hashes). A node's id = HMAC-SHA-256(domain key, "node" || its canonical bytes). The id of the all-zero block is never
// stored: a zero block is an absent slot.
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

#include "../env/env.h"

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

/** A domain's hashing key with its midstates computed once. Copyable, thread-safe to use. */
class DomainKey {
 public:
  explicit DomainKey(ConstBytes key32);
  /** HMAC-SHA-256(key, data). */
  BlockId Mac(ConstBytes data) const;
  /** `block`: whole pages, at least one. */
  BlockId BlockIdOf(ConstBytes block) const;
  BlockId NodeIdOf(ConstBytes canonical) const;

 private:
  std::array<uint32_t, 8> inner_{};
  std::array<uint32_t, 8> outer_{};
};

bool IsZero(ConstBytes bytes);

}  // namespace skerry
