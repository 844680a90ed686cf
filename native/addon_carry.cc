#include "addon_carry.h"

#include <thread>

#include "addon_pace.h"
#include "addon_values.h"

namespace skerry::addon {
namespace {

/** Between two looks whether there is room, or the backend has what was put; and whether what was cancelled has ended. */
constexpr std::chrono::milliseconds kWait{20};

uint64_t IdOf(const Napi::CallbackInfo& info) { return static_cast<uint64_t>(info[1].ToNumber().DoubleValue()); }

Status NothingOf(uint64_t id) { return {Code::kNotFound, "nothing is carried under number " + std::to_string(id)}; }

Napi::Value FromPoint(Napi::Env env, const CarryPoint& point) {
  if (!point.hold) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("root", FromRoot(env, point.root));
  Set(object, "next", point.next);
  return object;
}

Napi::Value FromReport(Napi::Env env, const CarryReport& report, const CarryPoint& point) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "blocks", report.blocks);
  Set(object, "blocksDone", report.next);
  Set(object, "carriedBlocks", report.carried_blocks);
  Set(object, "foundBlocks", report.found_blocks);
  Set(object, "putBlocks", report.put_blocks);
  Set(object, "putBytes", report.put_bytes);
  Set(object, "cutRanges", report.cut_ranges);
  Set(object, "lostPages", report.lost_pages);
  object.Set("firstLostPage", report.first_lost ? Napi::Value(Napi::Number::New(env, static_cast<double>(*report.first_lost))) : env.Null());
  Set(object, "nodesCompared", report.nodes_compared);
  object.Set("point", FromPoint(env, point));
  return object;
}

}  // namespace

Work CarryRuns::Carry(Engine& engine, const Napi::CallbackInfo& info) {
  const Napi::Object told = info[2].As<Napi::Object>();
  CarryOrder order;
  order.from = ToRoot(told.Get("from").As<Napi::Object>());
  order.to = ToRoot(told.Get("to").As<Napi::Object>());
  order.have = ToRoot(told.Get("have").As<Napi::Object>());
  order.next = Whole(told, "next");
  order.blocks = Whole(told, "blocks");
  order.compression = ToCompression(told.Get("compression"));
  return [this, &engine, id = IdOf(info), order, source = Text(told, "source"), target = Text(told, "target"),
          hurry = told.Get("hurry").ToBoolean().Value()]() mutable {
    return During(id, [&](Run& run) -> Status {
      order.source = engine.store().FindPool(source);
      order.target = engine.store().FindPool(target);
      if (!order.source || !order.target) return {Code::kNotFound, "there is no pool " + (order.source ? target : source)};
      Result<std::unique_ptr<Carrier>> carrier = Carrier::Begin(engine.store(), order);
      return carrier.ok() ? Walk(**carrier, hurry, run) : carrier.status();
    });
  };
}

Work CarryRuns::Splice(Engine& engine, const Napi::CallbackInfo& info) {
  const Napi::Object told = info[2].As<Napi::Object>();
  SpliceOrder order;
  order.blocks = Whole(told, "blocks");
  const Napi::Array parts = told.Get("parts").As<Napi::Array>();
  for (uint32_t i = 0; i < parts.Length(); ++i) {
    const Napi::Object part = parts.Get(i).As<Napi::Object>();
    order.parts.push_back({ToRoot(part.Get("from").As<Napi::Object>()), Whole(part, "first"), Whole(part, "blocks"), Whole(part, "at")});
  }
  return [this, &engine, id = IdOf(info), order = std::move(order), pool = Text(told, "pool")]() mutable {
    return During(id, [&](Run& run) -> Status {
      order.pool = engine.store().FindPool(pool);
      if (!order.pool) return {Code::kNotFound, "there is no pool " + pool};
      Result<std::unique_ptr<Splicer>> splicer = Splicer::Begin(engine.store(), std::move(order));
      return splicer.ok() ? Walk(**splicer, true, run) : splicer.status();
    });
  };
}

Result<Finish> CarryRuns::During(uint64_t id, const std::function<Status(Run&)>& work) {
  const Result<std::shared_ptr<Run>> entered = Enter(id);
  if (!entered.ok()) return entered.status();
  const std::shared_ptr<Run> run = *entered;
  const Status status = work(*run);
  std::lock_guard lock(mutex_);
  run->runs = false;
  if (!status.ok()) return status;
  return Finish([report = run->report, point = run->point](Napi::Env env) { return FromReport(env, report, point); });
}

/** One that has ended under the same number is followed by this one: what it holds is let go only once this holds its own. */
Result<std::shared_ptr<CarryRuns::Run>> CarryRuns::Enter(uint64_t id) {
  std::lock_guard lock(mutex_);
  if (over_) return Status(Code::kClosed, "cancelled");
  std::shared_ptr<Run>& run = runs_[id];
  if (run && run->runs) return Status(Code::kTryAgain, "something is being carried under number " + std::to_string(id) + " already");
  auto fresh = std::make_shared<Run>();
  if (run) {
    fresh->report = run->report;
    fresh->point = run->point;
    fresh->durable = run->durable;
    fresh->kept = run->kept;
    fresh->kept_before = run->kept_before;
    fresh->sources = run->sources;
  }
  run = fresh;
  return fresh;
}

template <typename Walker>
Status CarryRuns::Walk(Walker& walker, bool hurry, Run& run) {
  Pace pace(run.cancelled, hurry);
  while (true) {
    const Result<Carrier::Progress> progress = walker.Next([&pace] { return pace.GoOn(); });
    {
      std::lock_guard lock(mutex_);
      run.report = walker.report();
      run.point = walker.point();
      run.durable = walker.durable();
      run.sources = walker.sources();
    }
    if (!progress.ok()) return progress.status();
    if (*progress == Carrier::Progress::kDone) return Status::Ok();
    if (*progress == Carrier::Progress::kWait) std::this_thread::sleep_for(kWait);
  }
}

Work CarryRuns::Progress(const Napi::CallbackInfo& info) {
  return [this, id = IdOf(info)]() -> Result<Finish> {
    const std::shared_ptr<Run> run = Find(id);
    if (!run) return NothingOf(id);
    std::lock_guard lock(mutex_);
    return Finish([report = run->report, point = run->point](Napi::Env env) { return FromReport(env, report, point); });
  };
}

Work CarryRuns::Keep(const Napi::CallbackInfo& info) {
  return [this, id = IdOf(info)]() -> Result<Finish> {
    const std::shared_ptr<Run> run = Find(id);
    if (!run) return NothingOf(id);
    std::lock_guard lock(mutex_);
    // Who asks for another has put the one before it into the catalog, and what was kept before that is nobody's any more.
    if (run->durable.hold && run->durable.hold != run->kept.hold) {
      run->kept_before = std::move(run->kept);
      run->kept = run->durable;
    }
    return Finish([kept = run->kept](Napi::Env env) { return FromPoint(env, kept); });
  };
}

Work CarryRuns::Release(const Napi::CallbackInfo& info) {
  return [this, id = IdOf(info)]() -> Result<Finish> {
    while (const std::shared_ptr<Run> run = Find(id)) {
      run->cancelled.store(true);
      {
        std::lock_guard lock(mutex_);
        if (!run->runs) {
          runs_.erase(id);
          break;
        }
      }
      std::this_thread::sleep_for(kWait);
    }
    return Finish();
  };
}

std::shared_ptr<CarryRuns::Run> CarryRuns::Find(uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = runs_.find(id);
  return found == runs_.end() ? nullptr : found->second;
}

void CarryRuns::Cancel() {
  std::lock_guard lock(mutex_);
  over_ = true;
  for (const auto& [id, run] : runs_) run->cancelled.store(true);
}

}  // namespace skerry::addon
