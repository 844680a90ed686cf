#pragma once
// One seed, one world: volumes, snapshots and clones over the shipped store, on simulated files, with crashes. Every read
// is compared with the oracle; after a crash each volume must be a prefix of its history that keeps what was promised.
// Every second world keeps its packs on a backend: then a committed root must be there, whatever becomes of the host. Every third
// compresses, with another setting in each life.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../gc/collector.h"
#include "oracle.h"
#include "sim_backend.h"
#include "sim_env.h"

namespace skerry::simulation {

struct WorldOptions {
  uint64_t seed = 1;
  unsigned steps = 250;
  bool trace = false;
};

struct WorldOutcome {
  std::string failure;     // empty: all held
  uint64_t digest = 0;
  uint64_t process_crashes = 0, host_crashes = 0, writes = 0, flushes = 0, roots = 0, snapshots = 0, clones = 0, resizes = 0, rollbacks = 0, compares = 0, moves = 0, rotten = 0, framed = 0, removed = 0, copied = 0;
  std::vector<std::string> trace;
};

class World {
 public:
  explicit World(WorldOptions options);
  WorldOutcome Run();

 private:
  struct Named {
    ResourceSpec spec;
    bool deleting = false;
    std::unique_ptr<History> history;   // volumes
    Image content;                      // snapshots
  };

  uint64_t Dice(uint64_t sides);
  void Say(std::string line);
  void Fail(std::string why);
  StoreOptions Options();
  bool Open();
  PackStore& Packs();
  void Crash(bool host);
  void MaybeArm();
  bool Crashed() const;
  void CheckRecovered(bool host);

  void Step();
  void Create();
  void Write();
  void Zero();
  void Read();
  void Flush();
  void Snapshot();
  void Clone();
  void Resize();
  void Rollback();
  void Compare();
  void Rot();
  std::string SegmentFile(uint64_t number);
  /** What is left of a lost page that is written in part. */
  void LoseParts(const Image& before, const Image& after, uint64_t offset, uint64_t length);
  void Remove();
  void Collect();
  void Destage();
  void Take(const RootCommit& commit);
  void CheckRoot(const RootCommit& commit);
  bool ReadRoot(PackStore& packs, Tree& tree, const TreeRoot& root, Bytes content);
  void CheckElsewhere(const TreeRoot& root, ConstBytes content);
  bool MakeDurable();
  bool Retry(const std::function<Status()>& attempt);
  void Pump();

  Named* PickVolume();
  bool Compresses() const { return options_.seed % 3 == 0; }
  std::vector<uint8_t> Content(uint64_t length);
  Result<std::vector<uint8_t>> ReadAll(ResourceId id);

  const WorldOptions options_;
  SimEnv env_;
  uint64_t dice_;
  std::shared_ptr<SimBackend> backend_;   // of a remote world
  uint64_t elsewhere_ = 0;                // other hosts that a root was read on
  std::unique_ptr<Store> store_;
  std::unique_ptr<Collector> collector_;   // under way, of this life
  std::vector<std::pair<ResourceId, uint64_t>> rewound_;   // by the last recovery
  std::map<ResourceId, Named> catalog_;   // durable by itself: its own crashes are another test's matter
  ResourceId next_id_ = 1;
  std::optional<RootCommit> held_;   // on its way to the catalog while other things happen
  Losses losses_;
  Lsn durable_ = 0, vouched_ = 0;   // at the last flush, at the one before it
  uint64_t lives_ = 0;   // an operation under way when the world crashed belongs to the life before
  WorldOutcome outcome_;
};

}  // namespace skerry::simulation
