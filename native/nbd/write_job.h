#pragma once
// A large WRITE: staged by another thread, so that its client's next requests are received meanwhile, and published by the
// connection's own. One whose connection ended before is dropped, its bytes seen by nobody.
#include "buffer_budget.h"
#include "job.h"

namespace skerry::nbd {

class WriteJob : public Job {
 public:
  /** `payload` holds the request's bytes. */
  WriteJob(const Request& request, std::shared_ptr<Volume> volume, Buffer payload, uint64_t started_nanos)
      : Job(request, std::move(volume), started_nanos), payload_(std::move(payload)), pass_(volume_->gate(), request.offset, request.length) {}

  bool Work() override {
    Result<std::unique_ptr<StagedWrite>> staged = volume_->Stage(request_.offset, data());
    if (staged.ok()) {
      staged_ = std::move(*staged);
    } else {
      status_ = staged.status();
    }
    return true;
  }
  /** After Work. kTryAgain: to be called again later. */
  Result<WriteOutcome> Publish() {
    // The pool had no place for it: it begins again, once there is one.
    if (status_.code() == Code::kTryAgain) return volume_->Write(request_.offset, data());
    if (!status_.ok()) return status_;
    return volume_->Publish(request_.offset, data(), *staged_);
  }

 private:
  ConstBytes data() { return {payload_.data(), request_.length}; }

  Buffer payload_;
  Status status_;
  std::unique_ptr<StagedWrite> staged_;
  const WriteGate::Pass pass_;   // the last member: it leaves before the volume may go
};

}  // namespace skerry::nbd
