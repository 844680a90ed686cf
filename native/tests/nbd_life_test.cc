// The NBD server's connections from birth to end: listening, handshake, limits, memory, parallel clients, stopping.
#include <sys/resource.h>
#include <sys/stat.h>

#include <ctime>

#include "nbd_fake.h"

using namespace skerry;
using namespace skerry::nbd_fake;

namespace {

void Append(std::vector<uint8_t>& to, const std::vector<uint8_t>& bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace

TEST("a unix socket is private, replaces a dead one, and leaves a live one alone") {
  World world;
  struct stat found {};
  CHECK(::stat(world.path.c_str(), &found) == 0 && (found.st_mode & 0777) == 0600);
  CHECK(world.server->ListenUnix(world.path).code() == Code::kInvalid);
  CHECK(world.server->ListenUnix("/tmp/" + std::string(200, 'x')).code() == Code::kInvalid);
  const std::string dead = world.path + ".dead";
  {
    Client keep(world.path);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, dead.data(), dead.size());
    CHECK(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    ::close(socket);
  }
  CHECK_OK(world.server->ListenUnix(dead).status());
  Client(dead).Shake();
  world.server->Stop();
  CHECK(::stat(dead.c_str(), &found) != 0 && ::stat(world.path.c_str(), &found) != 0);
  CHECK(world.server->ListenUnix(dead).code() == Code::kClosed);
}

TEST("TCP serves like a unix socket") {
  World world;
  const auto name = world.server->ListenTcp("127.0.0.1", 0);
  CHECK_OK(name.status());
  const std::string port = name.value().substr(name.value().find(':') + 1);
  CHECK(port != "0");
  Client client("127.0.0.1", port);
  client.Shake();
  const auto data = Pattern(3 << 20, 6);
  CHECK(client.Ask(kCmdWrite, 5, 3 << 20, 0, data) == 0);
  CHECK(client.Read(5, 3 << 20) == data);
  client.Send(kCmdDisc, 1, 0, 0);
  CHECK(client.SeesEnd());
  CHECK(world.server->ListenTcp("no.such.host.invalid", 1).code() == Code::kInvalid);
}

TEST("the handshake reads exactly what it asked for; what follows belongs to the transmission") {
  World world;
  Client client(world.path);
  CHECK(client.Take(2).size() == 2);
  std::vector<uint8_t> bytes{kAskSecondMessage};
  bytes.resize(1 + kHandshakeMessageBytesMax);
  bytes.back() = 0;
  Append(bytes, Client::Encode(kCmdWrite, 8, 0, 3, 0, {1, 2, 3}));
  Append(bytes, Client::Encode(kCmdRead, 9, 0, 3));
  client.Give(bytes);
  CHECK(client.Take(2) == std::vector<uint8_t>({'O', 'K'}));
  CHECK(client.Receive().cookie == 8);
  CHECK(client.Receive(3).payload == std::vector<uint8_t>({1, 2, 3}));
}

TEST("a refused handshake gets its last words, and each end is told once") {
  World world;
  Client client(world.path);
  client.Shake(kAskRefusal);
  CHECK(client.SeesEnd());
  client.Close();
  CHECK(Eventually([&] { return world.handshake.closed == 1 && world.handshake.connected == 1; }));
  CHECK(world.server->counters().connections == 0);
}

TEST("connections over the limit are closed; room made is used") {
  NbdOptions options;
  options.connections_max = 2;
  World world(options);
  Client first(world.path), second(world.path);
  first.Shake();
  second.Shake();
  Client third(world.path);
  CHECK(third.SeesEnd());
  first.Close();
  CHECK(Eventually([&] { return world.server->counters().connections == 1; }));
  Client(world.path).Shake();
}

TEST("out of descriptors, the server waits without spinning and then goes on") {
  World world;
  Client first(world.path);
  first.Shake();
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const int next = ::dup(socket);
  ::close(next);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit low{static_cast<rlim_t>(next), before.rlim_max};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, world.path.data(), world.path.size());
  ::setrlimit(RLIMIT_NOFILE, &low);
  const bool connected = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  const std::clock_t started = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double cpu_seconds = static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
  const bool refused = world.handshake.connected == 1;
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(connected && refused);
  CHECK(cpu_seconds < 0.1);
  CHECK(Eventually([&] { return world.handshake.connected == 2; }));
  CHECK(first.Ask(kCmdRead, 0, 4) == 0);
  ::close(socket);
}

TEST("attached connections are counted and can be ended") {
  World world;
  Client first(world.path), second(world.path);
  first.Shake();
  CHECK(world.server->Attached(5) == 1);
  second.Shake();
  CHECK(world.server->Attached(5) == 2 && world.server->Attached(6) == 0);
  world.server->Disconnect(6);
  CHECK(first.Ask(kCmdRead, 0, 4) == 0);
  world.server->Disconnect(5);
  CHECK(first.SeesEnd() && second.SeesEnd());
  CHECK(Eventually([&] { return world.server->Attached(5) == 0; }));
}

TEST("what the connections of a resource do is counted together, and forgotten with the last of them") {
  World world;
  CHECK(world.server->Activities().empty());
  auto first = std::make_unique<Client>(world.path);
  Client second(world.path);
  first->Shake();
  second.Shake();
  for (int i = 0; i < 3; ++i) CHECK(first->Ask(kCmdRead, 0, 4096) == 0);
  CHECK(second.Ask(kCmdRead, 0, 4) == 0);
  CHECK(second.Ask(kCmdRead, 1ull << 60, 4) != 0);
  std::vector<ResourceActivity> all = world.server->Activities();
  CHECK(all.size() == 1 && all[0].resource == 5 && all[0].connections == 2);
  const ResourceActivity::Row& reads = all[0].rows[ResourceActivity::kRead];
  CHECK(reads.operations == 5 && reads.bytes == 3 * 4096 + 4 && reads.errors == 1);
  CHECK(all[0].rows[ResourceActivity::kWrite].operations == 0);
  first.reset();
  CHECK(Eventually([&] { return world.server->Attached(5) == 1; }));
  CHECK(world.server->Activities()[0].rows[ResourceActivity::kRead].operations == 5);
  world.server->Disconnect(5);
  CHECK(Eventually([&] { return world.server->Activities().empty(); }));
}

TEST("a disconnect waits for what is in flight") {
  World world;
  Client client(world.path);
  client.Shake();
  world.backend.Hold();
  std::vector<uint8_t> bytes = Client::Encode(kCmdWrite, 1, 0, 3, kFlagFua, {1, 2, 3});
  Append(bytes, Client::Encode(kCmdDisc, 2, 0, 0));
  client.Give(bytes);
  CHECK(Eventually([&] { return world.backend.waiting() == 1; }));
  CHECK(client.Silent(30));
  world.backend.Release(Status::Ok());
  CHECK(client.Receive().cookie == 1);
  CHECK(client.SeesEnd());
  CHECK(Eventually([&] { return world.handshake.LastWhy() == "the client disconnected"; }));
}

TEST("a parked write of a client that has gone is never applied") {
  World world;
  world.volume->full = true;
  {
    Client client(world.path);
    client.Shake();
    client.Send(kCmdWrite, 1, 0, 4, 0, {1, 1, 1, 1});
    CHECK(Eventually([&] { return world.backend.retries() == 1; }));
  }
  // The same client on a new connection repeats it, and goes on.
  Client again(world.path);
  again.Shake();
  world.volume->full = false;
  world.backend.Admit();
  CHECK(again.Ask(kCmdWrite, 0, 4, 0, {2, 2, 2, 2}) == 0);
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  CHECK(world.volume->Copy(0, 4) == std::vector<uint8_t>({2, 2, 2, 2}));
  CHECK(world.volume->end == 8);
}

TEST("completions for a connection that has gone are dropped") {
  World world;
  world.backend.Hold();
  {
    Client client(world.path);
    client.Shake();
    client.Send(kCmdWrite, 1, 0, 4, kFlagFua, {1, 1, 1, 1});
    CHECK(Eventually([&] { return world.backend.waiting() == 1; }));
  }
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  world.backend.Release(Status::Ok());
  Client(world.path).Shake();
}

TEST("a completion after the server has gone harms nobody") {
  FakeBackend backend;
  {
    FakeHandshake handshake;
    handshake.volume = std::make_shared<FakeVolume>(1, 1 << 20);
    auto server = NbdServer::Start({}, backend, handshake);
    CHECK_OK(server.status());
    handshake.server = server.value().get();
    const std::string path = "/tmp/skerry-nbd-late-" + std::to_string(::getpid()) + ".sock";
    CHECK_OK(server.value()->ListenUnix(path).status());
    Client client(path);
    client.Shake();
    backend.Hold();
    client.Send(kCmdWrite, 1, 0, 4, kFlagFua, {1, 1, 1, 1});
    CHECK(Eventually([&] { return backend.waiting() == 1; }));
    server.value()->Stop();  // gives up on it after its time
  }
  backend.Release(Status::Ok());
}

TEST("a client that does not read its replies stops being read, within bounds, and loses nothing") {
  World world;
  Client client(world.path);
  client.Shake();
  const auto data = Pattern(64 << 10, 8);
  CHECK(client.Ask(kCmdWrite, 0, 64 << 10, 0, data) == 0);
  constexpr uint64_t kRequests = 2000;
  std::thread sender([&] {
    for (uint64_t i = 0; i < kRequests; ++i) client.Send(kCmdRead, i, 0, 64 << 10);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  const NbdCounters counters = world.server->counters();
  CHECK(counters.operations[0] < kRequests / 2);
  CHECK(counters.buffer_bytes < (16u << 20));
  bool right = true;
  for (uint64_t i = 0; i < kRequests; ++i) {
    const Reply reply = client.Receive(64 << 10);
    right = right && reply.cookie == i && reply.payload == data;
  }
  sender.join();
  CHECK(right);
}

TEST("large requests of many clients wait for memory and are all served") {
  NbdOptions options;
  options.buffer_bytes_max = 50u << 20;
  World world(options, 64u << 20);
  std::vector<std::thread> threads;
  std::atomic<unsigned> right{0};
  std::atomic<uint64_t> most{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Client client(world.path);
      client.Shake();
      const uint64_t offset = t * (16u << 20);
      for (unsigned round = 0; round < 4; ++round) {
        const auto data = Pattern(16u << 20, static_cast<uint8_t>(t * 4 + round));
        if (client.Ask(kCmdWrite, offset, 16u << 20, 0, data) != 0) return;
        most = std::max(most.load(), world.server->counters().buffer_bytes);
        if (client.Read(offset, 16u << 20) != data) return;
      }
      ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 4);
  CHECK(most <= options.buffer_bytes_max);
}

TEST("four connections in parallel on one volume keep apart") {
  World world;
  std::vector<std::thread> threads;
  std::atomic<unsigned> right{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Client client(world.path);
      client.Shake(t % 2 == 0 ? 0 : kAskStructured);
      const uint64_t base = t * (4u << 20);
      for (uint64_t round = 0; round < 60; ++round) {
        if (round == 30) world.volume->cold = !world.volume->cold;
        std::vector<uint8_t> burst;
        for (uint64_t i = 0; i < 16; ++i) {
          const uint16_t flags = i % 5 == 0 ? kFlagFua : uint16_t{0};
          Append(burst, Client::Encode(kCmdWrite, i, base + i * 4096, 4096, flags, Pattern(4096, static_cast<uint8_t>(round + i))));
        }
        Append(burst, Client::Encode(kCmdFlush, 16, 0, 0));
        client.Give(burst);
        for (unsigned i = 0; i < 17; ++i) {
          if (client.Receive().error != 0) return;
        }
        for (uint64_t i = 0; i < 16; ++i) client.Send(kCmdRead, i, base + i * 4096, 4096);
        for (unsigned i = 0; i < 16; ++i) {
          const Reply reply = client.Receive(4096);
          const size_t head = reply.structured ? 8 : 0;
          const auto data = Pattern(4096, static_cast<uint8_t>(round + reply.cookie));
          if (reply.error != 0 || !std::equal(data.begin(), data.end(), reply.payload.begin() + static_cast<ptrdiff_t>(head))) return;
        }
      }
      ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 4);
}

TEST("stopping answers what was read, closes, and can be done twice") {
  World world;
  Client idle(world.path), busy(world.path), shaking(world.path);
  idle.Shake();
  busy.Shake();
  world.backend.Hold();
  busy.Send(kCmdWrite, 1, 0, 4, kFlagFua, {1, 2, 3, 4});
  CHECK(Eventually([&] { return world.backend.waiting() == 1; }));
  std::thread stopper([&] { world.server->Stop(); });
  CHECK(idle.SeesEnd());
  world.backend.Release(Status::Ok());
  CHECK(busy.Receive().cookie == 1);
  CHECK(busy.SeesEnd());
  stopper.join();
  world.server->Stop();
  CHECK(world.handshake.closed == world.handshake.connected);
}

TEST("too small a budget is refused with words") {
  FakeBackend backend;
  FakeHandshake handshake;
  NbdOptions options;
  options.buffer_bytes_max = 1 << 20;
  CHECK(NbdServer::Start(options, backend, handshake).code() == Code::kInvalid);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
