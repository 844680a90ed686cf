#pragma once
// Many worlds, one after the other, till one fails or enough have been.
#include "world.h"

namespace skerry::simulation {

struct CampaignOptions {
  uint64_t from = 1, seeds = 100;
  double seconds = 0;        // 0: as many as `seeds` says
  unsigned steps = 250;
  bool trace = false;        // of every world, whether it fails or not
  Theme theme = Theme::kAll;
};

struct CampaignOutcome {
  uint64_t worlds = 0;
  uint64_t digest = 0;
  WorldOutcome total;        // counts of all; `failure` and the trace are those of the world that failed
  uint64_t failed_seed = 0;
};

CampaignOutcome RunCampaign(const CampaignOptions& options);
/** Runs it and prints what it did, a failure with the smallest world that shows it; the last line is the outcome and the digest. 0: all held. */
int ReportCampaign(const CampaignOptions& options);
struct MutantOptions {
  const char* only = nullptr;   // of this name; null: each
  uint64_t seed = 0;            // the one world to show it; 0: from 1 on, as many as it may take
  unsigned steps = 250;
  uint64_t part = 0, parts = 1; // every so manieth: processors share them
};
/** Each sown bug against its worlds: a table, then `N passed, N failed`. 0: all were caught. */
int ReportMutants(const MutantOptions& options);

}  // namespace skerry::simulation
