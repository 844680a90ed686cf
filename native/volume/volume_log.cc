// A volume that flushes to its pool: its log as it grows, and journalling it again where this host has no journal of it.
#include <cstring>
#include <string>

#include "live_volume.h"
#include "pool.h"

namespace skerry {
namespace {

Status Damaged(ResourceId id, const std::string& why) { return {Code::kCorrupt, "the log of volume " + std::to_string(id) + " in its pool is damaged: " + why}; }

}  // namespace

void LiveVolume::WhenInPool(Lsn target, std::function<void(Status)> done) {
  if (!tail_) return done(Status::Ok());
  tail_->WhenLogged(target, std::move(done));
}

void LiveVolume::LogLocked(RecordType type, uint64_t offset, uint64_t length, ConstBytes payload, Lsn end) {
  tail_->Add({type, sequence_, offset, length, payload}, end);
}

Result<size_t> LiveVolume::Restore(ConstBytes entries, uint64_t until) {
  if (!tail_ || tail_->begun()) return Status(Code::kInvalid, "only a volume whose log has not begun is restored");
  for (ConstBytes rest = entries; !rest.empty();) {
    const size_t done = entries.size() - rest.size();
    const Result<LogEntry> entry = DecodeLogEntry(spec_.id, rest);
    if (!entry.ok()) return entry.status();
    if (entry->sequence > until) break;
    if (entry->sequence <= sequence_) continue;
    if (entry->sequence != sequence_ + 1) {
      return Damaged(spec_.id, "records " + std::to_string(sequence_ + 1) + " to " + std::to_string(entry->sequence - 1) + " are missing");
    }
    const Status status = RestoreEntry(*entry);
    {
      Lock lock(mutex_);
      restorer_ = {};
    }
    if (status.code() == Code::kTryAgain) return done;
    if (!status.ok()) return status;
  }
  return entries.size();
}

Status LiveVolume::RestoreEntry(const LogEntry& entry) {
  {
    Lock lock(mutex_);
    restorer_ = std::this_thread::get_id();
    if (Status status = AdmitLocked(entry.payload.size()); !status.ok()) return status;
    const bool writes = entry.type <= RecordType::kTrim;
    if (writes && (entry.offset > size() || entry.length > size() - entry.offset)) return Damaged(spec_.id, "a record lies past the volume's end");
  }
  switch (entry.type) {
    case RecordType::kWrite: return WriteJournalled(entry.offset, entry.payload).status();
    case RecordType::kZero:
    case RecordType::kTrim: return Zero(entry.offset, entry.length, entry.type == RecordType::kTrim).status();
    case RecordType::kResize: return Resize(entry.length).status();
    default: break;
  }
  Lock lock(mutex_);
  // A barrier is of a snapshot that has a root by now, or never had a name: it only keeps its place.
  const Result<Lsn> end = AppendLocked(entry.type, entry.offset, entry.length, entry.payload);
  if (!end.ok() || entry.type != RecordType::kRollback) return end.status();
  RollbackPlace place;
  std::memcpy(&place, entry.payload.data(), sizeof(place));
  RollbackLocked(place);
  return Status::Ok();
}

Status LiveVolume::BeginLog(uint64_t fence, uint64_t sequence) {
  Lock lock(mutex_);
  if (!tail_ || tail_->begun() || !base_->pool->logs) return Status(Code::kInvalid, "a log is begun once, for a volume that flushes to its pool");
  if (sequence != sequence_) return Status(Code::kTryAgain, "the volume was changed meanwhile");
  tail_->Begin(base_->pool->logs, fence, sequence_, FlushTarget());
  return Status::Ok();
}

}  // namespace skerry
