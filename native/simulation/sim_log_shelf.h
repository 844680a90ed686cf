#pragma once
// Where the logs of a world's volumes go: chunks in memory that outlive every host. Puts arrive when the world says so and in any order;
// some are not heard of and made again, some arrive once more, and those of a host that died may come in a later life.
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "../volume/log_tail.h"
#include "sim_random.h"

namespace skerry::simulation {

class SimLogShelf : public LogBackend {
 public:
  explicit SimLogShelf(uint64_t seed) : dice_(seed) {}

  void PutLog(const LogChunk& chunk, std::function<void(Status)> done) override { underway_.push_back({chunk, std::move(done)}); }

  /** Until Release no put of the volume arrives. */
  void Hold(ResourceId volume) { held_.insert(volume); }
  void Release(ResourceId volume) { held_.erase(volume); }
  /** Lets some of the puts under way arrive, and tells of it. */
  void Deliver();
  /** The process has died: what was under way may have arrived, or come later, and nobody waits for it. */
  void Forget();

  /** Null where there is none. */
  const LogChunk* Find(ResourceId volume, uint64_t fence, uint64_t number) const;
  /** The last under the fence. */
  const LogChunk* Last(ResourceId volume, uint64_t fence) const;
  uint64_t FenceMax(ResourceId volume) const;
  /** Removes what of the volume nobody wants; now and then something stays, for whoever removes it next. */
  void Remove(ResourceId volume, const std::function<bool(const LogChunk&)>& unwanted);
  /** What must never happen and did: a chunk put with other bytes than before. */
  const std::string& wrong() const { return wrong_; }

 private:
  struct Underway {
    LogChunk chunk;
    std::function<void(Status)> done;
  };
  using Key = std::tuple<ResourceId, uint64_t, uint64_t>;
  void Arrive(const LogChunk& chunk);

  SimRandom dice_;
  std::map<Key, LogChunk> chunks_;
  std::vector<Underway> underway_;
  std::set<ResourceId> held_;
  std::vector<LogChunk> late_;   // will arrive, and nobody waits for them
  std::string wrong_;
};

}  // namespace skerry::simulation
