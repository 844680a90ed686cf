#pragma once
// A journal under test and the memory of what it acknowledged: every opening is held against it.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../journal/journal.h"
#include "check.h"

namespace skerry {

struct Kept {
  Appended at;
  RecordType type;
  uint64_t sequence;
  uint64_t offset;
  std::vector<uint8_t> payload;
};

class JournalRig {
 public:
  JournalRig(Env& env, std::string directory) : env_(env) {
    options.directory = std::move(directory);
    options.ring_name = "skerry-journal-test";
    options.ring_bytes = 1 << 20;
    options.segment_bytes = 256 << 10;
    options.journal_bytes_max = 4 << 20;
  }

  JournalOptions options;
  ReplayReport report;
  std::unique_ptr<Journal> journal;
  std::vector<Kept> kept;            // by sequence, from sequence 1 on
  std::vector<ReplayedRecord> seen;  // of the last opening; spans are void
  std::vector<uint64_t> failing;     // sequences of those whose pages fail their sums on reading

  Status TryOpen() {
    journal.reset();
    report = {};
    seen.clear();
    failing.clear();
    std::map<uint64_t, std::vector<uint64_t>> sums;
    Result<std::unique_ptr<Journal>> opened = Journal::Open(
        env_, options,
        [&](const ReplayedRecord& record) {
          seen.push_back(record);
          sums[record.header.sequence].assign(record.sums.begin(), record.sums.end());
          if (record.header.type == RecordType::kRef) {
            const Kept& was = kept.at(record.header.sequence - 1);
            CHECK(std::equal(record.payload_bytes.begin(), record.payload_bytes.end(), was.payload.begin(), was.payload.end()));
          }
          return Status::Ok();
        },
        report);
    if (!opened.ok()) return opened.status();
    journal = std::move(*opened);
    for (const ReplayedRecord& record : seen) CheckRecord(record, sums[record.header.sequence]);
    return {};
  }

  /** Opens, and forgets what was appended after the last record that is still there. */
  void Open() {
    const Status status = TryOpen();
    if (!status.ok()) throw check::Failure{"opening failed: " + status.detail()};
    kept.resize(LastSeen());
  }

  uint64_t LastSeen() const {
    uint64_t last = 0;
    for (const ReplayedRecord& record : seen) {
      CHECK(record.header.sequence > last);  // in order, none twice
      CHECK(last == 0 || gaps || record.header.sequence == last + 1);
      last = record.header.sequence;
    }
    return seen.empty() ? trimmed : last;
  }

  Code Append(size_t bytes, RecordType type = RecordType::kWrite) {
    Kept record{{}, type, kept.size() + 1, 0, std::vector<uint8_t>(bytes)};
    record.offset = (record.sequence * 7919) % 100000 * 512;
    for (size_t i = 0; i < bytes; ++i) record.payload[i] = static_cast<uint8_t>(record.sequence * 31 + i * 7 + i / 256);
    const Result<Appended> at = journal->Append({.type = type, .resource = 5, .sequence = record.sequence, .fence = 2, .offset = record.offset,
                                                 .length = type == RecordType::kWrite ? bytes : 65536, .payload = record.payload});
    if (!at.ok()) return at.code();
    record.at = at.value();
    kept.push_back(std::move(record));
    return Code::kOk;
  }

  /** Appends `count` records, writing and preparing when there is no room. */
  void AppendMany(int count, size_t bytes, bool sync_often = false) {
    for (int i = 0; i < count; ++i) {
      for (int attempt = 0; true; ++attempt) {
        const Code code = Append(bytes + static_cast<size_t>(i % 5) * 100);
        if (code == Code::kOk) break;
        CHECK(code == Code::kTryAgain && attempt < 8);
        Flush();
        CHECK_OK(journal->PrepareSegment());
      }
      if (sync_often && i % 7 == 6) Flush();
      if (i % 5 == 4) CHECK_OK(journal->Write());
    }
  }

  void Flush() {
    CHECK_OK(journal->Write());
    CHECK_OK(journal->Sync());
  }

  /** Records that end at or before durable(). */
  uint64_t DurableCount() const {
    uint64_t count = 0;
    while (count < kept.size() && kept[count].at.end <= journal->durable()) ++count;
    return count;
  }

  void TrimTo(uint64_t sequence) {
    trimmed = sequence;
    journal->Trim(kept.at(sequence - 1).at.end);
  }

  void CheckReads() {
    for (const ReplayedRecord& record : seen) {
      const Kept& was = kept.at(record.header.sequence - 1);
      std::vector<uint8_t> back(was.payload.size());
      CHECK_OK(journal->Read(was.at.payload, back, true));
      CHECK(back == was.payload);
    }
  }

  std::string SegmentPath(Lsn lsn) const { return SlotOf(lsn / options.segment_bytes); }
  std::string SlotOf(uint64_t number) const;
  uint64_t trimmed = 0;
  bool gaps = false;     // after salvage

 private:
  void CheckRecord(const ReplayedRecord& record, const std::vector<uint64_t>& sums) {
    const uint64_t sequence = record.header.sequence;
    CHECK(sequence >= 1 && sequence <= kept.size());
    const Kept& was = kept[sequence - 1];
    CHECK(record.header.resource == 5 && record.header.offset == was.offset && record.header.fence == 2);
    CHECK(record.header.type == was.type && record.header.payload_bytes == was.payload.size());
    CHECK(record.record == was.at.record && record.payload == was.at.payload);
    std::vector<uint8_t> back(was.payload.size());
    CHECK_OK(journal->Read(record.payload, back, true));
    uint64_t offset = was.offset;
    bool whole = true;
    for (size_t i = 0, at = 0; at < back.size(); ++i) {
      size_t piece = back.size() - at;
      if (was.type == RecordType::kWrite) piece = std::min<size_t>(piece, kPageBytes - offset % kPageBytes);
      CHECK(i < sums.size());
      if (PieceSum(5, offset, ConstBytes(back).subspan(at, piece)) != sums[i]) whole = false;
      at += piece;
      offset += piece;
    }
    if (!whole) failing.push_back(sequence);
    else CHECK(back == was.payload);
  }

  Env& env_;
};

/** The file that holds segment `number` now: of those whose header names it, the one of the highest epoch. */
inline std::string JournalRig::SlotOf(uint64_t number) const {
  Result<std::vector<DirectoryEntry>> entries = const_cast<Env&>(env_).List(options.directory);
  CHECK_OK(entries.status());
  std::string path;
  uint64_t epoch = 0;
  for (const DirectoryEntry& entry : *entries) {
    if (!entry.name.ends_with(".segment")) continue;
    Result<std::unique_ptr<File>> file = const_cast<Env&>(env_).Open(options.directory + "/" + entry.name, {});
    CHECK_OK(file.status());
    uint64_t words[6] = {};
    CHECK_OK((*file)->Read({reinterpret_cast<uint8_t*>(words), sizeof words}, 0));
    if (words[0] == (uint64_t{kJournalVersion} << 32 | kSegmentMagic) && words[3] == number && words[4] >= epoch) {
      path = options.directory + "/" + entry.name;
      epoch = words[4];
    }
  }
  CHECK(!path.empty());
  return path;
}

}  // namespace skerry
