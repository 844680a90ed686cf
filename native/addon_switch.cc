#include "addon_switch.h"

#include <future>
#include <string>

#include "addon_log.h"
#include "addon_values.h"

namespace skerry::addon {
namespace {

Napi::Value FromHeld(Napi::Env env, const Store::HeldResource& held) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("pool", held.pool);
  object.Set("root", FromRoot(env, held.at.root));
  Set(object, "appliedSequence", held.at.applied_sequence);
  Set(object, "sizeBytes", held.at.size_bytes);
  Set(object, "lineage", held.at.lineage);
  Set(object, "fence", held.fence);
  return object;
}

/** Waits until destage has come so far; the engine answers at its end too. */
Result<Finish> Hold(Engine& engine, ResourceId id, const std::string& pool) {
  using Held = Result<Store::HeldResource>;
  const auto told = std::make_shared<std::promise<Held>>();
  std::future<Held> future = told->get_future();
  engine.HoldForSwitch(id, pool, [told](Held held) { told->set_value(std::move(held)); });
  Held held = future.get();
  if (!held.ok()) return held.status();
  return Finish([held = *held](Napi::Env env) { return FromHeld(env, held); });
}

/** 0 for one that has no log. */
uint64_t Fence(const Napi::Value& given) { return given.IsNumber() ? static_cast<uint64_t>(given.ToNumber().DoubleValue()) : 0; }

Result<Finish> Switch(Engine& engine, ResourceId id, uint64_t fence) {
  const Result<uint64_t> sequence = engine.Switch(id, fence);
  if (!sequence.ok()) return sequence.status();
  return Finish([sequence = *sequence](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(sequence)); });
}

Result<Finish> Nothing(const Status& status) {
  if (!status.ok()) return status;
  return Finish([](Napi::Env env) { return env.Undefined(); });
}

}  // namespace

Work SwitchWork(Engine& engine, const Napi::CallbackInfo& info) {
  const std::string what = info[0].ToString().Utf8Value();
  const auto id = static_cast<ResourceId>(info[1].ToNumber().DoubleValue());
  if (what == "hold") return [&engine, id, pool = info[2].ToString().Utf8Value()] { return Hold(engine, id, pool); };
  if (what == "expect") return [&engine, id, root = ToRoot(info[2].As<Napi::Object>())] { return Nothing(engine.Expect(id, root)); };
  if (what == "switch") return [&engine, id, fence = Fence(info[2])] { return Switch(engine, id, fence); };
  if (what != "release") return LogWork(engine, info);
  return [&engine, id] {
    engine.Release(id);
    return Nothing(Status::Ok());
  };
}

}  // namespace skerry::addon
