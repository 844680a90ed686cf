// Entries of a log chunk. What is accepted is of a kind that a volume can be given again, lies within its chunk, and reads the same when
// it is written anew; change a bit of what the sum covers, and it is refused.
#define XXH_INLINE_ALL
#include "xxhash.h"

#include "../tests/golden.h"
#include "../volume/log_entry.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach accepted("an entry is accepted"), followed("an entry behind another is accepted"), refused_behind_sum("an entry is refused although its sum holds");

enum Repair : uint8_t { kSum = 1, kShape = 2 };

constexpr ResourceId kVolume = 7;

/** Makes the first entry's length fit what there is, and its sum right. */
void RepairEntry(std::vector<uint8_t>& bytes, uint8_t repairs) {
  LogEntryHeader header;
  if (!Load(ConstBytes(bytes), 0, header)) return;
  const size_t room = bytes.size() - sizeof(header);
  if ((repairs & kShape) != 0) {
    header.magic = kLogEntryMagic;
    header.payload_bytes = static_cast<uint32_t>(room == 0 ? 0 : header.payload_bytes % (room + 1)) / 8 * 8;
    if (header.type == RecordType::kWrite) header.length = header.payload_bytes;
  }
  if (header.payload_bytes <= room) {
    const uint64_t own = XXH3_64bits_withSeed(&header, sizeof(header) - sizeof(header.sum), kVolume);
    header.sum = header.payload_bytes == 0 ? own : XXH3_64bits_withSeed(bytes.data() + sizeof(header), header.payload_bytes, own);
  }
  Store(Bytes(bytes), 0, header);
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>();
  const auto flip = input.Take<uint32_t>();
  std::vector<uint8_t> bytes = Copy(input.rest());
  if (repairs != 0) RepairEntry(bytes, repairs);
  ConstBytes rest = bytes;
  for (int count = 0;; ++count) {
    const ConstBytes before = rest;
    const Result<LogEntry> entry = DecodeLogEntry(kVolume, rest);
    if (!entry.ok()) {
      HOLDS(entry.code() == Code::kCorrupt && !entry.status().detail().empty());
      HOLDS(rest.size() == before.size());
      if (count == 0 && (repairs & kSum) != 0) refused_behind_sum();
      return;
    }
    count == 0 ? accepted() : followed();
    HOLDS(rest.size() < before.size() && (before.size() - rest.size()) % 8 == 0);
    HOLDS(entry->payload.empty() || (entry->payload.data() >= before.data() && entry->payload.data() + entry->payload.size() <= rest.data()));
    std::vector<uint8_t> anew;
    EncodeLogEntry(kVolume, *entry, anew);
    HOLDS(anew.size() == before.size() - rest.size());
    ConstBytes again = anew;
    const Result<LogEntry> same = DecodeLogEntry(kVolume, again);
    HOLDS(same.ok() && same->type == entry->type && same->sequence == entry->sequence && same->offset == entry->offset && same->length == entry->length);
    const size_t covered = sizeof(LogEntryHeader) + entry->payload.size();
    anew[flip / 8 % covered] ^= static_cast<uint8_t>(1u << flip % 8);
    again = anew;
    HOLDS(DecodeLogEntry(kVolume, again).code() == Code::kCorrupt);
  }
}

void WriteSeeds(const std::string& directory) {
  const golden::Parts parts = golden::Read("log_entries_v1");
  const std::vector<uint8_t>& bytes = golden::BytesOf(parts, "entries");
  for (const uint8_t repairs : {0, 1, 3}) {
    Seed whole;
    whole.Add(repairs).Add(uint32_t{99}).AddBytes(bytes);
    whole.Write(directory, "all_" + std::to_string(repairs));
    Seed tail;
    tail.Add(repairs).Add(uint32_t{7}).AddBytes(ConstBytes(bytes).subspan(bytes.size() - 304));
    tail.Write(directory, "tail_" + std::to_string(repairs));
  }
  LogEntryHeader header{};
  header.magic = kLogEntryMagic;
  header.type = RecordType::kRef;
  Seed unknown;
  unknown.Add(uint8_t{kSum | kShape}).Add(uint32_t{3}).Add(header);
  unknown.Write(directory, "reference");
}

}  // namespace skerry::fuzz
