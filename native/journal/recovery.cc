// Opening: who the journal is, what of it survived, and a new epoch over that. Crashing anywhere in here and opening again
// gives the same state: nothing is changed before the new epoch's batches, and these hold what the ring held.
#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "journal_impl.h"

namespace skerry {

Status Journal::Impl::LoadIdentity() {
  if (Status status = env_.MakeDirectory(options_.directory); !status.ok()) return status;
  const std::string path = options_.directory + "/identity";
  Result<std::unique_ptr<File>> file = env_.Open(path, {});
  IdentityFile identity{};
  if (file.ok()) {
    Result<size_t> got = (*file)->Read({reinterpret_cast<uint8_t*>(&identity), sizeof(identity)}, 0);
    if (!got.ok()) return got.status();
    if (*got >= 8 && identity.magic == kIdentityMagic && identity.version > kJournalVersion) {
      return Status(Code::kInvalid, path + " was written by a newer version of Skerry (journal format " + std::to_string(identity.version) + ")");
    }
    if (*got != sizeof(identity) || identity.magic != kIdentityMagic || identity.sum != JournalSum(&identity, sizeof(identity) - 8, 0)) {
      return Status(Code::kCorrupt, path + " is damaged: restore it from a copy of the data directory");
    }
  } else if (file.code() != Code::kNotFound) {
    return file.status();
  } else {
    identity = {kIdentityMagic, kJournalVersion, {}, options_.segment_bytes, RoundUp(options_.ring_bytes, kSectorBytes), 0};
    env_.Random(Bytes(identity.journal.bytes, sizeof(identity.journal.bytes)));
    identity.sum = JournalSum(&identity, sizeof(identity) - 8, 0);
    Result<std::unique_ptr<File>> fresh = env_.Open(path + ".new", {.write = true, .create = true});
    if (!fresh.ok()) return fresh.status();
    if (Status status = (*fresh)->Write({reinterpret_cast<const uint8_t*>(&identity), sizeof(identity)}, 0); !status.ok()) return status;
    if (Status status = (*fresh)->DataSync(); !status.ok()) return status;
    if (Status status = env_.Rename(path + ".new", path); !status.ok()) return status;
    if (Status status = env_.SyncDirectory(options_.directory); !status.ok()) return status;
  }
  id_ = identity.journal;
  segment_bytes_ = identity.segment_bytes;
  options_.ring_bytes = identity.ring_bytes;
  if (segment_bytes_ % kSectorBytes != 0 || segment_bytes_ < 16 * kSectorBytes || options_.ring_bytes < 2 * segment_bytes_) {
    return Status(Code::kInvalid, "journal segments of " + std::to_string(segment_bytes_) + " bytes need a ring of at least twice that");
  }
  const uint64_t slots = std::max<uint64_t>(options_.journal_bytes_max / segment_bytes_, 4);
  segments_ = std::make_unique<Segments>(env_, options_.directory, segment_bytes_, slots, options_.keep_free_bytes);
  return Status::Ok();
}

Status Journal::Impl::MapRing() {
  Result<std::unique_ptr<SharedMemory>> ring = env_.MapShared(options_.ring_name, kSectorBytes, options_.ring_bytes);
  if (!ring.ok()) return ring.status();
  ring_ = std::move(*ring);
  return Status::Ok();
}

std::string Journal::Impl::Where(const SegmentSlot& slot, Lsn at) const {
  return slot.path + " at byte " + std::to_string(at % segment_bytes_) + " (log position " + std::to_string(at) + ")";
}

Status Journal::Impl::Damaged(const std::string& where, const std::string& what) const {
  return Status(Code::kCorrupt, "the journal is damaged: " + what + " in " + where +
                                    ", and later batches show that it was durable. To go on without what cannot be read, start with "
                                    "--salvage-journal; to lose nothing, restore the file from a copy first");
}

void Journal::Impl::NoteLoss(ReplayReport& report, const std::string& what) {
  report.salvaged = true;
  report.notes.push_back("salvage: " + what);
}

Result<Journal::Impl::Survey> Journal::Impl::SurveySegments(ReplayReport& report) {
  std::vector<std::string> removed;
  Result<std::vector<Segments::Found>> found = segments_->Load(id_, options_.salvage, removed);
  if (!found.ok()) return found.status();
  for (const std::string& path : removed) NoteLoss(report, path + " has no readable header and is removed");
  Survey survey;
  Lsn trim = 0;
  for (const Segments::Found& segment : *found) {
    trim = std::max(trim, segment.header.trim);
    survey.epoch = std::max(survey.epoch, segment.header.epoch);
  }
  trim_ = trim;
  for (const Segments::Found& segment : *found) {
    // Below the trim mark: the slot was recycled and not used again. It is simply ready.
    segments_->Adopt(segment.header.number, segment.slot);
    if ((segment.header.number + 1) * segment_bytes_ > trim) survey.segments.push_back(segment);
  }
  segments_->Recycle(SegmentOf(trim));
  if (survey.segments.empty() ? trim > 0 : survey.segments.front().header.number > SegmentOf(trim)) {
    const Lsn until = survey.segments.empty() ? ~0ull : survey.segments.front().header.number * segment_bytes_;
    survey.missing.emplace_back("the segment that holds log position " + std::to_string(trim) + " is missing", until);
  }
  for (size_t i = 1; i < survey.segments.size(); ++i) {
    const uint64_t before = survey.segments[i - 1].header.number, number = survey.segments[i].header.number;
    if (number == before + 1) continue;
    // One would be read and the other written: a copy that somebody left beside the original.
    if (number == before) {
      return Status(Code::kCorrupt, "the journal is damaged: " + survey.segments[i - 1].slot->path + " and " + survey.segments[i].slot->path +
                                        " both say that they are log segment " + std::to_string(number) + ". Move the one that is a copy out of the directory");
    }
    survey.missing.emplace_back("segments " + std::to_string(before + 1) + " to " + std::to_string(number - 1) + " are missing", number * segment_bytes_);
  }
  return survey;
}

Status Journal::Impl::CheckMissing(const Survey& survey, ReplayReport& report) {
  if (survey.missing.empty()) return Status::Ok();
  Lsn given_up = 0;
  for (const Segments::Found& segment : survey.segments) {
    Result<Lsn> found = FindSalvage(segment);
    if (!found.ok()) return found.status();
    given_up = std::max(given_up, *found);
  }
  for (const auto& [what, until] : survey.missing) {
    if (until <= given_up) continue;
    if (!options_.salvage) return Damaged(options_.directory, what);
    NoteLoss(report, what);
  }
  return Status::Ok();
}

bool Journal::Impl::RingIsOurs() const {
  const RingHeader& header = ring_header();
  const std::string boot = IsMutant(Mutant::kForeignRing) ? std::string(reinterpret_cast<const char*>(header.boot), sizeof(header.boot)) : env_.BootId();
  return header.magic == kRingMagic && header.version == kJournalVersion && header.journal == id_ && boot.size() == sizeof(header.boot) &&
         std::memcmp(header.boot, boot.data(), boot.size()) == 0 && header.segment_bytes == segment_bytes_ &&
         header.ring_bytes == ring_->ring_bytes();
}

// Batches at or past the end of what segments hold: closed ones have a valid header, the last may still be open.
Status Journal::Impl::DeliverRing(Lsn end, Survey& survey, Delivery& delivery, std::vector<ClosedBatch>& batches, Lsn& next) {
  const RingHeader& header = ring_header();
  const uint64_t epoch = header.epoch.load();
  const Lsn head = header.head.load(), tail = header.tail.load();
  const uint64_t before = delivery.report.records;
  for (Lsn at = tail; at < head && head - at <= ring_->ring_bytes();) {
    const uint64_t room = ring_->ring_bytes();
    BatchHeader batch{};
    const bool closed = ParseBatch({RingAt(at), sizeof(BatchHeader)}, at, id_.prefix(), batch) && batch.epoch >= epoch && batch.bytes <= room;
    if (!closed) {
      // Reserved when the batch was opened, filled when it is closed: do that now.
      batch = {kBatchMagic, kJournalVersion, survey.epoch, at, head - at, 0, 0, 0, id_.prefix(), 0};
      if (batch.bytes <= sizeof(BatchHeader)) break;
    }
    if (at >= end) {
      bool damaged = false;
      std::string damage;
      if (Status status = DeliverBatch({RingAt(at), batch.bytes}, batch, delivery, true, &damaged, &damage); !status.ok()) return status;
      if (!damage.empty()) return Status(Code::kCorrupt, "the ring in shared memory is damaged at log position " + std::to_string(at) + ": " + damage);
      batches.push_back({at, batch.bytes, (batch.flags & kBatchEndsSegment) != 0});
    }
    next = (batch.flags & kBatchEndsSegment) != 0 ? FirstBatch(SegmentOf(at) + 1) : RoundUp(at + batch.bytes, kSectorBytes);
    // Segments hold whole batches: one that begins before their end ends there too, or what lies behind it would be passed over.
    if (at < end && next > end && !options_.salvage) {
      return Status(Code::kCorrupt, "the ring in shared memory is damaged: its batch at log position " + std::to_string(at) + " runs over the end of the segments at " + std::to_string(end));
    }
    at = next;
  }
  next = std::max(next, end);
  delivery.report.ring_records = delivery.report.records - before;
  delivery.report.ring_used = true;
  return Status::Ok();
}

Status Journal::Impl::Recover(const std::function<Status(const ReplayedRecord&)>& replay, ReplayReport& report) {
  Result<Survey> surveyed = SurveySegments(report);
  if (!surveyed.ok()) return surveyed.status();
  Survey& survey = *surveyed;
  if (Status status = CheckMissing(survey, report); !status.ok()) return status;
  Delivery delivery{replay, report, 0};
  std::vector<std::vector<uint8_t>> entries(survey.segments.size());
  std::vector<IndexFooter> footers(survey.segments.size());
  std::vector<bool> sealed(survey.segments.size());
  for (size_t i = 0; i < survey.segments.size(); ++i) {
    Result<bool> has_index = ReadIndex(survey.segments[i], entries[i], footers[i]);
    if (!has_index.ok()) return has_index.status();
    sealed[i] = *has_index;
    if (sealed[i]) {
      survey.mark = std::max(survey.mark, footers[i].durable);
      survey.epoch = std::max(survey.epoch, footers[i].epoch);
    } else if (Status status = SurveyMarks(survey.segments[i], survey); !status.ok()) {
      return status;
    }
  }
  delivery.mark = survey.mark;
  Lsn end = survey.segments.empty() ? FirstBatch(0) : FirstBatch(survey.segments.front().header.number);
  bool ended = false;
  for (size_t i = 0; i < survey.segments.size() && !ended; ++i) {
    const uint64_t number = survey.segments[i].header.number;
    if (sealed[i]) {
      if (Status status = DeliverIndex(survey.segments[i], entries[i], footers[i], delivery); !status.ok()) return status;
      report.ended_in_order = false;
      end = FirstBatch(number + 1);
      continue;
    }
    if (survey.mark >= (number + 1) * segment_bytes_) {
      // A flush that covered a later segment covered this one's index too.
      const std::string where = survey.segments[i].slot->path + " at its end (the index of log segment " + std::to_string(number) + ")";
      if (!options_.salvage) return Damaged(where, "the index fails its sum");
      NoteLoss(report, "the index in " + where + " fails its sum; its batches are read instead");
    }
    if (Status status = ScanSegment(survey.segments[i], survey, delivery, end, ended); !status.ok()) return status;
    epoch_ = survey.epoch;
    durable_.store(survey.mark);
    if (ended) continue;
    if (report.salvaged) {
      opening_.unsealed.push_back(number);
    } else if (Status status = Seal(number); !status.ok()) {
      return status;
    }
  }
  report.segments = survey.segments.size();
  if (end < survey.mark && !options_.salvage) return Damaged(options_.directory, "the log ends at position " + std::to_string(end) + ", before what was durable");
  std::vector<ClosedBatch> from_ring;
  Lsn next = end;
  const bool ours = RingIsOurs();
  if (ours && (ring_header().tail.load() > end || ring_header().epoch.load() > survey.epoch)) {
    // The same boot, so nothing that was written can be gone, and yet it is: going on would lose acknowledged writes.
    if (!options_.salvage) {
      return Status(Code::kCorrupt, "the journal is damaged: the ring /dev/shm/" + options_.ring_name + " continues at position " +
                                        std::to_string(ring_header().tail.load()) + ", and the segments in " + options_.directory + " end at " +
                                        std::to_string(end) + ", so some are missing. To lose nothing, restore them from a copy first. Where the data " +
                                        "directory was put back to an older state on purpose, remove that ring; to go on without what cannot be read, " +
                                        "start with --salvage-journal");
    }
    NoteLoss(report, "the ring does not continue what the segments hold, and is ignored");
  } else if (ours) {
    if (Status status = DeliverRing(end, survey, delivery, from_ring, next); !status.ok()) return status;
  }
  if (survey.epoch == ~uint64_t{0}) return Status(Code::kCorrupt, "the journal is damaged: its epoch is the last that there can be. Restore " + options_.directory + " from a copy");
  report.end = next;
  report.epoch = survey.epoch + (IsMutant(Mutant::kEpochReused) ? 0 : 1);
  epoch_ = report.epoch;
  opening_ = {std::move(from_ring), next, survey.mark, report.salvaged, std::move(opening_.unsealed)};
  if (report.salvaged) report.gaps_below = next;
  report.ended_in_order &= !report.salvaged && opening_.from_ring.empty();
  for (const Segments::Found& segment : survey.segments) {
    headed_.insert(segment.header.number);
    // What was read may only be in the page cache: this epoch's marks will vouch for it.
    dirty_.insert(segment.header.number);
  }
  return Status::Ok();
}

Status Journal::Impl::AssignPrepared(uint64_t number) {
  if (segments_->Find(number)) return Status::Ok();
  if (Result<bool> prepared = segments_->Prepare(1, true); !prepared.ok()) return prepared.status();
  return segments_->Assign(number, true) ? Status::Ok() : Status(Code::kIo, "no journal segment could be prepared");
}

// Batches that only the ring holds go to their places in segments, under the new epoch and the old mark.
Status Journal::Impl::RewriteRing() {
  for (const ClosedBatch& batch : opening_.from_ring) {
    if (IsMutant(Mutant::kRingNotRewritten)) break;
    if (Status status = AssignPrepared(SegmentOf(batch.start)); !status.ok()) return status;
    BatchHeader header{};
    const bool closed = ParseBatch({RingAt(batch.start), sizeof(header)}, batch.start, id_.prefix(), header);
    if (!closed || header.bytes != batch.bytes) {
      header = {kBatchMagic, kJournalVersion, epoch_, batch.start, batch.bytes, 0, 0, 0, id_.prefix(), 0};
    }
    header.epoch = epoch_;
    header.durable = opening_.mark;
    header.sum = BatchSum(header);
    // From a copy: a kill in here must find the ring as it was.
    AlignedBuffer copy(RoundUp(batch.bytes, kSectorBytes));
    std::memset(copy.data() + batch.bytes, 0, copy.size() - batch.bytes);
    std::memcpy(copy.data(), RingAt(batch.start), batch.bytes);
    std::memcpy(copy.data(), &header, sizeof(header));
    if (Status status = WriteBatchFrom(batch, copy.bytes()); !status.ok()) return status;
    if (batch.ends_segment) {
      if (Status status = Seal(SegmentOf(batch.start)); !status.ok()) return status;
    }
  }
  written_.store(opening_.next);
  return Sync();
}

// Nobody else knows the journal yet: what elsewhere is done under its lock needs none here.
Result<std::vector<Appended>> Journal::Impl::WriteMarker(std::span<const RecordDraft> records, Lsn* open) {
  std::vector<Appended> places;
  uint64_t bytes = 0, entries = 0;
  for (const RecordDraft& draft : records) {
    bytes += sizeof(RecordHeader) + draft.payload.size();
    entries += IndexBuilder::EntryBytes(0);
  }
  Lsn start = opening_.next;
  const auto region = [this](Lsn at, uint64_t more) { return IndexBuilder::RegionBytes(indices_[SegmentOf(at)].bytes.size() + more); };
  const auto cramped = [&](Lsn at, uint64_t more) { return at % segment_bytes_ + RoundUp(sizeof(BatchHeader) + more, kSectorBytes) + 3 * kSectorBytes + region(at, entries) > segment_bytes_; };
  if (cramped(start, bytes)) {
    // Hardly any room is left: an empty batch ends the segment, or many starts in a row would run over its index.
    if (Status status = AssignPrepared(SegmentOf(start)); !status.ok()) return status;
    // Neither that batch nor the index vouches for what lies before: the batch does that says what was decided about it.
    const Lsn synced = durable();
    durable_.store(opening_.mark);
    OpenBatchLocked(start);
    CloseBatchLocked(kBatchEndsSegment);
    const ClosedBatch end = closed_.front();
    closed_.clear();
    if (Status status = WriteBatch(end); !status.ok()) return status;
    if (Status status = Seal(SegmentOf(start)); !status.ok()) return status;
    durable_.store(synced);
    start = FirstBatch(SegmentOf(start) + 1);
    if (cramped(start, bytes)) return Status(Code::kInvalid, "recovery wants to log more than a segment holds");
  }
  if (Status status = AssignPrepared(SegmentOf(start)); !status.ok()) return status;
  OpenBatchLocked(start);
  for (const RecordDraft& draft : records) places.push_back(PlaceLocked(draft, {}));
  CloseBatchLocked(kBatchBeginsEpoch);
  const ClosedBatch marker = closed_.front();
  closed_.clear();
  if (Status status = WriteBatch(marker); !status.ok()) return status;
  written_.store(marker.start + marker.bytes);
  appended_.store(marker.start + marker.bytes);
  *open = batch_start_;
  return places;
}

// Nothing is appended yet: a stamp that a crash tears is not believed, and nothing is missed.
void Journal::Impl::StampRing(Lsn open) {
  RingHeader& header = ring_header();
  const std::string boot = env_.BootId();
  header.magic = 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  header.version = kJournalVersion;
  std::memcpy(header.boot, boot.data(), std::min(boot.size(), sizeof(header.boot)));
  header.journal = id_;
  header.segment_bytes = segment_bytes_;
  header.ring_bytes = ring_->ring_bytes();
  header.epoch.store(epoch_);
  header.tail.store(open);
  header.head.store(open);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  header.magic = kRingMagic;
  tail_.store(open);
}

Result<std::vector<Appended>> Journal::Impl::Begin(std::span<const RecordDraft> records, bool salvaged) {
  if (Status status = RewriteRing(); !status.ok()) return status;
  Lsn open = 0;
  std::vector<RecordDraft> drafts(records.begin(), records.end());
  // In the batch that begins the epoch: either the new log stands, and says what it lacks, or the old one does.
  if (salvaged || opening_.salvaged) drafts.push_back({.type = RecordType::kSalvage});
  Result<std::vector<Appended>> places = WriteMarker(drafts, &open);
  if (!places.ok()) return places.status();
  places->resize(records.size());
  if (Status status = Sync(); !status.ok()) return status;
  for (const uint64_t number : opening_.unsealed) {
    if (Status status = Seal(number); !status.ok()) return status;
    dirty_.insert(number);
  }
  if (Status status = opening_.unsealed.empty() ? Status::Ok() : Sync(); !status.ok()) return status;
  StampRing(open);
  for (size_t have = 0; have < kReadyWant; ++have) {
    Result<bool> prepared = segments_->Prepare(kReadyWant, false);
    if (!prepared.ok() && prepared.code() != Code::kNoSpace) return prepared.status();
    if (!prepared.ok() || !*prepared) break;  // a full disk: reads and trims go on, writes wait for room
  }
  return places;
}

}  // namespace skerry
