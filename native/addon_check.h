#pragma once
// What JavaScript asks without an engine: mostly of a data directory that none has open, which is work for a thread of the
// platform's pool.
#include <napi.h>

#include "check/pool_check.h"

namespace skerry::addon {

/** surveyJournal, checkPool and blockId, as src/engine/surveys.ts and binding.ts have them. */
/** As `findings` of src/engine/surveys.ts. */
Napi::Object FromFinding(Napi::Env env, const Finding& finding);

void DefineChecks(Napi::Env env, Napi::Object& exports);

}  // namespace skerry::addon
