#pragma once
// Logs of volumes that flush to their pools, for JavaScript.
#include <napi.h>

#include "addon_access.h"

namespace skerry::addon {

/** volumeLog('whole'), before the engine starts. */
Work WholeWork(Env& env, const JournalOptions& journal);
/** volumeLog('journal'), ('restore', volume, entries, until), ('sequence', volume), ('begin', volume, fence, sequence), ('late', volume, why): src/engine/binding.ts. */
Work LogWork(Engine& engine, const Napi::CallbackInfo& info);

}  // namespace skerry::addon
