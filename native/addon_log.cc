#include "addon_log.h"

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "addon_values.h"
#include "journal/whole_journal.h"

namespace skerry::addon {
namespace {

Result<std::shared_ptr<LiveVolume>> Logged(Engine& engine, ResourceId id) {
  std::shared_ptr<LiveVolume> volume = engine.store().Find(id);
  if (!volume || !volume->tail()) return Status(Code::kNotFound, "no volume " + std::to_string(id) + " that flushes to its pool");
  return volume;
}

Finish Number(uint64_t value) {
  return [value](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(value)); };
}

Finish Nothing() {
  return [](Napi::Env env) -> Napi::Value { return env.Undefined(); };
}

Result<Finish> Restore(Engine& engine, ResourceId id, ConstBytes entries, uint64_t until) {
  const Result<size_t> done = engine.store().RestoreLog(id, entries, until);
  if (!done.ok()) return done.status();
  // Room comes of what the flusher and the destager do.
  if (*done < entries.size()) engine.WhenAdmitted(id, [] {});
  engine.Kick();
  return Number(*done);
}

/** The last sequence, once all up to it is durable here; the engine answers at its end too. */
Result<Finish> Sequence(Engine& engine, ResourceId id) {
  const Result<std::shared_ptr<LiveVolume>> volume = Logged(engine, id);
  if (!volume.ok()) return volume.status();
  const uint64_t sequence = (*volume)->sequence();
  const auto told = std::make_shared<std::promise<Status>>();
  std::future<Status> durable = told->get_future();
  engine.WhenDurable((*volume)->FlushTarget(), [told](Status status) { told->set_value(std::move(status)); });
  if (Status status = durable.get(); !status.ok()) return status;
  return Number(sequence);
}

Result<Finish> Begin(Engine& engine, ResourceId id, uint64_t fence, uint64_t sequence) {
  if (Status status = engine.BeginLog(id, fence, sequence); !status.ok()) return status;
  return Nothing();
}

Result<Finish> Late(Engine& engine, ResourceId id, const std::string& why) {
  const Result<std::shared_ptr<LiveVolume>> volume = Logged(engine, id);
  if (volume.ok()) (*volume)->tail()->GiveUpWaiting(Status(Code::kIo, why));
  return Nothing();
}

Finish Id(const std::array<uint8_t, 16>& id) {
  return [id](Napi::Env env) -> Napi::Value { return Napi::Buffer<uint8_t>::Copy(env, id.data(), id.size()); };
}

}  // namespace

Work WholeWork(Env& env, const JournalOptions& journal) {
  return [&env, &journal]() -> Result<Finish> {
    const Result<std::array<uint8_t, 16>> id = WholeJournal(env, journal);
    if (!id.ok()) return id.status();
    return Id(*id);
  };
}

Work LogWork(Engine& engine, const Napi::CallbackInfo& info) {
  const std::string what = info[0].ToString().Utf8Value();
  if (what == "journal") return [&engine]() -> Result<Finish> { return Id(engine.store().journal().id()); };
  const auto id = static_cast<ResourceId>(info[1].ToNumber().DoubleValue());
  if (what == "sequence") return [&engine, id] { return Sequence(engine, id); };
  if (what == "late") return [&engine, id, why = info[2].ToString().Utf8Value()] { return Late(engine, id, why); };
  if (what == "begin") {
    const auto fence = static_cast<uint64_t>(info[2].ToNumber().DoubleValue()), sequence = static_cast<uint64_t>(info[3].ToNumber().DoubleValue());
    return [&engine, id, fence, sequence] { return Begin(engine, id, fence, sequence); };
  }
  const Napi::Uint8Array given = info[2].As<Napi::Uint8Array>();
  const auto entries = std::make_shared<const std::vector<uint8_t>>(given.Data(), given.Data() + given.ByteLength());
  const auto until = static_cast<uint64_t>(info[3].ToNumber().DoubleValue());
  return [&engine, id, entries, until] { return Restore(engine, id, *entries, until); };
}

}  // namespace skerry::addon
