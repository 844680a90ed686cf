// Reading what segments hold: by their index where they are sealed, batch by batch where they are not.
#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "journal_impl.h"

namespace skerry {

Result<bool> Journal::Impl::ReadIndex(const Segments::Found& segment, std::vector<uint8_t>& entries, IndexFooter& footer) {
  AlignedBuffer sector(kSectorBytes);
  Result<size_t> got = segment.slot->direct->Read(sector.bytes(), segment_bytes_ - kSectorBytes);
  if (!got.ok()) return got.status();
  std::memcpy(&footer, sector.data() + kSectorBytes - sizeof(footer), sizeof(footer));
  const uint64_t number = segment.header.number;
  if (*got != kSectorBytes || footer.magic != kIndexMagic || footer.version != kJournalVersion || footer.journal != id_.prefix() ||
      footer.number != number || footer.sum != JournalSum(&footer, sizeof(footer) - sizeof(footer.sum), number)) {
    return false;
  }
  const uint64_t region = IndexBuilder::RegionBytes(footer.bytes);
  if (footer.bytes >= segment_bytes_ || region >= segment_bytes_) return false;
  AlignedBuffer buffer(region);
  got = segment.slot->direct->Read(buffer.bytes(), segment_bytes_ - region);
  if (!got.ok()) return got.status();
  entries.assign(buffer.data() + region - sizeof(footer) - footer.bytes, buffer.data() + region - sizeof(footer));
  return *got == region && JournalSum(entries.data(), entries.size(), number) == footer.entries_sum;
}

Result<Lsn> Journal::Impl::FindSalvage(const Segments::Found& segment) {
  Lsn found = 0;
  std::vector<uint8_t> entries;
  IndexFooter footer;
  Result<bool> has_index = ReadIndex(segment, entries, footer);
  if (!has_index.ok()) return has_index.status();
  if (*has_index) {
    IndexEntry entry;
    for (ConstBytes rest = entries; rest.size() >= sizeof(entry);) {
      std::memcpy(&entry, rest.data(), sizeof(entry));
      if (entry.header.type == RecordType::kSalvage) found = std::max(found, OriginOf(entry.header, entry.record));
      rest = rest.subspan(std::min<uint64_t>(rest.size(), IndexBuilder::EntryBytes(entry.header.piece_count)));
    }
    return found;
  }
  const Lsn base = segment.header.number * segment_bytes_;
  AlignedBuffer buffer(segment_bytes_);
  Result<size_t> got = segment.slot->direct->Read(buffer.bytes(), 0);
  if (!got.ok()) return got.status();
  const ConstBytes bytes = buffer.bytes();
  for (Lsn at = base + kSectorBytes; at + kSectorBytes <= base + segment_bytes_; at += kSectorBytes) {
    BatchHeader header{};
    if (!ParseBatch(bytes.subspan(at - base), at, id_.prefix(), header) || (header.flags & kBatchBeginsEpoch) == 0 || header.bytes > base + segment_bytes_ - at) continue;
    ParsedRecord record;
    for (uint64_t in = sizeof(header); in < header.bytes && ParseRecord(bytes.subspan(at - base + in, header.bytes - in), at + in, record);) {
      if (record.header.type == RecordType::kSalvage) found = std::max(found, OriginOf(record.header, at + in));
      in += RecordBytes(record.header);
    }
  }
  return found;
}

Status Journal::Impl::DeliverIndex(const Segments::Found& segment, ConstBytes entries, const IndexFooter& footer, Delivery& delivery) {
  std::vector<uint64_t> sums;
  std::vector<uint8_t> payload;
  for (uint64_t i = 0; i < footer.entries; ++i) {
    IndexEntry entry;
    if (entries.size() < sizeof(entry)) return Damaged(segment.slot->path, "the index is short");
    std::memcpy(&entry, entries.data(), sizeof(entry));
    const uint64_t sum_bytes = uint64_t{entry.header.piece_count} * 8;
    if (entries.size() - sizeof(entry) < sum_bytes) return Damaged(segment.slot->path, "the index is short");
    if (!CanStand(entry, segment.header.number * segment_bytes_, segment_bytes_)) {
      return Damaged(segment.slot->path, "the index lists a record that cannot stand there");
    }
    sums.resize(entry.header.piece_count);
    if (!sums.empty()) std::memcpy(sums.data(), entries.data() + sizeof(entry), sum_bytes);
    entries = entries.subspan(sizeof(entry) + sum_bytes);
    const Lsn stands = entry.record + sizeof(RecordHeader) + sum_bytes;
    ReplayedRecord record = Known(entry.header, entry.record, stands);
    // Sealed means that the segment is durable; of the packs a REF names only a mark tells.
    record.below_durable |= entry.record < delivery.mark;
    record.sums = sums;
    if (entry.header.type == RecordType::kSalvage) {
      delivery.report.gaps_below = std::max(delivery.report.gaps_below, record.record);
      continue;
    }
    if (NamesPlaces(entry.header.type)) {
      payload.resize(entry.header.payload_bytes);
      Result<size_t> got = segment.slot->buffered->Read(payload, stands - segment.header.number * segment_bytes_);
      if (!got.ok()) return got.status();
      const bool good = *got == payload.size() && sums.size() == 1 && PieceSum(entry.header.resource, entry.header.offset, payload) == sums[0];
      if (!good) {
        const std::string where = Where(*segment.slot, entry.record);
        if (!options_.salvage) return Damaged(where, "a reference to written blocks fails its sum");
        NoteLoss(delivery.report, "a write of volume " + std::to_string(entry.header.resource) + " is lost with " + where);
        continue;
      }
      record.payload_bytes = payload;
    }
    ++delivery.report.records;
    if (Status status = delivery.replay(record); !status.ok()) return status;
  }
  return Status::Ok();
}

// Parses the whole batch before it delivers any of it: a torn batch leaves nothing behind.
Status Journal::Impl::DeliverBatch(ConstBytes batch, const BatchHeader& header, Delivery& delivery, bool ring, bool* damaged_payload,
                                   std::string* damage) {
  std::vector<ParsedRecord> records;
  for (uint64_t at = sizeof(BatchHeader); at < header.bytes;) {
    ParsedRecord record;
    if (!ParseRecord(batch.subspan(at, header.bytes - at), header.start + at, record)) {
      *damage = "a record header at log position " + std::to_string(header.start + at) + " fails its sum";
      return Status::Ok();
    }
    at += RecordBytes(record.header);
    if (!record.whole) *damaged_payload = true;
    if (!record.whole && NamesPlaces(record.header.type)) {
      *damage = "a reference to written blocks at log position " + std::to_string(record.record) + " fails its sum";
      return Status::Ok();
    }
    records.push_back(std::move(record));
  }
  const bool below = !ring && header.start + header.bytes <= delivery.mark;
  if (*damaged_payload && !below && !IsMutant(Mutant::kTornBatchReplayed)) {
    *damage = "a payload in the batch at log position " + std::to_string(header.start) + " fails its sum";
    return Status::Ok();
  }
  IndexBuilder& index = indices_[SegmentOf(header.start)];
  for (const ParsedRecord& parsed : records) {
    index.Add(parsed.header, parsed.record, parsed.sums);
    ReplayedRecord record = Known(parsed.header, parsed.record, parsed.payload);
    record.below_durable |= below;
    record.sums = parsed.sums;
    if (parsed.header.type == RecordType::kSalvage) {
      delivery.report.gaps_below = std::max(delivery.report.gaps_below, record.record);
      continue;
    }
    if (NamesPlaces(parsed.header.type)) record.payload_bytes = parsed.payload_bytes;
    ++delivery.report.records;
    if (Status status = delivery.replay(record); !status.ok()) return status;
  }
  return Status::Ok();
}

/** Start of the next position past `from` that holds a valid batch of `epoch` or later; 0 if none does. */
Lsn Journal::Impl::FindLaterBatch(ConstBytes segment, uint64_t number, Lsn from, uint64_t epoch) const {
  const Lsn base = number * segment_bytes_;
  for (Lsn at = RoundUp(from + 1, kSectorBytes); at + kSectorBytes <= base + segment_bytes_; at += kSectorBytes) {
    BatchHeader header{};
    if (ParseBatch(segment.subspan(at - base), at, id_.prefix(), header) && header.epoch >= epoch) return at;
  }
  return 0;
}

Status Journal::Impl::SurveyMarks(const Segments::Found& segment, Survey& survey) {
  const Lsn base = segment.header.number * segment_bytes_;
  AlignedBuffer buffer(segment_bytes_);
  Result<size_t> got = segment.slot->direct->Read(buffer.bytes(), 0);
  if (!got.ok()) return got.status();
  for (Lsn at = base + kSectorBytes; at + kSectorBytes <= base + segment_bytes_; at += kSectorBytes) {
    BatchHeader header{};
    if (!ParseBatch(ConstBytes(buffer.bytes()).subspan(at - base), at, id_.prefix(), header)) continue;
    survey.mark = std::max(survey.mark, header.durable);
    // Also where the log ends before: an opening that was cut short may have written under the epoch that this one would take.
    survey.epoch = std::max(survey.epoch, header.epoch);
  }
  return Status::Ok();
}

Status Journal::Impl::ScanSegment(const Segments::Found& segment, Survey& survey, Delivery& delivery, Lsn& end, bool& ended) {
  const uint64_t number = segment.header.number;
  const Lsn base = number * segment_bytes_;
  AlignedBuffer buffer(segment_bytes_);
  Result<size_t> got = segment.slot->direct->Read(buffer.bytes(), 0);
  if (!got.ok()) return got.status();
  const ConstBytes bytes = buffer.bytes();
  // A later segment begins only after the one before it was durable to its end.
  const bool last = segment.header.number == survey.segments.back().header.number;
  uint64_t epoch = 0;
  bool salvaged = false;
  for (Lsn at = FirstBatch(number);;) {
    end = at;
    BatchHeader header{};
    std::string damage;
    bool damaged_payload = false;
    const bool valid = at + kSectorBytes <= base + segment_bytes_ && ParseBatch(bytes.subspan(at - base), at, id_.prefix(), header) &&
                       (header.epoch >= epoch || IsMutant(Mutant::kDeadEpochReplayed)) && header.bytes <= base + segment_bytes_ - at;
    if (!valid) damage = "no valid batch stands there";
    if (valid) {
      if (Status status = DeliverBatch(bytes.subspan(at - base, header.bytes), header, delivery, false, &damaged_payload, &damage); !status.ok()) return status;
      if (damaged_payload && damage.empty()) {
        delivery.report.notes.push_back("pages written by the batch in " + Where(*segment.slot, at) + " are damaged: reading them is an I/O error");
      }
    }
    if (!damage.empty()) {
      const bool was_durable = at < survey.mark || !last;
      if (!was_durable) {
        if (salvaged) {
          // The index that Recover writes now leaves out what was lost; going on in this segment would meet the damage again.
          end = FirstBatch(number + 1);
          return Status::Ok();
        }
        if (valid) delivery.report.notes.push_back("torn tail: the log ends in " + Where(*segment.slot, at));
        ended = true;
        return Status::Ok();
      }
      if (!options_.salvage) return Damaged(Where(*segment.slot, at), damage);
      const Lsn later = FindLaterBatch(bytes, number, at, epoch);
      NoteLoss(delivery.report, "the journal from " + Where(*segment.slot, at) + (later ? " to log position " + std::to_string(later) : " to the segment's end") + " is lost");
      salvaged = true;
      if (later == 0) {
        end = FirstBatch(number + 1);
        return Status::Ok();
      }
      at = later;
      continue;
    }
    epoch = header.epoch;
    survey.epoch = std::max(survey.epoch, epoch);
    // A later epoch that left any trace had begun, or nearly.
    const bool marked = (header.flags & kBatchEndsInOrder) != 0 && (epoch == survey.epoch || IsMutant(Mutant::kEndForgotten));
    delivery.report.ended_in_order = marked || (IsMutant(Mutant::kEndForgotten) && delivery.report.ended_in_order);
    if ((header.flags & kBatchEndsSegment) != 0) {
      end = FirstBatch(number + 1);
      return Status::Ok();
    }
    at = RoundUp(at + header.bytes, kSectorBytes);
  }
}

}  // namespace skerry
