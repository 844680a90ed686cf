#pragma once
// A failing world with as few steps as still fail in the same way: what is left is what somebody must understand.
#include "world.h"

namespace skerry::simulation {

struct Shrunk {
  WorldOutcome outcome;   // of the smallest world, with its trace
  unsigned steps = 0;     // that it takes
  unsigned runs = 0;
};

/** `failed`: what the world of `options` ended with. Runs at most `runs_max` worlds. */
Shrunk Shrink(const WorldOptions& options, const WorldOutcome& failed, unsigned runs_max = 400);

}  // namespace skerry::simulation
