#include "campaign.h"

#include <chrono>
#include <cstdio>

#include "exhaustive.h"
#include "mutants.h"
#include "shrink.h"

namespace skerry::simulation {
namespace {

unsigned long long Number(uint64_t value) { return value; }

void Add(WorldOutcome& total, const WorldOutcome& one) {
  total.process_crashes += one.process_crashes;
  total.host_crashes += one.host_crashes;
  total.writes += one.writes;
  total.flushes += one.flushes;
  total.roots += one.roots;
  total.moves += one.moves;
  total.switches += one.switches;
  total.snapshots += one.snapshots;
  total.clones += one.clones;
  total.resizes += one.resizes;
  total.rollbacks += one.rollbacks;
  total.compares += one.compares;
  total.rotten += one.rotten;
  total.framed += one.framed;
  total.damaged += one.damaged;
  total.faults += one.faults;
  total.refusals += one.refusals;
  total.removed += one.removed;
  total.copied += one.copied;
  total.scrubs += one.scrubs;
  total.repaired += one.repaired;
  total.carried += one.carried;
  total.spliced += one.spliced;
  total.resumed += one.resumed;
  total.hosts_lost += one.hosts_lost;
  total.orderly_ends += one.orderly_ends;
  total.pool_flushes += one.pool_flushes;
  total.cached += one.cached;
  total.cache_damaged += one.cache_damaged;
}

void PrintCounts(uint64_t worlds, const WorldOutcome& total) {
  std::printf("%llu seeds: %llu process and %llu host crashes, %llu writes, %llu flushes, %llu roots, %llu snapshots, %llu clones, %llu resizes, "
              "%llu rollbacks, %llu pools switched, %llu compares, %llu segments moved, %llu rotten pages, %llu compressed blocks, %llu times rot at rest, %llu disk faults, %llu refusals of a backend, %llu packs removed, %llu bytes moved before that, %llu scrubs, %llu records repaired, %llu trees carried, %llu times in more than one life, %llu spliced, %llu hosts lost for good, %llu ends in order, %llu flushes answered by the pool, %llu records from the local cache, %llu damaged there\n",
              Number(worlds), Number(total.process_crashes), Number(total.host_crashes), Number(total.writes), Number(total.flushes),
              Number(total.roots), Number(total.snapshots), Number(total.clones), Number(total.resizes), Number(total.rollbacks), Number(total.switches),
              Number(total.compares), Number(total.moves), Number(total.rotten), Number(total.framed), Number(total.damaged), Number(total.faults), Number(total.refusals), Number(total.removed), Number(total.copied),
              Number(total.scrubs), Number(total.repaired), Number(total.carried), Number(total.resumed), Number(total.spliced), Number(total.hosts_lost), Number(total.orderly_ends), Number(total.pool_flushes), Number(total.cached), Number(total.cache_damaged));
}

void PrintTrace(const std::vector<std::string>& trace) {
  for (const std::string& line : trace) std::printf("%s\n", line.c_str());
}

void PrintSmallest(const WorldOptions& options, const WorldOutcome& failed) {
  const Shrunk shrunk = Shrink(options, failed);
  std::printf("the smallest world found that fails so takes %u of %u steps (%u worlds tried):\n", shrunk.steps, options.steps, shrunk.runs);
  PrintTrace(shrunk.outcome.trace);
}

bool TrySequences(const SownBug& bug) {
  const ExhaustiveOutcome outcome = RunExhaustive({.depth = bug.depth});
  const bool found = !outcome.failure.empty();
  std::printf("%s %-24s by sequence %llu, of up to %u operations: %s\n", found ? "caught  " : "SURVIVED", bug.name, Number(outcome.sequences), bug.depth,
              found ? outcome.failure.c_str() : bug.what);
  return found;
}

/** A world that fails anyway shows nothing of a bug that was sown. */
bool FailsWithout(const WorldOptions& options) {
  const Mutant sown = Sow(Mutant::kNone);
  const bool fails = !World(options).Run().failure.empty();
  Sow(sown);
  return fails;
}

bool TryWorlds(const SownBug& bug, const MutantOptions& options) {
  const CampaignOutcome outcome = RunCampaign({options.seed == 0 ? 1 : options.seed, options.seed == 0 ? bug.seeds_max : 1, 0, options.steps, false, bug.theme});
  const bool found = !outcome.total.failure.empty();
  if (found && FailsWithout({outcome.failed_seed, options.steps, false, {}, bug.theme})) {
    std::printf("BROKEN   %-24s seed %llu fails without it too\n", bug.name, Number(outcome.failed_seed));
    return false;
  }
  if (found) {
    std::printf("caught   %-24s by seed %llu of %llu: %s\n", bug.name, Number(outcome.failed_seed), Number(bug.seeds_max), outcome.total.failure.c_str());
  } else {
    std::printf("SURVIVED %-24s %llu worlds: %s\n", bug.name, Number(outcome.worlds), bug.what);
  }
  if (found && options.only != nullptr) PrintSmallest({outcome.failed_seed, options.steps, false, {}, bug.theme}, outcome.total);
  return found;
}

}  // namespace

CampaignOutcome RunCampaign(const CampaignOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  CampaignOutcome outcome;
  for (; outcome.worlds < options.seeds || options.seconds > 0; ++outcome.worlds) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    if (options.seconds > 0 && spent.count() > options.seconds) break;
    WorldOutcome one = World({options.from + outcome.worlds, options.steps, options.trace, {}, options.theme}).Run();
    if (options.trace) PrintTrace(one.trace);
    outcome.digest = (outcome.digest ^ one.digest) * 0x100000001b3ull;
    Add(outcome.total, one);
    if (one.failure.empty()) continue;
    outcome.failed_seed = options.from + outcome.worlds;
    outcome.total.failure = std::move(one.failure);
    outcome.total.failed_step = one.failed_step;
    break;
  }
  return outcome;
}

int ReportCampaign(const CampaignOptions& options) {
  const CampaignOutcome outcome = RunCampaign(options);
  if (!outcome.total.failure.empty()) {
    PrintSmallest({outcome.failed_seed, options.steps, false, {}, options.theme}, outcome.total);
    std::printf("seed %llu: %s\n", Number(outcome.failed_seed), outcome.total.failure.c_str());
    std::printf("FAILED seed %llu digest %016llx\n", Number(outcome.failed_seed), Number(outcome.digest));
    return 1;
  }
  PrintCounts(outcome.worlds, outcome.total);
  std::printf("HELD digest %016llx\n", Number(outcome.digest));
  return 0;
}

int ReportMutants(const MutantOptions& options) {
  unsigned caught = 0, survived = 0;
  uint64_t number = 0;
  for (const SownBug& bug : SownBugs()) {
    const bool wanted = options.only == nullptr ? number++ % options.parts == options.part : &bug == FindSownBug(options.only);
    if (!wanted) continue;
    Sow(bug.mutant);
    const bool found = bug.depth > 0 && options.seed == 0 ? TrySequences(bug) : TryWorlds(bug, options);
    ++(found ? caught : survived);
    std::fflush(stdout);
  }
  Sow(Mutant::kNone);
  std::printf("%u passed, %u failed\n", caught, survived);
  return survived == 0 ? 0 : 1;
}

}  // namespace skerry::simulation
