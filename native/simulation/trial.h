#pragma once
// One small store on a simulated machine, operations on it, and what is promised meanwhile. Nothing here is drawn: an
// operation does the same whenever it comes at the same place of a sequence.
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../volume/store.h"
#include "oracle.h"
#include "sim_env.h"

namespace skerry::simulation {

/** What the catalog and the oracle know of a resource. */
struct Tracked {
  ResourceSpec spec;
  std::optional<History> history;   // volumes
  Image content;                    // snapshots
};
using Tracks = std::map<ResourceId, Tracked>;

/** The machine and the promises at one moment in the middle of an operation: here a crash may come. */
struct Moment {
  std::unique_ptr<SimEnv> machine;
  Tracks tracks;
  std::string where;
};

/** One process on a machine: opens the store, and holds what it finds against the promises. */
class Life {
 public:
  Life(SimEnv& env, Tracks& tracks) : env_(env), tracks_(tracks) {}
  /** Empty when everything came back as promised, after a crash of the host or of the process alone; else a sentence. */
  std::string Recover(bool host);
  /** Every resource reads as the oracle says. */
  std::string Compare();
  std::string Write(uint64_t offset, ConstBytes data);
  std::string Flush();
  Store& store() { return *store_; }

 private:
  Result<std::vector<uint8_t>> ReadAll(ResourceId id);

  SimEnv& env_;
  Tracks& tracks_;
  std::unique_ptr<Store> store_;
};

class Trial;

struct Operation {
  const char* name;
  std::string (Trial::*run)(unsigned position);
};
/** All that a sequence is made of. What the engine learns to do joins here. */
std::span<const Operation> Operations();

class Trial {
 public:
  /** A volume with a root, a snapshot that has an older one, in an older pack, and nothing under way. */
  std::string Prepare();
  /** Runs the operation as the one at `position` of its sequence. `moments`, unless null, gets every moment at which a crash may come. */
  std::string Run(const Operation& operation, unsigned position, std::vector<Moment>* moments);

  std::string WritePiece(unsigned position);
  std::string WriteBlock(unsigned position);
  std::string Zero(unsigned position);
  std::string Trim(unsigned position);
  std::string Flush(unsigned position);
  std::string Snapshot(unsigned position);
  std::string Clone(unsigned position);
  std::string Rollback(unsigned position);
  std::string Resize(unsigned position);
  std::string Destage(unsigned position);
  std::string Collect(unsigned position);

 private:
  void Note(std::string where);
  /** The flusher is eager: what was appended is on its way at once, and durable only when somebody asks. */
  std::string WriteOut();
  std::string Clear(uint64_t offset, uint64_t length, bool punch);
  std::string Until(const std::function<Status()>& attempt);
  void Take(const RootCommit& root);
  ResourceId NewestVolume() const;
  ResourceId NewestSnapshot() const;

  SimEnv env_{1};
  Tracks tracks_;
  Life life_{env_, tracks_};
  ResourceId next_id_ = 1;
  std::vector<Moment>* moments_ = nullptr;
};

}  // namespace skerry::simulation
