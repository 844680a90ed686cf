#pragma once
// A pool's backend as native code sees it: each call becomes an event for JavaScript, which answers it by its number.
#include <memory>
#include <unordered_map>

#include "addon_fetched.h"
#include "addon_mailbox.h"
#include "blocks/pack_backend.h"
#include "volume/log_tail.h"

namespace skerry::addon {

/** What was asked of JavaScript and is not answered, for all pools. Thread-safe. */
class BackendErrands {
 public:
  using OnFetched = std::function<void(Result<FetchedBytes>)>;
  using OnChanged = std::function<void(Status)>;
  using OnListed = std::function<void(Result<std::vector<PackBackend::Chunk>>)>;

  explicit BackendErrands(Mailbox& mailbox) : mailbox_(mailbox), fetched_(mailbox) {}

  /** Posts `event`, to which the number of the errand is added. */
  void Fetch(OnFetched done, std::function<void(Napi::Object&)> event);
  void Ship(OnChanged done, std::function<void(Napi::Object&)> event);
  void Remove(OnChanged done, std::function<void(Napi::Object&)> event);
  void List(OnListed done, std::function<void(Napi::Object&)> event);
  void Log(OnChanged done, std::function<void(Napi::Object&)> event);
  void OpenGone(OnFetched done, std::function<void(Napi::Object&)> event);
  void KeepGone(OnChanged done, std::function<void(Napi::Object&)> event);

  // An answer that comes twice, or after Close, is nobody's.
  /** On JavaScript's thread. The event `fetched` tells that `bytes` are not looked at any more; it comes for each of these calls. */
  void Fetched(uint64_t errand, const Napi::Uint8Array& bytes);
  void FetchFailed(uint64_t errand, const Status& failure);
  void Changed(uint64_t errand, const Status& status);
  void Listed(uint64_t errand, Result<std::vector<PackBackend::Chunk>> chunks);

  /** Answers all with kClosed, and what comes later too. On JavaScript's thread. */
  void Close();

 private:
  template <typename Done>
  using Open = std::unordered_map<uint64_t, Done>;
  template <typename Done>
  void Post(Open<Done>& open, Done done, const char* type, std::function<void(Napi::Object&)> event);
  template <typename Done>
  Done Take(Open<Done>& open, uint64_t errand);

  Mailbox& mailbox_;
  FetchedBuffers fetched_;
  std::mutex mutex_;
  uint64_t next_ = 1;
  bool closed_ = false;
  Open<OnFetched> fetches_;
  Open<OnChanged> changes_;
  Open<OnListed> lists_;
};

class JsBackend : public PackBackend, public LogBackend {
 public:
  JsBackend(std::shared_ptr<BackendErrands> errands, std::string pool) : errands_(std::move(errands)), pool_(std::move(pool)) {}
  void Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) override;
  void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) override;
  void Remove(uint32_t pack, std::function<void(Status)> done) override;
  void List(std::function<void(Result<std::vector<Chunk>>)> done) override;
  void OpenGone(std::function<void(Result<FetchedBytes>)> done) override;
  void KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) override;
  void PutLog(const LogChunk& chunk, std::function<void(Status)> done) override;

 private:
  const std::shared_ptr<BackendErrands> errands_;
  const std::string pool_;
};

// What JavaScript answers with: completeFetch, completeChange and completeList of src/engine/binding.ts.
void AnswerFetch(BackendErrands& errands, const Napi::CallbackInfo& info);
void AnswerChange(BackendErrands& errands, const Napi::CallbackInfo& info);
void AnswerList(BackendErrands& errands, const Napi::CallbackInfo& info);

}  // namespace skerry::addon
