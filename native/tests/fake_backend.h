#pragma once
// A backend in memory that answers from a thread of its own, as JavaScript does: late, in batches, sometimes with a fault.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "../blocks/pack_backend.h"
#include "../env/env.h"

namespace skerry::check {

class FakeBackend : public PackBackend {
 public:
  FakeBackend() : thread_([this] { Run(); }) {}
  ~FakeBackend() override {
    {
      std::lock_guard lock(mutex_);
      stops_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  // Faults, and what was asked.
  std::atomic<bool> away{false}, full{false}, held{false}, lists{true};
  std::atomic<int> rotten{0};   // so many of the next fetches come with a wrong byte in each record
  std::atomic<int> lost_removals{0};   // so many of the next removals are not answered well, and not done
  std::atomic<uint64_t> fetch_count{0}, fetched_bytes{0}, ship_count{0}, list_count{0}, removal_count{0};

  void Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) override {
    Later([this, pack, path, bytes, done = std::move(done)] {
      ++ship_count;
      if (away) return done({Code::kIo, "away"});
      if (full) return done({Code::kNoSpace, "full"});
      const auto env = MakePosixEnv();
      Result<std::unique_ptr<File>> file = env->Open(path, {});
      if (!file.ok()) return done(file.status());
      std::vector<uint8_t> content(bytes + 1);
      const Result<size_t> got = (*file)->Read(content, 0);
      if (!got.ok() || *got != bytes) return done({Code::kIo, "the file is not as long as it was said to be"});
      content.resize(bytes);
      {
        std::lock_guard lock(chunks_mutex_);
        const auto [at, fresh] = chunks_.emplace(pack, content);
        if (!fresh && at->second != content) return done({Code::kInvalid, "other bytes"});
      }
      done({});
    });
  }
  void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) override {
    Later([this, pack, offset, bytes, done = std::move(done)] {
      ++fetch_count;
      if (away) return done(Status(Code::kIo, "away"));
      std::vector<uint8_t> part;
      {
        std::lock_guard lock(chunks_mutex_);
        const auto found = chunks_.find(pack);
        if (found == chunks_.end()) return done(Status(Code::kNotFound, "no such pack"));
        const size_t from = std::min<uint64_t>(offset, found->second.size()), to = std::min<uint64_t>(offset + bytes, found->second.size());
        part.assign(found->second.begin() + static_cast<ptrdiff_t>(from), found->second.begin() + static_cast<ptrdiff_t>(to));
      }
      fetched_bytes += part.size();
      if (rotten > 0) {
        --rotten;
        for (size_t at = 1000; at < part.size(); at += 4096) part[at] ^= 0x10;
      }
      done(FetchedBytes(std::move(part)));
    });
  }
  void Remove(uint32_t pack, std::function<void(Status)> done) override {
    Later([this, pack, done = std::move(done)] {
      ++removal_count;
      if (away) return done(Status(Code::kIo, "away"));
      if (lost_removals > 0) {
        --lost_removals;
        return done(Status(Code::kIo, "the answer got lost"));
      }
      {
        std::lock_guard lock(chunks_mutex_);
        chunks_.erase(pack);
      }
      done({});
    });
  }
  void List(std::function<void(Result<std::vector<Chunk>>)> done) override {
    Later([this, done = std::move(done)] {
      ++list_count;
      if (away || !lists) return done(Status(Code::kIo, "away"));
      std::vector<Chunk> listed;
      std::lock_guard lock(chunks_mutex_);
      for (const auto& [pack, bytes] : chunks_) listed.push_back({pack, bytes.size()});
      done(std::move(listed));
    });
  }
  void OpenGone(std::function<void(Result<FetchedBytes>)> done) override {
    Later([this, done = std::move(done)] {
      if (away || !lists) return done(Status(Code::kIo, "away"));
      std::vector<uint8_t> last;
      {
        std::lock_guard lock(chunks_mutex_);
        ++host_;
        if (!gone_.empty()) last = gone_.rbegin()->second;
      }
      last.empty() ? done(Status(Code::kNotFound, "there is no list")) : done(FetchedBytes(std::move(last)));
    });
  }
  void KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) override {
    Later([this, number, list = std::move(list), done = std::move(done)] {
      if (away) return done({Code::kIo, "away"});
      {
        std::lock_guard lock(chunks_mutex_);
        const auto [at, fresh] = gone_.try_emplace({host_, number}, list);
        if (!fresh && at->second != list) return done({Code::kInvalid, "other bytes"});
      }
      done({});
    });
  }

  size_t packs() {
    std::lock_guard lock(chunks_mutex_);
    return chunks_.size();
  }
  std::vector<uint8_t> Take(uint32_t pack) {
    std::lock_guard lock(chunks_mutex_);
    auto node = chunks_.extract(pack);
    return node.empty() ? std::vector<uint8_t>() : std::move(node.mapped());
  }
  void Give(uint32_t pack, std::vector<uint8_t> bytes) {
    std::lock_guard lock(chunks_mutex_);
    chunks_[pack] = std::move(bytes);
  }

 private:
  void Later(std::function<void()> work) {
    {
      std::lock_guard lock(mutex_);
      work_.push_back(std::move(work));
    }
    wake_.notify_one();
  }
  void Run() {
    while (true) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, std::chrono::milliseconds(1), [this] { return stops_ || (!held && !work_.empty()); });
        if (stops_ && work_.empty()) return;
        if ((held && !stops_) || work_.empty()) continue;
        work = std::move(work_.front());
        work_.pop_front();
      }
      work();
    }
  }

  std::mutex chunks_mutex_;
  std::map<uint32_t, std::vector<uint8_t>> chunks_;
  uint64_t host_ = 0;   // that has the pool
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint8_t>> gone_;   // by host and number
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> work_;
  bool stops_ = false;
  std::thread thread_;
};

}  // namespace skerry::check
