#include "addon_backend.h"

#include <algorithm>
#include <string_view>

#include "addon_values.h"

namespace skerry::addon {
namespace {

Status Closed() { return {Code::kClosed, "the engine stops"}; }

uint64_t ErrandOf(const Napi::CallbackInfo& info) { return static_cast<uint64_t>(info[0].ToNumber().DoubleValue()); }

// Of the codes there are, only these mean something to those who wait.
Status FailureOf(const Napi::Value& failure) {
  if (!failure.IsObject()) return {Code::kIo, "an errand was answered without an outcome"};
  const Napi::Object object = failure.As<Napi::Object>();
  const std::string code = object.Get("code").ToString().Utf8Value();
  constexpr std::pair<std::string_view, Code> kCodes[] = {
      {"not-found", Code::kNotFound}, {"no-space", Code::kNoSpace}, {"closed", Code::kClosed}, {"corrupt", Code::kCorrupt}};
  const auto known = std::ranges::find(kCodes, code, &std::pair<std::string_view, Code>::first);
  return {known == std::end(kCodes) ? Code::kIo : known->second, object.Get("message").ToString().Utf8Value()};
}

/** What a backend says of its bodies is not what their sums say. */
template <typename T>
std::function<void(Result<T>)> AsItsOwn(std::function<void(Result<T>)> done) {
  return [done = std::move(done)](Result<T> answer) {
    if (answer.code() == Code::kCorrupt) answer = Status(Code::kIo, answer.status().detail());
    done(std::move(answer));
  };
}

}  // namespace

template <typename Done>
void BackendErrands::Post(Open<Done>& open, Done done, const char* type, std::function<void(Napi::Object&)> event) {
  uint64_t errand = 0;
  {
    std::lock_guard lock(mutex_);
    if (!closed_) {
      errand = next_++;
      open.emplace(errand, std::move(done));
    }
  }
  if (errand == 0) return done(Closed());
  mailbox_.Post([errand, type, event = std::move(event)](Napi::Env env, Napi::Array& events) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("type", type);
    object.Set("errand", static_cast<double>(errand));
    event(object);
    events.Set(events.Length(), object);
  });
}

template <typename Done>
Done BackendErrands::Take(Open<Done>& open, uint64_t errand) {
  std::lock_guard lock(mutex_);
  auto node = open.extract(errand);
  return node.empty() ? Done() : std::move(node.mapped());
}

void BackendErrands::Fetch(OnFetched done, std::function<void(Napi::Object&)> event) { Post(fetches_, std::move(done), "fetch", std::move(event)); }
void BackendErrands::Ship(OnChanged done, std::function<void(Napi::Object&)> event) { Post(changes_, std::move(done), "ship", std::move(event)); }
void BackendErrands::Remove(OnChanged done, std::function<void(Napi::Object&)> event) { Post(changes_, std::move(done), "remove", std::move(event)); }
void BackendErrands::List(OnListed done, std::function<void(Napi::Object&)> event) { Post(lists_, std::move(done), "list", std::move(event)); }

void BackendErrands::Log(OnChanged done, std::function<void(Napi::Object&)> event) { Post(changes_, std::move(done), "log-chunk", std::move(event)); }

void BackendErrands::OpenGone(OnFetched done, std::function<void(Napi::Object&)> event) { Post(fetches_, std::move(done), "open-gone", std::move(event)); }
void BackendErrands::KeepGone(OnChanged done, std::function<void(Napi::Object&)> event) { Post(changes_, std::move(done), "keep-gone", std::move(event)); }

void BackendErrands::Fetched(uint64_t errand, const Napi::Uint8Array& bytes) { fetched_.HandOn(errand, bytes, Take(fetches_, errand)); }
void BackendErrands::FetchFailed(uint64_t errand, const Status& failure) {
  if (const OnFetched done = Take(fetches_, errand)) done(failure);
}
void BackendErrands::Changed(uint64_t errand, const Status& status) {
  if (const OnChanged done = Take(changes_, errand)) done(status);
}
void BackendErrands::Listed(uint64_t errand, Result<std::vector<PackBackend::Chunk>> chunks) {
  if (const OnListed done = Take(lists_, errand)) done(std::move(chunks));
}

void BackendErrands::Close() {
  Open<OnFetched> fetches;
  Open<OnChanged> changes;
  Open<OnListed> lists;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    fetches.swap(fetches_);
    changes.swap(changes_);
    lists.swap(lists_);
  }
  for (const auto& [errand, done] : fetches) done(Closed());
  for (const auto& [errand, done] : changes) done(Closed());
  for (const auto& [errand, done] : lists) done(Closed());
  fetched_.Stop();
}

void JsBackend::Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) {
  errands_->Ship(std::move(done), [pool = pool_, pack, path, bytes](Napi::Object& event) {
    event.Set("pool", pool);
    event.Set("pack", static_cast<double>(pack));
    event.Set("path", path);
    event.Set("bytes", static_cast<double>(bytes));
  });
}

void JsBackend::Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) {
  errands_->Fetch(AsItsOwn(std::move(done)), [pool = pool_, pack, offset, bytes](Napi::Object& event) {
    event.Set("pool", pool);
    event.Set("pack", static_cast<double>(pack));
    event.Set("offset", static_cast<double>(offset));
    event.Set("bytes", static_cast<double>(bytes));
  });
}

void JsBackend::Remove(uint32_t pack, std::function<void(Status)> done) {
  errands_->Remove(std::move(done), [pool = pool_, pack](Napi::Object& event) {
    event.Set("pool", pool);
    event.Set("pack", static_cast<double>(pack));
  });
}

void JsBackend::List(std::function<void(Result<std::vector<Chunk>>)> done) {
  errands_->List(AsItsOwn(std::move(done)), [pool = pool_](Napi::Object& event) { event.Set("pool", pool); });
}

void JsBackend::OpenGone(std::function<void(Result<FetchedBytes>)> done) {
  errands_->OpenGone(std::move(done), [pool = pool_](Napi::Object& event) { event.Set("pool", pool); });
}

void JsBackend::KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) {
  errands_->KeepGone(std::move(done), [pool = pool_, number, list = std::move(list)](Napi::Object& event) {
    event.Set("pool", pool);
    Set(event, "number", number);
    event.Set("list", Napi::Buffer<uint8_t>::Copy(event.Env(), list.data(), list.size()));
  });
}

void JsBackend::PutLog(const LogChunk& chunk, std::function<void(Status)> done) {
  errands_->Log(std::move(done), [pool = pool_, chunk](Napi::Object& event) {
    event.Set("pool", pool);
    Set(event, "volume", chunk.volume);
    Set(event, "fence", chunk.fence);
    Set(event, "number", chunk.number);
    Set(event, "firstSequence", chunk.first_sequence);
    Set(event, "lastSequence", chunk.last_sequence);
    Set(event, "settled", chunk.settled);
    event.Set("entries", Napi::Buffer<uint8_t>::Copy(event.Env(), chunk.entries->data(), chunk.entries->size()));
  });
}

void AnswerFetch(BackendErrands& errands, const Napi::CallbackInfo& info) {
  if (info[1].IsTypedArray()) {
    errands.Fetched(ErrandOf(info), info[1].As<Napi::Uint8Array>());
  } else {
    errands.FetchFailed(ErrandOf(info), FailureOf(info[2]));
  }
}

void AnswerChange(BackendErrands& errands, const Napi::CallbackInfo& info) {
  errands.Changed(ErrandOf(info), info[1].IsObject() ? FailureOf(info[1]) : Status::Ok());
}

void AnswerList(BackendErrands& errands, const Napi::CallbackInfo& info) {
  Result<std::vector<PackBackend::Chunk>> packs = FailureOf(info[2]);
  if (info[1].IsArray()) {
    const Napi::Array given = info[1].As<Napi::Array>();
    std::vector<PackBackend::Chunk> chunks;
    for (uint32_t i = 0; i < given.Length(); ++i) {
      const Napi::Object each = given.Get(i).As<Napi::Object>();
      chunks.push_back({static_cast<uint32_t>(Whole(each, "pack")), Whole(each, "bytes")});
    }
    packs = std::move(chunks);
  }
  errands.Listed(ErrandOf(info), std::move(packs));
}

}  // namespace skerry::addon
