#include "addon_collect.h"

#include "addon_pace.h"
#include "addon_values.h"

namespace skerry::addon {
namespace {

/** Between two looks whether writes and roots under way have come to their end. */
constexpr std::chrono::milliseconds kWait{20};

Napi::Object FromKept(Napi::Env env, const PacksKept& kept) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "packs", kept.packs);
  Set(object, "deadBytes", kept.dead_bytes);
  return object;
}

Napi::Value FromReport(Napi::Env env, const CollectReport& report) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "packs", report.packs);
  Set(object, "storedBytes", report.stored_bytes);
  Set(object, "liveBytes", report.live_bytes);
  Set(object, "packsWanted", report.packs_wanted);
  Set(object, "packsRemoved", report.packs_removed);
  Set(object, "removedBytes", report.removed_bytes);
  Set(object, "packsMoved", report.packs_moved);
  Set(object, "copiedBytes", report.copied_bytes);
  Set(object, "freedBytes", report.freed_bytes());
  Set(object, "nodesRead", report.nodes_read);
  object.Set("halfLive", FromKept(env, report.half_live));
  object.Set("journalled", FromKept(env, report.journalled));
  object.Set("damaged", FromKept(env, report.damaged));
  return object;
}

}  // namespace

Work CollectRuns::Collect(Engine& engine, const Napi::CallbackInfo& info) {
  const std::string pool = info[1].ToString().Utf8Value();
  std::vector<TreeRoot> roots = ToRoots(info[2].As<Napi::Array>());
  const Napi::Object how = info[3].As<Napi::Object>();
  CollectOptions options;
  options.dry_run = how.Get("dryRun").ToBoolean();
  options.live_max = how.Get("liveMax").ToNumber().DoubleValue();
  const bool hurry = how.Get("hurry").ToBoolean();
  return [this, &engine, pool, roots = std::move(roots), options, hurry]() -> Result<Finish> {
    if (Status busy = runs_.Begin(pool); !busy.ok()) return busy;
    Result<CollectReport> report = Run(engine, pool, roots, options, hurry);
    {
      std::lock_guard lock(mutex_);
      running_.erase(pool);
    }
    runs_.End(pool);
    if (!report.ok()) return report.status();
    return Finish([report = *report](Napi::Env env) { return FromReport(env, report); });
  };
}

Result<CollectReport> CollectRuns::Run(Engine& engine, const std::string& pool_name, std::vector<TreeRoot> roots, const CollectOptions& options,
                                       bool hurry) {
  const std::shared_ptr<Pool> pool = engine.store().FindPool(pool_name);
  if (!pool) return Status(Code::kNotFound, "there is no pool " + pool_name);
  Pace pace(cancelled_, hurry);
  Collector collector(engine.store(), pool, std::move(roots), options);
  while (true) {
    const Result<Collector::Progress> progress = collector.Next([&pace] { return pace.GoOn(); });
    if (!progress.ok()) return progress.status();
    if (*progress == Collector::Progress::kDone) return collector.report();
    if (*progress == Collector::Progress::kWait) std::this_thread::sleep_for(kWait);
    std::lock_guard lock(mutex_);
    running_[pool_name] = collector.report();
  }
}

Work CollectRuns::Trims(Engine& engine, const Napi::CallbackInfo& info) {
  const std::string name = info[1].ToString().Utf8Value();
  const std::chrono::duration<double> most(info[2].ToNumber().DoubleValue());
  return [this, &engine, name, most]() -> Result<Finish> {
    const std::shared_ptr<Pool> pool = engine.store().FindPool(name);
    if (!pool) return Status(Code::kNotFound, "there is no pool " + name);
    const auto end = std::chrono::steady_clock::now() + most;
    if (most.count() > 0) engine.DestageTrims(*pool);
    Store::Trims trims = engine.store().trims(*pool);
    // A pool without room to destage is the one that must be collected at once.
    while (trims.closed > 0 && std::chrono::steady_clock::now() < end && !pool->destage_stuck.load() && !cancelled_.load()) {
      std::this_thread::sleep_for(kWait);
      trims = engine.store().trims(*pool);
    }
    return Finish([volumes = trims.volumes](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(volumes)); });
  };
}

Work CollectRuns::Progress(const Napi::CallbackInfo& info) {
  return [this, pool = info[1].ToString().Utf8Value()]() -> Result<Finish> {
    std::lock_guard lock(mutex_);
    const auto found = running_.find(pool);
    if (found == running_.end()) return Status(Code::kNotFound, "pool " + pool + " is not being collected");
    return Finish([report = found->second](Napi::Env env) { return FromReport(env, report); });
  };
}

}  // namespace skerry::addon
