// The seam: everything JavaScript can ask of the engine, and everything the engine tells it, in batches. With
// addon_values.cc the only code that knows N-API. Nothing crosses it per I/O.
#include <napi.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "addon_access.h"
#include "addon_backend.h"
#include "addon_caches.h"
#include "addon_check.h"
#include "addon_estimate.h"
#include "addon_events.h"
#include "addon_failpoints.h"
#include "addon_handshake.h"
#include "addon_log.h"
#include "addon_mailbox.h"
#include "addon_space.h"
#include "addon_sums.h"
#include "addon_switch.h"
#include "addon_values.h"
#include "engine/own_threads.h"
#include "nbd/tls_context.h"
#include "volume/changes.h"

namespace skerry::addon {
namespace {

uint64_t WholeOf(const Napi::Value& value) { return static_cast<uint64_t>(value.ToNumber().DoubleValue()); }
ResourceId IdOf(const Napi::Value& value) { return static_cast<ResourceId>(value.ToNumber().DoubleValue()); }

using Deferred = std::shared_ptr<Napi::Promise::Deferred>;

/** The end of a transfer, and who waits for it. Only JavaScript's thread looks at it. */
struct Outcome {
  std::vector<Deferred> waiting;
  std::optional<Status> ended;
  TransferProgress progress;

  void Tell(Napi::Env env, const Deferred& deferred) const {
    ended->ok() ? deferred->Resolve(FromProgress(env, progress)) : deferred->Reject(ToError(env, *ended).Value());
  }
};

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit NativeEngine(const Napi::CallbackInfo& info);
  ~NativeEngine() override;

 private:
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value ListenUnix(const Napi::CallbackInfo& info);
  Napi::Value ListenTcp(const Napi::CallbackInfo& info);
  Napi::Value UseTls(const Napi::CallbackInfo& info);
  Napi::Value Answer(const Napi::CallbackInfo& info);
  Napi::Value Add(const Napi::CallbackInfo& info);
  Napi::Value Snapshot(const Napi::CallbackInfo& info);
  Napi::Value Drop(const Napi::CallbackInfo& info);
  Napi::Value Resize(const Napi::CallbackInfo& info);
  Napi::Value Rollback(const Napi::CallbackInfo& info);
  Napi::Value SizeBytes(const Napi::CallbackInfo& info);
  Napi::Value Limit(const Napi::CallbackInfo& info);
  Napi::Value Compress(const Napi::CallbackInfo& info);
  Napi::Value ChangedRanges(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Flush(const Napi::CallbackInfo& info);
  Napi::Value Destage(const Napi::CallbackInfo& info);
  Napi::Value Committed(const Napi::CallbackInfo& info);
  Napi::Value Attached(const Napi::CallbackInfo& info);
  Napi::Value ImportFile(const Napi::CallbackInfo& info) { return Begin(info, Transfer::Direction::kImport); }
  Napi::Value ExportFile(const Napi::CallbackInfo& info) { return Begin(info, Transfer::Direction::kExport); }
  Napi::Value Begin(const Napi::CallbackInfo& info, Transfer::Direction direction);
  Napi::Value TransferDone(const Napi::CallbackInfo& info);
  Napi::Value Progress(const Napi::CallbackInfo& info);
  Napi::Value TransferCancel(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Activities(const Napi::CallbackInfo& info) {
    return Running(info.Env()) ? FromActivities(info.Env(), *engine_) : info.Env().Undefined();
  }
  Napi::Value Failure(const Napi::CallbackInfo& info) {
    return Running(info.Env()) ? Napi::String::New(info.Env(), engine_->store().failure().detail()) : info.Env().Undefined();
  }
  Napi::Value AllocatedBytes(const Napi::CallbackInfo& info) {
    return Running(info.Env()) ? OnThread(info.Env(), AllocatedWork(*engine_, IdOf(info[0]))) : info.Env().Undefined();
  }
  Napi::Value SwitchPool(const Napi::CallbackInfo& info) { return Running(info.Env()) ? OnThread(info.Env(), SwitchWork(*engine_, info)) : info.Env().Undefined(); }
  Napi::Value VolumeLog(const Napi::CallbackInfo& info) {
    return info[0].ToString().Utf8Value() == "whole" ? OnThread(info.Env(), WholeWork(*system_, store_options_.journal)) : SwitchPool(info);
  }
  Napi::Value Space(const Napi::CallbackInfo& info) { return Running(info.Env()) ? OnThread(info.Env(), space_.Ask(*engine_, info)) : info.Env().Undefined(); }
  Napi::Value EstimateFiles(const Napi::CallbackInfo& info) {
    return Running(info.Env()) ? OnThread(info.Env(), estimator_.Ask(*system_, *engine_, info)) : info.Env().Undefined();
  }
  Napi::Value Stop(const Napi::CallbackInfo& info);
  Napi::Value AddPool(const Napi::CallbackInfo& info);
  Napi::Value RemovePool(const Napi::CallbackInfo& info);
  void CompleteFetch(const Napi::CallbackInfo& info) { AnswerFetch(*errands_, info); }
  void CompleteChange(const Napi::CallbackInfo& info) { AnswerChange(*errands_, info); }
  void CompleteList(const Napi::CallbackInfo& info) { AnswerList(*errands_, info); }

  PoolOptions ToPool(const Napi::Object& object);
  bool Running(Napi::Env env);
  /** Runs `work` on a thread of its own; settles the promise with what it returned, and lets go what was held for it. */
  Napi::Value OnThread(Napi::Env env, Work work, uint64_t hold = 0);
  /** Keeps an object of JavaScript's where it is while work reads or fills it. */
  uint64_t Hold(const Napi::Object& object);
  void Settle(const Deferred& deferred, Status status, Finish finish);
  void Halt();

  StoreOptions store_options_;
  NbdOptions nbd_options_;
  std::unique_ptr<Mailbox> mailbox_;
  std::unique_ptr<EventPoster> events_;
  std::unique_ptr<::skerry::Env> system_;
  std::unique_ptr<RecordCaches> caches_;
  std::shared_ptr<BackendErrands> errands_;
  std::unique_ptr<Engine> engine_;
  OwnThreads threads_;
  std::map<uint64_t, Napi::ObjectReference> held_;
  uint64_t next_held_ = 1, next_transfer_ = 1;
  struct Copying {
    std::unique_ptr<Transfer> transfer;
    std::shared_ptr<Outcome> outcome;
  };
  std::map<uint64_t, Copying> transfers_;   // that run, or whose end nobody asked for yet
  SpaceMeter space_;
  Estimator estimator_;
  bool stopped_ = false;
};

Napi::Function NativeEngine::Define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceMethod<&NativeEngine::Start>("start"), InstanceMethod<&NativeEngine::ListenUnix>("listenUnix"),
                      InstanceMethod<&NativeEngine::ListenTcp>("listenTcp"), InstanceMethod<&NativeEngine::UseTls>("useTls"),
                      InstanceMethod<&NativeEngine::Answer>("answer"), InstanceMethod<&NativeEngine::Add>("add"), InstanceMethod<&NativeEngine::Snapshot>("snapshot"),
                      InstanceMethod<&NativeEngine::Drop>("drop"), InstanceMethod<&NativeEngine::Resize>("resize"), InstanceMethod<&NativeEngine::Rollback>("rollback"),
                      InstanceMethod<&NativeEngine::SizeBytes>("sizeBytes"), InstanceMethod<&NativeEngine::Limit>("limit"), InstanceMethod<&NativeEngine::Compress>("compress"), InstanceMethod<&NativeEngine::Compress>("compressPool"),
                      InstanceMethod<&NativeEngine::ChangedRanges>("changes"), InstanceMethod<&NativeEngine::Read>("read"),
                      InstanceMethod<&NativeEngine::Write>("write"), InstanceMethod<&NativeEngine::Flush>("flush"), InstanceMethod<&NativeEngine::Destage>("destage"),
                      InstanceMethod<&NativeEngine::Committed>("committed"), InstanceMethod<&NativeEngine::Attached>("attached"),
                      InstanceMethod<&NativeEngine::ImportFile>("importFile"), InstanceMethod<&NativeEngine::ExportFile>("exportFile"),
                      InstanceMethod<&NativeEngine::TransferDone>("transferDone"), InstanceMethod<&NativeEngine::Progress>("transferProgress"),
                      InstanceMethod<&NativeEngine::TransferCancel>("transferCancel"), InstanceMethod<&NativeEngine::Stats>("stats"),
                      InstanceMethod<&NativeEngine::Failure>("failure"), InstanceMethod<&NativeEngine::Activities>("activities"),
                      InstanceMethod<&NativeEngine::AllocatedBytes>("allocatedBytes"), InstanceMethod<&NativeEngine::Space>("space"),
                      InstanceMethod<&NativeEngine::Space>("collect"), InstanceMethod<&NativeEngine::Space>("scrub"), InstanceMethod<&NativeEngine::Space>("carry"), InstanceMethod<&NativeEngine::EstimateFiles>("estimate"),
                      InstanceMethod<&NativeEngine::Stop>("stop"),
                      InstanceMethod<&NativeEngine::AddPool>("addPool"), InstanceMethod<&NativeEngine::RemovePool>("removePool"), InstanceMethod<&NativeEngine::SwitchPool>("switchPool"), InstanceMethod<&NativeEngine::VolumeLog>("volumeLog"),
                      InstanceMethod<&NativeEngine::CompleteFetch>("completeFetch"), InstanceMethod<&NativeEngine::CompleteChange>("completeChange"),
                      InstanceMethod<&NativeEngine::CompleteList>("completeList")});
}

NativeEngine::NativeEngine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeEngine>(info), system_(MakePosixEnv()) {
  const Napi::Object options = info[0].As<Napi::Object>();
  store_options_ = ToStoreOptions(options);
  nbd_options_ = ToNbdOptions(options);
  mailbox_ = std::make_unique<Mailbox>(info.Env(), info[1].As<Napi::Function>());
  events_ = std::make_unique<EventPoster>(*mailbox_);
  caches_ = std::make_unique<RecordCaches>(*system_, options, *events_);
  errands_ = std::make_shared<BackendErrands>(*mailbox_);
}

NativeEngine::~NativeEngine() { Halt(); }

void NativeEngine::Halt() {
  if (stopped_) return;
  stopped_ = true;
  // Nobody answers for a backend while this thread joins others: what waits for one must not wait on.
  errands_->Close();
  transfers_.clear();
  space_.Cancel();
  if (engine_) {
    if (const Status status = engine_->Stop(); !status.ok()) events_->OnLog(LogLevel::kError, "stopping: " + status.detail());
  }
  threads_.Stop();
  held_.clear();
  engine_.reset();
  caches_->Stop();
  mailbox_->Close();
}

bool NativeEngine::Running(Napi::Env env) {
  if (engine_ && !stopped_) return true;
  ToError(env, Status(Code::kClosed, "the engine does not run")).ThrowAsJavaScriptException();
  return false;
}

void NativeEngine::Settle(const Deferred& deferred, Status status, Finish finish) {
  mailbox_->Post([deferred, status = std::move(status), finish = std::move(finish)](Napi::Env env, Napi::Array&) {
    if (!status.ok()) {
      deferred->Reject(ToError(env, status).Value());
    } else {
      deferred->Resolve(finish ? finish(env) : env.Undefined());
    }
  });
}

Napi::Value NativeEngine::OnThread(Napi::Env env, Work work, uint64_t hold) {
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(env);
  threads_.Run([this, deferred, hold, work = std::move(work)] {
    Result<Finish> done = work();
    Settle(deferred, done.ok() ? Status::Ok() : done.status(), done.ok() ? std::move(*done) : Finish());
    if (hold != 0) mailbox_->Post([this, hold](Napi::Env, Napi::Array&) { held_.erase(hold); });
  });
  return deferred->Promise();
}

uint64_t NativeEngine::Hold(const Napi::Object& object) {
  held_.emplace(next_held_, Napi::Persistent(object));
  return next_held_++;
}

PoolOptions NativeEngine::ToPool(const Napi::Object& object) {
  PoolOptions pool = ToPoolOptions(object);
  pool.logs = std::make_shared<JsBackend>(errands_, pool.name);
  if (pool.packs.remote) {
    pool.packs.remote->backend = std::make_shared<JsBackend>(errands_, pool.name);
    caches_->Equip(pool.packs, object.Get("remote").As<Napi::Object>());
  }
  return pool;
}

Napi::Value NativeEngine::Start(const Napi::CallbackInfo& info) {
  const Napi::Array pools = info[0].As<Napi::Array>();
  store_options_.pools.clear();
  for (uint32_t i = 0; i < pools.Length(); ++i) store_options_.pools.push_back(ToPool(pools.Get(i).As<Napi::Object>()));
  const Napi::Array list = info[1].As<Napi::Array>();
  auto resources = std::make_shared<std::vector<ResourceSpec>>();
  const uint32_t count = list.Length();
  resources->reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::HandleScope scope(info.Env());   // there may be a hundred thousand
    resources->push_back(ToResource(list.Get(i).As<Napi::Object>()));
  }
  return OnThread(info.Env(), [this, resources]() -> Result<Finish> {
    auto report = std::make_shared<StoreReport>();
    Result<std::unique_ptr<Engine>> engine = Engine::Start(*system_, {store_options_, nbd_options_}, *resources, *events_, *events_, *report);
    if (!engine.ok()) return engine.status();
    auto held = std::make_shared<std::unique_ptr<Engine>>(std::move(*engine));
    return Finish([this, held, report](Napi::Env env) -> Napi::Value {
      engine_ = std::move(*held);
      return FromReport(env, *report);
    });
  });
}

Napi::Value NativeEngine::AddPool(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  return OnThread(info.Env(), AddPoolWork(*engine_, ToPool(info[0].As<Napi::Object>())));
}

Napi::Value NativeEngine::RemovePool(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  return OnThread(info.Env(), RemovePoolWork(*engine_, info[0].ToString().Utf8Value()));
}

Napi::Value NativeEngine::ListenUnix(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  return OnThread(info.Env(), [this, path = info[0].ToString().Utf8Value()]() -> Result<Finish> {
    Result<std::string> address = engine_->nbd().ListenUnix(path);
    if (!address.ok()) return address.status();
    return Finish([text = *address](Napi::Env env) -> Napi::Value { return Napi::String::New(env, text); });
  });
}

Napi::Value NativeEngine::ListenTcp(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const auto port = static_cast<uint16_t>(info[1].ToNumber().Uint32Value());
  return OnThread(info.Env(), [this, host = info[0].ToString().Utf8Value(), port]() -> Result<Finish> {
    Result<std::string> address = engine_->nbd().ListenTcp(host, port);
    if (!address.ok()) return address.status();
    return Finish([text = *address](Napi::Env env) -> Napi::Value { return Napi::String::New(env, text); });
  });
}

Napi::Value NativeEngine::UseTls(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const Napi::Object given = info[0].As<Napi::Object>();
  const auto context = nbd::TlsContext::Make({Text(given, "certificate"), Text(given, "key"), Text(given, "clientCa")});
  if (!context.ok()) {
    ToError(info.Env(), context.status()).ThrowAsJavaScriptException();
  } else {
    engine_->nbd().UseTls(context.value());
  }
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Answer(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  engine_->nbd().Reply(static_cast<ConnectionId>(info[0].ToNumber().DoubleValue()), ReplyFrom(*engine_, info[1].As<Napi::Object>()));
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Add(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const Status status = engine_->store().Add(ToResource(info[0].As<Napi::Object>()));
  if (!status.ok()) ToError(info.Env(), status).ThrowAsJavaScriptException();
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Snapshot(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  const auto volume = IdOf(info[0]);
  const std::shared_ptr<LiveVolume> live = engine_->store().Find(volume);
  const double size = live ? static_cast<double>(live->size()) : 0;
  engine_->Snapshot(volume, IdOf(info[1]), [this, deferred, size](Status status, uint64_t sequence) {
    Settle(deferred, std::move(status), [size, sequence](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("sequence", static_cast<double>(sequence));
      result.Set("sizeBytes", size);
      return result;
    });
  });
  return deferred->Promise();
}

Napi::Value NativeEngine::Drop(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  engine_->Drop(IdOf(info[0]), [this, deferred](Status status) { Settle(deferred, std::move(status), {}); });
  return deferred->Promise();
}

Napi::Value NativeEngine::Resize(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  engine_->Resize(IdOf(info[0]), static_cast<uint64_t>(info[1].ToNumber().DoubleValue()),
                  [this, deferred](Status status) { Settle(deferred, std::move(status), {}); });
  return deferred->Promise();
}

Napi::Value NativeEngine::Rollback(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  engine_->Rollback(IdOf(info[0]), IdOf(info[1]), [this, deferred](Status status) { Settle(deferred, std::move(status), {}); });
  return deferred->Promise();
}

Napi::Value NativeEngine::SizeBytes(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const std::shared_ptr<LiveVolume> volume = engine_->store().Find(IdOf(info[0]));
  return volume ? Napi::Number::New(info.Env(), static_cast<double>(volume->size())) : info.Env().Null();
}

Napi::Value NativeEngine::Limit(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const std::shared_ptr<LiveVolume> volume = engine_->store().Find(IdOf(info[0]));
  if (volume) volume->rate.Set(ToLimit(info[1].As<Napi::Object>()));
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Compress(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  SetCompression(engine_->store(), info[0], ToCompression(info[1]));
  return info.Env().Undefined();
}

Napi::Value NativeEngine::ChangedRanges(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  return OnThread(info.Env(), ChangesWork(*engine_, IdOf(info[0]), IdOf(info[1]), WholeOf(info[2]), WholeOf(info[3])));
}

Napi::Value NativeEngine::Read(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Napi::Uint8Array into = ArrayToFill(info[2]);
  const ReadOrder order{IdOf(info[0]), WholeOf(info[1]), Bytes(into.Data(), into.ByteLength())};
  if (const std::optional<Status> now = ReadNow(*engine_, order)) return Settled(info.Env(), *now, into);
  const uint64_t hold = Hold(into);
  return OnThread(info.Env(), ReadWork(*engine_, order, [this, hold](Napi::Env) { return held_.at(hold).Value(); }), hold);
}

Napi::Value NativeEngine::Write(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const WriteOrder order = ToWriteOrder(info);
  if (const std::optional<Status> now = WriteNow(*engine_, order)) return Settled(info.Env(), *now, info.Env().Undefined());
  return OnThread(info.Env(), WriteWork(*engine_, order), info[2].IsObject() ? Hold(info[2].As<Napi::Object>()) : 0);
}

Napi::Value NativeEngine::Flush(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  engine_->Flush(IdOf(info[0]), [this, deferred](Status status) { Settle(deferred, std::move(status), {}); });
  return deferred->Promise();
}

Napi::Value NativeEngine::Destage(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  engine_->DestageAll(IdOf(info[0]), [this, deferred](Status status) { Settle(deferred, std::move(status), {}); });
  return deferred->Promise();
}

Napi::Value NativeEngine::Committed(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  engine_->Committed(WholeOf(info[0]), info[1].ToBoolean().Value());
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Attached(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), engine_->nbd().Attached(IdOf(info[0])));
}

Napi::Value NativeEngine::Begin(const Napi::CallbackInfo& info, Transfer::Direction direction) {
  if (!Running(info.Env())) return info.Env().Undefined();
  const uint64_t id = next_transfer_++;
  auto outcome = std::make_shared<Outcome>();
  Copying& copying = transfers_[id];
  copying.outcome = outcome;
  copying.transfer = std::make_unique<Transfer>(
      *system_, *engine_, direction, IdOf(info[0]), info[1].ToString().Utf8Value(), [this, id, outcome](Status status, TransferProgress progress) {
        mailbox_->Post([this, id, outcome, status = std::move(status), progress](Napi::Env env, Napi::Array&) {
          outcome->ended = status;
          outcome->progress = progress;
          for (const Deferred& deferred : outcome->waiting) outcome->Tell(env, deferred);
          if (!outcome->waiting.empty()) transfers_.erase(id);
        });
      });
  return Napi::Number::New(info.Env(), static_cast<double>(id));
}

Napi::Value NativeEngine::TransferDone(const Napi::CallbackInfo& info) {
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  const auto found = transfers_.find(WholeOf(info[0]));
  if (found == transfers_.end()) {
    deferred->Reject(ToError(info.Env(), Status(Code::kNotFound, "no such transfer")).Value());
  } else if (!found->second.outcome->ended) {
    found->second.outcome->waiting.push_back(deferred);
  } else {
    found->second.outcome->Tell(info.Env(), deferred);
    transfers_.erase(found);
  }
  return deferred->Promise();
}

Napi::Value NativeEngine::Progress(const Napi::CallbackInfo& info) {
  const auto found = transfers_.find(WholeOf(info[0]));
  if (found == transfers_.end()) {
    ToError(info.Env(), Status(Code::kNotFound, "no such transfer")).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return FromProgress(info.Env(), found->second.transfer->progress());
}

Napi::Value NativeEngine::TransferCancel(const Napi::CallbackInfo& info) {
  const auto found = transfers_.find(WholeOf(info[0]));
  if (found != transfers_.end()) found->second.transfer->Cancel();
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Stats(const Napi::CallbackInfo& info) {
  if (!Running(info.Env())) return info.Env().Undefined();
  return caches_->AddTo(FromStats(info.Env(), *engine_));
}

Napi::Value NativeEngine::Stop(const Napi::CallbackInfo& info) {
  Deferred deferred = std::make_shared<Napi::Promise::Deferred>(info.Env());
  const bool drain = info[0].ToBoolean().Value();
  if (!engine_ || stopped_ || !drain) {
    // Joining is short: clients' answers, one flush.
    Halt();
    deferred->Resolve(info.Env().Undefined());
    return deferred->Promise();
  }
  engine_->DestageAll(0, [this, deferred](Status) {
    mailbox_->Post([this, deferred](Napi::Env env, Napi::Array&) {
      Halt();
      deferred->Resolve(env.Undefined());
    });
  });
  return deferred->Promise();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", NativeEngine::Define(env));
  DefineChecks(env, exports);
  DefineFailpoints(env, exports);
  DefineBodySums(env, exports);
  return exports;
}

}  // namespace
NODE_API_MODULE(skerry, Init)

}  // namespace skerry::addon
