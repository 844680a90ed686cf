#pragma once
// Failpoints as JavaScript sees them: armFailpoint("NAME:N") and passFailpoint("NAME").
#include <napi.h>

namespace skerry::addon {

void DefineFailpoints(Napi::Env env, Napi::Object& exports);

}  // namespace skerry::addon
