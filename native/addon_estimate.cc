#include "addon_estimate.h"

#include <chrono>
#include <string>

#include "addon_values.h"

namespace skerry::addon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kEstimatesMax = 4;
/** Of one step: short enough for a bar that moves, and to stop soon where nobody asks for the next. */
constexpr std::chrono::milliseconds kStep{200};

}  // namespace

Work Estimator::Ask(Env& env, Engine& engine, const Napi::CallbackInfo& info) {
  const std::string what = info[0].ToString().Utf8Value();
  if (what == "begin") return [this, &env, &engine, pool = info[1].ToString().Utf8Value()] { return Begin(env, engine, pool); };
  const auto id = static_cast<uint64_t>(info[1].ToNumber().DoubleValue());
  if (what == "end") return [this, id] { return End(id); };
  return [this, id, path = info[2].ToString().Utf8Value(), offset = static_cast<uint64_t>(info[3].ToNumber().DoubleValue())] {
    return Read(id, path, offset);
  };
}

Result<Finish> Estimator::Begin(Env& env, Engine& engine, const std::string& pool_name) {
  std::shared_ptr<Pool> pool = engine.store().FindPool(pool_name);
  if (!pool) return Status(Code::kNotFound, "there is no pool " + pool_name);
  auto running = std::make_shared<Running>(env, std::move(pool));
  std::lock_guard lock(mutex_);
  if (running_.size() >= kEstimatesMax) return Status(Code::kTryAgain, "as many estimates run as may at once");
  const uint64_t id = next_++;
  running_.emplace(id, std::move(running));
  return Finish([id](Napi::Env js) -> Napi::Value { return Napi::Number::New(js, static_cast<double>(id)); });
}

Result<Finish> Estimator::Read(uint64_t id, const std::string& path, uint64_t offset) {
  std::shared_ptr<Running> running;
  {
    std::lock_guard lock(mutex_);
    const auto found = running_.find(id);
    if (found == running_.end()) return Status(Code::kNotFound, "no such estimate, or it has ended");
    running = found->second;
  }
  std::lock_guard lock(running->mutex);
  const Clock::time_point end = Clock::now() + kStep;
  Result<Estimate::Step> step = running->estimate.Read(path, offset, [end] { return Clock::now() < end; });
  if (!step.ok()) return step.status();
  return Finish([step = *step, totals = running->estimate.totals()](Napi::Env js) -> Napi::Value {
    Napi::Object object = Napi::Object::New(js);
    Set(object, "next", step.next);
    Set(object, "fileBytes", step.file_bytes);
    Set(object, "zeroBytes", totals.zero_bytes);
    Set(object, "dataBytes", totals.data_bytes);
    Set(object, "distinctBytes", totals.distinct_bytes);
    Set(object, "knownBytes", totals.known_bytes);
    Set(object, "storedBytes", totals.stored_bytes);
    Set(object, "rawBytes", totals.raw_bytes);
    Set(object, "lz4Bytes", totals.lz4_bytes);
    Set(object, "zstdBytes", totals.zstd_bytes);
    object.Set("exact", totals.exact);
    return object;
  });
}

Result<Finish> Estimator::End(uint64_t id) {
  std::lock_guard lock(mutex_);
  running_.erase(id);
  return Finish([](Napi::Env js) -> Napi::Value { return js.Undefined(); });
}

}  // namespace skerry::addon
