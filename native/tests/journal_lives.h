#pragma once
// One process after another over one journal, and what the latest of them found there: what tests of the journal share.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "../journal/journal.h"
#include "check.h"

namespace skerry {

inline constexpr uint64_t kSegmentBytes = 32 * kSectorBytes;
inline constexpr ResourceId kVolume = 7;

inline const JournalOptions kSimulated{"/d/journal", "ring", 2 * kSegmentBytes, kSegmentBytes, 16 << 20, false};

struct Kept {
  RecordHeader header;
  Lsn record = 0, payload = 0;
  bool below_durable = false;
  std::vector<uint64_t> sums;
  std::vector<uint8_t> ref;   // of a kRef: the payload that was delivered
};

inline std::vector<uint8_t> Pattern(ResourceId resource, uint64_t sequence, size_t bytes) {
  std::vector<uint8_t> data(bytes);
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<uint8_t>(resource * 3 + sequence * 31 + i * 7 + i / 251);
  return data;
}

inline size_t SizeOf(uint64_t sequence) { return 1 + sequence * 7919 % 20'000; }

inline RecordDraft WriteDraft(uint64_t sequence, ConstBytes data) {
  return {.type = RecordType::kWrite, .resource = kVolume, .sequence = sequence,
          .offset = sequence * 10'000, .length = data.size(), .payload = data};
}

inline bool PassesSums(const Kept& kept, ConstBytes bytes) {
  uint64_t offset = kept.header.offset;
  for (const uint64_t sum : kept.sums) {
    const size_t part = std::min<uint64_t>(kPageBytes - offset % kPageBytes, bytes.size());
    if (PieceSum(kept.header.resource, offset, bytes.first(part)) != sum) return false;
    bytes = bytes.subspan(part);
    offset += part;
  }
  return bytes.empty();
}

/** One process after another over one journal; `kept` is what the latest found. */
struct Lives {
  Env& env;
  JournalOptions options;
  std::unique_ptr<Journal> journal{};
  ReplayReport report{};
  std::vector<Kept> kept{};
  Status status{};

  /** Opens and begins no epoch: what a process does that dies in between. */
  Code Look() {
    journal.reset();
    report = {};
    kept.clear();
    Result<std::unique_ptr<Journal>> opened = Journal::Open(env, options, [this](const ReplayedRecord& record) {
      kept.push_back({record.header, record.record, record.payload, record.below_durable,
                      {record.sums.begin(), record.sums.end()}, {record.payload_bytes.begin(), record.payload_bytes.end()}});
      return Status::Ok();
    }, report);
    status = opened.status();
    if (status.ok()) journal = std::move(*opened);
    return status.code();
  }
  Code Open(std::span<const RecordDraft> decisions = {}) {
    if (Look() != Code::kOk) return status.code();
    status = journal->Begin(decisions).status();
    return status.code();
  }

  void WriteAll() {
    Result<bool> wrote = true;
    while (wrote.ok() && *wrote) wrote = journal->Write();
    CHECK_OK(wrote.status());
  }
  void Flush() {
    WriteAll();
    CHECK_OK(journal->Sync());
  }

  /** Waits for room as the engine does. */
  Appended Append(const RecordDraft& draft) {
    Result<Appended> done = journal->Append(draft);
    for (; done.code() == Code::kTryAgain; done = journal->Append(draft)) {
      WriteAll();
      CHECK_OK(journal->PrepareSegment().status());
    }
    CHECK_OK(done.status());
    return *done;
  }
  Appended Append(uint64_t sequence, size_t bytes) {
    return Append(WriteDraft(sequence, Pattern(kVolume, sequence, bytes)));
  }
  Appended Append(uint64_t sequence) { return Append(sequence, SizeOf(sequence)); }

  bool Holds(const Kept& record) {
    std::vector<uint8_t> bytes(record.header.payload_bytes);
    CHECK_OK(journal->Read(record.payload, bytes, true));
    return PassesSums(record, bytes) && bytes == Pattern(record.header.resource, record.header.sequence, bytes.size());
  }
  /** Exactly the writes 1 to `last` are there, in order, each with its bytes. */
  void CheckPrefix(uint64_t last) {
    CHECK(kept.size() == last && report.records == last);
    for (uint64_t i = 0; i < last; ++i) {
      CHECK(kept[i].header.sequence == i + 1 && (i == 0 || kept[i].record > kept[i - 1].record));
      CHECK(Holds(kept[i]));
    }
  }
};

inline std::string PathOf(const Lives& lives, Lsn lsn) {
  char name[32];
  std::snprintf(name, sizeof name, "/%06u.segment", static_cast<unsigned>(lsn / kSegmentBytes));  // until a slot is used again
  return lives.options.directory + name;
}

inline void Flip(Lives& lives, const std::string& path, uint64_t offset) {
  Result<std::unique_ptr<File>> file = lives.env.Open(path, {.write = true});
  CHECK_OK(file.status());
  uint8_t byte[1];
  CHECK((*file)->Read(byte, offset).ok());
  byte[0] ^= 0x10;
  CHECK((*file)->Write(byte, offset).ok() && (*file)->DataSync().ok());
}

inline bool Says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace skerry
