#pragma once
// A node at rest: [NodeHeader][ids, 32 bytes a present slot][hints, 12 bytes a present slot]. Header and ids are the
// canonical bytes, which the node's id is the hash of; equal content has equal canonical bytes. Hints say where a slot's
// record was when the node was written; they may be stale, and never decide what a reader believes.
// See docs/formats/node.md.
#include <cstdint>

#include "tree.h"

namespace skerry {

inline constexpr uint32_t kNodeMagic = 0x444e4b53;  // "SKND"
inline constexpr uint8_t kNodeLevelMax = 5;         // six levels span 2^48 blocks, as many as the overlay can name: 16 EiB of 64 KiB

struct NodeHeader {
  uint32_t magic;
  uint8_t version;
  uint8_t level;           // 0: slots name blocks
  HashAlgorithm algorithm;
  uint8_t flags;           // 0
  uint32_t count;          // present slots, 1 to 256: an empty node is a hole in its parent
  uint32_t reserved;       // 0
  uint64_t present[4];     // bit i % 64 of word i / 64: slot i is present
};
static_assert(sizeof(NodeHeader) == 48);

struct NodeHint {
  uint32_t pack;           // 0: unknown
  uint32_t offset;         // of the record header
  uint32_t length;         // LengthWord: stored bytes, and whether the record is in frames
};
static_assert(sizeof(NodeHint) == 12);

inline constexpr size_t kNodeIdBytes = sizeof(BlockId);
inline constexpr size_t kNodeBytesMax = sizeof(NodeHeader) + kNodeSlots * (kNodeIdBytes + sizeof(NodeHint));

static_assert(NodeCanonicalBytes(kNodeBytesMax) == sizeof(NodeHeader) + kNodeSlots * kNodeIdBytes);

}  // namespace skerry
