#pragma once
// Looks for rot before somebody needs the page: reads all that a pool's packs hold from the disk or backend itself, while everything goes on,
// and compares footers, records, ids, the index and what maps reach. What is damaged is put again from a second copy, proven by its
// id: another pack's, or what a cache or a copy here still has of this one. Never from anything else: what cannot be had stays an error.
//
// Memory: what a mark takes (gc/mark.h), the records that are damaged, and a list of findings with an end.
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "../blocks/pack_footer.h"
#include "../gc/mark.h"
#include "../volume/store.h"
#include "pool_check.h"

namespace skerry {

struct ScrubFinding {
  Finding what;
  bool repaired = false;       // all that was in it can be read again
  bool wanted = false;         // a volume, snapshot or image has it; `what.resource` is one of them
};

struct ScrubReport {
  uint64_t packs = 0, packs_in_all = 0;      // read, of those that are sealed; the rest is read once it is
  uint64_t records = 0, bytes = 0;           // read from the disk
  uint64_t nodes_reached = 0, blocks_reached = 0;
  uint64_t damaged = 0;                      // records
  uint64_t repaired = 0;                     // of these
  uint64_t lost = 0;                         // of those that are wanted: damaged and not repaired, or in no pack at all
  uint64_t reindexed = 0;                    // records that the index had lost
  uint64_t miscounted = 0;                   // packs whose counters differ from their footers; one more where they differ from what is reached
  uint64_t nodes_unread = 0;                 // map nodes that cannot be read: what they lead to was not compared
  std::vector<ScrubFinding> findings;        // the first kFindingsMax
  uint64_t findings_total = 0;

  uint64_t open = 0;                         // findings that are not repaired, but for damaged records that nothing wants
};

/** One run over one pool, in steps. No pack may be removed meanwhile. One thread. */
class Scrub {
 public:
  /** `roots`: as for Collector. */
  Scrub(Store& store, std::shared_ptr<Pool> pool, std::vector<TreeRoot> roots, const MarkLimits& limits = {});

  /** False once all is done. kClosed where `go_on` said no, kNoSpace where the pool is too large to be marked, kTryAgain where its backend is away. */
  Result<bool> Next(const Mark::GoOn& go_on);
  const ScrubReport& report() const { return report_; }

 private:
  enum class State : uint8_t { kPacks, kCopies, kMaps, kDone };
  /** A record that is damaged on the disk. */
  struct Rotten {
    uint32_t pack = 0;
    PackFooterEntry entry;
    std::string why;
    bool known = false;      // its footer says so: torn by a crash as a rule, and no news unless somebody wants it
    bool put_again = false;  // and durable
  };

  Status ReadPack(const PackStore::Sealed& sealed, const Mark::GoOn& go_on);
  Status ReadRecord(uint32_t pack, const PackFooterEntry& entry);
  /** A record that was not found where the index has it, for its pack's footer is damaged and so is it. */
  bool Missed(const Location& at) const;
  Status CheckIdentity(const PackFooterEntry& entry, const PackStore::Payload& payload) const;
  /** From the page cache, or from where the index leads to. */
  bool RepairAtOnce(Rotten& rotten);
  bool PutAgain(Rotten& rotten, const PackStore::Payload& payload);
  /** Other packs may hold what no index leads to any more. */
  Status LookForCopies(const Mark::GoOn& go_on);
  /** What was put again counts only now. */
  Status MakeDurable();
  Status CompareMaps(const Mark::GoOn& go_on);
  /** What the pool is said to hold with what was reached. */
  void CompareCounters();
  void Report(ScrubFinding finding);
  void ReportRotten();
  std::string PathOf(uint32_t pack) const;

  Store& store_;
  const std::shared_ptr<Pool> pool_;
  PackStore& packs_;
  const std::vector<TreeRoot> roots_;
  const MarkLimits limits_;
  State state_ = State::kPacks;
  std::vector<PackStore::Sealed> sealed_;   // to be read, the next last
  std::vector<Rotten> rotten_;
  /** Of packs whose footer is damaged: where the records that were found begin. */
  std::unordered_map<uint32_t, std::unordered_set<uint32_t>> scanned_;
  std::unordered_map<uint64_t, ResourceId> wanted_;   // of these, by fingerprint: one that wants it
  ScrubReport report_;
};

}  // namespace skerry
