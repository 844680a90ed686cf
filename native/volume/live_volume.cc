#include "live_volume.h"

#include <algorithm>
#include <cstring>

namespace skerry {
namespace {

constexpr uint32_t kRefBlocksMax = 256;        // places in one kRef record
constexpr uint64_t kJournalledBytesMax = 1 << 20;

}  // namespace

LiveVolume::LiveVolume(VolumeSpec spec, std::shared_ptr<Base> base, Journal& journal, Pool& pool, Admission& admission)
    : spec_(spec), journal_(journal), pool_(pool), admission_(admission), active_(std::make_shared<Generation>()), base_(std::move(base)),
      sequence_(spec.applied_sequence) {
  active_->resource = spec_.id;
  RestackLocked();
}

Status LiveVolume::AdmitLocked(uint64_t bytes) {
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "the resource takes no writes");
  uint64_t journal_bytes = active_->journal_bytes, overlay_bytes = active_->bytes();
  for (const FrozenGeneration& frozen : frozen_) {
    journal_bytes += frozen.generation->journal_bytes;
    overlay_bytes += frozen.generation->bytes();
  }
  return admission_.Admit(share_, bytes, journal_bytes, overlay_bytes);
}

void LiveVolume::NoteLocked(Lsn record, Lsn end) {
  if (active_->first_lsn == 0) {
    active_->first_lsn = record;
    active_->first_sequence = sequence_;
  }
  active_->last_sequence = sequence_;
  active_->journal_bytes += end - record;
  last_end_.store(end, std::memory_order_release);
}

Result<WriteOutcome> LiveVolume::Write(uint64_t offset, ConstBytes data) {
  {
    Lock lock(mutex_);
    if (Status status = AdmitLocked(data.size()); !status.ok()) return status;
  }
  const uint64_t end = offset + data.size();
  const uint64_t first_block = (offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  const uint64_t last_block = end / kBlockBytes * kBlockBytes;
  if (first_block >= last_block) {
    Result<Lsn> done = WriteJournalled(offset, data);
    if (!done.ok()) return done.status();
    return WriteOutcome{*done};
  }
  Lsn last = 0;
  const struct { uint64_t from, to; bool blocks; } parts[] = {{offset, first_block, false}, {first_block, last_block, true}, {last_block, end, false}};
  for (const auto& part : parts) {
    if (part.from == part.to) continue;
    const ConstBytes bytes = data.subspan(part.from - offset, part.to - part.from);
    Result<Lsn> done = part.blocks ? WriteBlocks(part.from, bytes) : WriteJournalled(part.from, bytes);
    if (!done.ok()) return done.status();
    last = *done;
  }
  return WriteOutcome{last};
}

Result<Lsn> LiveVolume::WriteJournalled(uint64_t offset, ConstBytes data) {
  if (data.size() > kJournalledBytesMax) return Status(Code::kInvalid, "a journalled write is too long");
  std::vector<uint64_t> sums;
  sums.reserve(data.size() / kPageBytes + 2);
  for (uint64_t at = offset; at < offset + data.size();) {
    const uint64_t next = std::min<uint64_t>((at / kPageBytes + 1) * kPageBytes, offset + data.size());
    sums.push_back(PieceSum(spec_.id, at, data.subspan(at - offset, next - at)));
    at = next;
  }
  RecordDraft draft{RecordType::kWrite, 0, spec_.id, 0, spec_.fence, offset, data.size(), data};
  draft.sums = sums;
  Lock lock(mutex_);
  if (dropped_) return Status(Code::kReadOnly, "the resource takes no writes");
  draft.sequence = sequence_ + 1;
  Result<Appended> appended = journal_.Append(draft);
  if (!appended.ok()) return appended.status();
  ++sequence_;
  PublishWrite(offset, data, appended->payload, sums, data.size());
  NoteLocked(appended->record, appended->end);
  return appended->end;
}

void LiveVolume::PublishWrite(uint64_t offset, ConstBytes, Lsn payload, std::span<const uint64_t> sums, uint64_t length) {
  uint64_t at = offset;
  for (uint64_t sum : sums) {
    const uint64_t next = std::min<uint64_t>((at / kPageBytes + 1) * kPageBytes, offset + length);
    const PageSlot slot{Place::Journal(payload + (at - offset)), sum};
    if (next - at == kPageBytes) {
      active_->PutPage(at / kPageBytes, slot);
    } else {
      active_->PutPiece(at / kPageBytes, {static_cast<uint16_t>(at % kPageBytes), static_cast<uint16_t>(next - at), slot});
    }
    at = next;
  }
}

// The bytes go to a pack at once and only a reference is journalled: nothing is written twice, and a flush covers both.
Result<Lsn> LiveVolume::WriteBlocks(uint64_t offset, ConstBytes data) {
  Lsn last = 0;
  std::vector<RefPlace> places;
  uint64_t run = offset;      // where `places`, or the run of zero blocks, begins
  bool zeros = false;
  const auto publish = [&](uint64_t to) -> Status {
    if (run == to) return Status::Ok();
    Result<Lsn> done(Lsn{0});
    if (zeros) {
      Result<WriteOutcome> outcome = Zero(run, to - run, false);
      done = outcome.ok() ? Result<Lsn>(outcome->end) : Result<Lsn>(outcome.status());
    } else {
      done = PublishRefs(run, places);
    }
    if (!done.ok()) return done.status();
    last = *done;
    places.clear();
    run = to;
    return Status::Ok();
  };
  for (uint64_t at = 0; at < data.size(); at += kBlockBytes) {
    const ConstBytes block = data.subspan(at, kBlockBytes);
    const bool zero = IsZero(block);
    if (zero != zeros || places.size() == kRefBlocksMax) {
      if (Status status = publish(offset + at); !status.ok()) return status;
      zeros = zero;
    }
    if (zero) continue;
    const BlockId id = pool_.key->BlockIdOf(block);
    Result<Location> put = pool_.packs->Put(RecordKind::kBlock, id, block, nullptr);
    if (!put.ok()) return put.status();
    RefPlace place{};
    std::memcpy(place.id, id.bytes.data(), sizeof(place.id));
    place.pack = put->pack;
    place.offset = put->offset;
    place.stored_bytes = put->stored_bytes;
    places.push_back(place);
  }
  if (Status status = publish(offset + data.size()); !status.ok()) return status;
  return last;
}

Result<Lsn> LiveVolume::PublishRefs(uint64_t offset, std::span<const RefPlace> places) {
  const ConstBytes payload(reinterpret_cast<const uint8_t*>(places.data()), places.size_bytes());
  Lock lock(mutex_);
  if (dropped_) return Status(Code::kReadOnly, "the resource takes no writes");
  Result<Lsn> end = AppendLocked(RecordType::kRef, offset, places.size() * kBlockBytes, payload);
  if (end.ok()) PublishRef(offset, places);
  return end;
}

void LiveVolume::PublishRef(uint64_t offset, std::span<const RefPlace> places) {
  PageIndex page = offset / kPageBytes;
  for (const RefPlace& place : places) {
    BlockId id;
    std::memcpy(id.bytes.data(), place.id, sizeof(place.id));
    const Location at{place.pack, place.offset, place.stored_bytes};
    for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
      active_->PutPage(page++, {Place::Pack(place.pack, CellOffset(at, i)), CellSeed(id, i)});
    }
  }
}

Result<Lsn> LiveVolume::AppendLocked(RecordType type, uint64_t offset, uint64_t length, ConstBytes payload) {
  RecordDraft draft{type, 0, spec_.id, sequence_ + 1, spec_.fence, offset, length, payload};
  Result<Appended> appended = journal_.Append(draft);
  if (!appended.ok()) return appended.status();
  ++sequence_;
  NoteLocked(appended->record, appended->end);
  return appended->end;
}

Result<WriteOutcome> LiveVolume::Zero(uint64_t offset, uint64_t length, bool punch_hole) {
  Lock lock(mutex_);
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "the resource takes no writes");
  if (active_->range_count() >= kOverlayRangesMax) return Status(Code::kTryAgain, "too many ranges of zeroes wait for destage");
  Result<Lsn> end = AppendLocked(punch_hole ? RecordType::kTrim : RecordType::kZero, offset, length, {});
  if (!end.ok()) return end.status();
  active_->PutZero(offset, length, punch_hole);
  return WriteOutcome{*end};
}

Status LiveVolume::Replay(const ReplayedRecord& record, bool gaps) {
  const RecordHeader& header = record.header;
  if (header.sequence <= sequence_) return Status::Ok();
  if (header.sequence != sequence_ + 1 && header.type != RecordType::kDrop && !gaps) {
    return Status(Code::kCorrupt, "volume " + std::to_string(spec_.id) + " misses journal records " + std::to_string(sequence_ + 1) + " to " +
                                      std::to_string(header.sequence - 1));
  }
  if (header.offset > spec_.size_bytes || header.length > spec_.size_bytes - header.offset) {
    if (header.type != RecordType::kBarrier && header.type != RecordType::kDrop) {
      return Status(Code::kCorrupt, "a journal record of volume " + std::to_string(spec_.id) + " lies past its end");
    }
  }
  Lock lock(mutex_);
  sequence_ = header.sequence;
  NoteLocked(record.record, record.payload + header.payload_bytes);
  switch (header.type) {
    case RecordType::kWrite:
      PublishWrite(header.offset, {}, record.payload, record.sums, header.length);
      break;
    case RecordType::kZero:
    case RecordType::kTrim:
      active_->PutZero(header.offset, header.length, header.type == RecordType::kTrim);
      break;
    case RecordType::kRef: {
      std::vector<RefPlace> places(header.length / kBlockBytes);
      if (places.size() * sizeof(RefPlace) != record.payload_bytes.size()) return Status(Code::kCorrupt, "a REF record of the journal is misshapen");
      std::memcpy(places.data(), record.payload_bytes.data(), record.payload_bytes.size());
      PublishRef(header.offset, places);
      break;
    }
    case RecordType::kBarrier:
    case RecordType::kRewind:
      break;
    case RecordType::kDrop:
      dropped_ = true;
      break;
  }
  return Status::Ok();
}

void LiveVolume::RestackLocked() {
  auto stack = std::make_shared<Stack>();
  for (auto it = frozen_.rbegin(); it != frozen_.rend(); ++it) stack->layers.push_back(it->generation);
  Flatten(*base_, *stack);
  stack_ = std::move(stack);
}

void LiveVolume::Restack() {
  Lock lock(mutex_);
  RestackLocked();
}

std::shared_ptr<Base> LiveVolume::base() const {
  Lock lock(mutex_);
  return base_;
}

}  // namespace skerry

