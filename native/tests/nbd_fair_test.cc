// Fair shares by volume: of a socket thread, of the threads that wait for disks, of memory for payloads.
#include <condition_variable>

#include "../nbd/buffer_budget.h"
#include "../nbd/fair_queue.h"
#include "nbd_fake.h"

using namespace skerry;
using namespace skerry::nbd_fake;

namespace {

/** A place where threads stop until it opens. */
class Barrier {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.wait(lock, [this] { return open_; });
    --waiting_;
  }
  void Open() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    changed_.notify_all();
  }
  unsigned waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  unsigned waiting_ = 0;
};

/** Counts what it serves, for all volumes of a test in one order. The request at offset kGateOffset waits at the barrier. */
class CountedVolume : public FakeVolume {
 public:
  static constexpr uint64_t kGateOffset = 1 << 20;
  CountedVolume(ResourceId id, std::vector<ResourceId>& order, std::mutex& mutex, Barrier& barrier)
      : FakeVolume(id, 2 << 20), order_(order), mutex_(mutex), barrier_(barrier) {}

  Result<WriteOutcome> Zero(uint64_t offset, uint64_t length, bool punch_hole) override {
    Note(offset);
    return FakeVolume::Zero(offset, length, punch_hole);
  }
  Status Read(uint64_t offset, Bytes into, bool may_block) override {
    if (!may_block) return {Code::kTryAgain, "cold"};
    Note(offset);
    return FakeVolume::Read(offset, into, may_block);
  }

 private:
  void Note(uint64_t offset) {
    if (offset == kGateOffset) return barrier_.Pass();
    const std::lock_guard lock(mutex_);
    order_.push_back(id());
  }
  std::vector<ResourceId>& order_;
  std::mutex& mutex_;
  Barrier& barrier_;
};

constexpr ResourceId kFlood = 5, kCalm = 6;
constexpr unsigned kFloods = 8;

/** One socket thread and one for disks; a volume with many clients and one with a single one. Everybody asks while that thread is held. */
struct Crowd {
  Crowd() : world(OneThreadEach()) {
    for (unsigned i = 0; i < kFloods; ++i) floods.push_back(Attach(kFlood));
    calm = Attach(kCalm);
    gate = Attach(7);
  }

  std::unique_ptr<Client> Attach(ResourceId id) {
    auto& volume = volumes[id];
    if (!volume) volume = std::make_shared<CountedVolume>(id, order, mutex, barrier);
    world.handshake.volume = volume;
    auto client = std::make_unique<Client>(world.path);
    client->Shake();
    return client;
  }
  /** In what order requests were served. Each client has sent `each` of them by the time that the gate opens. */
  std::vector<ResourceId> Serve(uint16_t type, unsigned each) {
    gate->Send(type, 1, CountedVolume::kGateOffset, 512);
    CHECK(Eventually([&] { return barrier.waiting() == 1; }));
    std::vector<uint8_t> burst;
    for (unsigned i = 0; i < each; ++i) {
      const auto one = Client::Encode(type, i, 0, 512);
      burst.insert(burst.end(), one.begin(), one.end());
    }
    for (const auto& flood : floods) flood->Give(burst);
    calm->Give(burst);
    if (type == kCmdRead) {
      // The socket thread has taken them all, and none was served yet.
      CHECK(Eventually([&] { return world.server->counters().buffer_bytes >= (kFloods + 1) * uint64_t{each} * 4096; }));
    }
    barrier.Open();
    const auto drain = [&](Client& client) {
      for (unsigned i = 0; i < each; ++i) CHECK(client.Receive(type == kCmdRead ? 512 : 0).error == 0);
    };
    for (const auto& flood : floods) drain(*flood);
    drain(*calm);
    const std::lock_guard lock(mutex);
    CHECK(order.size() == (kFloods + 1) * size_t{each});
    return order;
  }
  static NbdOptions OneThreadEach() {
    NbdOptions options;
    options.threads = 1;
    options.blocking_threads = 1;
    return options;
  }

  std::mutex mutex;
  std::vector<ResourceId> order;
  Barrier barrier;
  World world;
  std::map<ResourceId, std::shared_ptr<CountedVolume>> volumes;
  std::vector<std::unique_ptr<Client>> floods;
  std::unique_ptr<Client> calm, gate;
};

/** How many of the flood's requests were served before the calm volume's last one. */
size_t FloodBeforeCalm(const std::vector<ResourceId>& order) {
  size_t floods = 0, last = 0;
  for (const ResourceId id : order) {
    if (id == kFlood) {
      ++floods;
    } else {
      last = floods;
    }
  }
  return last;
}

}  // namespace

TEST("lanes share by cost, and each keeps its order") {
  nbd::FairQueue<int> queue;
  constexpr uint64_t kUnit = nbd::kQuantumBytes / 8;
  for (int i = 0; i < 64; ++i) queue.Push(1, kUnit, i);            // lane 1 wants much, in small pieces
  for (int i = 0; i < 8; ++i) queue.Push(2, 8 * kUnit, 100 + i);   // lane 2 as much, in large ones
  CHECK(queue.size() == 72);
  uint64_t small = 0, large = 0;
  int next_small = 0, next_large = 100;
  while (!queue.empty()) {
    const int front = queue.Front();
    CHECK(queue.Pop() == front);
    if (front < 100) {
      CHECK(front == next_small++);
      small += kUnit;
    } else {
      CHECK(front == next_large++);
      large += 8 * kUnit;
    }
    const uint64_t apart = small > large ? small - large : large - small;
    CHECK(apart <= 2 * static_cast<uint64_t>(nbd::kQuantumBytes));
  }
  CHECK(next_small == 64 && next_large == 108);
}

TEST("what is dearer than any quantum has its turn, and who comes late waits for a quantum of each other") {
  nbd::FairQueue<int> queue;
  queue.Push(1, 64 * nbd::kQuantumBytes, 1);
  for (int i = 0; i < 200; ++i) queue.Push(2, nbd::kQuantumBytes / 4, 2);
  int before = 0;
  while (queue.Pop() != 1) ++before;
  // As much as that one costs, and no more.
  CHECK(before <= 65 * 4);
  for (int i = 0; i < 50; ++i) CHECK(queue.empty() || queue.Pop() == 2);
  while (!queue.empty()) queue.Pop();

  for (int i = 0; i < 1000; ++i) queue.Push(1, nbd::kQuantumBytes / 4, 1);
  for (int i = 0; i < 10; ++i) CHECK(queue.Pop() == 1);
  queue.Push(3, nbd::kQuantumBytes / 4, 3);
  before = 0;
  while (queue.Pop() != 3) ++before;
  CHECK(before <= 4);
}

TEST("what is at the front stays there while others come") {
  nbd::FairQueue<int> queue;
  queue.Push(1, 10 * nbd::kQuantumBytes, 1);
  queue.Push(2, 10 * nbd::kQuantumBytes, 2);
  CHECK(queue.Front() == 1);
  queue.Push(3, 1, 3);
  queue.Push(1, 1, 4);
  CHECK(queue.Front() == 1);
  CHECK(queue.Pop() == 1);
}

TEST("a volume with one connection has as much of a socket thread as one with eight") {
  Crowd crowd;
  constexpr unsigned kEach = 2000;
  const std::vector<ResourceId> order = crowd.Serve(kCmdTrim, kEach);
  // A round may begin with either, and ends within one request of its quantum.
  constexpr auto kRound = static_cast<ptrdiff_t>(nbd::kQuantumBytes / nbd::kRequestCostBytes + 1);
  CHECK(std::find(order.begin(), order.end(), kCalm) - order.begin() <= kRound);
  CHECK(FloodBeforeCalm(order) >= kEach / 2);
  CHECK(FloodBeforeCalm(order) <= kEach + 2 * kRound);
}

TEST("and of the threads that wait for disks") {
  Crowd crowd;
  constexpr unsigned kEach = 250;
  const size_t before = FloodBeforeCalm(crowd.Serve(kCmdRead, kEach));
  CHECK(before <= kEach + 2 * (nbd::kQuantumBytes / nbd::kRequestCostBytes + 1));
}

TEST("and of memory that is waited for") {
  constexpr size_t kBytes = 1 << 20;
  const auto budget = std::make_shared<nbd::BufferBudget>(kBytes + nbd::kBufferHeadBytes);
  nbd::Buffer held = budget->Try(kBytes);
  CHECK(static_cast<bool>(held));
  std::vector<ResourceId> order;
  std::deque<nbd::Buffer> granted;
  const auto want = [&](ResourceId lane) {
    budget->Wait(lane, kBytes, [&order, &granted, lane](nbd::Buffer buffer) {
      order.push_back(lane);
      granted.push_back(std::move(buffer));
    });
  };
  for (int i = 0; i < 40; ++i) want(kFlood);
  for (int i = 0; i < 4; ++i) want(kCalm);
  held.Release();
  while (order.size() < 44) {
    CHECK(granted.size() == 1);
    const nbd::Buffer last = std::move(granted.front());
    granted.pop_front();
  }
  CHECK(FloodBeforeCalm(order) <= 6);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
