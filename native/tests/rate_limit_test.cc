// The token buckets of a volume: what may go when, by a clock that the test turns.
#include "../volume/rate_limit.h"

#include "check.h"

namespace skerry {
namespace {

constexpr uint64_t kSecond = 1000000000, kStart = 7 * kSecond;

/** Requests of `bytes` that go within `seconds`, asked for every 20 ms. */
uint64_t Gone(RateLimit& limit, uint64_t bytes, uint64_t from, uint64_t seconds) {
  uint64_t gone = 0;
  for (uint64_t at = from; at < from + seconds * kSecond; at += kSecond / 50) {
    while (limit.Take(bytes, at)) ++gone;
  }
  return gone;
}

TEST("a volume without a limit is not held") {
  RateLimit limit;
  CHECK(!limit.on());
  limit.Set({100, 0, 0});
  CHECK(limit.on());
  limit.Set({});
  CHECK(!limit.on());
}

TEST("requests go at the rate however large they are") {
  RateLimit limit;
  limit.Set({100, 0, 0});
  const uint64_t gone = Gone(limit, 1 << 20, kStart, 10);
  CHECK(gone >= 990 && gone <= 1020);
}

TEST("bytes go at the rate even where one request is more than a second of them") {
  RateLimit limit;
  limit.Set({0, 1 << 20, 0});
  const uint64_t gone = Gone(limit, 4 << 20, kStart, 40);
  CHECK(gone >= 10 && gone <= 12);
}

TEST("the tighter of two limits holds") {
  RateLimit limit;
  limit.Set({1000, 4096 * 50, 0});
  const uint64_t gone = Gone(limit, 4096, kStart, 10);
  CHECK(gone >= 495 && gone <= 512);
}

TEST("a volume that rested may burst and no further") {
  RateLimit limit;
  limit.Set({100, 0, 5});
  const uint64_t burst = Gone(limit, 1, kStart, 1);
  CHECK(burst >= 590 && burst <= 610);   // five seconds' worth, and what flowed in meanwhile
  const uint64_t after = Gone(limit, 1, kStart + kSecond, 1);
  CHECK(after >= 95 && after <= 105);
  const uint64_t again = Gone(limit, 1, kStart + 3600 * kSecond, 1);
  CHECK(again >= 590 && again <= 610);   // an hour's rest is worth no more than the burst
}

TEST("a clock that another thread read earlier gives nothing back") {
  RateLimit limit;
  limit.Set({10, 0, 0});
  CHECK(limit.Take(1, kStart + kSecond));
  CHECK(!limit.Take(1, kStart));
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
