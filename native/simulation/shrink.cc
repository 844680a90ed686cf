#include "shrink.h"

#include <algorithm>
#include <cctype>

namespace skerry::simulation {
namespace {

/** What a failure says without the numbers in it: another page of another volume is the same failure. */
std::string KindOf(const std::string& failure) {
  std::string kind;
  std::ranges::copy_if(failure, std::back_inserter(kind), [](unsigned char c) { return std::isdigit(c) == 0; });
  return kind;
}

}  // namespace

Shrunk Shrink(const WorldOptions& options, const WorldOutcome& failed, unsigned runs_max) {
  const std::string kind = KindOf(failed.failure);
  WorldOptions smallest = options;
  smallest.trace = false;
  smallest.steps = std::min(options.steps, failed.failed_step + 1);
  smallest.left_out.resize(smallest.steps, false);
  unsigned runs = 0;
  const auto fails = [&](const WorldOptions& candidate) {
    ++runs;
    return KindOf(World(candidate).Run().failure) == kind;
  };
  // A failure of the last crash alone does not need that crash to come so late.
  if (!fails(smallest)) smallest = options;
  smallest.left_out.resize(smallest.steps, false);
  for (size_t part = std::max<size_t>(smallest.steps / 2, 1); runs < runs_max; part /= 2) {
    for (size_t from = 0; from < smallest.steps && runs < runs_max; from += part) {
      const size_t end = std::min<size_t>(from + part, smallest.steps);
      WorldOptions candidate = smallest;
      std::fill(candidate.left_out.begin() + static_cast<long>(from), candidate.left_out.begin() + static_cast<long>(end), true);
      if (candidate.left_out != smallest.left_out && fails(candidate)) smallest = std::move(candidate);
    }
    if (part == 1) break;
  }
  smallest.trace = true;
  Shrunk shrunk;
  shrunk.outcome = World(smallest).Run();
  shrunk.steps = static_cast<unsigned>(std::ranges::count(smallest.left_out, false));
  shrunk.runs = runs + 1;
  return shrunk;
}

}  // namespace skerry::simulation
