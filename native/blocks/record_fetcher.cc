#include "record_fetcher.h"

#include <algorithm>

#include "cell.h"

namespace skerry {
namespace {

/** Between two wishes: what is less is cheaper to read along than to ask for twice. */
constexpr uint64_t kGapBytesMax = 16u << 10;
constexpr uint64_t kCutBytesMax = 128u << 10;
/** A region of a pack that so many fetches begin in, while it is among the last that any began in, is fetched whole. */
constexpr uint32_t kRegionBytes = 1u << 20;
constexpr uint32_t kRegionFetchesMax = 3;
/** Of a record of which nothing is known but its place: blocks are the most of all. */
constexpr uint32_t kGuessBytes = 64u << 10;

std::shared_ptr<const RecordImage> Copy(const std::vector<uint8_t>& bytes, size_t from, size_t count) {
  return std::make_shared<const RecordImage>(bytes.begin() + static_cast<ptrdiff_t>(from), bytes.begin() + static_cast<ptrdiff_t>(from + count));
}

}  // namespace

RecordFetcher::RecordFetcher(std::shared_ptr<PackBackend> backend, std::shared_ptr<BlockCache> cache, std::shared_ptr<LocalCache> local, uint32_t pool,
                             FetchLimits limits)
    : backend_(std::move(backend)), cache_(std::move(cache)), local_(std::move(local)), pool_(pool), limits_(limits) {}

std::vector<std::shared_ptr<RecordFetch>> RecordFetcher::Ask(std::span<const RecordWish> wishes) {
  std::vector<std::shared_ptr<RecordFetch>> fetches;
  fetches.reserve(wishes.size());
  {
    std::lock_guard lock(mutex_);
    for (const RecordWish& wish : wishes) {
      const Place place{wish.pack, wish.offset};
      if (const auto found = wanted_.find(place); found != wanted_.end()) {
        ++usage_.joined;
        fetches.push_back(found->second);
        continue;
      }
      const RecordKey key{pool_, wish.pack, wish.offset};
      const uint32_t bytes = wish.bytes >= sizeof(PackRecordHeader) ? wish.bytes : RecordStoredBytes(kGuessBytes);
      auto fetch = std::make_shared<RecordFetch>(key, bytes, wish.pack_end == 0 ? UINT64_MAX : wish.pack_end, wish.again);
      // It may have come since the caller looked.
      if (auto record = wish.again ? nullptr : cache_->Peek(key)) {
        fetch->record = std::move(record);
        fetch->Finish({});
      } else {
        wanted_.emplace(place, fetch);
        queued_.emplace(place, fetch);
        order_.push_back(place);
      }
      fetches.push_back(std::move(fetch));
    }
  }
  Dispatch();
  return fetches;
}

void RecordFetcher::Dispatch() {
  while (true) {
    Range range;
    {
      std::lock_guard lock(mutex_);
      if (!NextRange(range)) return;
      ++in_flight_;
      in_flight_bytes_ += range.bytes;
      ++usage_.fetches;
    }
    backend_->Fetch(range.pack, range.start, range.bytes, [self = shared_from_this(), range](Result<std::vector<uint8_t>> bytes) {
      self->Answer(range, std::move(bytes));
    });
  }
}

void RecordFetcher::Take(Range& range, Fetches::iterator at) {
  range.fetches.push_back(at->second);
  queued_.erase(at);
}

/** The oldest wish, with all around it that can go along. Under the lock. */
bool RecordFetcher::NextRange(Range& range) {
  while (!order_.empty() && !queued_.contains(order_.front())) order_.pop_front();
  if (order_.empty() || in_flight_ >= limits_.in_flight_max) return false;
  if (in_flight_ > 0 && in_flight_bytes_ + limits_.fetch_bytes_max > limits_.in_flight_bytes_max) return false;
  const auto head = queued_.find(order_.front());
  order_.pop_front();
  const uint64_t pack_end = head->second->pack_end;
  range.pack = head->first.first;
  range.start = head->first.second;
  uint64_t end = range.start + head->second->bytes;
  auto first = head;
  while (first != queued_.begin()) {
    const auto before = std::prev(first);
    const uint64_t before_end = before->first.second + uint64_t{before->second->bytes};
    if (before->first.first != range.pack || before_end + kGapBytesMax < range.start || end - before->first.second > limits_.fetch_bytes_max) break;
    range.start = before->first.second;
    end = std::max(end, before_end);
    first = before;
  }
  range.bytes = static_cast<uint32_t>(end - range.start);
  const uint64_t ahead = ReadAhead(range, pack_end);
  end = std::max(ahead, ahead > end ? end : ReadAround(range, pack_end));
  first = queued_.lower_bound({range.pack, static_cast<uint32_t>(range.start)});
  for (auto at = first; at != queued_.end() && at->first.first == range.pack && at->first.second <= end + kGapBytesMax;) {
    const uint64_t its_end = at->first.second + uint64_t{at->second->bytes};
    if (at != first && its_end > end && its_end - range.start > limits_.fetch_bytes_max) break;
    end = std::max(end, its_end);
    Take(range, at++);
  }
  range.bytes = static_cast<uint32_t>(std::min(end, std::max(pack_end, range.start + 1)) - range.start);
  for (Stream& stream : streams_) {
    if (stream.pack == range.pack && stream.used == stream_clock_) stream.next = range.end();
  }
  return true;
}

/** Where a fetch ends that also serves the reads to come. Under the lock. */
uint64_t RecordFetcher::ReadAhead(const Range& range, uint64_t pack_end) {
  Stream* oldest = &streams_[0];
  ++stream_clock_;
  for (Stream& stream : streams_) {
    // The last fetch may have ended inside the record that is wanted now.
    const bool goes_on = stream.pack == range.pack && range.start + kCutBytesMax >= stream.next && range.start <= stream.next + kGapBytesMax;
    if (goes_on) {
      stream.window = std::clamp(stream.window * 2, limits_.ahead_bytes_min, limits_.fetch_bytes_max);
      stream.used = stream_clock_;
      return std::min(range.start + stream.window, pack_end);
    }
    if (stream.used < oldest->used) oldest = &stream;
  }
  *oldest = {range.pack, 0, range.end(), stream_clock_};
  return range.end();
}

/** The same for one who reads in no order that can be told: the rest of the region too, from its first record known. Under the lock. */
uint64_t RecordFetcher::ReadAround(Range& range, uint64_t pack_end) {
  const auto number = static_cast<uint32_t>(range.start / kRegionBytes);
  Region* region = &regions_[0];
  for (Region& each : regions_) {
    if (each.pack == range.pack && each.number == number) {
      region = &each;
      break;
    }
    if (each.used < region->used) region = &each;
  }
  if (region->pack != range.pack || region->number != number) *region = {range.pack, number, 0, range.start, 0};
  region->used = stream_clock_;
  region->first = std::min(region->first, range.start);
  const uint64_t end = std::max(range.end(), std::min((uint64_t{number} + 1) * kRegionBytes, pack_end));
  if (++region->fetches < kRegionFetchesMax || end - region->first > limits_.fetch_bytes_max) return range.end();
  range.start = region->first;
  *region = {};
  return end;
}

void RecordFetcher::Keep(const RecordKey& key, const std::shared_ptr<const RecordImage>& record) {
  cache_->Put(key, record);
  if (local_) local_->Offer(key, record);
}

void RecordFetcher::Answer(Range range, Result<std::vector<uint8_t>> bytes) {
  std::vector<std::shared_ptr<RecordFetch>> longer;
  if (bytes.ok()) Unpack(range, *bytes, longer);
  {
    std::lock_guard lock(mutex_);
    --in_flight_;
    in_flight_bytes_ -= range.bytes;
    if (!bytes.ok()) ++usage_.failures;
    if (bytes.ok()) usage_.fetched_bytes += bytes->size();
    for (const auto& fetch : range.fetches) {
      const Place place{fetch->key.pack, fetch->key.offset};
      if (std::find(longer.begin(), longer.end(), fetch) != longer.end()) {
        queued_.emplace(place, fetch);
        order_.push_front(place);
      } else {
        wanted_.erase(place);
        ++usage_.records;
      }
    }
  }
  for (const auto& fetch : range.fetches) {
    if (std::find(longer.begin(), longer.end(), fetch) != longer.end()) continue;
    if (!bytes.ok()) {
      fetch->Finish(bytes.status());
    } else if (fetch->record == nullptr) {
      fetch->Finish({Code::kCorrupt, "pack " + std::to_string(range.pack) + " ends before the record at its byte " + std::to_string(fetch->key.offset)});
    } else {
      fetch->Finish({});
    }
  }
  Dispatch();
}

// A place that holds neither a record header nor the zeroes between groups is passed over up to the next wish: what looks
// like a record inside another's payload is a guest's data.
void RecordFetcher::Unpack(const Range& range, const std::vector<uint8_t>& bytes, std::vector<std::shared_ptr<RecordFetch>>& longer) {
  auto wish = range.fetches.begin();
  uint64_t at = range.start;
  uint64_t ahead = 0;
  while (true) {
    while (wish != range.fetches.end() && (*wish)->key.offset < at) ++wish;
    const bool wished = wish != range.fetches.end() && (*wish)->key.offset == at;
    const size_t from = at - range.start;
    const size_t left = from < bytes.size() ? bytes.size() - from : 0;
    const auto header = left >= sizeof(PackRecordHeader) && at <= UINT32_MAX
                            ? ParseHeader({bytes.data() + from, left}, range.pack, static_cast<uint32_t>(at))
                            : std::nullopt;
    if (header && header->stored_bytes <= left) {
      auto record = Copy(bytes, from, header->stored_bytes);
      const RecordKey key{pool_, range.pack, static_cast<uint32_t>(at)};
      if (wished) {
        // What is fetched for the second time was wrong in the cache, or is wrong for good: it does not go there unseen.
        if (!(*wish)->again) Keep(key, record);
        (*wish)->record = std::move(record);
      } else {
        Keep(key, record);
        ++ahead;
      }
      at += header->stored_bytes;
      continue;
    }
    if (wished && header && header->stored_bytes > (*wish)->bytes && at + header->stored_bytes <= (*wish)->pack_end) {
      (*wish)->bytes = header->stored_bytes;
      longer.push_back(*wish);
    } else if (wished && left > 0) {
      // Its header is not whole; its cells may be.
      (*wish)->record = Copy(bytes, from, std::min<size_t>(left, (*wish)->bytes));
    }
    if (wished) ++wish;
    // Groups of records begin at whole sectors: between them there may be zeroes.
    const uint64_t next = (at / kSectorBytes + 1) * kSectorBytes;
    const bool before_wish = wish == range.fetches.end() || next <= (*wish)->key.offset;
    if (!wished && before_wish && next - range.start < bytes.size() && IsZero(ConstBytes(bytes).subspan(from, next - at))) {
      at = next;
      continue;
    }
    if (wish == range.fetches.end()) break;
    at = (*wish)->key.offset;
  }
  std::lock_guard lock(mutex_);
  usage_.ahead_records += ahead;
}

RecordFetcher::Usage RecordFetcher::usage() const {
  std::lock_guard lock(mutex_);
  Usage usage = usage_;
  usage.waiting = wanted_.size();
  return usage;
}

}  // namespace skerry
