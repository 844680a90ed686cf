#include "addon_failpoints.h"

#include <string>

#include "addon_values.h"
#include "env/failpoints.h"

namespace skerry::addon {
namespace {

Napi::Value Arm(const Napi::CallbackInfo& info) {
  const Status armed = ArmFailpoint(info[0].ToString().Utf8Value());
  if (!armed.ok()) ToError(info.Env(), armed).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

Napi::Value PassOne(const Napi::CallbackInfo& info) {
  const std::string name = info[0].ToString().Utf8Value();
  const Failpoint point = FailpointOf(name);
  if (point == Failpoint::kNone) {
    ToError(info.Env(), Status(Code::kInvalid, name + " is no failpoint")).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  Pass(point);
  return info.Env().Undefined();
}

}  // namespace

void DefineFailpoints(Napi::Env env, Napi::Object& exports) {
  exports.Set("armFailpoint", Napi::Function::New(env, Arm));
  exports.Set("passFailpoint", Napi::Function::New(env, PassOne));
}

}  // namespace skerry::addon
