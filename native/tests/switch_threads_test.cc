// Who writes and who reads a volume while it changes its pool, with the threads that a daemon has, on the real machine.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include "../simulation/copy_root.h"
#include "../volume/store.h"
#include "check.h"
#include "small_store.h"

using namespace skerry;

namespace {

constexpr ResourceId kVolume = 1;
constexpr uint64_t kBlocks = 24;
constexpr int kSwitches = 6;

/** A store with two pools in a directory of its own, and what its destagers and the catalog do. */
class Machine {
 public:
  Machine() : env_(MakePosixEnv()), ring_("skerry-switch-test-" + std::to_string(::getpid())) {
    CHECK(::mkdtemp(directory_.data()) != nullptr);
    spec_ = {{kVolume, kBlocks * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0, "a"};
    Open();
  }
  ~Machine() {
    store_.reset();
    (void)env_->RemoveShared(ring_);
    std::filesystem::remove_all(directory_);
  }
  void Open() {
    store_.reset();
    StoreOptions options = check::SmallStore(directory_, {{"a"}, {"b"}}, ring_);
    options.journal.ring_bytes = 4 << 20;
    options.journal.segment_bytes = 2 << 20;
    options.journal.journal_bytes_max = 64 << 20;
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(*env_, options, {spec_}, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  Store& store() { return *store_; }
  LiveVolume& volume() { return *store_->Find(kVolume); }
  /** False where something failed. */
  bool Round() {
    const Result<bool> wrote = store_->WriteStep();
    if (!wrote.ok() || !store_->SyncStep().ok() || !store_->journal().PrepareSegment().ok()) return false;
    store_->Pace();
    store_->FreezeAll();
    for (const auto& pool : store_->pools()) {
      const Result<std::optional<RootCommit>> commit = store_->DestageStep(*pool);
      if (!commit.ok()) return false;
      if (!commit->has_value()) continue;
      const std::lock_guard lock(mutex_);
      if (spec_.pool != (*commit)->pool) return false;
      spec_.root = (*commit)->root;
      spec_.volume.applied_sequence = (*commit)->takers.front().applied_sequence;
      store_->Committed((*commit)->token, true);
    }
    return true;
  }
  /** To the other pool. False where something failed. */
  bool Switch() {
    const std::string to = volume().pool()->name == "a" ? "b" : "a";
    if (!store_->Hold(kVolume, to).ok()) return false;
    Result<std::optional<Store::HeldResource>> held = store_->Held(kVolume);
    for (; held.ok() && !*held; held = store_->Held(kVolume)) std::this_thread::yield();
    if (!held.ok()) return false;
    const Result<simulation::CopiedRoot> copied = simulation::CopyRoot(*store_->FindPool((*held)->pool), (*held)->at.root, *store_->FindPool(to));
    if (!copied.ok() || !store_->Expect(kVolume, copied->root).ok()) return false;
    const std::lock_guard lock(mutex_);
    if (spec_.volume.applied_sequence != (*held)->at.applied_sequence) return false;
    spec_.pool = to;
    spec_.root = copied->root;
    return store_->Switch(kVolume).ok();
  }

 private:
  const std::unique_ptr<Env> env_;
  const std::string ring_;
  std::string directory_ = "/tmp/skerry-switch-XXXXXX";
  std::unique_ptr<Store> store_;
  std::mutex mutex_;   // of the catalog
  ResourceSpec spec_;
};

/** Every eighth byte tells the block and the turn in which it was written. */
std::vector<uint8_t> Turned(uint64_t block, uint64_t turn) {
  std::vector<uint8_t> data(kBlockBytes);
  const uint64_t word = turn << 16 | (block + 1);
  for (size_t i = 0; i < data.size(); i += sizeof(word)) std::memcpy(data.data() + i, &word, sizeof(word));
  return data;
}

}  // namespace

TEST("a writer and a reader go on while the volume changes its pool again and again, and nothing goes back") {
  Machine machine;
  const std::shared_ptr<LiveVolume> volume = machine.store().Find(kVolume);
  std::array<std::atomic<uint64_t>, kBlocks> written{};   // the last turn of each block that was acknowledged
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, reads{0};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (uint64_t turn = 1; !stop; ++turn) {
      const uint64_t block = turn % kBlocks;
      const std::vector<uint8_t> data = Turned(block, turn);
      // By halves now and then, so that the journal has some of what packs have too.
      const bool whole = turn % 3 != 0;
      for (size_t at = 0; at < data.size() && !stop;) {
        const size_t length = whole ? data.size() : kBlockBytes / 2;
        const Result<WriteOutcome> wrote = volume->Write(block * kBlockBytes + at, std::span(data).subspan(at, length));
        if (wrote.ok()) at += length;
        else if (wrote.code() != Code::kTryAgain) ++wrong;
        else std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      if (!stop) written[block] = turn;
    }
  });
  threads.emplace_back([&] {
    std::vector<uint8_t> page(kPageBytes);
    for (uint64_t n = 0; !stop; ++n, ++reads) {
      const uint64_t block = n % kBlocks, floor = written[block];
      const Status read = volume->Read(block * kBlockBytes + n % kPagesPerBlock * kPageBytes, page, true);
      uint64_t word = 0;
      std::memcpy(&word, page.data(), sizeof(word));
      const bool right = read.ok() && word >> 16 >= floor && (word == 0 || (word & 0xffff) == block + 1);
      wrong += right ? 0 : 1;
    }
  });
  threads.emplace_back([&] {
    while (!stop) wrong += machine.Round() ? 0 : 1;
  });
  for (int i = 0; i < kSwitches && wrong == 0; ++i) {
    const int before = reads;
    while (reads < before + 50 && wrong == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!machine.Switch()) ++wrong;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0 && reads > 0);
  machine.Open();
  for (uint64_t block = 0; block < kBlocks; ++block) {
    std::vector<uint8_t> data(kPageBytes);
    CHECK_OK(machine.volume().Read(block * kBlockBytes, data, true));
    uint64_t word = 0;
    std::memcpy(&word, data.data(), sizeof(word));
    CHECK(word >> 16 >= written[block]);
  }
}

int main(int c, char** v) { return check::RunAll(c, v); }
