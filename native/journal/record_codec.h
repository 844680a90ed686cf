#pragma once
// Laying records and batches down, and telling whether bytes are one.
#include <optional>
#include <span>

#include "layout.h"
#include "record.h"

namespace skerry {

/** A whole record in memory; valid as long as the bytes it was parsed from. */
struct RecordView {
  RecordHeader header;
  Lsn record = 0;
  Lsn payload_at = 0;
  std::span<const uint64_t> sums;
  ConstBytes payload;
  uint64_t bytes = 0;      // in the log, with padding
};

/** Pieces of a record's payload: page by page of the volume for kWrite, else all of it is one. */
uint32_t PieceCount(RecordType type, uint64_t offset, uint64_t payload_bytes);
uint64_t RecordBytes(uint64_t piece_count, uint64_t payload_bytes);
inline uint64_t IndexEntryBytes(uint64_t piece_count) { return sizeof(IndexEntry) + piece_count * sizeof(uint64_t); }

/** Computes the sums of `header.piece_count` pieces into `sums`. */
void SumPieces(const RecordHeader& header, ConstBytes payload, std::span<uint64_t> sums);
/** True if each piece matches its sum. */
bool PiecesHold(const RecordHeader& header, std::span<const uint64_t> sums, ConstBytes payload);
uint64_t RecordSum(const RecordHeader& header, std::span<const uint64_t> sums, Lsn record);
/** True if header and piece sums are as they were written at this very Lsn, and sizes are within the limits. */
bool RecordHolds(const RecordHeader& header, std::span<const uint64_t> sums, Lsn record);

/** Lays a record with a finished header at `into`, which has RecordBytes() of room. */
void EncodeRecord(const RecordHeader& header, std::span<const uint64_t> sums, ConstBytes payload, uint8_t* into);
/** The record that `bytes` (aligned to 8, to the end of the batch) begins with. The payload is not checked. */
std::optional<RecordView> ParseRecord(ConstBytes bytes, Lsn record);

/** The batch header that `bytes` (a sector at least) begins with, if it was written for this journal and this very Lsn. */
std::optional<BatchHeader> ParseBatch(ConstBytes bytes, Lsn start, uint64_t journal);

}  // namespace skerry
