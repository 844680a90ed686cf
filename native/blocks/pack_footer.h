#pragma once
// The head and the end of a pack file. The footer is the truth of what a sealed pack holds; the trailer is the file's last
// bytes, so that a reader finds it by the file's size alone. See docs/formats/pack.md.
#include <cstring>

#include "pack.h"

namespace skerry {

/** First in the file; records begin at kPackAlignBytes. Informs tools: what is trusted stands in each record. */
struct PackFileHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t pack;
  uint64_t domain;
  uint64_t created_millis;   // since 1970
  uint32_t key_id;
  uint32_t align_bytes;
  uint64_t reserved[10];
  uint64_t sum;              // XXH3 of the bytes before, seeded with the pack number
};
static_assert(sizeof(PackFileHeader) == 128 && sizeof(PackFileHeader) <= kPackAlignBytes);

/** Places of records besides those of the index that are remembered: as many as a collection leaves that is killed, and a few megabytes. */
inline constexpr size_t kOtherPlacesMax = 65536;

/** A page of the record failed its sum when the footer was written: torn by a crash, rotten, or lost before. The others can be read. */
inline constexpr uint8_t kEntryDamaged = 1;
inline constexpr uint8_t kEntryEncrypted = 2;

struct PackFooterEntry {
  uint8_t id[32];
  uint32_t offset;
  uint32_t stored_bytes;
  uint32_t raw_bytes;
  RecordKind kind;
  Codec codec;
  HashAlgorithm algorithm;
  uint8_t flags;
};
static_assert(sizeof(PackFooterEntry) == 48);

inline BlockId IdOf(const PackFooterEntry& entry) {
  BlockId id;
  std::memcpy(id.bytes.data(), entry.id, id.bytes.size());
  return id;
}

inline Location PlaceOf(uint32_t pack, const PackFooterEntry& entry) {
  return {pack, entry.offset, entry.stored_bytes, IsInFrames(entry.kind, entry.codec, (entry.flags & kEntryEncrypted) != 0)};
}

struct PackFooterTrailer {
  uint32_t magic;
  uint32_t version;
  uint64_t count;            // of entries
  uint64_t bytes;            // of entries, which end where the trailer begins
  uint64_t pack;
  uint64_t domain;
  uint64_t reserved[2];
  uint64_t sum;              // XXH3 of entries and trailer before this, seeded with the pack number
};
static_assert(sizeof(PackFooterTrailer) == 64);

inline uint64_t FooterBytes(uint64_t entries) { return entries * sizeof(PackFooterEntry) + sizeof(PackFooterTrailer); }

std::vector<uint8_t> EncodeFileHeader(uint32_t pack, uint64_t domain, uint32_t key_id, uint64_t created_millis);
bool FileHeaderHolds(ConstBytes sector, uint32_t pack);
std::vector<uint8_t> EncodeFooter(uint32_t pack, uint64_t domain, const std::vector<PackFooterEntry>& entries);
/** The entries of a footer that follows `records_end` bytes of pack. kCorrupt when it is damaged in any way. */
Result<std::vector<PackFooterEntry>> DecodeFooter(ConstBytes footer, uint32_t pack, uint64_t records_end);
/** Length of the footer whose trailer ends `end`, the last bytes of a pack. kCorrupt where no valid trailer stands there. */
Result<uint64_t> FooterBytesAt(ConstBytes end, uint32_t pack);
/** The entries of a sealed pack. kCorrupt when the footer is damaged in any way; kIo when it cannot be read. */
Result<std::vector<PackFooterEntry>> ReadFooter(File& file, uint32_t pack);

}  // namespace skerry
