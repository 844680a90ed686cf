#pragma once
// Gets records of packs that are not on this host. Whoever wants a record that is already on its way waits for that one, also where it
// is only in the range of another; wishes that lie beside each other travel together; who reads on where the last fetch ended is given more
// than was asked, and so is who wants record after record of one region of a pack: what was written at once lies there in any order.
// What is asked for ahead of a reader goes when there is room to spare, and nobody hears what came of it.
#include <array>
#include <deque>
#include <map>
#include <span>

#include "errand.h"
#include "local_cache.h"
#include "pack_backend.h"

namespace skerry {

struct FetchLimits {
  uint32_t in_flight_max = 16;
  uint64_t in_flight_bytes_max = 32u << 20;
  uint32_t fetch_bytes_max = 4u << 20;
  uint32_t ahead_bytes_min = 256u << 10;
};

/** A record to be had: where it begins, its bytes as far as known, and where its pack ends. */
struct RecordWish {
  uint32_t pack = 0, offset = 0;
  uint32_t bytes = 0;
  uint64_t pack_end = 0;
  bool again = false;
  bool planned = false;   // who asks knows what comes next, and asks for that too: nothing is added on a guess
};

/** Thread-safe. Held by its owner and by the calls under way. */
class RecordFetcher : public std::enable_shared_from_this<RecordFetcher> {
 public:
  /** `local` may be null. */
  RecordFetcher(std::shared_ptr<PackBackend> backend, std::shared_ptr<BlockCache> cache, std::shared_ptr<LocalCache> local, uint32_t pool,
                FetchLimits limits);

  /** One for each wish, in their order; some may be done already. */
  std::vector<std::shared_ptr<RecordFetch>> Ask(std::span<const RecordWish> wishes);
  /** What will be wanted: it comes into the caches, after what is wanted now, or it does not. */
  void AskAhead(std::span<const RecordWish> wishes);

  struct Usage {
    uint64_t fetches = 0, fetched_bytes = 0, records = 0, joined = 0, ahead_records = 0, failures = 0, waiting = 0;
  };
  Usage usage() const;

 private:
  using Place = std::pair<uint32_t, uint32_t>;  // pack, offset
  using Fetches = std::map<Place, std::shared_ptr<RecordFetch>>;
  /** Of a pack, on its way. */
  struct Range {
    uint32_t pack = 0, bytes = 0;
    uint64_t start = 0;
    std::vector<std::shared_ptr<RecordFetch>> fetches;  // under the lock; those it was asked for are ascending, others joined later
    uint64_t end() const { return start + bytes; }
  };
  using Records = std::map<uint64_t, std::shared_ptr<const RecordImage>>;   // by offset
  /** Somebody who reads a pack from front to back. */
  struct Stream {
    uint32_t pack = 0, window = 0;
    uint64_t next = 0, used = 0;
  };
  /** Of a pack, where records were asked for lately, in any order. */
  struct Region {
    uint32_t pack = 0, number = 0, fetches = 0;
    uint64_t first = 0, used = 0;   // the lowest record that was asked for; when it last was
  };
  /** Under the lock. `demand`: somebody waits for it. nullptr where it is there already. */
  std::shared_ptr<RecordFetch> Want(const RecordWish& wish, bool demand);
  Range* FlightOf(const RecordFetch& fetch);
  void Dispatch();
  std::optional<Place> NextPlace();
  bool NextRange(Range& range);
  uint64_t ReadAhead(const Range& range, uint64_t pack_end);
  uint64_t ReadAround(Range& range, uint64_t pack_end);
  void Take(Range& range, Fetches::iterator at);
  void Keep(const RecordKey& key, const std::shared_ptr<const RecordImage>& record);
  void Answer(const std::shared_ptr<Range>& range, const Result<FetchedBytes>& bytes);
  Records Unpack(const Range& range, ConstBytes bytes, std::span<const std::shared_ptr<RecordFetch>> wishes);
  bool Settle(const Range& range, ConstBytes bytes, const Records& records, const std::shared_ptr<RecordFetch>& fetch);

  const std::shared_ptr<PackBackend> backend_;
  const std::shared_ptr<BlockCache> cache_;
  const std::shared_ptr<LocalCache> local_;
  const uint32_t pool_;
  const FetchLimits limits_;

  mutable std::mutex mutex_;
  Fetches wanted_;                    // all that is not done
  Fetches queued_;                    // of these, what was not asked for yet
  std::deque<Place> order_, ahead_;   // of queued_: wanted now, and later; places that went with another range are passed over
  std::map<Place, std::shared_ptr<Range>> flights_;   // by where they begin
  uint32_t in_flight_ = 0;
  uint64_t in_flight_bytes_ = 0;
  std::array<Stream, 16> streams_;
  std::array<Region, 32> regions_;
  uint64_t stream_clock_ = 0;
  Usage usage_;
};

}  // namespace skerry
