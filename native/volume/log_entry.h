#pragma once
// What a log chunk holds of a volume's journal: its records one after the other, each with all of its bytes, for who reads them has no
// journal and maybe no pack of this host (docs/formats/log_chunk.md).
//
// Entry:  [LogEntryHeader 48] [payload] zero padding to 8 bytes
#include <cstdint>
#include <vector>

#include "../env/env.h"
#include "../journal/record.h"

namespace skerry {

inline constexpr uint32_t kLogEntryMagic = 0x454c4b53;  // "SKLE"
inline constexpr uint32_t kLogPayloadBytesMax = 1 << 20;

struct LogEntryHeader {
  uint32_t magic;
  RecordType type;
  uint8_t reserved[3];
  uint64_t sequence;       // of the volume; each entry's is one more than that of the one before
  uint64_t offset;         // as of RecordHeader
  uint64_t length;
  uint32_t payload_bytes;
  uint32_t reserved2;
  uint64_t sum;            // XXH3 of the header's bytes before this one and of the payload, seeded with the volume's id
};
static_assert(sizeof(LogEntryHeader) == 48);

struct LogEntry {
  RecordType type{};
  uint64_t sequence = 0, offset = 0, length = 0;
  ConstBytes payload{};
};

void EncodeLogEntry(ResourceId volume, const LogEntry& entry, std::vector<uint8_t>& into);
/** The first entry of `rest`, which becomes what is behind it. kCorrupt where none of this volume stands there. */
Result<LogEntry> DecodeLogEntry(ResourceId volume, ConstBytes& rest);

}  // namespace skerry
