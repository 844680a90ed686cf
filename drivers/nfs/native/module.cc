// What JavaScript sees: the class Connection, each of whose methods but close is one remote call and gives a promise.
#include "connection.h"
#include "file_calls.h"
#include "name_calls.h"
#include "server_calls.h"

namespace skerry_nfs {

class ConnectionObject final : public Napi::ObjectWrap<ConnectionObject> {
 public:
  // new Connection(uid, gid, timeoutMilliseconds)
  explicit ConnectionObject(const Napi::CallbackInfo& info)
      : ObjectWrap(info),
        completions_(std::make_shared<skerry_driver::Completions>(info.Env(), "skerry nfs connection")),
        connection_({info[0].As<Napi::Number>(), info[1].As<Napi::Number>(),
                     std::chrono::milliseconds(info[2].As<Napi::Number>().Int64Value())}) {
    // Hooks run last first: the thread is gone before that through which it tells JavaScript.
    napi_add_env_cleanup_hook(info.Env(), OnEnvironmentEnds, &connection_);
  }
  ~ConnectionObject() override { napi_remove_env_cleanup_hook(Env(), OnEnvironmentEnds, &connection_); }

  static Napi::Function Class(Napi::Env env) {
    return DefineClass(env, "Connection",
                       {
                           InstanceMethod<&ConnectionObject::Begin<Connect>>("connect"),
                           InstanceMethod<&ConnectionObject::Begin<Mount>>("mount"),
                           InstanceMethod<&ConnectionObject::Begin<Limits>>("limits"),
                           InstanceMethod<&ConnectionObject::Begin<Lookup>>("lookup"),
                           InstanceMethod<&ConnectionObject::Begin<Create>>("create"),
                           InstanceMethod<&ConnectionObject::Begin<MakeDirectory>>("makeDirectory"),
                           InstanceMethod<&ConnectionObject::Begin<Remove>>("remove"),
                           InstanceMethod<&ConnectionObject::Begin<Rename>>("rename"),
                           InstanceMethod<&ConnectionObject::Begin<List>>("list"),
                           InstanceMethod<&ConnectionObject::Begin<GetAttributes>>("attributes"),
                           InstanceMethod<&ConnectionObject::Begin<Read>>("read"),
                           InstanceMethod<&ConnectionObject::Begin<Write>>("write"),
                           InstanceMethod<&ConnectionObject::Begin<Commit>>("commit"),
                           InstanceMethod<&ConnectionObject::Close>("close"),
                       });
  }

 private:
  template <typename Kind>
  Napi::Value Begin(const Napi::CallbackInfo& info) {
    auto call = std::make_unique<Kind>(info, completions_);
    call->Pin(Value());
    Napi::Promise promise = call->promise();
    connection_.Post(std::move(call));
    return promise;
  }

  void Close(const Napi::CallbackInfo&) { connection_.Close(); }

  static void OnEnvironmentEnds(void* connection) { static_cast<Connection*>(connection)->Close(); }

  std::shared_ptr<skerry_driver::Completions> completions_;
  Connection connection_;
};

}  // namespace skerry_nfs

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Connection", skerry_nfs::ConnectionObject::Class(env));
  return exports;
}

NODE_API_MODULE(nfs_bindings, Init)
