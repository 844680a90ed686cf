// Calls that lead to an export: to connect, to mount, to ask what the server can do.
#pragma once
#include <algorithm>

#include "call.h"

namespace skerry_nfs {

// connect(address, port, program): `port` 0 where the portmapper of the server is to be asked. `address` is a number, since
// the library would wait for a resolver.
class Connect final : public Call {
 public:
  Connect(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)),
        address_(info[0].As<Napi::String>()),
        port_(info[1].As<Napi::Number>()),
        program_(info[2].As<Napi::Number>()) {}

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    constexpr int version = 3;
    return port_ == 0 ? rpc_connect_program_async(rpc, address_.c_str(), program_, version, answered, context)
                      : rpc_connect_port_async(rpc, address_.c_str(), port_, program_, version, answered, context);
  }
  int Take(void*) override { return 0; }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  const std::string address_;
  const int port_;
  const int program_;
};

// mount(path): the handle of that directory.
class Mount final : public Call {
 public:
  Mount(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)), path_(info[0].As<Napi::String>()) {}

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    return rpc_mount3_mnt_async(rpc, answered, path_.data(), context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<mountres3*>(answer);
    // Its numbers are those of NFS.
    if (result.fhs_status != MNT3_OK) return ErrnoOf(static_cast<nfsstat3>(result.fhs_status));
    const fhandle3& found = result.mountres3_u.mountinfo.fhandle;
    root_.assign(found.fhandle3_val, found.fhandle3_len);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override { return ToJs(env, root_); }

 private:
  std::string path_;
  Handle root_;
};

// limits(root): bytes that the server takes, and gives, in one call.
class Limits final : public Call {
 public:
  Limits(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)), root_(HandleOf(info[0])) {}

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    FSINFO3args args{};
    args.fsroot = Borrow(root_);
    return rpc_nfs3_fsinfo_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<FSINFO3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    read_bytes_max_ = Clamp(result.FSINFO3res_u.resok.rtmax);
    write_bytes_max_ = Clamp(result.FSINFO3res_u.resok.wtmax);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override {
    Napi::Object made = Napi::Object::New(env);
    made.Set("readBytesMax", Napi::Number::New(env, read_bytes_max_));
    made.Set("writeBytesMax", Napi::Number::New(env, write_bytes_max_));
    return made;
  }

 private:
  // The library takes no longer answers; a server that says less than this has not understood the question.
  static uint32_t Clamp(uint32_t bytes) { return std::clamp(bytes, uint32_t{4096}, uint32_t{1 << 20}); }

  Handle root_;
  uint32_t read_bytes_max_ = 0;
  uint32_t write_bytes_max_ = 0;
};

}  // namespace skerry_nfs
