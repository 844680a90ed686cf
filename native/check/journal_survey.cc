#include "journal_survey.h"

#include <algorithm>
#include <cstring>

#include "../env/shadow_env.h"
#include "../journal/layout.h"
#include "../volume/replay_log.h"

namespace skerry {
namespace {

/** Of the journal with this identity: its ring says so. '' where there is none. */
std::string RingOf(Env& system, const IdentityFile& identity, const std::vector<std::string>& rings) {
  for (const std::string& name : rings) {
    Result<std::unique_ptr<File>> file = system.Open("/dev/shm/" + name, {});
    if (!file.ok()) continue;  // another user's, or gone meanwhile
    uint8_t bytes[sizeof(RingHeader)];
    Result<size_t> got = (*file)->Read(bytes, 0);
    if (!got.ok() || *got != sizeof(bytes)) continue;
    uint32_t magic;
    JournalId journal;
    std::memcpy(&magic, bytes, sizeof(magic));
    std::memcpy(&journal, bytes + offsetof(RingHeader, journal), sizeof(journal));
    if (magic == kRingMagic && journal == identity.journal) return name;
  }
  return {};
}

void Reshape(JournalSurvey::Resource& resource, uint64_t size_bytes) {
  resource.reshaped = true;
  resource.size_bytes = size_bytes;
}

void Add(const ReplayedRecord& record, JournalSurvey& survey) {
  const RecordHeader& header = record.header;
  if (header.resource == 0) return;
  JournalSurvey::Resource& resource = survey.resources[header.resource];
  ++resource.records;
  resource.fence = std::max(resource.fence, header.fence);
  if (header.type == RecordType::kDrop) resource.dropped = true;
  // A rewind repeats the number of the first write that it voids.
  if (header.type == RecordType::kDrop || header.type == RecordType::kRewind || header.sequence == 0) return;
  if (resource.first_sequence == 0 || header.sequence < resource.first_sequence) resource.first_sequence = header.sequence;
  if (header.type == RecordType::kResize) Reshape(resource, header.length);
  if (header.type == RecordType::kRollback && record.payload_bytes.size() == sizeof(RollbackPlace)) {
    RollbackPlace place;
    std::memcpy(&place, record.payload_bytes.data(), sizeof(place));
    Reshape(resource, place.size_bytes);
  }
  const bool writes = header.type <= RecordType::kRef;
  if (writes && !resource.reshaped) resource.end_bytes = std::max(resource.end_bytes, header.offset + header.length);
  resource.last_sequence = std::max(resource.last_sequence, header.sequence);
  if (header.type != RecordType::kBarrier) return;
  survey.barriers.push_back({header.resource, header.offset, header.sequence, resource.size_bytes});
}

}  // namespace

Result<JournalSurvey> SurveyJournal(Env& system, const std::string& directory, const std::vector<std::string>& rings) {
  JournalSurvey survey;
  IdentityFile identity{};
  {
    Result<std::unique_ptr<File>> file = system.Open(directory + "/identity", {});
    if (file.code() == Code::kNotFound) return survey;
    if (!file.ok()) return file.status();
    Result<size_t> got = (*file)->Read({reinterpret_cast<uint8_t*>(&identity), sizeof(identity)}, 0);
    if (!got.ok()) return got.status();
  }
  survey.present = true;
  survey.ring_name = RingOf(system, identity, rings);
  const std::unique_ptr<Env> shadow = MakeShadowEnv(system);
  JournalOptions options;
  options.directory = directory;
  options.ring_name = survey.ring_name;
  ReplayLog log;
  Result<std::unique_ptr<Journal>> journal = Journal::Open(
      *shadow, options,
      [&log](const ReplayedRecord& record) {
        // Only who and when, and how large: sums and other payloads are not looked at here.
        ReplayedRecord kept;
        kept.header = record.header;
        kept.record = record.record;
        if (record.header.type == RecordType::kRollback) kept.payload_bytes = record.payload_bytes;
        log.Add(kept);
        return Status::Ok();
      },
      survey.report);
  if (!journal.ok()) return journal.status();
  Status status = log.ForEach([&survey](const ReplayedRecord& record) {
    Add(record, survey);
    return Status::Ok();
  });
  if (!status.ok()) return status;
  return survey;
}

}  // namespace skerry
