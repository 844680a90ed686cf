#pragma once
// A backend on a simulated machine: chunks in memory, and everything is answered before the call returns.
#include <algorithm>
#include <map>
#include <vector>

#include "../blocks/pack_backend.h"
#include "../env/env.h"
#include "check.h"

namespace skerry::check {

/** Answers at once, or, where it is away or full, not at all well. */
class PlainBackend : public PackBackend {
 public:
  explicit PlainBackend(Env& env) : env_(env) {}
  Status state;
  std::map<uint32_t, std::vector<uint8_t>> chunks;
  bool ships = true;
  bool removes = true;   // else nothing goes, and the answer is that nobody knows
  uint64_t removals = 0;
  bool keeps = true;     // lists of what is gone; else they are on their way, and nobody hears of them
  uint64_t host = 1;     // that has the pool
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint8_t>> gone;   // by host and number
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint8_t>> gone_late;

  void Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) override {
    if (!state.ok()) return done(state);
    if (!ships) return done({Code::kIo, "it takes nothing"});
    Result<std::unique_ptr<File>> file = env_.Open(path, {});
    if (!file.ok()) return done(file.status());
    std::vector<uint8_t> content(bytes);
    CHECK(*(*file)->Read(content, 0) == bytes);
    chunks[pack] = std::move(content);
    done({});
  }
  void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) override {
    if (!state.ok()) return done(state);
    const auto found = chunks.find(pack);
    if (found == chunks.end()) return done(Status(Code::kNotFound, "no such pack"));
    const size_t from = std::min<uint64_t>(offset, found->second.size()), to = std::min<uint64_t>(offset + bytes, found->second.size());
    done(FetchedBytes({found->second.begin() + static_cast<ptrdiff_t>(from), found->second.begin() + static_cast<ptrdiff_t>(to)}));
  }
  void Remove(uint32_t pack, std::function<void(Status)> done) override {
    ++removals;
    if (!removes) return done({Code::kIo, "the answer got lost"});
    if (state.ok()) chunks.erase(pack);
    done(state);
  }
  void List(std::function<void(Result<std::vector<Chunk>>)> done) override {
    if (!state.ok()) return done(state);
    std::vector<Chunk> listed;
    for (const auto& [pack, bytes] : chunks) listed.push_back({pack, bytes.size()});
    done(std::move(listed));
  }
  void OpenGone(std::function<void(Result<FetchedBytes>)> done) override {
    if (!state.ok()) return done(state);
    ++host;
    if (gone.empty()) return done(Status(Code::kNotFound, "there is no list"));
    done(FetchedBytes(gone.rbegin()->second));
  }
  void KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) override {
    if (!state.ok()) return done(state);
    if (!keeps) {
      gone_late.try_emplace({host, number}, list);
      return done({Code::kIo, "the answer got lost"});
    }
    const auto [at, fresh] = gone.try_emplace({host, number}, list);
    CHECK(fresh || at->second == list);
    done({});
  }

 private:
  Env& env_;
};

}  // namespace skerry::check
