#pragma once
// Sums of bodies for JavaScript, taken on libuv's threads: new BodySums(names), update(pieces), finish(): src/engine/binding.ts.
#include <napi.h>

namespace skerry::addon {

void DefineBodySums(Napi::Env env, Napi::Object& exports);

}  // namespace skerry::addon
