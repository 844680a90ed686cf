// The calls on one object, asynchronous in librados: no thread waits for them.
#pragma once
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "cluster.h"

namespace skerry_rados {

class AsyncCall : public Operation {
 public:
  AsyncCall(Napi::Env env, Cluster& cluster, std::string name)
      : Operation(env, cluster.completions()), cluster_(cluster), name_(std::move(name)) {}

  static Napi::Value Start(std::unique_ptr<AsyncCall> call);

 protected:
  // Hands it to librados. 0, or a negative errno where that did not take it.
  virtual int Submit(rados_ioctx_t io, rados_completion_t completion) = 0;
  const std::string& name() const { return name_; }
  // What librados returned at its end, where that was no failure.
  int returned() const { return returned_; }

 private:
  static void OnComplete(rados_completion_t completion, void* call);
  static void Finish(std::unique_ptr<AsyncCall> call, rados_completion_t completion, int returned);

  // Outlives it: the cluster shuts down only after all its calls have ended.
  Cluster& cluster_;
  const std::string name_;
  int returned_ = 0;
};

// A new object with all its bytes at once, or EEXIST.
class Create final : public AsyncCall {
 public:
  // The bytes are copied by Submit, on this thread: one that timed out may be sent for some time yet.
  Create(Napi::Env env, Cluster& cluster, std::string name, Napi::Uint8Array data)
      : AsyncCall(env, cluster, std::move(name)), data_(data.Data()), bytes_(data.ByteLength()) {}

 protected:
  int Submit(rados_ioctx_t io, rados_completion_t completion) override;
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  const uint8_t* const data_;
  const size_t bytes_;
};

// Resolves with the bytes read. `into` may not be empty: to librados that means the whole object.
class Read final : public AsyncCall {
 public:
  Read(Napi::Env env, Cluster& cluster, std::string name, uint64_t offset, Napi::Uint8Array into)
      : AsyncCall(env, cluster, std::move(name)), offset_(offset), into_(into.Data()), bytes_(into.ByteLength()) {
    Pin(into);
  }

 protected:
  int Submit(rados_ioctx_t io, rados_completion_t completion) override {
    return rados_aio_read(io, name().c_str(), completion, reinterpret_cast<char*>(into_), bytes_, offset_);
  }
  Napi::Value Result(Napi::Env env) override { return Napi::Number::New(env, returned()); }

 private:
  const uint64_t offset_;
  uint8_t* const into_;
  const size_t bytes_;
};

// Resolves with the size.
class Stat final : public AsyncCall {
 public:
  using AsyncCall::AsyncCall;

 protected:
  int Submit(rados_ioctx_t io, rados_completion_t completion) override {
    return rados_aio_stat(io, name().c_str(), completion, &bytes_, &changed_);
  }
  Napi::Value Result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(bytes_)); }

 private:
  uint64_t bytes_ = 0;
  time_t changed_ = 0;
};

class Remove final : public AsyncCall {
 public:
  using AsyncCall::AsyncCall;

 protected:
  int Submit(rados_ioctx_t io, rados_completion_t completion) override {
    return rados_aio_remove(io, name().c_str(), completion);
  }
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }
};

}  // namespace skerry_rados
