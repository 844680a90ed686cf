#pragma once
// A place for log chunks in memory.
#include <map>
#include <utility>
#include <vector>

#include "../simulation/sim_random.h"
#include "../volume/log_tail.h"
#include "check.h"

namespace skerry::check {

/** Log chunks in memory. A put comes about when a step says so, and one of a host that died may yet come much later. */
class LogShelf : public LogBackend {
 public:
  struct Put {
    LogChunk chunk;
    std::function<void(Status)> done;
  };
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint8_t>> chunks;   // by fence and number
  std::vector<Put> under_way;
  std::vector<LogChunk> late;

  void PutLog(const LogChunk& chunk, std::function<void(Status)> done) override { under_way.push_back({chunk, std::move(done)}); }
  void Keep(const LogChunk& chunk) {
    const auto [at, fresh] = chunks.try_emplace({chunk.fence, chunk.number}, *chunk.entries);
    CHECK(fresh || at->second == *chunk.entries);
  }
  void Step(SimRandom& random) {
    if (!late.empty() && random.Chance(1, 8)) {
      Keep(late.back());
      late.pop_back();
    }
    if (under_way.empty()) return;
    const size_t which = random.Below(under_way.size());
    const Put put = std::move(under_way[which]);
    under_way.erase(under_way.begin() + static_cast<ptrdiff_t>(which));
    Keep(put.chunk);
    put.done({});
  }
  void HostDied(SimRandom& random) {
    for (const Put& put : under_way) {
      if (random.Chance(1, 3)) Keep(put.chunk);
      else if (random.Chance(1, 2)) late.push_back(put.chunk);
    }
    under_way.clear();
  }
};

}  // namespace skerry::check
