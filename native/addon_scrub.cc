#include "addon_scrub.h"

#include "addon_check.h"
#include "addon_pace.h"
#include "addon_values.h"

namespace skerry::addon {
namespace {

Napi::Value FromReport(Napi::Env env, const ScrubReport& report) {
  Napi::Object object = Napi::Object::New(env);
  Set(object, "packs", report.packs);
  Set(object, "packsInAll", report.packs_in_all);
  Set(object, "records", report.records);
  Set(object, "bytes", report.bytes);
  Set(object, "nodesReached", report.nodes_reached);
  Set(object, "blocksReached", report.blocks_reached);
  Set(object, "damaged", report.damaged);
  Set(object, "repaired", report.repaired);
  Set(object, "lost", report.lost);
  Set(object, "reindexed", report.reindexed);
  Set(object, "open", report.open);
  Napi::Array findings = Napi::Array::New(env, report.findings.size());
  for (size_t i = 0; i < report.findings.size(); ++i) {
    Napi::Object finding = FromFinding(env, report.findings[i].what);
    finding.Set("repaired", report.findings[i].repaired);
    finding.Set("wanted", report.findings[i].wanted);
    findings.Set(static_cast<uint32_t>(i), finding);
  }
  object.Set("findings", findings);
  Set(object, "findingsTotal", report.findings_total);
  return object;
}

}  // namespace

Work ScrubRuns::Begin(Engine& engine, const Napi::CallbackInfo& info) {
  const std::string pool = info[1].ToString().Utf8Value();
  std::vector<TreeRoot> roots = ToRoots(info[2].As<Napi::Array>());
  return [this, &engine, pool, roots = std::move(roots)]() -> Result<Finish> {
    if (Status busy = runs_.Begin(pool); !busy.ok()) return busy;
    Result<ScrubReport> report = Run(engine, pool, roots);
    {
      std::lock_guard lock(mutex_);
      running_.erase(pool);
    }
    runs_.End(pool);
    if (!report.ok()) return report.status();
    return Finish([report = std::move(*report)](Napi::Env env) { return FromReport(env, report); });
  };
}

Result<ScrubReport> ScrubRuns::Run(Engine& engine, const std::string& pool_name, std::vector<TreeRoot> roots) {
  const std::shared_ptr<Pool> pool = engine.store().FindPool(pool_name);
  if (!pool) return Status(Code::kNotFound, "there is no pool " + pool_name);
  Pace pace(cancelled_, false);
  Scrub scrub(engine.store(), pool, std::move(roots));
  while (true) {
    const Result<bool> more = scrub.Next([&pace] { return pace.GoOn(); });
    if (!more.ok()) return more.status();
    if (!*more) return scrub.report();
    std::lock_guard lock(mutex_);
    running_[pool_name] = scrub.report();
  }
}

Work ScrubRuns::Progress(const Napi::CallbackInfo& info) {
  return [this, pool = info[1].ToString().Utf8Value()]() -> Result<Finish> {
    std::lock_guard lock(mutex_);
    const auto found = running_.find(pool);
    if (found == running_.end()) return Status(Code::kNotFound, "pool " + pool + " is not being scrubbed");
    return Finish([report = found->second](Napi::Env env) { return FromReport(env, report); });
  };
}

}  // namespace skerry::addon
