// Requests, in the order they came: checked, handed to the volume, answered; what must wait is parked, whole batches at once.
#include <algorithm>
#include <utility>

#include "connection.h"
#include "reactor.h"

namespace skerry::nbd {

namespace {

NbdOperation OperationOf(uint16_t type) {
  switch (type) {
    case kCmdRead: return NbdOperation::kRead;
    case kCmdWrite: return NbdOperation::kWrite;
    case kCmdFlush: return NbdOperation::kFlush;
    case kCmdTrim: return NbdOperation::kTrim;
    case kCmdWriteZeroes: return NbdOperation::kZero;
    case kCmdCache: return NbdOperation::kCache;
    case kCmdBlockStatus: return NbdOperation::kStatus;
    default: return NbdOperation::kCount;
  }
}

}  // namespace

bool Connection::DispatchReceived() {
  while (phase_ == Phase::kTransmission && !draining_) {
    const bool full = Full();
    if (full || hold_ != Hold::kNone) {
      // What waits here may wait for seconds. See BeginFence on why a write of a client that has gone is not applied.
      if (hold_ == Hold::kAdmission && retry_ ? PeerGone() : half_closed_) {
        Drain("the client closed the connection");
        return false;
      }
      if (full || hold_ == Hold::kBudget || !retry_) return false;
    }
    if (spent_ >= allowed_) {
      again_ = true;
      return false;
    }
    if (!head_) {
      size_t consumed = 0;
      const RequestParser::Step step = parser_.Next(receive_ ? ConstBytes{receive_.data() + begin_, end_ - begin_} : ConstBytes{}, &consumed);
      begin_ += consumed;
      if (step == RequestParser::Step::kMore) return true;
      if (step == RequestParser::Step::kFailed) {
        Drain(parser_.why());
        return false;
      }
      if (step == RequestParser::Step::kLarge) {
        if (!BeginPayload()) return false;
        continue;
      }
      head_ = true;
    }
    if (!Dispatch()) continue;  // held: see above
    spent_ += kRequestCostBytes + std::min(MovedBytes(parser_.request()), kRequestBytesMax);
    SetHold(Hold::kNone);
    retry_ = false;
    charged_ = false;
    head_ = false;
    payload_.Release();
    ++batch_requests_;
    if (replies_.bytes() >= kSendEarlyBytes && !send_blocked_) {
      CountBatch();
      Flush();
    }
  }
  return false;
}

bool Connection::BeginPayload() {
  const Request& request = parser_.request();
  skip_error_ = Check(request);
  if (skip_error_ != 0) {
    parser_.Skip();
    return true;
  }
  Buffer buffer = TakeBuffer(request.length);
  if (!buffer) return false;
  payload_ = std::move(buffer);
  large_stream_ = true;
  parser_.Collect({payload_.data(), payload_.size()});
  return true;
}

uint32_t Connection::Check(const Request& request) const {
  // The volume may have been made smaller, or larger than this client knows.
  const uint64_t size = std::min(volume_->size(), size_bytes_);
  const bool past_end = request.offset > size || request.length > size - request.offset;
  const bool empty = request.length == 0;
  uint16_t flags = kFlagFua;  // valid on every command, where it is only heeded by those that write
  switch (request.type) {
    case kCmdRead:
      if (structured_) flags |= kFlagDf;
      break;
    case kCmdWriteZeroes: flags |= kFlagNoHole | kFlagFastZero; break;
    case kCmdBlockStatus: flags |= kFlagReqOne; break;
    default: break;
  }
  if ((request.flags & ~flags) != 0) return kErrInvalid;
  switch (request.type) {
    case kCmdRead: return past_end || empty || request.length > kRequestBytesMax ? kErrInvalid : 0;
    case kCmdFlush: return request.offset != 0 || request.length != 0 ? kErrInvalid : 0;
    case kCmdCache: return past_end || empty ? kErrInvalid : 0;
    case kCmdBlockStatus: return past_end || empty || contexts_->count() == 0 ? kErrInvalid : 0;
    case kCmdWrite:
    case kCmdTrim:
    case kCmdWriteZeroes: break;
    default: return kErrInvalid;
  }
  if (volume_->read_only() || read_only_) return kErrPerm;
  if (empty || (request.type == kCmdWrite && request.length > kRequestBytesMax)) return kErrInvalid;
  if (past_end) return request.type == kCmdTrim ? kErrInvalid : kErrNoSpace;
  return 0;
}

bool Connection::Dispatch() {
  const Request& request = parser_.request();
  if (request.type == kCmdDisc) {
    Drain("the client disconnected");
    return true;
  }
  if (const uint32_t error = parser_.skipped() ? skip_error_ : Check(request); error != 0) {
    Count(request.type, 0, error);
    AnswerError(request.cookie, error);
    return true;
  }
  if (volume_->rate.on() && !Charge(request)) {
    // Looked at again by the reactor's clock; what is behind it waits its turn.
    SetHold(Hold::kAdmission);
    retry_ = false;
    return false;
  }
  switch (request.type) {
    case kCmdRead:
    case kCmdBlockStatus: return DispatchRead(request);
    case kCmdFlush:
      AwaitDurable(request, batch_nanos_, volume_->FlushTarget());
      return true;
    case kCmdCache:  // a hint: what is read next is read ahead by the layers below
      Count(request.type, request.length, 0);
      AnswerDone(request.cookie);
      return true;
    default: return DispatchChange(request);
  }
}

bool Connection::Charge(const Request& request) {
  // A flush moves nothing of its own, and holding it back would only make what was written less safe.
  if (charged_ || request.type == kCmdFlush) return true;
  charged_ = volume_->rate.Take(MovedBytes(request), reactor_.Now());
  return charged_;
}

bool Connection::DispatchRead(const Request& request) {
  const bool read = request.type == kCmdRead;
  bool tried = false;
  if (read && request.length <= kArenaReadBytesMax) {
    const size_t header_bytes = structured_ ? kDataChunkHeaderBytes : kSimpleReplyBytes;
    if (uint8_t* at = replies_.Reserve(header_bytes + request.length)) {
      const Status status = volume_->Read(request.offset, {at + header_bytes, request.length}, false);
      if (status.ok()) {
        if (structured_) {
          EncodeDataHeader(at, true, request.cookie, request.offset, request.length);
        } else {
          EncodeSimple(at, request.cookie, 0);
        }
        replies_.Commit(header_bytes + request.length);
        Count(request.type, request.length, 0);
        return true;
      }
      if (status.code() != Code::kTryAgain) {
        const uint32_t error = ErrorOf(status.code());
        Count(request.type, 0, error);
        AnswerError(request.cookie, error);
        return true;
      }
      tried = true;
    }
  }
  Buffer buffer = TakeBuffer(ReadJob::BufferBytes(request, *contexts_));
  if (!buffer) return false;
  auto job = std::make_unique<ReadJob>(request, volume_, structured_, contexts_, std::move(buffer), batch_nanos_);
  if (!tried && job->Run(false)) {
    Count(request.type, job->error() == 0 && read ? request.length : 0, job->error());
    FinishJob(*job);
    return true;
  }
  ++in_flight_;
  reading_bytes_ += job->buffer().size();
  reactor_.context().blocking.Submit(std::move(job), mailbox_, id_);
  return true;
}

void Connection::OnJob(std::unique_ptr<Job> done) {
  if (ended()) return;
  const Request& request = done->request();
  if (request.type == kCmdWrite) {
    staged_.emplace_back(static_cast<WriteJob*>(done.release()));
    // What waits may have waited for this write.
    if (hold_ == Hold::kAdmission) retry_ = true;
    return;
  }
  auto& job = static_cast<ReadJob&>(*done);
  --in_flight_;
  reading_bytes_ -= job.buffer().size();
  const bool failed = job.error() != 0;
  const uint64_t bytes = failed || request.type != kCmdRead ? 0 : request.length;
  Record(OperationOf(request.type), 1, bytes, failed ? 1 : 0, reactor_.now() - job.started_nanos());
  FinishJob(job);
}

void Connection::FinishJob(ReadJob& job) {
  if (job.reply().empty()) return AnswerError(job.request().cookie, job.error());
  const ConstBytes reply = job.reply();
  replies_.Push(std::move(job.buffer()), reply);
}

bool Connection::DispatchChange(const Request& request) {
  const bool write = request.type == kCmdWrite;
  for (bool again = false;; again = true) {
    Result<WriteOutcome> outcome = Status(Code::kTryAgain, {});
    if (!volume_->gate().Blocks(request.offset, request.length)) {
      if (payload_ && write && volume_->Stages(request.offset, request.length)) {
        StageWrite(request);
        return true;
      }
      outcome = write ? volume_->Write(request.offset, parser_.payload())
                      : volume_->Zero(request.offset, request.length, request.type == kCmdTrim || (request.flags & kFlagNoHole) == 0);
    }
    if (outcome.ok()) {
      AnswerChange(request, batch_nanos_, outcome->end);
      if (write) large_stream_ = static_cast<bool>(payload_);
      return true;
    }
    if (outcome.code() != Code::kTryAgain) {
      const uint32_t error = ErrorOf(outcome.code());
      Count(request.type, 0, error);
      AnswerError(request.cookie, error);
      return true;
    }
    if (again) break;
    // Room may have come between the refusal and the registration, hence the second try.
    RegisterForAdmission();
  }
  // The request keeps its place: nothing behind it is taken before it.
  SetHold(Hold::kAdmission);
  retry_ = false;
  return false;
}

void Connection::RegisterForAdmission() {
  if (admission_registered_) return;
  admission_registered_ = true;
  reactor_.context().backend.WhenAdmitted(volume_->id(), [mailbox = mailbox_, id = id_] { mailbox->Post(Retry{id}); });
}

void Connection::StageWrite(const Request& request) {
  ++in_flight_;
  staged_bytes_ += request.length;
  auto job = std::make_unique<WriteJob>(request, volume_, std::move(payload_), batch_nanos_);
  reactor_.context().blocking.Submit(std::move(job), mailbox_, id_);
}

// In the order in which they were staged: no two of them overlap.
void Connection::PublishStaged() {
  bool again = false;
  while (!staged_.empty() && !ended() && !publish_waits_) {
    WriteJob& job = *staged_.front();
    const Request& request = job.request();
    Result<WriteOutcome> outcome = job.Publish();
    if (outcome.code() == Code::kTryAgain) {
      SetPublishWaits(again);
      RegisterForAdmission();
      again = true;
      continue;
    }
    again = false;
    --in_flight_;
    staged_bytes_ -= request.length;
    if (outcome.ok()) {
      AnswerChange(request, job.started_nanos(), outcome->end);
    } else {
      const uint32_t error = ErrorOf(outcome.code());
      Count(request.type, 0, error);
      AnswerError(request.cookie, error);
    }
    staged_.pop_front();
  }
}

void Connection::AnswerChange(const Request& request, uint64_t started_nanos, Lsn end) {
  appended_ = true;
  if ((request.flags & kFlagFua) != 0 || volume_->writethrough()) return AwaitDurable(request, started_nanos, end);
  if (started_nanos == batch_nanos_) {
    Count(request.type, request.length, 0);
  } else {
    Record(OperationOf(request.type), 1, request.length, 0, reactor_.now() - started_nanos);
  }
  AnswerDone(request.cookie);
}

void Connection::AwaitDurable(const Request& request, uint64_t started_nanos, Lsn target) {
  if (target == 0) {
    Count(request.type, request.length, 0);
    return AnswerDone(request.cookie);
  }
  // One registration for a whole batch, at its highest target: a flusher commits it in one go anyway.
  group_.target = std::max(group_.target, target);
  group_.requests.push_back({request.cookie, started_nanos, request.length, OperationOf(request.type)});
  ++in_flight_;
}

void Connection::OnDurable(uint64_t group, Code code) {
  const auto found = groups_.find(group);
  if (ended() || found == groups_.end()) return;
  // Whatever the journal's failure is called, the client must learn that its data may be lost.
  const uint32_t error = code == Code::kOk ? 0 : code == Code::kClosed ? kErrShutdown : kErrIo;
  for (const Pending& pending : found->second.requests) {
    Record(pending.operation, 1, error == 0 ? pending.bytes : 0, error == 0 ? 0 : 1, reactor_.now() - pending.started_nanos);
    if (error == 0) {
      AnswerDone(pending.cookie);
    } else {
      AnswerError(pending.cookie, error);
    }
  }
  in_flight_ -= found->second.requests.size();
  groups_.erase(found);
}

void Connection::AnswerDone(uint64_t cookie) {
  EncodeSimple(replies_.ReserveSmall(kSimpleReplyBytes), cookie, 0);
  replies_.Commit(kSimpleReplyBytes);
}

void Connection::AnswerError(uint64_t cookie, uint32_t error) {
  uint8_t* const at = replies_.ReserveSmall(kErrorReplyBytesMax);
  const uint8_t* const end = structured_ ? EncodeError(at, cookie, error, nullptr) : EncodeSimple(at, cookie, error);
  replies_.Commit(static_cast<size_t>(end - at));
}

void Connection::Count(uint16_t type, uint64_t bytes, uint32_t error) {
  const NbdOperation operation = OperationOf(type);
  if (operation == NbdOperation::kCount) return;
  Tally& tally = tally_[static_cast<size_t>(operation)];
  counted_ = true;
  ++tally.operations;
  tally.bytes += bytes;
  if (error != 0) ++tally.errors;
}

// The flusher is told first: where a flush follows each write, the device's time counts and not this thread's.
void Connection::EndBatch() {
  NbdBackend& backend = reactor_.context().backend;
  if (!group_.requests.empty()) {
    const uint64_t group = next_group_++;
    const Lsn target = group_.target;
    groups_.emplace(group, std::exchange(group_, {}));
    backend.WhenFlushed(*volume_, target, [mailbox = mailbox_, id = id_, group](const Status& status) { mailbox->Post(Durable{id, group, status.code()}); });
    appended_ = true;
  }
  if (std::exchange(appended_, false)) {
    if (volume_->flushes_to_pool()) backend.KickLater();
    else backend.Kick();
  }
  CountBatch();
  if (!ended()) Flush();
}

void Connection::Record(NbdOperation operation, uint64_t count, uint64_t bytes, uint64_t errors, uint64_t nanos) {
  reactor_.counters().Record(operation, count, bytes, errors, nanos);
  attachment_.activity().Record(operation, count, bytes, errors, nanos);
}

// Before the replies leave, so that a client which has its reply finds it counted.
void Connection::CountBatch() {
  if (!std::exchange(counted_, false)) return;
  const uint64_t now = reactor_.Now();
  for (size_t i = 0; i < kOperations; ++i) {
    Tally& tally = tally_[i];
    if (tally.operations == 0) continue;
    Record(static_cast<NbdOperation>(i), tally.operations, tally.bytes, tally.errors, now - batch_nanos_);
    tally = {};
  }
}

}  // namespace skerry::nbd
