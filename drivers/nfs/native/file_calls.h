// Calls on a file by its handle.
#pragma once
#include <cstring>

#include "call.h"

namespace skerry_nfs {

// attributes(handle): as they are now.
class GetAttributes final : public Call {
 public:
  GetAttributes(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)), handle_(HandleOf(info[0])) {}

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    GETATTR3args args{Borrow(handle_)};
    return rpc_nfs3_getattr_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<GETATTR3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    attributes_ = Attributes(result.GETATTR3res_u.resok.obj_attributes);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override { return attributes_.ToJs(env); }

 private:
  Handle handle_;
  Attributes attributes_;
};

// read(handle, offset, into): bytes read, which may be fewer than there are, but not 0 before the end.
class Read final : public Call {
 public:
  Read(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)),
        handle_(HandleOf(info[0])),
        offset_(static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value())) {
    Napi::Uint8Array into = info[2].As<Napi::Uint8Array>();
    into_ = into.Data();
    bytes_ = static_cast<uint32_t>(into.ByteLength());
    Pin(into);
  }

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    READ3args args{};
    args.file = Borrow(handle_);
    args.offset = offset_;
    args.count = bytes_;
    return rpc_nfs3_read_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<READ3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    const READ3resok& read = result.READ3res_u.resok;
    if (read.data.data_len > bytes_) return EIO;
    read_ = read.data.data_len;
    if (read_ == 0) return read.eof || bytes_ == 0 ? 0 : EIO;
    std::memcpy(into_, read.data.data_val, read_);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override { return Napi::Number::New(env, read_); }

 private:
  Handle handle_;
  const uint64_t offset_;
  uint8_t* into_;
  uint32_t bytes_;
  uint32_t read_ = 0;
};

// write(handle, offset, data): { bytes, stable, verifier }. Bytes that are not stable are lost where the server starts anew
// before they are committed; that its verifier is another one then tells of it.
class Write final : public Call {
 public:
  Write(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)),
        handle_(HandleOf(info[0])),
        offset_(static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value())) {
    Napi::Uint8Array data = info[2].As<Napi::Uint8Array>();
    data_ = data.Data();
    bytes_ = static_cast<uint32_t>(data.ByteLength());
    Pin(data);
  }

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    WRITE3args args{};
    args.file = Borrow(handle_);
    args.offset = offset_;
    args.count = bytes_;
    args.stable = UNSTABLE;
    args.data.data_len = bytes_;
    args.data.data_val = reinterpret_cast<char*>(data_);
    return rpc_nfs3_write_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<WRITE3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    const WRITE3resok& written = result.WRITE3res_u.resok;
    if (written.count > bytes_ || (written.count == 0 && bytes_ > 0)) return EIO;
    written_ = written.count;
    stable_ = written.committed == FILE_SYNC;
    std::memcpy(&verifier_, written.verf, sizeof verifier_);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override {
    Napi::Object made = Napi::Object::New(env);
    made.Set("bytes", Napi::Number::New(env, written_));
    made.Set("stable", Napi::Boolean::New(env, stable_));
    made.Set("verifier", Napi::BigInt::New(env, verifier_));
    return made;
  }

 private:
  Handle handle_;
  const uint64_t offset_;
  uint8_t* data_;
  uint32_t bytes_;
  uint32_t written_ = 0;
  bool stable_ = false;
  uint64_t verifier_ = 0;
};

// commit(handle): the verifier of the server that has the file's bytes on stable storage now.
class Commit final : public Call {
 public:
  Commit(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)), handle_(HandleOf(info[0])) {}

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    COMMIT3args args{};
    args.file = Borrow(handle_);
    return rpc_nfs3_commit_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<COMMIT3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    std::memcpy(&verifier_, result.COMMIT3res_u.resok.verf, sizeof verifier_);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override { return Napi::BigInt::New(env, verifier_); }

 private:
  Handle handle_;
  uint64_t verifier_ = 0;
};

}  // namespace skerry_nfs
