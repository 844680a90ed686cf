// Large writes that are staged by another thread: what may pass them, what must wait, and what becomes of them when their
// connection ends.
#include "nbd_fake.h"

using namespace skerry;
using namespace skerry::nbd_fake;

namespace {

constexpr uint32_t kLargeBytes = 128 << 10;

/** Stages writes of kLargeBytes and more; Hold() keeps them staged. */
class StagingVolume : public FakeVolume {
 public:
  using FakeVolume::FakeVolume;
  ~StagingVolume() override { Release(); }
  bool Stages(uint64_t, uint64_t length) const override { return length >= kLargeBytes; }
  Result<std::unique_ptr<StagedWrite>> Stage(uint64_t, ConstBytes) override {
    ++staging;
    while (held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (pool_full) return Status(Code::kNoSpace, "no room in the pool");
    return std::make_unique<StagedWrite>();
  }
  Result<WriteOutcome> Publish(uint64_t offset, ConstBytes data, const StagedWrite&) override {
    ++publishing;
    return Write(offset, data);
  }
  void Release() { held = false; }
  std::atomic<bool> held{false}, pool_full{false};
  std::atomic<unsigned> staging{0}, publishing{0};
};

struct StageWorld : World {
  StageWorld() : staging(std::make_shared<StagingVolume>(5, 64 << 20)) { handshake.volume = volume = staging; }
  ~StageWorld() { staging->Release(); }
  std::shared_ptr<StagingVolume> staging;
};

}  // namespace

TEST("while a large write is staged its connection goes on, and other bytes are written and read") {
  StageWorld world;
  Client client(world.path);
  client.Shake();
  world.staging->held = true;
  const auto large = Pattern(kLargeBytes, 1), small = Pattern(4096, 2);
  client.Send(kCmdWrite, 1, 0, kLargeBytes, 0, large);
  client.Send(kCmdWrite, 2, kLargeBytes, 4096, 0, small);
  CHECK(client.Receive().cookie == 2);
  CHECK(client.Read(kLargeBytes, 4096) == small);
  CHECK(client.Silent(50));
  world.staging->Release();
  const Reply reply = client.Receive();
  CHECK(reply.cookie == 1 && reply.error == 0);
  CHECK(client.Read(0, kLargeBytes) == large);
}

TEST("what overlaps a staged write takes effect after it, also from another connection") {
  StageWorld world;
  Client client(world.path), other(world.path);
  client.Shake();
  other.Shake();
  world.staging->held = true;
  client.Send(kCmdWrite, 1, 0, kLargeBytes, 0, Pattern(kLargeBytes, 1));
  CHECK(Eventually([&] { return world.staging->staging == 1; }));
  other.Send(kCmdWrite, 2, 4096, 4096, 0, Pattern(4096, 2));
  client.Send(kCmdWriteZeroes, 3, 8192, 4096);
  client.Send(kCmdWrite, 4, kLargeBytes - 1, kLargeBytes, 0, Pattern(kLargeBytes, 4));
  CHECK(client.Silent(30) && other.Silent(30));
  world.staging->Release();
  CHECK(other.Receive().error == 0);
  for (int i = 0; i < 3; ++i) CHECK(client.Receive().error == 0);
  const auto now = client.Read(0, kLargeBytes);
  auto wanted = Pattern(kLargeBytes, 1);
  const auto second = Pattern(4096, 2);
  std::copy(second.begin(), second.end(), wanted.begin() + 4096);
  std::fill(wanted.begin() + 8192, wanted.begin() + 12288, 0);
  wanted.back() = Pattern(1, 4)[0];
  CHECK(now == wanted);
}

TEST("a staged write of a connection that ended is seen by nobody, and keeps nothing waiting") {
  StageWorld world;
  world.staging->held = true;
  {
    Client client(world.path);
    client.Shake();
    client.Send(kCmdWrite, 1, 0, kLargeBytes, 0, Pattern(kLargeBytes, 1));
    CHECK(Eventually([&] { return world.staging->staging == 1; }));
  }
  // Its client is back, and has repeated the write with other bytes: the old one must not come after.
  Client again(world.path);
  again.Shake();
  again.Send(kCmdWrite, 1, 0, kLargeBytes, 0, Pattern(kLargeBytes, 9));
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  world.staging->Release();
  CHECK(again.Receive().error == 0);
  CHECK(again.Read(0, kLargeBytes) == Pattern(kLargeBytes, 9));
  CHECK(world.staging->publishing == 1);
}

TEST("a staged write that finds no room waits for it, with all behind it") {
  StageWorld world;
  Client client(world.path);
  client.Shake();
  world.staging->full = true;
  client.Send(kCmdWrite, 1, 0, kLargeBytes, 0, Pattern(kLargeBytes, 1));
  CHECK(Eventually([&] { return world.backend.retries() > 0; }));
  client.Send(kCmdFlush, 2, 0, 0);
  CHECK(client.Silent(30));
  world.staging->full = false;
  world.backend.Admit();
  CHECK(client.Receive().cookie == 1 && client.Receive().cookie == 2);
  CHECK(client.Read(0, kLargeBytes) == Pattern(kLargeBytes, 1));
}

TEST("FUA waits for a staged write's own end, and a full pool is ENOSPC") {
  StageWorld world;
  Client client(world.path);
  client.Shake();
  world.backend.Hold();
  client.Send(kCmdWrite, 1, 0, kLargeBytes, kFlagFua, Pattern(kLargeBytes, 1));
  CHECK(Eventually([&] { return world.backend.waiting() == 1; }));
  CHECK(client.Silent(20));
  world.backend.Release(Status::Ok());
  CHECK(client.Receive().error == 0);
  world.staging->pool_full = true;
  CHECK(client.Ask(kCmdWrite, 0, kLargeBytes, 0, Pattern(kLargeBytes, 2)) == kErrNoSpace);
  CHECK(client.Read(0, kLargeBytes) == Pattern(kLargeBytes, 1));
}

TEST("many large writes at once keep to the memory that a connection may hold") {
  StageWorld world;
  Client client(world.path);
  client.Shake();
  world.staging->held = true;
  constexpr uint32_t kBytes = 4 << 20;
  std::thread sender([&] {
    for (uint64_t i = 0; i < 12; ++i) client.Send(kCmdWrite, i, i * kBytes, kBytes, 0, Pattern(kBytes, static_cast<uint8_t>(i)));
  });
  CHECK(Eventually([&] { return world.staging->staging >= 4; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(world.staging->staging <= 4);
  world.staging->Release();
  for (int i = 0; i < 12; ++i) CHECK(client.Receive().error == 0);
  sender.join();
  for (uint64_t i = 0; i < 12; ++i) CHECK(client.Read(i * kBytes, 4096) == Pattern(4096, static_cast<uint8_t>(i)));
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
