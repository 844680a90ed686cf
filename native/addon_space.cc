#include "addon_space.h"

#include <string>

#include "addon_pace.h"
#include "addon_values.h"

namespace skerry::addon {
namespace {

Napi::Object FromReached(Napi::Env env, const Reached& reached) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "blocks", reached.blocks);
  Set(object, "nodes", reached.nodes);
  Set(object, "blockBytes", reached.block_bytes);
  Set(object, "nodeBytes", reached.node_bytes);
  return object;
}

Napi::Value FromReport(Napi::Env env, const SpaceReport& report) {
  Napi::Array resources = Napi::Array::New(env, report.resources.size());
  for (size_t i = 0; i < report.resources.size(); ++i) {
    const ResourceSpace& from = report.resources[i];
    Napi::Object resource = Napi::Object::New(env);
    Set(resource, "id", from.id);
    Set(resource, "sizeBytes", from.size_bytes);
    Set(resource, "mappedBytes", from.mapped_bytes);
    Set(resource, "journalledBytes", from.journalled_bytes);
    resource.Set("reached", FromReached(env, from.reached));
    resource.Set("alone", FromReached(env, from.alone));
    resources.Set(static_cast<uint32_t>(i), resource);
  }
  Napi::Object pool = Napi::Object::New(env);
  pool.Set("reached", FromReached(env, report.pool.reached));
  Set(pool, "journalledUses", report.pool.journalled_uses);
  Set(pool, "uncompressedBytes", report.pool.uncompressed_bytes);
  Set(pool, "recordBytes", report.pool.record_bytes);
  Set(pool, "storedBytes", report.pool.stored_bytes);
  Set(pool, "deadBytes", report.pool.dead_bytes);
  Napi::Object object = Napi::Object::New(env);
  object.Set("resources", resources);
  object.Set("pool", pool);
  Set(object, "nodesRead", report.nodes_read);
  Set(object, "nodesUnread", report.nodes_unread);
  object.Set("patternsCut", report.patterns_cut);
  return object;
}

}  // namespace

Work SpaceMeter::Ask(Engine& engine, const Napi::CallbackInfo& info) {
  const std::string what = info[0].ToString().Utf8Value();
  const std::string pool = info[1].ToString().Utf8Value();
  if (what == "measure") return Measure(engine, pool);
  if (what == "run") return collects_.Collect(engine, info);
  if (what == "trims") return collects_.Trims(engine, info);
  if (what == "progress") return collects_.Progress(info);
  if (what == "scrub") return scrubs_.Begin(engine, info);
  if (what == "scrubbed") return scrubs_.Progress(info);
  if (what == "carry") return carries_.Carry(engine, info);
  if (what == "splice") return carries_.Splice(engine, info);
  if (what == "carried") return carries_.Progress(info);
  if (what == "keep") return carries_.Keep(info);
  if (what == "release") return carries_.Release(info);
  if (what == "shared") {
    const auto id = static_cast<ResourceId>(info[2].ToNumber().DoubleValue());
    return [this, pool, id, count = info[3].ToNumber().Uint32Value()]() -> Result<Finish> {
      Result<std::shared_ptr<const SpaceReport>> report = Last(pool);
      if (!report.ok()) return report.status();
      auto shared = std::make_shared<std::vector<SharedWith>>((*report)->Shared(id, count));
      return Finish([shared](Napi::Env env) -> Napi::Value {
        Napi::Array list = Napi::Array::New(env, shared->size());
        for (size_t i = 0; i < shared->size(); ++i) {
          Napi::Object one = Napi::Object::New(env);
          Set(one, "id", (*shared)[i].id);
          Set(one, "blocks", (*shared)[i].blocks);
          list.Set(static_cast<uint32_t>(i), one);
        }
        return list;
      });
    };
  }
  const Napi::Array ids = info[2].As<Napi::Array>(), groups = info[3].As<Napi::Array>();
  auto group_of = std::make_shared<std::unordered_map<ResourceId, uint32_t>>();
  for (uint32_t i = 0; i < ids.Length(); ++i) {
    group_of->emplace(static_cast<ResourceId>(ids.Get(i).ToNumber().DoubleValue()), groups.Get(i).ToNumber().Uint32Value());
  }
  return [this, pool, group_of, count = info[4].ToNumber().Uint32Value()]() -> Result<Finish> {
    Result<std::shared_ptr<const SpaceReport>> report = Last(pool);
    if (!report.ok()) return report.status();
    auto reached = std::make_shared<std::vector<Reached>>((*report)->ByGroup(*group_of, count));
    return Finish([reached](Napi::Env env) -> Napi::Value {
      Napi::Array list = Napi::Array::New(env, reached->size());
      for (size_t i = 0; i < reached->size(); ++i) list.Set(static_cast<uint32_t>(i), FromReached(env, (*reached)[i]));
      return list;
    });
  };
}

Work SpaceMeter::Measure(Engine& engine, std::string pool_name) {
  return [this, &engine, pool_name = std::move(pool_name)]() -> Result<Finish> {
    const std::shared_ptr<Pool> pool = engine.store().FindPool(pool_name);
    if (!pool) return Status(Code::kNotFound, "there is no pool " + pool_name);
    Pace pace(cancelled_, false);
    Result<std::shared_ptr<const SpaceReport>> report = MeasureSpace(engine.store(), *pool, {}, [&pace] { return pace.GoOn(); });
    if (!report.ok()) return report.status();
    {
      std::lock_guard lock(mutex_);
      std::erase_if(last_, [&](const auto& one) { return engine.store().FindPool(one.first) == nullptr; });
      last_[pool_name] = *report;
    }
    return Finish([report = *report](Napi::Env env) -> Napi::Value { return FromReport(env, *report); });
  };
}

Result<std::shared_ptr<const SpaceReport>> SpaceMeter::Last(const std::string& pool) {
  std::lock_guard lock(mutex_);
  const auto found = last_.find(pool);
  if (found == last_.end()) return Status(Code::kNotFound, "nothing was measured yet");
  return found->second;
}

}  // namespace skerry::addon
