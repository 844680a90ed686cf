#include "replay_log.h"

namespace skerry {

void ReplayLog::Add(const ReplayedRecord& record) {
  records_.push_back({record.header, record.record, record.payload, sums_.size(), bytes_.size(), static_cast<uint32_t>(record.sums.size()),
                      static_cast<uint32_t>(record.payload_bytes.size()), record.below_durable});
  sums_.insert(sums_.end(), record.sums.begin(), record.sums.end());
  if (NamesPlaces(record.header.type)) {
    bytes_.insert(bytes_.end(), record.payload_bytes.begin(), record.payload_bytes.end());
  } else {
    records_.back().byte_count = 0;
  }
  if (record.header.type == RecordType::kDrop) dropped_.insert(record.header.resource);
  if (record.header.type == RecordType::kRewind) rewinds_[record.header.resource].push_back({record.record, record.header.sequence});
}

bool ReplayLog::Void(const Kept& kept) const {
  if (kept.header.type != RecordType::kDrop && dropped_.contains(kept.header.resource)) return true;
  const auto found = rewinds_.find(kept.header.resource);
  if (found == rewinds_.end()) return false;
  for (const Rewind& rewind : found->second) {
    if (kept.record < rewind.at && kept.header.sequence >= rewind.sequence) return true;
  }
  return false;
}

Status ReplayLog::ForEach(const std::function<Status(const ReplayedRecord&)>& visit) const {
  for (const Kept& kept : records_) {
    if (Void(kept)) continue;
    ReplayedRecord record;
    record.header = kept.header;
    record.record = kept.record;
    record.payload = kept.payload;
    record.below_durable = kept.below_durable;
    record.sums = {sums_.data() + kept.sums, kept.sum_count};
    record.payload_bytes = {bytes_.data() + kept.bytes, kept.byte_count};
    if (Status status = visit(record); !status.ok()) return status;
  }
  return Status::Ok();
}

}  // namespace skerry
