#pragma once
// The location index on local disk, so that a start need not read every footer. A cache: when it is absent, damaged or of
// another time, footers say the same. It also keeps the next pack number. See docs/formats/index_checkpoint.md.
#include <map>

#include "location_index.h"

namespace skerry {

inline constexpr uint32_t kCheckpointVersion = 1;
inline constexpr uint32_t kCheckpointMagic = 0x58504b53;  // "SKPX"

struct CheckpointHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t domain;
  uint64_t next_pack;        // no number at or above it was given out when this was written
  uint64_t pack_count;
  uint64_t reserved[3];
  uint64_t sum;              // XXH3 of the bytes before
};
static_assert(sizeof(CheckpointHeader) == 64);

struct CheckpointPack {
  uint32_t pack;
  uint32_t file_bytes;
  uint32_t blocks;
  uint32_t nodes;
};
static_assert(sizeof(CheckpointPack) == 16);

struct CheckpointTrailer {
  uint64_t entry_count;      // entries are LocationIndex::Entry, as in memory
  uint64_t sum;              // XXH3 of all the file's bytes before
};
static_assert(sizeof(CheckpointTrailer) == 16);

/** A sealed pack, as its footer or the checkpoint says. */
struct SealedPack {
  uint64_t file_bytes = 0;
  uint32_t blocks = 0;
  uint32_t nodes = 0;
  bool damaged = false;      // some of its records have pages that fail: only its footer says which
};
using SealedPacks = std::map<uint32_t, SealedPack>;

struct CheckpointContent {
  uint64_t next_pack = 1;
  SealedPacks packs;         // those whose entries are now in the index
};

/** Whether a pack that the checkpoint covers, of this many bytes, is still there. */
using PackIsThere = std::function<bool(uint32_t pack, uint64_t file_bytes)>;

/**
 * Reads the checkpoint into `index`, which is empty: entries of packs that are there. kNotFound when there is none; kCorrupt
 * when it is not whole, and the index is empty again.
 */
Result<CheckpointContent> LoadCheckpoint(Env& env, const std::string& path, uint64_t domain, const PackIsThere& there,
                                         LocationIndex& index);

/** Writes it beside `path`, durably, then puts it in its place. Entries of packs that `content` does not name are left out. */
Status SaveCheckpoint(Env& env, const std::string& path, uint64_t domain, const CheckpointContent& content,
                      const LocationIndex& index);

}  // namespace skerry
