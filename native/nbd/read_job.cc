#include "read_job.h"

#include <algorithm>

namespace skerry::nbd {

// The pieces of a sparse reply, headers between, must fit in the request's length and the room before the buffer.
static_assert(kReadChunksMax * kHoleChunkBytes + kErrorReplyBytesMax <= kBufferHeadBytes);
static_assert(kDataChunkHeaderBytes <= kHoleChunkBytes);

bool ReadJob::Run(bool may_block) {
  error_ = 0;
  reply_ = {};
  const ReadWaits::Guard guard(may_block ? &waits_ : nullptr);
  if (request_.type == kCmdBlockStatus) return RunStatus(may_block);
  const bool sparse = structured_ && request_.length >= kSparseReadBytesMin && (request_.flags & kFlagDf) == 0;
  return sparse ? RunSparse(may_block) : RunRead(may_block);
}

Status ReadJob::ReadOn(uint64_t offset, Bytes into, size_t* done, bool may_block) {
  while (*done < into.size()) {
    const uint64_t from = offset + *done;
    const size_t bytes = std::min<size_t>(into.size() - *done, kReadPieceBytes - from % kReadPieceBytes);
    if (Status status = volume_->Read(from, into.subspan(*done, bytes), may_block); !status.ok()) return status;
    *done += bytes;
    waits_.Clear();
  }
  return {};
}

bool ReadJob::RunRead(bool may_block) {
  const Status status = ReadOn(request_.offset, {buffer_.data(), request_.length}, &done_, may_block);
  if (Again(status, may_block)) return false;
  if (!status.ok()) return Fail(status);
  uint8_t* start = buffer_.data() - (structured_ ? kDataChunkHeaderBytes : kSimpleReplyBytes);
  if (structured_) {
    EncodeDataHeader(start, true, request_.cookie, request_.offset, request_.length);
  } else {
    EncodeSimple(start, request_.cookie, 0);
  }
  reply_ = {start, buffer_.data() + request_.length};
  return true;
}

bool ReadJob::RunSparse(bool may_block) {
  if (pieces_.empty() && !Plan(may_block)) return false;
  // One piece of data is read page-aligned, its header in front of it.
  if (pieces_.size() == 1 && !pieces_[0].hole) return RunRead(may_block);
  uint8_t* const start = buffer_.data() - kBufferHeadBytes;
  if (at_ == nullptr) at_ = start;
  for (; piece_ < pieces_.size(); ++piece_, done_ = 0) {
    const Piece& piece = pieces_[piece_];
    const bool last = piece_ + 1 == pieces_.size();
    if (piece.hole) {
      at_ = EncodeHole(at_, last, request_.cookie, piece.offset, piece.length);
      continue;
    }
    const Status status = ReadOn(piece.offset, {at_ + kDataChunkHeaderBytes, piece.length}, &done_, may_block);
    if (Again(status, may_block)) return false;
    if (!status.ok()) {
      error_ = ErrorOf(status.code());
      at_ = EncodeError(at_, request_.cookie, error_, &piece.offset);
      break;
    }
    at_ = EncodeDataHeader(at_, last, request_.cookie, piece.offset, piece.length) + piece.length;
  }
  reply_ = {start, at_};
  return true;
}

bool ReadJob::Plan(bool may_block) {
  std::vector<Piece>& pieces = pieces_;
  const uint64_t end = request_.offset + request_.length;
  const auto extents = volume_->BlockStatus(request_.offset, request_.length, kReadChunksMax, may_block);
  if (Again(extents.status(), may_block)) return false;
  uint64_t at = request_.offset;
  // A volume that cannot say what is where is read whole: the read finds the error, or does not.
  if (extents.ok()) {
    for (const Extent& extent : extents.value()) {
      if (extent.offset != at || at >= end || pieces.size() + 1 >= kReadChunksMax) break;
      const auto length = static_cast<uint32_t>(std::min(extent.length, end - at));
      const bool hole = extent.zero && length >= kPageBytes;
      if (!pieces.empty() && pieces.back().hole == hole) {
        pieces.back().length += length;
      } else {
        pieces.push_back({at, length, hole});
      }
      at += length;
    }
  }
  if (at < end) {
    const auto length = static_cast<uint32_t>(end - at);
    if (!pieces.empty() && !pieces.back().hole) {
      pieces.back().length += length;
    } else {
      pieces.push_back({at, length, false});
    }
  }
  return true;
}

bool ReadJob::RunStatus(bool may_block) {
  uint8_t* const start = buffer_.data() - kChunkHeaderBytes - 4;
  uint8_t* at = start;
  const size_t chunks = contexts_->count();
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const bool base = chunk == 0 && contexts_->base_id;
    const ChangedContext* changed = base ? nullptr : &contexts_->changed[chunk - (contexts_->base_id ? 1 : 0)];
    Result<std::vector<StateRun>> runs = base ? AllocationRuns(may_block) : ChangedRuns(*changed->changes, may_block);
    if (Again(runs.status(), may_block)) return false;
    if (!runs.ok()) return Fail(runs.status());
    if (runs->empty()) return Fail(Status(Code::kIo, "the volume described nothing of the range"));
    at = StatusChunk(at, chunk + 1 == chunks, base ? *contexts_->base_id : changed->id, *runs);
  }
  reply_ = {start, at};
  return true;
}

Result<std::vector<ReadJob::StateRun>> ReadJob::AllocationRuns(bool may_block) const {
  const bool one = (request_.flags & kFlagReqOne) != 0;
  const auto extents = volume_->BlockStatus(request_.offset, request_.length, one ? 16 : kStatusExtentsMax, may_block);
  if (!extents.ok()) return extents.status();
  std::vector<StateRun> runs;
  uint64_t at = request_.offset;
  for (const Extent& extent : extents.value()) {
    if (extent.offset != at) break;
    runs.push_back({extent.length, (extent.hole ? kStateHole : 0) | (extent.zero ? kStateZero : 0)});
    at += extent.length;
  }
  return runs;
}

Result<std::vector<ReadJob::StateRun>> ReadJob::ChangedRuns(Changes& changes, bool may_block) const {
  const bool one = (request_.flags & kFlagReqOne) != 0;
  const auto extents = changes.Extents(request_.offset, request_.length, one ? 1 : kStatusExtentsMax, may_block);
  if (!extents.ok()) return extents.status();
  std::vector<StateRun> runs;
  for (const ChangedExtent& extent : extents.value()) {
    runs.push_back({extent.length, (extent.changed ? kStateChanged : 0) | (extent.zero ? kStateChangedZero : 0)});
  }
  return runs;
}

uint8_t* ReadJob::StatusChunk(uint8_t* at, bool done, uint32_t context, const std::vector<StateRun>& runs) const {
  const size_t count_max = (request_.flags & kFlagReqOne) != 0 ? 1 : kStatusExtentsMax;
  uint8_t* into = at + kChunkHeaderBytes + 4;
  size_t count = 0;
  uint64_t left = request_.length;
  for (size_t i = 0; i < runs.size() && left > 0 && count < count_max; ++count) {
    const uint32_t state = runs[i].state;
    uint64_t length = 0;
    while (i < runs.size() && runs[i].state == state) length += runs[i++].length;
    length = std::min(length, left);
    left -= length;
    into = Store32(Store32(into, static_cast<uint32_t>(length)), state);
  }
  Store32(EncodeChunk(at, done ? kReplyFlagDone : 0, kReplyBlockStatus, request_.cookie, static_cast<uint32_t>(4 + 8 * count)), context);
  return into;
}

bool ReadJob::Fail(const Status& status) {
  error_ = ErrorOf(status.code());
  return true;
}

}  // namespace skerry::nbd
