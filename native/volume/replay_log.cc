#include "replay_log.h"

#include <algorithm>

namespace skerry {

void ReplayLog::Add(const ReplayedRecord& record) {
  ordered_ &= records_.empty() || record.record > records_.back().record;
  records_.push_back({record.header, record.record, record.payload, sums_.size(), bytes_.size(), static_cast<uint32_t>(record.sums.size()),
                      static_cast<uint32_t>(record.payload_bytes.size()), record.below_durable});
  sums_.insert(sums_.end(), record.sums.begin(), record.sums.end());
  if (NamesPlaces(record.header.type)) {
    bytes_.insert(bytes_.end(), record.payload_bytes.begin(), record.payload_bytes.end());
  } else {
    records_.back().byte_count = 0;
  }
  if (record.header.type == RecordType::kDrop) dropped_.insert(record.header.resource);
  if (record.header.type == RecordType::kRewind) rewinds_.Add(record.header.resource, record.record, record.header.sequence);
}

bool ReplayLog::Void(const Kept& kept) const {
  if (kept.header.type != RecordType::kDrop && dropped_.contains(kept.header.resource)) return true;
  return rewinds_.Void(kept.header.resource, kept.record, kept.header.sequence);
}

void ReplayLog::Order() {
  if (std::exchange(ordered_, true)) return;
  std::ranges::stable_sort(records_, {}, &Kept::record);
  const auto same = [](const Kept& kept, const Kept& copy) { return kept.record == copy.record; };
  // Where one of them was durable, what it says was.
  for (size_t i = records_.size(); i-- > 1;) {
    if (same(records_[i - 1], records_[i])) records_[i - 1].below_durable |= records_[i].below_durable;
  }
  records_.erase(std::ranges::unique(records_, same).begin(), records_.end());
}

Status ReplayLog::ForEach(const std::function<Status(const ReplayedRecord&)>& visit) {
  Order();
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
