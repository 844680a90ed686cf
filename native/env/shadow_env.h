#pragma once
// An environment over another in which nothing ever changes: what is written, renamed or removed is accepted and forgotten,
// and shared memory is a private copy. What opens files by recovering them can so be run only to be looked at.
#include "env.h"

namespace skerry {

/** `system` outlives it. Files that a caller would have made read as empty. */
std::unique_ptr<Env> MakeShadowEnv(Env& system);

}  // namespace skerry
