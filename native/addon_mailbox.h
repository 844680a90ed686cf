#pragma once
// How engine threads reach JavaScript: letters, delivered in order and in batches on its one thread.
#include <napi.h>

#include <functional>
#include <mutex>
#include <vector>

namespace skerry::addon {

/** Work for the JavaScript thread, run in order and in batches. Any thread may post; after Close posts are dropped. */
class Mailbox {
 public:
  using Letter = std::function<void(Napi::Env, Napi::Array& events)>;

  Mailbox(Napi::Env env, Napi::Function on_events)
      : on_events_(Napi::Persistent(on_events)),
        wake_(Napi::ThreadSafeFunction::New(env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "skerry", 0, 1)) {}

  void Post(Letter letter) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    letters_.push_back(std::move(letter));
    if (letters_.size() > 1) return;
    // The batch is run by the first wake after it began to fill. A wake that cannot be queued means the environment ends.
    if (wake_.NonBlockingCall([this](Napi::Env env, Napi::Function) { Deliver(env); }) != napi_ok) closed_ = true;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    wake_.Release();
  }
  void Unref(Napi::Env env) { wake_.Unref(env); }
  void Ref(Napi::Env env) { wake_.Ref(env); }

 private:
  void Deliver(Napi::Env env) {
    Napi::HandleScope scope(env);
    std::vector<Letter> letters;
    {
      std::lock_guard lock(mutex_);
      letters.swap(letters_);
    }
    Napi::Array events = Napi::Array::New(env);
    for (Letter& letter : letters) letter(env, events);
    if (events.Length() > 0) on_events_.Call({events});
  }

  Napi::FunctionReference on_events_;
  Napi::ThreadSafeFunction wake_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
  bool closed_ = false;
};

}  // namespace skerry::addon
