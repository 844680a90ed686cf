#pragma once
// What JavaScript asks without an engine: mostly of a data directory that none has open, which is work for a thread of the
// platform's pool.
#include <napi.h>

namespace skerry::addon {

/** surveyJournal, checkPool and blockId, as src/engine/surveys.ts and binding.ts have them. */
void DefineChecks(Napi::Env env, Napi::Object& exports);

}  // namespace skerry::addon
