// Keeping the log's tail free of what cannot be destaged for now: a pool that is away, or full, must not stop the writes of others.
#include "store.h"

namespace skerry {
namespace {

constexpr uint64_t kStepBytes = 1 << 20;

}  // namespace

bool Store::MustMoveLocked() {
  RefreshLocked();
  const Journal::Usage log = journal_->usage();
  const auto bytes = static_cast<double>(log.bytes);
  return bytes > options_.move_at * static_cast<double>(log.bytes_max) &&
         static_cast<double>(book_.journal_bytes()) < options_.move_wanted_max * bytes;
}

bool Store::WantedLocked(const SegmentRecord& record) const {
  // What it says of gaps is wanted for as long as records from before it are.
  if (record.header.type == RecordType::kSalvage) return true;
  // A copy would stand behind the rewind that says so, and outlive it: the next start would take it for a write.
  const RecordHeader& header = record.header;
  if (rewinds_.Void(header.resource, record.record, header.sequence)) return false;
  const auto found = entries_.find(record.header.resource);
  return found != entries_.end() && record.record >= found->second.volume->load().first_lsn;
}

Result<Store::Moved> Store::MoveStep() {
  if (!moving_) {
    {
      std::unique_lock lock(mutex_);
      if (!MustMoveLocked()) return Moved::kNothing;
    }
    const std::optional<uint64_t> segment = journal_->OldestFull();
    if (!segment) return Moved::kNothing;
    Result<std::vector<SegmentRecord>> records = journal_->RecordsOf(*segment);
    if (records.code() == Code::kNotFound) return Moved::kNothing;
    if (!records.ok()) return records.status();
    moving_ = {*segment, std::move(*records), 0};
  }
  for (uint64_t bytes = 0; moving_->next < moving_->records.size(); ++moving_->next) {
    if (bytes >= kStepBytes) return Moved::kSome;
    const SegmentRecord& record = moving_->records[moving_->next];
    const auto wanted = [&] {
      std::shared_lock lock(mutex_);
      return WantedLocked(record);
    };
    if (!wanted()) continue;
    Result<std::vector<uint8_t>> payload = journal_->PayloadOf(record);
    Status status = payload.status();
    if (status.ok()) {
      // Of a volume that is dropped nothing may come to stand behind the word of that.
      std::unique_lock lock(mutex_);
      if (WantedLocked(record)) {
        status = journal_->Move(record, *payload);
        if (status.ok()) NoteNamedLocked(record.header, *payload, journal_->appended());
      }
    }
    if (status.code() == Code::kTryAgain) return Moved::kNothing;
    if (!status.ok()) {
      moving_.reset();
      // Destaged meanwhile, and gone.
      return status.code() == Code::kNotFound ? Result<Moved>(Moved::kNothing) : Result<Moved>(status);
    }
    bytes += sizeof(RecordHeader) + payload->size();
  }
  std::unique_lock lock(mutex_);
  journal_->Vacate(moving_->segment);
  moving_.reset();
  return Moved::kSegment;
}

}  // namespace skerry
