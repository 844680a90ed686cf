#include "log_entry.h"

#include <cstring>
#include <string>

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace skerry {
namespace {

constexpr size_t kAlignBytes = 8;

constexpr size_t Padded(size_t bytes) { return (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes; }

uint64_t SumOf(ResourceId volume, const LogEntryHeader& header, ConstBytes payload) {
  const uint64_t own = XXH3_64bits_withSeed(&header, sizeof(header) - sizeof(header.sum), volume);
  return payload.empty() ? own : XXH3_64bits_withSeed(payload.data(), payload.size(), own);
}

/** What is journalled for a volume of its own accord. Names of packs are not: a write travels with its bytes. */
bool Travels(const LogEntryHeader& header) {
  switch (header.type) {
    case RecordType::kWrite: return header.payload_bytes == header.length && header.length > 0;
    case RecordType::kRollback: return header.payload_bytes == sizeof(RollbackPlace);
    case RecordType::kZero:
    case RecordType::kTrim:
    case RecordType::kBarrier:
    case RecordType::kResize: return header.payload_bytes == 0;
    default: return false;
  }
}

}  // namespace

void EncodeLogEntry(ResourceId volume, const LogEntry& entry, std::vector<uint8_t>& into) {
  LogEntryHeader header{};
  header.magic = kLogEntryMagic;
  header.type = entry.type;
  header.sequence = entry.sequence;
  header.offset = entry.offset;
  header.length = entry.length;
  header.payload_bytes = static_cast<uint32_t>(entry.payload.size());
  header.sum = SumOf(volume, header, entry.payload);
  const size_t at = into.size();
  into.resize(at + Padded(sizeof(header) + entry.payload.size()));
  std::memcpy(into.data() + at, &header, sizeof(header));
  if (!entry.payload.empty()) std::memcpy(into.data() + at + sizeof(header), entry.payload.data(), entry.payload.size());
}

Result<LogEntry> DecodeLogEntry(ResourceId volume, ConstBytes& rest) {
  const auto refuse = [volume](const char* why) {
    return Status(Code::kCorrupt, "a log chunk of volume " + std::to_string(volume) + " cannot be read: " + why);
  };
  LogEntryHeader header;
  if (rest.size() < sizeof(header)) return refuse("it ends within an entry");
  std::memcpy(&header, rest.data(), sizeof(header));
  if (header.magic != kLogEntryMagic) return refuse("an entry does not begin as one");
  if (header.payload_bytes > kLogPayloadBytesMax || Padded(sizeof(header) + header.payload_bytes) > rest.size()) return refuse("it ends within an entry");
  const ConstBytes payload = rest.subspan(sizeof(header), header.payload_bytes);
  if (header.sum != SumOf(volume, header, payload)) return refuse("the sum of an entry does not match");
  if (!Travels(header)) return refuse("an entry is of a kind that this version does not know");
  rest = rest.subspan(Padded(sizeof(header) + header.payload_bytes));
  return LogEntry{header.type, header.sequence, header.offset, header.length, payload};
}

}  // namespace skerry
