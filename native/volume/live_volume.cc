#include "live_volume.h"

#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "pool.h"

namespace skerry {
namespace {

constexpr uint64_t kJournalledBytesMax = 1 << 20;

}  // namespace

LiveVolume::LiveVolume(VolumeSpec spec, std::shared_ptr<Base> base, Journal& journal, Admission& admission, ChangedVolumes& changed)
    : spec_(spec), journal_(journal), admission_(admission), changed_(changed),
      tail_(spec.flushes_to_pool ? std::make_shared<LogTail>(spec.id, spec.applied_sequence, base->pool->log_budget) : nullptr), active_(std::make_shared<Generation>()), base_(std::move(base)),
      sequence_(spec.applied_sequence), lineage_(spec.lineage), size_(spec.size_bytes) {
  if (!base_->pending) committed_ = base_->root;
  active_->resource = spec_.id;
  rate.Set(spec_.limit);
  compression_.Set(spec_.compression);
  RestackLocked();
}

Status LiveVolume::TakesChangesLocked() const {
  if (dropped_ || spec_.read_only) return Status(Code::kReadOnly, "the resource takes no writes");
  // Before anything that waits for room: after a failure none ever comes.
  return journal_.failure();
}

// A record that came in between would take the sequence of one that was flushed, and the start would pass that over.
Status LiveVolume::GoesOnLocked() const {
  if (!tail_ || tail_->begun() || restorer_ == std::this_thread::get_id()) return Status::Ok();
  return {Code::kTryAgain, "what the pool has of the volume is still to be read"};
}

Status LiveVolume::AdmitLocked(uint64_t bytes) {
  if (Status status = TakesChangesLocked(); !status.ok()) return status;
  if (tail_ && tail_->IsFull()) return Status(Code::kTryAgain, "log chunks wait to be put into the pool");
  return admission_.Admit(share_, base_->pool->room, bytes, active_->journal_bytes + frozen_journal_bytes_, active_->bytes() + frozen_overlay_bytes_);
}

// Before a record is appended, never after: whoever trims the journal reads its end first and then asks all who announced
// themselves, so a record that he is not told of lies above that end.
void LiveVolume::AnnounceLocked() {
  if (announced_) return;
  announced_ = true;
  changed_.Add(spec_.id);
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
  if (HoldsBlocks(offset, data.size())) {
    if (!Stages(offset, data.size())) {
      // Before anything is hashed for it.
      if (pool()->packs->crowded()) return Status(Code::kTryAgain, "packs wait to be shipped to the pool's backend");
      Lock lock(mutex_);
      if (Status status = AdmitLocked(data.size()); !status.ok()) return status;
    }
    Result<std::unique_ptr<StagedWrite>> staged = Stage(offset, data);
    if (!staged.ok()) return staged.status();
    return Publish(offset, data, **staged);
  }
  {
    Lock lock(mutex_);
    if (Status status = AdmitLocked(data.size()); !status.ok()) return status;
  }
  Result<Lsn> done = WriteJournalled(offset, data);
  if (!done.ok()) return done.status();
  return WriteOutcome{*done};
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
  if (Status status = CheckEndLocked(offset + data.size()); !status.ok()) return status;
  if (Status status = GoesOnLocked(); !status.ok()) return status;
  draft.sequence = sequence_ + 1;
  AnnounceLocked();
  Result<Appended> appended = journal_.Append(draft);
  if (!appended.ok()) return appended.status();
  ++sequence_;
  PublishWrite(offset, data, appended->payload, sums, data.size());
  NoteLocked(appended->record, appended->end);
  if (tail_) LogLocked(RecordType::kWrite, offset, data.size(), data, appended->end);
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

void LiveVolume::PublishRef(uint64_t offset, std::span<const RefPlace> places) {
  PageIndex page = offset / kPageBytes;
  for (const RefPlace& place : places) {
    BlockId id;
    std::memcpy(id.bytes.data(), place.id, sizeof(place.id));
    const Location at = PlaceOf(place.pack, place.offset, place.length);
    for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
      active_->PutPage(page++, {Place::Pack(place.pack, CellAddress(at, i)), CellSeed(id, i)});
    }
  }
}

Result<Lsn> LiveVolume::AppendLocked(RecordType type, uint64_t offset, uint64_t length, ConstBytes payload) {
  if (Status status = type == RecordType::kDrop ? Status::Ok() : GoesOnLocked(); !status.ok()) return status;
  RecordDraft draft{type, 0, spec_.id, sequence_ + 1, spec_.fence, offset, length, payload};
  AnnounceLocked();
  Result<Appended> appended = journal_.Append(draft);
  if (!appended.ok()) return appended.status();
  ++sequence_;
  NoteLocked(appended->record, appended->end);
  if (tail_ && type != RecordType::kDrop) LogLocked(type, offset, length, payload, appended->end);
  return appended->end;
}

Result<WriteOutcome> LiveVolume::Zero(uint64_t offset, uint64_t length, bool punch_hole) {
  Lock lock(mutex_);
  if (Status status = TakesChangesLocked(); !status.ok()) return status;
  if (Status status = CheckEndLocked(offset + length); !status.ok()) return status;
  if (tail_ && tail_->IsFull()) return Status(Code::kTryAgain, "log chunks wait to be put into the pool");
  if (active_->range_count() >= kOverlayRangesMax) return Status(Code::kTryAgain, "too many ranges of zeroes wait for destage");
  if (IsMutant(Mutant::kPublishedUnappended)) active_->PutZero(offset, length, punch_hole);
  Result<Lsn> end = AppendLocked(punch_hole ? RecordType::kTrim : RecordType::kZero, offset, length, {});
  // Waiting would be for ever where the journal is full of what the disk has no room for.
  if (end.code() == Code::kTryAgain && base_->pool->room.room() == Room::kNone) return Status(Code::kNoSpace, "the pool's disk is full");
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
  const bool writes = header.type <= RecordType::kRef;
  const bool past_end = writes && (header.offset > size() || header.length > size() - header.offset);
  if (past_end && !gaps) return Status(Code::kCorrupt, "a journal record of volume " + std::to_string(spec_.id) + " lies past its end");
  Lock lock(mutex_);
  AnnounceLocked();
  // The record that made the volume larger is among what is missing. What came after it need not be lost too.
  if (past_end) ResizeLocked((header.offset + header.length + kPageBytes - 1) / kPageBytes * kPageBytes);
  // See Rewound.
  if (header.type != RecordType::kRewind || !tail_) sequence_ = header.sequence;
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
    case RecordType::kSalvage:  // of no volume
      break;
    case RecordType::kDrop:
      dropped_ = true;
      break;
    case RecordType::kResize:
      ResizeLocked(header.length);
      break;
    case RecordType::kRollback: {
      RollbackPlace place;
      if (record.payload_bytes.size() != sizeof(place)) return Status(Code::kCorrupt, "a rollback record of the journal is misshapen");
      std::memcpy(&place, record.payload_bytes.data(), sizeof(place));
      RollbackLocked(place);
      break;
    }
    default:
      return Status(Code::kCorrupt, "the journal holds a record of a kind that this version does not know: start a newer Skerry");
  }
  return Status::Ok();
}

void LiveVolume::RestackLocked() {
  auto stack = std::make_shared<Stack>();
  for (auto it = frozen_.rbegin(); it != frozen_.rend(); ++it) stack->layers.push_back(it->generation);
  Flatten(*base_, *stack);
  stack_ = std::move(stack);
  if (tail_) tail_->SetBased(!base_->pending);
}

void LiveVolume::Restack() {
  Lock lock(mutex_);
  RestackLocked();
}

bool LiveVolume::StackIsCurrent() const {
  Lock lock(mutex_);
  Stack stack;
  for (auto it = frozen_.rbegin(); it != frozen_.rend(); ++it) stack.layers.push_back(it->generation);
  Flatten(*base_, stack);
  return stack.layers == stack_->layers && stack.root.id == stack_->root.id && stack.pool == stack_->pool;
}

std::shared_ptr<Base> LiveVolume::base() const {
  Lock lock(mutex_);
  return base_;
}

std::shared_ptr<Pool> LiveVolume::pool() const {
  Lock lock(mutex_);
  return base_->pool;
}

}  // namespace skerry

