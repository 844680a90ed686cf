#include "journal.h"

#include <algorithm>
#include <cstring>

#include "../env/failpoints.h"
#include "../env/mutants.h"
#include "journal_impl.h"

namespace skerry {

// The open batch may need its end marked in a sector of its own, and every batch is padded to a sector.
constexpr uint64_t kSlackBytes = 3 * kSectorBytes;
/** What is read of a segment around a place that is not in the page cache. */
constexpr uint64_t kReadAheadBytes = 64u << 10;

Journal::Journal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::Open(Env& env, const JournalOptions& options, const std::function<Status(const ReplayedRecord&)>& replay,
                                               ReplayReport& report) {
  auto impl = std::make_unique<Impl>(env, options);
  if (Status status = impl->LoadIdentity(); !status.ok()) return status;
  if (Status status = impl->MapRing(); !status.ok()) return status;
  if (Status status = impl->Recover(replay, report); !status.ok()) return status;
  return std::unique_ptr<Journal>(new Journal(std::move(impl)));
}

Result<std::vector<Appended>> Journal::Begin(std::span<const RecordDraft> records, bool salvaged) {
  return impl_->Begin(records, salvaged);
}
Result<Appended> Journal::Append(const RecordDraft& draft) { return impl_->Append(draft); }
Result<bool> Journal::Write() { return impl_->Write(); }
Status Journal::Sync() { return impl_->Sync(); }
void Journal::StopAppends() { impl_->StopAppends(); }
Status Journal::MarkEnd() { return impl_->MarkEnd(); }
Result<bool> Journal::PrepareSegment() { return impl_->PrepareSegment(); }
std::array<uint8_t, 16> Journal::id() const { return impl_->id(); }
Lsn Journal::appended() const { return impl_->appended(); }
Lsn Journal::written() const { return impl_->written(); }
Lsn Journal::durable() const { return impl_->durable(); }
bool Journal::failed() const { return impl_->failed(); }
Status Journal::failure() const { return impl_->failure(); }
void Journal::Poison(const Status& cause) { (void)impl_->Fail(cause); }
Status Journal::Read(Lsn place, Bytes into, bool may_block) { return impl_->Read(place, into, may_block); }
void Journal::ReadAhead(std::span<Lsn> places) { impl_->ReadAhead(places); }
void Journal::ReadMany(std::span<JournalStretch> stretches) { impl_->ReadMany(stretches); }
void Journal::Trim(Lsn lsn) { impl_->Trim(lsn); }
Lsn Journal::trimmed() const { return impl_->trimmed(); }
std::optional<uint64_t> Journal::OldestFull() const { return impl_->OldestFull(); }
Result<std::vector<SegmentRecord>> Journal::RecordsOf(uint64_t segment) { return impl_->RecordsOf(segment); }
Result<std::vector<uint8_t>> Journal::PayloadOf(const SegmentRecord& record) { return impl_->PayloadOf(record); }
Status Journal::Move(const SegmentRecord& record, ConstBytes payload) { return impl_->Move(record, payload); }
void Journal::Vacate(uint64_t segment) { impl_->Vacate(segment); }
Lsn Journal::PlaceOf(Lsn known) const { return impl_->PlaceOf(known); }
Journal::Usage Journal::usage() const { return impl_->usage(); }

bool Journal::Impl::FitsLocked(uint64_t record_bytes, uint64_t entry_bytes) const {
  const uint64_t number = SegmentOf(batch_start_);
  const auto index = indices_.find(number);
  const uint64_t region = IndexBuilder::RegionBytes((index == indices_.end() ? 0 : index->second.bytes.size()) + entry_bytes);
  return head_ - number * segment_bytes_ + record_bytes + kSlackBytes + region <= segment_bytes_;
}

bool Journal::Impl::RingHasRoomLocked(Lsn end) const {
  return end + kSlackBytes - tail_.load(std::memory_order_acquire) <= ring_->ring_bytes();
}

void Journal::Impl::OpenBatchLocked(Lsn start) {
  batch_start_ = start;
  head_ = start + sizeof(BatchHeader);
  batch_records_ = 0;
  // Whatever stood here in an earlier lap must not pass for this batch's header before it has one.
  std::memset(RingAt(start), 0, sizeof(BatchHeader));
}

void Journal::Impl::CloseBatchLocked(uint32_t flags) {
  const Lsn mark = IsMutant(Mutant::kMarkAhead) ? written() : durable();
  BatchHeader header{kBatchMagic, kJournalVersion, epoch_, batch_start_, head_ - batch_start_, mark, batch_records_, flags, id_.prefix(), 0};
  header.sum = BatchSum(header);
  const Lsn padded = RoundUp(head_, kSectorBytes);
  std::memset(RingAt(head_), 0, padded - head_);
  std::memcpy(RingAt(batch_start_), &header, sizeof(header));
  const bool ends = (flags & kBatchEndsSegment) != 0;
  closed_.push_back({batch_start_, head_ - batch_start_, ends});
  OpenBatchLocked(ends ? FirstBatch(SegmentOf(batch_start_) + 1) : padded);
}

namespace {

RecordHeader HeaderOf(const RecordDraft& draft, size_t pieces) {
  RecordHeader header{};
  header.magic = kRecordMagic;
  header.version = kJournalVersion;
  header.type = draft.type;
  header.flags = draft.flags;
  header.resource = draft.resource;
  header.sequence = draft.sequence;
  header.fence = draft.fence;
  header.offset = draft.offset;
  header.length = draft.length;
  header.payload_bytes = static_cast<uint32_t>(draft.payload.size());
  header.piece_count = static_cast<uint32_t>(pieces);
  header.origin = draft.origin;
  return header;
}

std::vector<uint64_t> ComputeSums(const RecordDraft& draft) {
  std::vector<uint64_t> sums;
  if (draft.type != RecordType::kWrite) {
    if (!draft.payload.empty()) sums.push_back(PieceSum(draft.resource, draft.offset, draft.payload));
    return sums;
  }
  uint64_t offset = draft.offset;
  for (ConstBytes rest = draft.payload; !rest.empty();) {
    const size_t part = std::min<uint64_t>(kPageBytes - offset % kPageBytes, rest.size());
    sums.push_back(PieceSum(draft.resource, offset, rest.first(part)));
    rest = rest.subspan(part);
    offset += part;
  }
  return sums;
}

}  // namespace

Appended Journal::Impl::PlaceLocked(const RecordDraft& draft, std::span<const uint64_t> sums) {
  RecordHeader header = HeaderOf(draft, sums.size());
  const uint64_t record_bytes = RecordBytes(header), before = sizeof(header) + sums.size_bytes();
  header.sum = RecordSum(header, sums, head_);
  uint8_t* at = RingAt(head_);
  if (!draft.payload.empty()) std::memcpy(at + before, draft.payload.data(), draft.payload.size());
  if (!sums.empty()) std::memcpy(at + sizeof(header), sums.data(), sums.size_bytes());
  std::memset(at + before + draft.payload.size(), 0, record_bytes - before - draft.payload.size());
  std::memcpy(at, &header, sizeof(header));
  indices_[SegmentOf(batch_start_)].Add(header, head_, sums);
  const Appended done{head_, head_ + record_bytes, head_ + before};
  head_ = done.end;
  ++batch_records_;
  return done;
}

Result<Appended> Journal::Impl::Append(const RecordDraft& draft) {
  if (failed()) return failure();
  if (draft.payload.size() > kPayloadBytesMax) return Status(Code::kInvalid, "a journal record holds at most 1 MiB");
  std::vector<uint64_t> computed;
  std::span<const uint64_t> sums = draft.sums;
  if (sums.empty()) {
    computed = ComputeSums(draft);
    sums = computed;
  }
  const uint64_t record_bytes = RecordBytes(HeaderOf(draft, sums.size())), entry_bytes = IndexBuilder::EntryBytes(static_cast<uint32_t>(sums.size()));
  std::lock_guard lock(mutex_);
  if (stopped_) return Status(Code::kClosed, "the journal takes no more records");
  if (!FitsLocked(record_bytes, entry_bytes)) {
    if (record_bytes + entry_bytes + kSlackBytes + 3 * kSectorBytes > segment_bytes_) return Status(Code::kInvalid, "a record that no segment can hold");
    const uint64_t next = SegmentOf(batch_start_) + 1;
    if (!RingHasRoomLocked(FirstBatch(next) + sizeof(BatchHeader) + record_bytes)) return Status(Code::kTryAgain, "the ring is full");
    if (!segments_->Assign(next, (draft.flags & kRecordMoved) != 0)) return Status(Code::kTryAgain, "no journal segment is ready");
    CloseBatchLocked(kBatchEndsSegment);
  }
  if (!RingHasRoomLocked(head_ + record_bytes)) return Status(Code::kTryAgain, "the ring is full");
  const Appended done = PlaceLocked(draft, sums);
  // From here on the record survives the process.
  ring_header().head.store(head_, std::memory_order_release);
  appended_.store(head_, std::memory_order_release);
  appends_.fetch_add(1, std::memory_order_relaxed);
  if (head_ - batch_start_ > kBatchBytesMax) CloseBatchLocked(0);
  return done;
}

Status Journal::Impl::Fail(Status status) {
  std::lock_guard lock(mutex_);
  if (!failed_.load(std::memory_order_relaxed)) {
    failure_ = status.detail();
    failed_.store(true, std::memory_order_release);
  }
  return status;
}

Status Journal::Impl::failure() const {
  if (!failed()) return Status::Ok();
  return Status(Code::kIo, "nothing is written any more, because what was written could not be made durable (" + failure_ +
                               "); put the disk right, then start the daemon again");
}

Status Journal::Impl::WriteSegmentHeader(uint64_t number) {
  AlignedBuffer sector(kSectorBytes);
  std::memset(sector.data(), 0, sector.size());
  SegmentHeader header{kSegmentMagic, kJournalVersion, id_, number, epoch_, 0, 0};
  {
    std::lock_guard lock(mutex_);
    header.trim = trim_;
  }
  header.sum = JournalSum(&header, sizeof(header) - sizeof(header.sum), 0);
  std::memcpy(sector.data(), &header, sizeof(header));
  const std::shared_ptr<SegmentSlot> slot = segments_->Find(number);
  if (!slot) return Status(Code::kIo, "segment " + std::to_string(number) + " has no file");
  if (Status status = slot->direct->Write(sector.bytes(), 0); !status.ok()) return status;
  // Durable before anything lands behind it: an old header over new bytes would make the slot's former segment look alive.
  if (Status status = IsMutant(Mutant::kSegmentHeaderUnsynced) ? Status::Ok() : slot->direct->DataSync(); !status.ok()) return status;
  headed_.insert(number);
  return Status::Ok();
}

Status Journal::Impl::WriteBatch(const ClosedBatch& batch) { return WriteBatchFrom(batch, {RingAt(batch.start), RoundUp(batch.bytes, kSectorBytes)}); }

Status Journal::Impl::WriteBatchFrom(const ClosedBatch& batch, ConstBytes bytes) {
  const uint64_t number = SegmentOf(batch.start);
  const std::shared_ptr<SegmentSlot> slot = segments_->Find(number);
  if (!slot) return Status(Code::kIo, "segment " + std::to_string(number) + " has no file");
  dirty_.insert(number);
  if (!headed_.contains(number)) {
    if (Status status = WriteSegmentHeader(number); !status.ok()) return status;
  }
  return slot->direct->Write(bytes, batch.start - number * segment_bytes_);
}

Result<bool> Journal::Impl::Write() {
  if (failed()) return failure();
  ClosedBatch batch;
  {
    std::lock_guard lock(mutex_);
    if (closed_.empty()) {
      if (batch_records_ == 0) return false;
      CloseBatchLocked(0);
    }
    batch = closed_.front();
    closed_.pop_front();
  }
  if (Status status = WriteBatch(batch); !status.ok()) return Fail(status);
  batches_.fetch_add(1, std::memory_order_relaxed);
  bytes_written_.fetch_add(RoundUp(batch.bytes, kSectorBytes), std::memory_order_relaxed);
  const uint64_t number = SegmentOf(batch.start);
  const Lsn next = batch.ends_segment ? FirstBatch(number + 1) : RoundUp(batch.start + batch.bytes, kSectorBytes);
  written_.store(batch.start + batch.bytes, std::memory_order_release);
  // The shared tail moves first: once appenders see room, a kill must not find a ring that seems to hold more than it can.
  ring_header().tail.store(next, std::memory_order_release);
  tail_.store(next, std::memory_order_release);
  if (batch.ends_segment) {
    if (Status status = Seal(number); !status.ok()) return Fail(status);
  }
  return true;
}

// An index vouches for what it lists: it is written only after that is durable.
Status Journal::Impl::Seal(uint64_t number) {
  const std::shared_ptr<SegmentSlot> slot = segments_->Find(number);
  if (!slot) return Status(Code::kIo, "segment " + std::to_string(number) + " has no file");
  if (Status status = IsMutant(Mutant::kSealUnsynced) ? Status::Ok() : slot->direct->DataSync(); !status.ok()) return status;
  Pass(Failpoint::kJournalSealing);
  IndexBuilder index;
  {
    std::lock_guard lock(mutex_);
    index = std::move(indices_[number]);
    indices_.erase(number);
  }
  const uint64_t region = IndexBuilder::RegionBytes(index.bytes.size());
  AlignedBuffer buffer(region);
  std::memset(buffer.data(), 0, region);
  IndexFooter footer{kIndexMagic, kJournalVersion, id_.prefix(), number, epoch_, index.entries, index.bytes.size(), 0, durable(), 0};
  footer.entries_sum = JournalSum(index.bytes.data(), index.bytes.size(), number);
  footer.sum = JournalSum(&footer, sizeof(footer) - sizeof(footer.sum), number);
  std::memcpy(buffer.data() + region - sizeof(footer), &footer, sizeof(footer));
  if (!index.bytes.empty()) std::memcpy(buffer.data() + region - sizeof(footer) - index.bytes.size(), index.bytes.data(), index.bytes.size());
  return slot->direct->Write(buffer.bytes(), segment_bytes_ - region);
}

Status Journal::Impl::Sync() {
  if (failed()) return failure();
  const Lsn target = written();
  for (uint64_t number : dirty_) {
    const std::shared_ptr<SegmentSlot> slot = segments_->Find(number);
    if (!slot) continue;  // recycled: only what was durable is
    if (IsMutant(Mutant::kJournalSyncSkipped)) continue;
    if (Status status = slot->direct->DataSync(); !status.ok() && !IsMutant(Mutant::kFailedSyncForgotten)) return Fail(status);
  }
  dirty_.clear();
  syncs_.fetch_add(1, std::memory_order_relaxed);
  durable_.store(target, std::memory_order_release);
  return Status::Ok();
}

void Journal::Impl::StopAppends() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
}

// Its one sector has room: an append leaves three for what may have to stand behind it, and the end of the segment takes one.
Status Journal::Impl::MarkEnd() {
  {
    std::lock_guard lock(mutex_);
    const bool all = stopped_ && batch_records_ == 0 && closed_.empty() && (durable() == written() || IsMutant(Mutant::kEndUnsynced));
    if (!all) return Status(Code::kInvalid, "not all that the journal was given is durable");
    CloseBatchLocked(kBatchEndsInOrder);
  }
  if (Result<bool> wrote = Write(); !wrote.ok()) return wrote.status();
  return IsMutant(Mutant::kEndUnsynced) ? Status::Ok() : Sync();
}

// The ring may be overwritten under this copy; the caller looks at the tail afterwards and then throws the copy away.
__attribute__((no_sanitize("thread"))) void Journal::Impl::CopyFromRing(Lsn place, Bytes into) const {
#if defined(__SANITIZE_THREAD__)
  const volatile uint8_t* from = RingAt(place);
  for (size_t i = 0; i < into.size(); ++i) into[i] = from[i];
#else
  std::memcpy(into.data(), RingAt(place), into.size());
#endif
}

Status Journal::Impl::Read(Lsn place, Bytes into, bool may_block) {
  if (place >= tail_.load(std::memory_order_acquire)) {
    CopyFromRing(place, into);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (place >= tail_.load(std::memory_order_acquire)) return Status::Ok();
  }
  const uint64_t number = SegmentOf(place);
  const std::shared_ptr<SegmentSlot> slot = segments_->Find(number);
  if (!slot) {
    const Lsn moved = PlaceOf(place);
    // Where it was moved again meanwhile, this answers as for any place that was trimmed while it was looked up.
    return moved != place ? Read(moved, into, may_block) : Status(Code::kNotFound, "journal position " + std::to_string(place) + " was trimmed");
  }
  const uint64_t offset = place - number * segment_bytes_;
  const Bytes part[] = {into};
  Result<size_t> got = may_block ? slot->buffered->Read(into, offset) : slot->buffered->ReadNow(part, offset);
  if (!got.ok()) return got.status();
  return *got == into.size() ? Status::Ok() : Status(Code::kNotFound, "journal position " + std::to_string(place) + " is past its segment");
}

// Pages written at random lie in the order of their writing: a reader in the volume's order comes to each stretch many times.
void Journal::Impl::ReadAhead(std::span<Lsn> places) {
  std::ranges::sort(places);
  const Lsn tail = tail_.load(std::memory_order_acquire);
  Lsn asked = 0;
  for (const Lsn place : places) {
    if (place < asked || place >= tail) continue;
    const uint64_t number = SegmentOf(place);
    const Lsn segment_start = number * segment_bytes_;
    const Lsn start = place / kReadAheadBytes * kReadAheadBytes;
    asked = std::min({start + kReadAheadBytes, segment_start + segment_bytes_, tail});
    if (const auto slot = segments_->Find(number)) slot->buffered->ReadAhead(start - segment_start, asked - start);
  }
}

void Journal::Impl::ReadMany(std::span<JournalStretch> stretches) {
  std::vector<std::shared_ptr<SegmentSlot>> slots;   // held until all is read
  std::vector<FileRead> reads;
  std::vector<JournalStretch*> owners;
  const Lsn tail = tail_.load(std::memory_order_acquire);
  for (JournalStretch& stretch : stretches) {
    stretch.ok = false;
    const uint64_t number = SegmentOf(stretch.place);
    const Lsn end = stretch.place + stretch.into.size();
    if (end > tail || SegmentOf(end - 1) != number) continue;
    if (slots.empty() || slots.back() != segments_->Find(number)) slots.push_back(segments_->Find(number));
    if (!slots.back()) continue;
    reads.push_back({slots.back()->direct.get(), stretch.place - number * segment_bytes_, stretch.into, {}});
    owners.push_back(&stretch);
  }
  env_.ReadMany(reads);
  for (size_t i = 0; i < reads.size(); ++i) owners[i]->ok = reads[i].status.ok();
}

void Journal::Impl::Trim(Lsn lsn) {
  const Lsn lowest = std::min({Vacated(lsn), durable(), tail_.load(std::memory_order_acquire)});
  {
    std::lock_guard lock(mutex_);
    trim_ = std::max(trim_, lowest);
  }
  segments_->Recycle(SegmentOf(lowest));
}

Lsn Journal::Impl::trimmed() const {
  std::lock_guard lock(mutex_);
  return trim_;
}

Journal::Usage Journal::Impl::usage() const {
  Usage usage;
  usage.segments = segments_->live();
  usage.segments_ready = segments_->ready();
  const uint64_t lowest = segments_->lowest();
  {
    std::lock_guard lock(mutex_);
    const Lsn from = lowest == ~0ull ? head_ : std::max(trim_, lowest * segment_bytes_);
    usage.bytes = head_ > from ? head_ - from : 0;
  }
  usage.bytes_max = segments_->window();
  usage.ring_bytes = ring_->ring_bytes();
  usage.appends = appends_.load();
  usage.moved_bytes = moved_bytes_.load();
  usage.batches = batches_.load();
  usage.syncs = syncs_.load();
  usage.bytes_written = bytes_written_.load();
  return usage;
}

}  // namespace skerry
