#pragma once
// The sown bugs by name (env/mutants.h), and how many worlds the simulator may take to catch each.
#include <cstdint>
#include <span>
#include <string_view>

#include "../env/mutants.h"
#include "world.h"

namespace skerry::simulation {

struct SownBug {
  Mutant mutant;
  const char* name;
  const char* what;        // is wrong: a sentence's part
  uint64_t seeds_max;      // caught within as many worlds, counted from seed 1
  unsigned depth = 0;      // not 0: caught by sequences of so many operations, where worlds come to it rarely
  Theme theme = Theme::kAll;   // of those worlds
};

/** Every sown bug, kNone excepted. */
std::span<const SownBug> SownBugs();
/** Null where none has that name. */
const SownBug* FindSownBug(std::string_view name);
/** False: this program was built without them. */
constexpr bool CarriesMutants() {
#ifdef SKERRY_MUTANTS
  return true;
#else
  return false;
#endif
}
/** From here on this one lives and no other; kNone: the engine as it ships. Which one did so far. */
Mutant Sow(Mutant mutant);

}  // namespace skerry::simulation
