#pragma once
// A resource on its way from one pool to another, for JavaScript.
#include <napi.h>

#include "addon_access.h"

namespace skerry::addon {

/** switchPool('hold', resource, pool), ('expect', resource, root), ('switch', resource), ('release', resource), and what LogWork does: src/engine/binding.ts. */
Work SwitchWork(Engine& engine, const Napi::CallbackInfo& info);

}  // namespace skerry::addon
