#pragma once
// What JavaScript asks of a data directory that no engine has open. Each call is work for a thread of the platform's pool.
#include <napi.h>

namespace skerry::addon {

/** surveyJournal and checkPool, as src/engine/binding.ts has them. */
void DefineChecks(Napi::Env env, Napi::Object& exports);

}  // namespace skerry::addon
