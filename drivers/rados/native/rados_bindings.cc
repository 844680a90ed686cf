// The binding to librados: one class, whose methods are the calls of blocking_calls.h and async_calls.h. It trusts its one
// caller, drivers/rados/driver.ts, to open the pool first, and to call nothing after close.
#include "async_calls.h"
#include "blocking_calls.h"

namespace skerry_rados {
namespace {

std::string Text(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }

class ClusterObject : public Napi::ObjectWrap<ClusterObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Cluster",
                       {InstanceMethod<&ClusterObject::Configure>("configure"), InstanceMethod<&ClusterObject::Connect>("connect"),
                        InstanceMethod<&ClusterObject::OpenPool>("openPool"), InstanceMethod<&ClusterObject::Option>("option"),
                        InstanceMethod<&ClusterObject::Create>("create"), InstanceMethod<&ClusterObject::Read>("read"),
                        InstanceMethod<&ClusterObject::Stat>("stat"), InstanceMethod<&ClusterObject::Remove>("remove"),
                        InstanceMethod<&ClusterObject::BeginListing>("beginListing"),
                        InstanceMethod<&ClusterObject::NextNames>("nextNames"),
                        InstanceMethod<&ClusterObject::EndListing>("endListing"), InstanceMethod<&ClusterObject::Close>("close")});
  }

  explicit ClusterObject(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ClusterObject>(info),
        cluster_(Cluster::Create(info.Env(), Text(info[0]), std::chrono::seconds(info[1].As<Napi::Number>().Int64Value()))) {
    if (cluster_ == nullptr)
      Napi::Error::New(info.Env(), "librados cannot make a client: no memory or no threads").ThrowAsJavaScriptException();
  }

 private:
  Napi::Value Configure(const Napi::CallbackInfo& info) {
    skerry_rados::Configure::Options options;
    for (size_t i = 1; i + 1 < info.Length(); i += 2) options.emplace_back(Text(info[i]), Text(info[i + 1]));
    return Enqueue(std::make_unique<skerry_rados::Configure>(info.Env(), *cluster_, Text(info[0]), std::move(options)));
  }
  Napi::Value Connect(const Napi::CallbackInfo& info) {
    return Enqueue(std::make_unique<skerry_rados::Connect>(info.Env(), *cluster_));
  }
  Napi::Value OpenPool(const Napi::CallbackInfo& info) {
    return Enqueue(std::make_unique<skerry_rados::OpenPool>(info.Env(), *cluster_, Text(info[0]), Text(info[1])));
  }
  // null where there is no such option, or its value is longer than any that is of interest here
  Napi::Value Option(const Napi::CallbackInfo& info) {
    char value[1024];
    if (rados_conf_get(cluster_->handle(), Text(info[0]).c_str(), value, sizeof(value)) < 0) return info.Env().Null();
    return Napi::String::New(info.Env(), value);
  }
  Napi::Value Create(const Napi::CallbackInfo& info) {
    return AsyncCall::Start(
        std::make_unique<skerry_rados::Create>(info.Env(), *cluster_, Text(info[0]), info[1].As<Napi::Uint8Array>()));
  }
  Napi::Value Read(const Napi::CallbackInfo& info) {
    const auto offset = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
    return AsyncCall::Start(
        std::make_unique<skerry_rados::Read>(info.Env(), *cluster_, Text(info[0]), offset, info[2].As<Napi::Uint8Array>()));
  }
  Napi::Value Stat(const Napi::CallbackInfo& info) {
    return AsyncCall::Start(std::make_unique<skerry_rados::Stat>(info.Env(), *cluster_, Text(info[0])));
  }
  Napi::Value Remove(const Napi::CallbackInfo& info) {
    return AsyncCall::Start(std::make_unique<skerry_rados::Remove>(info.Env(), *cluster_, Text(info[0])));
  }
  Napi::Value BeginListing(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), cluster_->BeginListing(Text(info[0])));
  }
  Napi::Value NextNames(const Napi::CallbackInfo& info) {
    return Enqueue(
        std::make_unique<skerry_rados::NextNames>(info.Env(), *cluster_, info[0].As<Napi::Number>().Uint32Value()));
  }
  Napi::Value EndListing(const Napi::CallbackInfo& info) {
    cluster_->EndListing(info[0].As<Napi::Number>().Uint32Value());
    return info.Env().Undefined();
  }
  Napi::Value Close(const Napi::CallbackInfo& info) {
    return Enqueue(std::make_unique<skerry_rados::Close>(info.Env(), cluster_));
  }

  Napi::Value Enqueue(std::unique_ptr<BlockingCall> call) {
    Napi::Promise promise = call->promise();
    cluster_->Enqueue(std::move(call));
    return promise;
  }

  const std::shared_ptr<Cluster> cluster_;
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Cluster", ClusterObject::Define(env));
  return exports;
}

}  // namespace
}  // namespace skerry_rados

static Napi::Object InitAll(Napi::Env env, Napi::Object exports) { return skerry_rados::Init(env, exports); }
NODE_API_MODULE(rados_bindings, InitAll)
