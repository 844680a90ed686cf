// One call of a driver into the library of its backend: a promise for JavaScript, settled from whichever thread the library
// ends it on. No thread waits for it.
#pragma once
#include <napi.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace skerry_driver {

// What ends on other threads comes back to JavaScript through one of these for each open backend. While operations are under
// way it keeps the process alive, else it does not.
class Completions {
 public:
  Completions(Napi::Env env, const char* name)
      : function_(Napi::ThreadSafeFunction::New(
            env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), name, 0, 1,
            [life = life_](Napi::Env) { life->End(); })) {
    function_.Unref(env);
  }
  ~Completions() {
    std::lock_guard lock(life_->mutex);
    if (!life_->ended) function_.Release();
  }
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  // Both on the JavaScript thread.
  void Began(Napi::Env env) {
    if (under_way_++ == 0) function_.Ref(env);
  }
  void Ended(Napi::Env env) {
    if (--under_way_ == 0) function_.Unref(env);
  }

  // From any thread. Where the environment has ended nobody is left to tell, and nothing of it may be touched: so it is dropped.
  template <typename Data>
  void Post(Data* data, void (*settle)(Napi::Env, Napi::Function, Data*)) {
    std::lock_guard lock(life_->mutex);
    if (!life_->ended) function_.NonBlockingCall(data, settle);
  }

 private:
  // Of the function: it ends with the environment, however long a library's threads hold on to this.
  struct Life {
    void End() {
      std::lock_guard lock(mutex);
      ended = true;
    }
    std::mutex mutex;
    bool ended = false;
  };

  std::shared_ptr<Life> life_ = std::make_shared<Life>();
  Napi::ThreadSafeFunction function_;
  size_t under_way_ = 0;
};

// A promise and the way to settle it; neither, where the environment is ending. A worker thread that is told to end still comes
// to the end of the native call that it is in, and whatever could run JavaScript fails there. Napi::Promise::Deferred then holds
// what was in memory before, and gives that out as the promise.
class Deferred {
 public:
  explicit Deferred(Napi::Env env) : env_(env) {
    if (napi_create_promise(env, &deferred_, &promise_) == napi_ok) return;
    deferred_ = nullptr;
    promise_ = nullptr;
  }

  // Empty where there is none.
  Napi::Promise promise() const { return Napi::Promise(env_, promise_); }

  // Either fails only where nobody is left to be told.
  void Resolve(const Napi::Value& value) const {
    if (deferred_ != nullptr) static_cast<void>(napi_resolve_deferred(env_, deferred_, value));
  }
  void Reject(const Napi::Value& error) const {
    if (deferred_ != nullptr) static_cast<void>(napi_reject_deferred(env_, deferred_, error));
  }

 private:
  Napi::Env env_;
  napi_deferred deferred_ = nullptr;
  napi_value promise_ = nullptr;
};

// Made on the JavaScript thread, ended once on any. Derived classes hold what the library needs until then.
//
// What they get from JavaScript may be empty while its environment is ending: such a value can be handed on, but to ask it for
// anything ends the process.
class Operation {
 public:
  Operation(Napi::Env env, std::shared_ptr<Completions> completions) : deferred_(env), completions_(std::move(completions)) {
    completions_->Began(env);
  }
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // Of the call that makes it: not to be kept.
  Napi::Promise promise() const { return deferred_.promise(); }

  // The buffer stays where it is until the promise has settled.
  void Pin(const Napi::Object& buffer) { pinned_.push_back(Napi::Persistent(buffer)); }

  // Ends it, from any thread: `error` is a positive errno, or 0 for success. Takes the operation over.
  static void End(std::unique_ptr<Operation> operation, int error) {
    operation->error_ = error;
    const std::shared_ptr<Completions> completions = operation->completions_;
    completions->Post(operation.release(), &Settle);
  }

 protected:
  // What the promise resolves with; on the JavaScript thread.
  virtual Napi::Value Result(Napi::Env env) = 0;

 private:
  static void Settle(Napi::Env env, Napi::Function, Operation* ended) {
    std::unique_ptr<Operation> operation(ended);
    if (env == nullptr) {
      // The environment is gone, and with it the promise.
      static_cast<void>(operation.release());
      return;
    }
    Napi::HandleScope scope(env);
    operation->completions_->Ended(env);
    if (operation->error_ == 0) operation->deferred_.Resolve(operation->Result(env));
    else operation->deferred_.Reject(ErrnoError(env, operation->error_));
  }

  // An Error as node's own file calls fail with it: `errno` negative, and its name as `code`.
  static Napi::Value ErrnoError(Napi::Env env, int error) {
    Napi::Error made = Napi::Error::New(env, std::generic_category().message(error));
    made.Set("errno", Napi::Number::New(env, -error));
    if (const char* name = strerrorname_np(error); name != nullptr) made.Set("code", Napi::String::New(env, name));
    return made.Value();
  }

  const Deferred deferred_;
  std::shared_ptr<Completions> completions_;
  std::vector<Napi::ObjectReference> pinned_;
  int error_ = 0;
};

}  // namespace skerry_driver
