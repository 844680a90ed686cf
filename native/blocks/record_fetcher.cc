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

std::shared_ptr<const RecordImage> Copy(ConstBytes bytes) { return std::make_shared<const RecordImage>(bytes.begin(), bytes.end()); }

}  // namespace

RecordFetcher::RecordFetcher(std::shared_ptr<PackBackend> backend, std::shared_ptr<BlockCache> cache, std::shared_ptr<LocalCache> local, uint32_t pool,
                             FetchLimits limits)
    : backend_(std::move(backend)), cache_(std::move(cache)), local_(std::move(local)), pool_(pool), limits_(limits) {}

std::vector<std::shared_ptr<RecordFetch>> RecordFetcher::Ask(std::span<const RecordWish> wishes) {
  std::vector<std::shared_ptr<RecordFetch>> fetches;
  fetches.reserve(wishes.size());
  {
    std::lock_guard lock(mutex_);
    for (const RecordWish& wish : wishes) fetches.push_back(Want(wish, true));
  }
  Dispatch();
  return fetches;
}

void RecordFetcher::AskAhead(std::span<const RecordWish> wishes) {
  {
    std::lock_guard lock(mutex_);
    for (const RecordWish& wish : wishes) Want(wish, false);
  }
  Dispatch();
}

std::shared_ptr<RecordFetch> RecordFetcher::Want(const RecordWish& wish, bool demand) {
  const Place place{wish.pack, wish.offset};
  if (const auto found = wanted_.find(place); found != wanted_.end()) {
    if (demand) ++usage_.joined;
    // It was to come later.
    if (demand && queued_.contains(place)) order_.push_back(place);
    return found->second;
  }
  const RecordKey key{pool_, wish.pack, wish.offset};
  const uint32_t bytes = wish.bytes >= sizeof(PackRecordHeader) ? wish.bytes : RecordStoredBytes(kGuessBytes);
  auto fetch = std::make_shared<RecordFetch>(key, bytes, wish.pack_end == 0 ? UINT64_MAX : wish.pack_end, wish.again, wish.planned);
  // It may have come since the caller looked.
  if (auto record = wish.again ? nullptr : cache_->Peek(key)) {
    fetch->record = std::move(record);
    fetch->Finish({});
    return fetch;
  }
  wanted_.emplace(place, fetch);
  if (Range* const flight = FlightOf(*fetch)) {
    ++usage_.joined;
    flight->fetches.push_back(fetch);
  } else {
    queued_.emplace(place, fetch);
    (demand ? order_ : ahead_).push_back(place);
  }
  return fetch;
}

/** The range on its way that has all of the record, as far as its length is known. What came before is wrong where it is asked for again. */
RecordFetcher::Range* RecordFetcher::FlightOf(const RecordFetch& fetch) {
  if (fetch.again) return nullptr;
  const auto after = flights_.upper_bound({fetch.key.pack, fetch.key.offset});
  if (after == flights_.begin()) return nullptr;
  Range& range = *std::prev(after)->second;
  const uint64_t end = std::min(fetch.key.offset + uint64_t{fetch.bytes}, fetch.pack_end);
  return range.pack == fetch.key.pack && end <= range.end() ? &range : nullptr;
}

void RecordFetcher::Dispatch() {
  while (true) {
    const auto range = std::make_shared<Range>();
    {
      std::lock_guard lock(mutex_);
      if (!NextRange(*range)) return;
      ++in_flight_;
      in_flight_bytes_ += range->bytes;
      ++usage_.fetches;
      // Where another one begins at the same byte, which was too short, or gave what is wrong, the later is the better.
      flights_[{range->pack, static_cast<uint32_t>(range->start)}] = range;
    }
    backend_->Fetch(range->pack, range->start, range->bytes, [self = shared_from_this(), range](const Result<FetchedBytes>& bytes) {
      self->Answer(range, bytes);
    });
  }
}

void RecordFetcher::Take(Range& range, Fetches::iterator at) {
  range.fetches.push_back(at->second);
  queued_.erase(at);
}

/** Of the oldest wish that may go now: what is asked for ahead leaves half of all room to what is waited for. Under the lock. */
std::optional<RecordFetcher::Place> RecordFetcher::NextPlace() {
  for (std::deque<Place>* const order : {&order_, &ahead_}) {
    while (!order->empty() && !queued_.contains(order->front())) order->pop_front();
    if (order->empty()) continue;
    const uint32_t share = order == &ahead_ ? 2 : 1;
    if (in_flight_ > 0 && in_flight_ >= limits_.in_flight_max / share) return std::nullopt;
    if (in_flight_ > 0 && in_flight_bytes_ + limits_.fetch_bytes_max > limits_.in_flight_bytes_max / share) return std::nullopt;
    const Place place = order->front();
    order->pop_front();
    return place;
  }
  return std::nullopt;
}

/** The oldest wish, with all around it that can go along. Under the lock. */
bool RecordFetcher::NextRange(Range& range) {
  const std::optional<Place> place = NextPlace();
  if (!place) return false;
  const auto head = queued_.find(*place);
  const uint64_t pack_end = head->second->pack_end;
  const bool planned = head->second->planned;
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
  const uint64_t ahead = planned ? end : ReadAhead(range, pack_end);
  end = std::max(ahead, ahead > end || range.bytes >= kRegionBytes ? end : ReadAround(range, pack_end));
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

void RecordFetcher::Answer(const std::shared_ptr<Range>& range, const Result<FetchedBytes>& bytes) {
  std::vector<std::shared_ptr<RecordFetch>> wishes;
  {
    std::lock_guard lock(mutex_);
    wishes = range->fetches;
  }
  const ConstBytes body = bytes.ok() ? ConstBytes(*bytes) : ConstBytes();
  std::ranges::sort(wishes, {}, [](const auto& fetch) { return fetch->key.offset; });
  const Records records = Unpack(*range, body, wishes);
  wishes.clear();
  {
    std::lock_guard lock(mutex_);
    --in_flight_;
    in_flight_bytes_ -= range->bytes;
    if (!bytes.ok()) ++usage_.failures;
    usage_.fetched_bytes += body.size();
    const auto flight = flights_.find({range->pack, static_cast<uint32_t>(range->start)});
    if (flight != flights_.end() && flight->second == range) flights_.erase(flight);
    // Those too that joined since.
    for (const auto& fetch : range->fetches) {
      const Place place{fetch->key.pack, fetch->key.offset};
      if (bytes.ok() && !Settle(*range, body, records, fetch)) {
        queued_.emplace(place, fetch);
        order_.push_front(place);
        continue;
      }
      wanted_.erase(place);
      ++usage_.records;
      wishes.push_back(fetch);
    }
    usage_.ahead_records += records.size() - std::min(records.size(), wishes.size());
  }
  for (const auto& fetch : wishes) {
    if (!bytes.ok()) {
      fetch->Finish(bytes.status());
    } else if (fetch->record == nullptr) {
      fetch->Finish({Code::kCorrupt, "pack " + std::to_string(range->pack) + " ends before the record at its byte " + std::to_string(fetch->key.offset)});
    } else {
      fetch->Finish({});
    }
  }
  Dispatch();
}

/** False where the record is longer than was known, and all of it may be had. Under the lock. */
bool RecordFetcher::Settle(const Range& range, ConstBytes bytes, const Records& records, const std::shared_ptr<RecordFetch>& fetch) {
  if (const auto found = records.find(fetch->key.offset); found != records.end()) {
    fetch->record = found->second;
    return true;
  }
  const size_t from = fetch->key.offset - range.start, left = from < bytes.size() ? bytes.size() - from : 0;
  const auto header = ParseHeader(bytes.last(left), range.pack, fetch->key.offset);
  if (header && header->stored_bytes > fetch->bytes && fetch->key.offset + uint64_t{header->stored_bytes} <= fetch->pack_end) {
    fetch->bytes = header->stored_bytes;
    return false;
  }
  // Its header is not whole; its cells may be.
  if (left > 0) fetch->record = Copy(bytes.subspan(from, std::min<size_t>(left, fetch->bytes)));
  return true;
}

// A place that holds neither a record header nor the zeroes between groups is passed over up to the next wish: what looks
// like a record inside another's payload is a guest's data.
RecordFetcher::Records RecordFetcher::Unpack(const Range& range, ConstBytes bytes, std::span<const std::shared_ptr<RecordFetch>> wishes) {
  Records records;
  auto wish = wishes.begin();
  uint64_t at = range.start;
  while (true) {
    while (wish != wishes.end() && (*wish)->key.offset < at) ++wish;
    const bool wished = wish != wishes.end() && (*wish)->key.offset == at;
    const size_t from = at - range.start;
    const size_t left = from < bytes.size() ? bytes.size() - from : 0;
    const auto header = at <= UINT32_MAX ? ParseHeader(bytes.last(left), range.pack, static_cast<uint32_t>(at)) : std::nullopt;
    if (header && header->stored_bytes <= left) {
      auto record = Copy(bytes.subspan(from, header->stored_bytes));
      // What is fetched for the second time was wrong in the cache, or is wrong for good: it does not go there unseen.
      if (!wished || !(*wish)->again) Keep({pool_, range.pack, static_cast<uint32_t>(at)}, record);
      records.emplace_hint(records.end(), at, std::move(record));
      at += header->stored_bytes;
      continue;
    }
    if (wished) ++wish;
    // Groups of records begin at whole sectors: between them there may be zeroes.
    const uint64_t next = (at / kSectorBytes + 1) * kSectorBytes;
    const bool before_wish = wish == wishes.end() || next <= (*wish)->key.offset;
    if (!wished && before_wish && next - range.start < bytes.size() && IsZero(bytes.subspan(from, next - at))) {
      at = next;
      continue;
    }
    if (wish == wishes.end()) return records;
    at = (*wish)->key.offset;
  }
}

RecordFetcher::Usage RecordFetcher::usage() const {
  std::lock_guard lock(mutex_);
  Usage usage = usage_;
  usage.waiting = wanted_.size();
  return usage;
}

}  // namespace skerry
