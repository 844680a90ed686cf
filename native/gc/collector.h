#pragma once
// Gives space back: finds packs that hold little or nothing that is wanted, moves what is, and removes them.
//
// What may be removed is proven, whatever is written meanwhile. Packs are condemned: from then on no write finds its block in
// them. Whoever may have found one before is waited for. Only then the roots are taken, all at one moment: whatever a later state of
// any resource reaches is reached from these, or was put after the packs were condemned. What this second mark reaches in them
// is put again elsewhere and made durable; what a start would still look for, because the journal names it, keeps its pack.
#include <algorithm>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../blocks/pack_footer.h"
#include "../volume/store.h"
#include "mark.h"

namespace skerry {

struct CollectOptions {
  bool dry_run = false;            // tells what would be removed
  double live_max = 0.5;           // packs of which less than this share is wanted are worth moving it
  uint64_t copy_bytes_max = 1ull << 30;   // wanted bytes of packs that are condemned together
  size_t records_max = 1u << 19;          // of these packs
};

/** Packs, and bytes of their files that nothing wants. */
struct PacksKept {
  uint64_t packs = 0, dead_bytes = 0;
};

struct CollectReport {
  uint64_t packs = 0, stored_bytes = 0, live_bytes = 0;   // when it began, of all that may be removed
  uint64_t packs_removed = 0, removed_bytes = 0;          // of files; of a dry run: what would be
  uint64_t packs_moved = 0, copied_bytes = 0;             // of the removed: with something wanted in them; and that, as stored
  uint64_t packs_wanted = 0;                              // to be removed by this run: for who shows progress
  PacksKept half_live;    // too much of them is wanted
  PacksKept journalled;   // the journal names something in them: once that is trimmed
  PacksKept damaged;      // a page in them is lost, or they cannot be read
  uint64_t nodes_read = 0;

  uint64_t freed_bytes() const { return removed_bytes - std::min(removed_bytes, copied_bytes); }
};

/** One run over one pool, in steps. One at a time for each pool; one thread. */
class Collector {
 public:
  /** `roots`: that the catalog or a root chunk has, read before this begins. What the store knows itself may be among them or not. */
  Collector(Store& store, std::shared_ptr<Pool> pool, std::vector<TreeRoot> roots, const CollectOptions& options, const MarkLimits& limits = {});
  ~Collector();

  enum class Progress : uint8_t { kMore, kWait, kDone };
  /**
   * kWait: for writes or roots that are under way, or for the backend. kCorrupt where a map node cannot be read, so that nothing can be proven; kClosed
   * where `go_on` said no. After a failure it is over: packs that were not removed stay.
   */
  Result<Progress> Next(const Mark::GoOn& go_on);
  const CollectReport& report() const { return report_; }

 private:
  enum class State : uint8_t { kSurvey, kCondemn, kWait, kMark, kCopy, kSettle, kRemove, kSweep, kDone };
  struct Candidate {
    uint32_t pack = 0;
    uint64_t bytes = 0, live_bytes = 0;
    std::vector<PackFooterEntry> entries;
    uint64_t copied_bytes = 0;
    uint64_t dead_bytes() const { return bytes > live_bytes ? bytes - live_bytes : 0; }
  };

  Status MarkAll(const Mark::GoOn& go_on, const Mark::OnReached& on_reached);
  Status Survey(const Mark::GoOn& go_on);
  void Condemn();
  void LeaveNamed();
  Status MarkCondemned(const Mark::GoOn& go_on);
  /** False where the pack must stay. */
  Result<bool> CopyOut(Candidate& candidate, const Mark::GoOn& go_on);
  using PutAt = std::unordered_map<uint64_t, Location>;   // by fingerprint
  Status CopyBatch(Candidate& candidate, std::span<const PackFooterEntry* const> batch, PutAt& put_at);
  /** Whether the index leads to a whole copy elsewhere; nullopt where it leads to the record of another id. */
  std::optional<bool> IsElsewhere(const Candidate& candidate, const PackFooterEntry& entry);
  /** The copies are where nothing takes them: durable, and in a remote pool on the backend. False: not yet. */
  Result<bool> Settle();
  Status RemoveAll();
  void Keep(PacksKept& why, const Candidate& candidate);

  Store& store_;
  const std::shared_ptr<Pool> pool_;
  PackStore& packs_;
  const std::vector<TreeRoot> roots_;
  const CollectOptions options_;
  const MarkLimits limits_;
  State state_ = State::kSurvey;
  CollectReport report_;
  std::vector<Candidate> candidates_;   // still to be condemned; the last first
  std::vector<Candidate> condemned_;
  size_t next_ = 0;                     // of condemned_, to be copied
  uint64_t turn_ = 0;
  std::optional<uint32_t> shipping_;    // up to this pack the backend must have all
  std::unordered_set<uint64_t> live_;   // records of condemned_, by fingerprint
};

}  // namespace skerry
