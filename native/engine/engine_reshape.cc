// What is promised of one volume beyond its writes: that it has another size, that it is what a snapshot was, that it is flushed.
#include "engine.h"

namespace skerry {

void Engine::Resize(ResourceId volume, uint64_t size_bytes, std::function<void(Status)> done) {
  Result<WriteOutcome> outcome = store_->Resize(volume, size_bytes);
  if (!outcome.ok()) return done(outcome.status());
  WhenReshaped(volume, outcome->end, std::move(done));
}

void Engine::Rollback(ResourceId volume, ResourceId snapshot, std::function<void(Status)> done) {
  Result<WriteOutcome> outcome = store_->Rollback(volume, snapshot);
  if (!outcome.ok()) return done(outcome.status());
  WhenReshaped(volume, outcome->end, std::move(done));
}

void Engine::WhenReshaped(ResourceId id, Lsn end, std::function<void(Status)> done) {
  const std::shared_ptr<LiveVolume> volume = store_->Find(id);
  if (!volume) return done(Status(Code::kNotFound, "the volume was deleted"));
  WhenFlushed(*volume, end, std::move(done));
}

void Engine::Flush(ResourceId id, std::function<void(Status)> done) {
  const std::shared_ptr<LiveVolume> volume = store_->Find(id);
  if (!volume) return done(Status::Ok());
  WhenFlushed(*volume, volume->FlushTarget(), std::move(done));
}

Status Engine::BeginLog(ResourceId volume, uint64_t fence, uint64_t sequence) {
  if (Status status = store_->BeginLog(volume, fence, sequence); !status.ok()) return status;
  WakeDestagers();
  return Status::Ok();
}

}  // namespace skerry
