// simulate --seed S | --seeds N | --seconds N | --hours N | --fresh | --mutants | --mutant NAME | --exhaustive: see kUsage. The
// last line is the outcome; the exit status says whether all held.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "campaign.h"
#include "exhaustive.h"
#include "mutants.h"

namespace {

using skerry::simulation::CampaignOptions;
using skerry::simulation::CarriesMutants;
using skerry::simulation::ExhaustiveOptions;
using skerry::simulation::Theme;

constexpr const char* kUsage =
    "usage: simulate --seed S                          one world, with its trace\n"
    "       simulate --seeds N [--from S]              so many worlds, from seed S (1)\n"
    "       simulate --seconds N | --hours N [--from S] [--fresh]   for so long; --fresh: from a seed that nobody chose, which is printed\n"
    "       simulate --mutants                         every sown bug must be caught (build/simulate_mutants)\n"
    "       simulate --mutant NAME [--seed S]          one of them, with the smallest world that shows it\n"
    "       simulate --exhaustive [--depth N] [--images N] [--part I/N] [--mutant NAME]   every short sequence of operations, every crash\n"
    "       --steps N: of each world (250); --theme failing-syncs | short-journal | lost-hosts: what they turn to again and again\n";

struct Command {
  CampaignOptions campaign;
  ExhaustiveOptions exhaustive;
  bool fresh = false, mutants = false, exhaust = false;
  uint64_t seed = 0;
  const char* mutant = nullptr;
};

int Refuse(const char* why) {
  std::fprintf(stderr, "simulate: %s\n%s", why, kUsage);
  return 2;
}

bool TakeFlag(const char* name, Command& command) {
  const auto is = [name](const char* flag) { return std::strcmp(name, flag) == 0; };
  if (is("--fresh")) return command.fresh = true;
  if (is("--mutants")) return command.mutants = true;
  if (is("--exhaustive")) return command.exhaust = true;
  return false;
}

bool TakeTheme(const char* value, CampaignOptions& campaign) {
  if (std::strcmp(value, "failing-syncs") == 0) campaign.theme = Theme::kFailingSyncs;
  else if (std::strcmp(value, "short-journal") == 0) campaign.theme = Theme::kShortJournal;
  else if (std::strcmp(value, "lost-hosts") == 0) campaign.theme = Theme::kLostHosts;
  else return false;
  return true;
}

bool TakeValue(const char* name, const char* value, Command& command) {
  const auto is = [name](const char* flag) { return std::strcmp(name, flag) == 0; };
  if (is("--mutant")) {
    command.mutant = value;
    return true;
  }
  if (is("--theme")) return TakeTheme(value, command.campaign);
  char* rest = nullptr;
  const uint64_t number = std::strtoull(value, &rest, 10);
  if (is("--part") && *rest == '/') {
    command.exhaustive.part = number;
    command.exhaustive.parts = std::strtoull(rest + 1, &rest, 10);
    return *rest == '\0' && command.exhaustive.part < command.exhaustive.parts;
  }
  if (*value == '\0' || *rest != '\0') return false;
  if (is("--seed")) command.seed = number;
  else if (is("--seeds")) command.campaign.seeds = number;
  else if (is("--from")) command.campaign.from = number;
  else if (is("--steps")) command.campaign.steps = static_cast<unsigned>(number);
  else if (is("--seconds")) command.campaign.seconds = static_cast<double>(number);
  else if (is("--hours")) command.campaign.seconds = 3600.0 * static_cast<double>(number);
  else if (is("--depth")) command.exhaustive.depth = static_cast<unsigned>(number);
  else if (is("--images")) command.exhaustive.images_max = number;
  else return false;
  return true;
}

int Run(Command& command) {
  if ((command.mutants || command.mutant != nullptr) && !CarriesMutants()) {
    return Refuse("this build carries no mutants: use build/simulate_mutants (npm run simulate builds it)");
  }
  const skerry::simulation::SownBug* const bug = command.mutant == nullptr ? nullptr : skerry::simulation::FindSownBug(command.mutant);
  if (command.mutant != nullptr && bug == nullptr) {
    for (const auto& each : skerry::simulation::SownBugs()) std::fprintf(stderr, "%-24s %s\n", each.name, each.what);
    return Refuse("there is no mutant of that name; those above there are");
  }
  if (command.exhaust) {
    if (bug != nullptr) skerry::simulation::Sow(bug->mutant);
    return ReportExhaustive(command.exhaustive);
  }
  if (command.mutants || bug != nullptr) {
    return skerry::simulation::ReportMutants(
        {command.mutant, command.seed, command.campaign.steps, command.exhaustive.part, command.exhaustive.parts});
  }
  if (command.seed != 0) {
    command.campaign.from = command.seed;
    command.campaign.seeds = 1;
    command.campaign.trace = true;
  }
  if (command.fresh) {
    command.campaign.from = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
    std::printf("fresh seeds from %llu: repeat with --from %llu\n", static_cast<unsigned long long>(command.campaign.from),
                static_cast<unsigned long long>(command.campaign.from));
  }
  return ReportCampaign(command.campaign);
}

}  // namespace

int main(int argc, char** argv) {
  Command command;
  for (int i = 1; i < argc; ++i) {
    if (TakeFlag(argv[i], command)) continue;
    if (i + 1 >= argc || !TakeValue(argv[i], argv[i + 1], command)) return Refuse((std::string(argv[i]) + " is not understood").c_str());
    ++i;
  }
  return Run(command);
}
