#include "addon_sums.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon_values.h"
#include "sums/body_sums.h"

namespace skerry::addon {
namespace {

/** One update: holds the pieces, so that they stay where they are. */
class Updating : public Napi::AsyncWorker {
 public:
  Updating(Napi::Env env, std::shared_ptr<BodySums> sums, const Napi::Array& pieces)
      : Napi::AsyncWorker(env, "skerry-sums"), deferred_(env), sums_(std::move(sums)), held_(Napi::Persistent(pieces.As<Napi::Object>())) {
    for (uint32_t i = 0; i < pieces.Length(); ++i) {
      const auto piece = pieces.Get(i).As<Napi::Uint8Array>();
      pieces_.emplace_back(piece.Data(), piece.ByteLength());
    }
  }
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override { status_ = sums_->Update(pieces_); }
  void OnOK() override {
    if (status_.ok()) {
      deferred_.Resolve(Env().Undefined());
    } else {
      deferred_.Reject(ToError(Env(), status_).Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  const std::shared_ptr<BodySums> sums_;
  const Napi::ObjectReference held_;
  std::vector<ConstBytes> pieces_;
  Status status_;
};

/** sha256OfRuns(pieces, lengths): holds the pieces, too. */
class SummingRuns : public Napi::AsyncWorker {
 public:
  SummingRuns(Napi::Env env, const Napi::Array& pieces, const Napi::Array& lengths)
      : Napi::AsyncWorker(env, "skerry-run-sums"), deferred_(env), held_(Napi::Persistent(pieces.As<Napi::Object>())) {
    for (uint32_t i = 0; i < pieces.Length(); ++i) {
      const auto piece = pieces.Get(i).As<Napi::Uint8Array>();
      pieces_.emplace_back(piece.Data(), piece.ByteLength());
    }
    for (uint32_t i = 0; i < lengths.Length(); ++i)
      lengths_.push_back(static_cast<uint64_t>(lengths.Get(i).As<Napi::Number>().Int64Value()));
  }
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override {
    Result<std::vector<uint8_t>> sums = Sha256OfRuns(pieces_, lengths_);
    if (sums.ok()) {
      sums_ = std::move(*sums);
    } else {
      status_ = sums.status();
    }
  }
  void OnOK() override {
    if (status_.ok()) {
      deferred_.Resolve(Napi::Buffer<uint8_t>::Copy(Env(), sums_.data(), sums_.size()));
    } else {
      deferred_.Reject(ToError(Env(), status_).Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  const Napi::ObjectReference held_;
  std::vector<ConstBytes> pieces_;
  std::vector<uint64_t> lengths_;
  std::vector<uint8_t> sums_;
  Status status_;
};

Napi::Value SumRuns(const Napi::CallbackInfo& info) {
  auto* const summing = new SummingRuns(info.Env(), info[0].As<Napi::Array>(), info[1].As<Napi::Array>());
  const Napi::Promise promise = summing->promise();
  summing->Queue();   // it deletes itself
  return promise;
}

class JsBodySums : public Napi::ObjectWrap<JsBodySums> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "BodySums", {InstanceMethod<&JsBodySums::Update>("update"), InstanceMethod<&JsBodySums::Finish>("finish")});
  }

  explicit JsBodySums(const Napi::CallbackInfo& info) : Napi::ObjectWrap<JsBodySums>(info) {
    const auto names = info[0].As<Napi::Array>();
    std::vector<SumKind> kinds;
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string name = names.Get(i).ToString().Utf8Value();
      const std::optional<SumKind> kind = SumKindOf(name);
      if (!kind) {
        ToError(info.Env(), Status(Code::kInvalid, name + " is no sum")).ThrowAsJavaScriptException();
        return;
      }
      kinds.push_back(*kind);
    }
    Result<std::unique_ptr<BodySums>> begun = BodySums::Begin(kinds);
    if (begun.ok()) {
      sums_ = std::move(*begun);
    } else {
      ToError(info.Env(), begun.status()).ThrowAsJavaScriptException();
    }
  }

  /** Each is awaited before the next: their order is what is summed. */
  Napi::Value Update(const Napi::CallbackInfo& info) {
    auto* const updating = new Updating(info.Env(), sums_, info[0].As<Napi::Array>());
    const Napi::Promise promise = updating->promise();
    updating->Queue();   // it deletes itself
    return promise;
  }

  Napi::Value Finish(const Napi::CallbackInfo& info) {
    const Result<std::vector<std::vector<uint8_t>>> values = sums_->Finish();
    if (!values.ok()) {
      ToError(info.Env(), values.status()).ThrowAsJavaScriptException();
      return info.Env().Undefined();
    }
    Napi::Array found = Napi::Array::New(info.Env());
    for (const std::vector<uint8_t>& value : *values)
      found.Set(found.Length(), Napi::Buffer<uint8_t>::Copy(info.Env(), value.data(), value.size()));
    return found;
  }

 private:
  std::shared_ptr<BodySums> sums_;
};

}  // namespace

void DefineBodySums(Napi::Env env, Napi::Object& exports) {
  exports.Set("BodySums", JsBodySums::Define(env));
  exports.Set("sha256OfRuns", Napi::Function::New<&SumRuns>(env, "sha256OfRuns"));
}

}  // namespace skerry::addon
