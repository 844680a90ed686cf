// Records that are still wanted, copied to the log's end so that the segments behind can go: one volume that cannot be destaged
// must not hold up the log for all. A copy is known by the position where the record first stood, so nothing else learns of it.
#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "journal_impl.h"

namespace skerry {

std::optional<uint64_t> Journal::Impl::OldestFull() const {
  const uint64_t lowest = segments_->lowest();
  if (lowest == ~0ull) return std::nullopt;
  std::shared_lock lock(moved_mutex_);
  // Copies are made no faster than room is: those of the next segment only when the last one has gone.
  if (vacating_.end > lowest * segment_bytes_) return std::nullopt;
  // Its index too is durable once anything behind it is.
  if (durable() <= FirstBatch(lowest + 1)) return std::nullopt;
  return lowest;
}

Result<std::vector<SegmentRecord>> Journal::Impl::RecordsOf(uint64_t segment) {
  const std::shared_ptr<SegmentSlot> slot = segments_->Find(segment);
  if (!slot) return Status(Code::kNotFound, "journal segment " + std::to_string(segment) + " was trimmed");
  Segments::Found found{{}, slot};
  found.header.number = segment;
  std::vector<uint8_t> entries;
  IndexFooter footer;
  const Result<bool> whole = ReadIndex(found, entries, footer);
  if (!whole.ok()) return whole.status();
  if (!*whole) return Status(Code::kCorrupt, "the index of " + slot->path + " fails its sum");
  std::vector<SegmentRecord> records(footer.entries);
  ConstBytes rest = entries;
  for (SegmentRecord& record : records) {
    IndexEntry entry;
    if (rest.size() < sizeof(entry)) return Status(Code::kCorrupt, "the index of " + slot->path + " is short");
    std::memcpy(&entry, rest.data(), sizeof(entry));
    const uint64_t bytes = IndexBuilder::EntryBytes(entry.header.piece_count);
    if (rest.size() < bytes) return Status(Code::kCorrupt, "the index of " + slot->path + " is short");
    if (!CanStand(entry, segment * segment_bytes_, segment_bytes_)) {
      return Status(Code::kCorrupt, "the index of " + slot->path + " lists a record that cannot stand there");
    }
    record = {entry.header, OriginOf(entry.header, entry.record), entry.record, std::vector<uint64_t>(entry.header.piece_count)};
    if (!record.sums.empty()) std::memcpy(record.sums.data(), rest.data() + sizeof(entry), record.sums.size() * 8);
    rest = rest.subspan(bytes);
  }
  return records;
}

namespace {

bool Holds(const SegmentRecord& record, ConstBytes payload) {
  uint64_t offset = record.header.offset;
  const bool pieces = record.header.type == RecordType::kWrite;
  for (const uint64_t sum : record.sums) {
    const size_t part = pieces ? std::min<uint64_t>(kPageBytes - offset % kPageBytes, payload.size()) : payload.size();
    if (PieceSum(record.header.resource, offset, payload.first(part)) != sum) return false;
    payload = payload.subspan(part);
    offset += part;
  }
  return payload.empty();
}

}  // namespace

Result<std::vector<uint8_t>> Journal::Impl::PayloadOf(const SegmentRecord& record) {
  const Lsn payload = record.place + sizeof(RecordHeader) + record.sums.size() * 8;
  const std::shared_ptr<SegmentSlot> slot = segments_->Find(SegmentOf(payload));
  if (!slot) return Status(Code::kNotFound, "journal position " + std::to_string(payload) + " was trimmed");
  std::vector<uint8_t> bytes(record.header.payload_bytes);
  if (bytes.empty()) return bytes;
  const uint64_t offset = payload % segment_bytes_;
  Result<size_t> got = slot->buffered->Read(bytes, offset);
  if (!got.ok()) return got.status();
  if (*got == bytes.size() && Holds(record, bytes)) return bytes;
  const uint64_t start = offset / kSectorBytes * kSectorBytes;
  AlignedBuffer sectors(RoundUp(offset + bytes.size(), kSectorBytes) - start);
  got = slot->direct->Read(sectors.bytes(), start);
  if (!got.ok()) return got.status();
  std::memcpy(bytes.data(), sectors.data() + (offset - start), bytes.size());
  if (Holds(record, bytes)) return bytes;
  if (segments_->Find(SegmentOf(payload)) != slot) return Status(Code::kNotFound, "journal position " + std::to_string(payload) + " was trimmed");
  // A copy that fails its sum would end the log where it stands.
  return Status(Code::kCorrupt, "a record fails its sums in " + Where(*slot, record.place));
}

Status Journal::Impl::Move(const SegmentRecord& record, ConstBytes payload) {
  const RecordHeader& header = record.header;
  const Result<Appended> appended =
      Append({header.type, kRecordMoved, header.resource, header.sequence, header.fence, header.offset, header.length, payload, record.record, record.sums});
  if (appended.code() == Code::kTryAgain && segments_->ready() == 0) {
    // The log is full, and nothing may go before this has gone ahead: one segment more than is allowed, until the next try.
    if (Result<bool> prepared = segments_->Prepare(1, true); !prepared.ok()) return prepared.status();
  }
  if (!appended.ok()) return appended.status();
  NoteMoved(header, record.record, appended->payload);
  moved_bytes_.fetch_add(appended->end - appended->record, std::memory_order_relaxed);
  return Status::Ok();
}

void Journal::Impl::NoteMoved(const RecordHeader& header, Lsn origin, Lsn payload) {
  if (header.payload_bytes == 0) return;
  std::unique_lock lock(moved_mutex_);
  moved_[origin + sizeof(RecordHeader) + uint64_t{header.piece_count} * 8] = {payload, header.payload_bytes};
}

ReplayedRecord Journal::Impl::Known(const RecordHeader& header, Lsn place, Lsn payload) {
  ReplayedRecord record;
  record.header = header;
  record.record = OriginOf(header, place);
  record.payload = record.record + (payload - place);
  if (record.record == place) return record;
  NoteMoved(header, record.record, payload);
  // Only what was durable is moved.
  record.below_durable = true;
  return record;
}

Lsn Journal::Impl::PlaceOf(Lsn known) const {
  std::shared_lock lock(moved_mutex_);
  const auto after = moved_.upper_bound(known);
  if (after == moved_.begin()) return known;
  const auto& [from, moved] = *std::prev(after);
  return known - from < moved.bytes ? moved.to + (known - from) : known;
}

void Journal::Impl::Vacate(uint64_t segment) {
  std::unique_lock lock(moved_mutex_);
  vacating_ = {(segment + 1) * segment_bytes_, appended()};
}

Lsn Journal::Impl::Vacated(Lsn lsn) {
  std::unique_lock lock(moved_mutex_);
  moved_.erase(moved_.begin(), moved_.lower_bound(lsn));
  if (durable() >= vacating_.durable_at || IsMutant(Mutant::kVacatedUndurable)) vacated_ = vacating_.end;
  return std::max(lsn, vacated_);
}

}  // namespace skerry
