#pragma once
// The journal's state. Fields under `mutex_` change in Append and around batches; what only the flusher touches is apart.
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "journal.h"
#include "layout.h"
#include "segments.h"

namespace skerry {

class Journal::Impl {
 public:
  Impl(Env& env, const JournalOptions& options) : env_(env), options_(options) {}

  // Opening (recovery.cc), in this order.
  Status LoadIdentity();
  Status MapRing();
  /** Of this journal, of this boot, of this size. */
  bool RingIsOurs() const;
  Status Recover(const std::function<Status(const ReplayedRecord&)>& replay, ReplayReport& report);

  Result<std::vector<Appended>> Begin(std::span<const RecordDraft> records, bool salvaged);

  Result<Appended> Append(const RecordDraft& draft);
  Result<bool> Write();
  Status Sync();
  void StopAppends();
  Status MarkEnd();
  Status Read(Lsn place, Bytes into, bool may_block);
  void ReadAhead(std::span<Lsn> places);
  void ReadMany(std::span<JournalStretch> stretches);
  void Trim(Lsn lsn);
  Lsn trimmed() const;
  std::optional<uint64_t> OldestFull() const;
  Result<std::vector<SegmentRecord>> RecordsOf(uint64_t segment);
  Result<std::vector<uint8_t>> PayloadOf(const SegmentRecord& record);
  Status Move(const SegmentRecord& record, ConstBytes payload);
  void Vacate(uint64_t segment);
  Lsn PlaceOf(Lsn known) const;
  Result<bool> PrepareSegment() { return segments_->Prepare(kReadyWant, false); }
  Usage usage() const;

  std::array<uint8_t, 16> id() const { return std::to_array(id_.bytes); }
  Lsn appended() const { return appended_.load(std::memory_order_acquire); }
  Lsn written() const { return written_.load(std::memory_order_acquire); }
  Lsn durable() const { return durable_.load(std::memory_order_acquire); }
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  Status failure() const;
  Status Fail(Status status);

 private:
  static constexpr size_t kReadyWant = 2;

  struct ClosedBatch {
    Lsn start;
    uint64_t bytes;
    bool ends_segment;
  };
  /** What recovery learns of the log before it delivers anything. */
  struct Survey {
    std::vector<Segments::Found> segments;   // live, contiguous, ascending
    Lsn mark = 0;                            // all before it was durable once
    uint64_t epoch = 0;
    /** Stretches of the log that no segment holds: a sentence, and the position where the log goes on. */
    std::vector<std::pair<std::string, Lsn>> missing;
  };
  struct Delivery {
    const std::function<Status(const ReplayedRecord&)>& replay;
    ReplayReport& report;
    Lsn mark = 0;
  };

  // moving.cc
  /** The record as replay delivers it; where it was moved, what it is known by is found from here on. */
  ReplayedRecord Known(const RecordHeader& header, Lsn place, Lsn payload);
  void NoteMoved(const RecordHeader& header, Lsn origin, Lsn payload);
  /** Up to where segments may go; forgets where records stand that are known by positions below `lsn`. */
  Lsn Vacated(Lsn lsn);

  uint64_t SegmentOf(Lsn lsn) const { return lsn / segment_bytes_; }
  Lsn FirstBatch(uint64_t number) const { return number * segment_bytes_ + kSectorBytes; }
  uint8_t* RingAt(Lsn lsn) const { return ring_->ring() + lsn % ring_->ring_bytes(); }
  RingHeader& ring_header() const { return *reinterpret_cast<RingHeader*>(ring_->header().data()); }

  bool FitsLocked(uint64_t record_bytes, uint64_t entry_bytes) const;
  bool RingHasRoomLocked(Lsn end) const;
  /** Lays a record at `head_`, which has room; nothing is published. */
  Appended PlaceLocked(const RecordDraft& draft, std::span<const uint64_t> sums);
  void CloseBatchLocked(uint32_t flags);
  void OpenBatchLocked(Lsn start);
  Status WriteBatch(const ClosedBatch& batch);
  /** `bytes`: the batch, padded to sectors. */
  Status WriteBatchFrom(const ClosedBatch& batch, ConstBytes bytes);
  Status WriteSegmentHeader(uint64_t number);
  Status Seal(uint64_t number);
  void CopyFromRing(Lsn place, Bytes into) const;

  // recovery.cc and scan.cc
  Result<Survey> SurveySegments(ReplayReport& report);
  /** Refuses what is missing, unless an earlier opening was told to let it go, or this one is. */
  Status CheckMissing(const Survey& survey, ReplayReport& report);
  /** The highest position of a record in the segment that says so; 0 where there is none. */
  Result<Lsn> FindSalvage(const Segments::Found& segment);
  void NoteLoss(ReplayReport& report, const std::string& what);
  /** Takes in the durable marks of an unsealed segment's batches. */
  Status SurveyMarks(const Segments::Found& segment, Survey& survey);
  Status AssignPrepared(uint64_t number);
  Result<bool> ReadIndex(const Segments::Found& segment, std::vector<uint8_t>& entries, IndexFooter& footer);
  Status DeliverIndex(const Segments::Found& segment, ConstBytes entries, const IndexFooter& footer, Delivery& delivery);
  /** Delivers the batches of an unsealed segment; `end` gets where the next batch would begin, `ended` whether the log ends here. */
  Status ScanSegment(const Segments::Found& segment, Survey& survey, Delivery& delivery, Lsn& end, bool& ended);
  Status DeliverBatch(ConstBytes batch, const BatchHeader& header, Delivery& delivery, bool ring, bool* damaged_payload, std::string* damage);
  Lsn FindLaterBatch(ConstBytes segment, uint64_t number, Lsn from, uint64_t epoch) const;
  std::string Where(const SegmentSlot& slot, Lsn at) const;
  Status Damaged(const std::string& where, const std::string& what) const;
  Status DeliverRing(Lsn end, Survey& survey, Delivery& delivery, std::vector<ClosedBatch>& batches, Lsn& next);
  Status RewriteRing();
  Result<std::vector<Appended>> WriteMarker(std::span<const RecordDraft> records, Lsn* open);
  void StampRing(Lsn open);

  Env& env_;
  JournalOptions options_;
  JournalId id_{};
  uint64_t segment_bytes_ = 0;
  uint64_t epoch_ = 0;
  std::unique_ptr<SharedMemory> ring_;
  std::unique_ptr<Segments> segments_;

  mutable std::mutex mutex_;
  Lsn batch_start_ = 0;              // of the open batch
  Lsn head_ = 0;                     // where the next record goes
  uint32_t batch_records_ = 0;
  std::deque<ClosedBatch> closed_;
  std::map<uint64_t, IndexBuilder> indices_;   // of segments not yet sealed
  Lsn trim_ = 0;
  std::string failure_;              // set once, before `failed_`
  bool stopped_ = false;             // nothing is appended any more

  // What Recover leaves to Begin.
  struct Opening {
    std::vector<ClosedBatch> from_ring;
    Lsn next = 0;            // where the epoch's first batch goes
    Lsn mark = 0;
    bool salvaged = false;
    std::vector<uint64_t> unsealed;   // segments whose index leaves out what was let go: written once the log says so
  } opening_;

  // Of moved records: the first byte of the payload, as it is known, to where it stands. The vacated end, once durable up to `durable_at`.
  struct Moved {
    Lsn to;
    uint32_t bytes;
  };
  mutable std::shared_mutex moved_mutex_;
  std::map<Lsn, Moved> moved_;
  Lsn vacated_ = 0;
  struct Vacating {
    Lsn end = 0, durable_at = 0;
  } vacating_;
  std::atomic<uint64_t> moved_bytes_{0};

  // The flusher's alone.
  std::set<uint64_t> dirty_;         // segments written since the last sync
  std::set<uint64_t> headed_;        // live segments whose header is written

  std::atomic<Lsn> tail_{0}, appended_{0}, written_{0}, durable_{0};
  std::atomic<bool> failed_{false};
  std::atomic<uint64_t> appends_{0}, batches_{0}, syncs_{0}, bytes_written_{0};
};

}  // namespace skerry
