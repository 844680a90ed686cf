// The NBD server as its clients see it: requests, replies, errors, order and durability.
#include <sys/stat.h>

#include "../nbd/request_parser.h"
#include "nbd_fake.h"

using namespace skerry;
using namespace skerry::nbd_fake;

namespace {

uint64_t Total(const NbdCounters& counters, NbdOperation operation) { return counters.operations[static_cast<size_t>(operation)]; }

NbdOptions OneThread() {
  NbdOptions options;
  options.threads = 1;
  return options;
}

}  // namespace

TEST("the parser finds the same requests however the stream is cut") {
  const auto large = Pattern(kInPlacePayloadBytesMax + 5, 3);
  std::vector<uint8_t> stream;
  const auto add = [&](const std::vector<uint8_t>& bytes) { stream.insert(stream.end(), bytes.begin(), bytes.end()); };
  add(Client::Encode(kCmdWrite, 1, 10, 3, 0, {7, 8, 9}));
  add(Client::Encode(kCmdRead, 2, 4096, 512));
  add(Client::Encode(kCmdWrite, 3, 0, static_cast<uint32_t>(large.size()), 0, large));
  add(Client::Encode(kCmdWrite, 4, 0, static_cast<uint32_t>(large.size()), 0, large));
  add(Client::Encode(kCmdFlush, 5, 0, 0));
  for (const size_t step_bytes : {size_t{1}, size_t{13}, size_t{4096}, stream.size()}) {
    RequestParser parser;
    std::vector<uint8_t> window, collected(large.size());
    std::vector<uint64_t> cookies;
    bool skip = false;
    for (size_t at = 0; at < stream.size();) {
      const size_t taken = std::min(step_bytes, stream.size() - at);
      window.insert(window.end(), stream.begin() + static_cast<ptrdiff_t>(at), stream.begin() + static_cast<ptrdiff_t>(at + taken));
      at += taken;
      for (;;) {
        size_t consumed = 0;
        const auto step = parser.Next(window, &consumed);
        CHECK(step != RequestParser::Step::kFailed);
        if (step == RequestParser::Step::kRequest) {
          cookies.push_back(parser.request().cookie);
          if (cookies.back() == 1) CHECK(parser.payload().size() == 3 && parser.payload()[2] == 9);
          if (cookies.back() == 3) CHECK(collected == large && !parser.skipped());
          if (cookies.back() == 4) CHECK(parser.skipped());
        }
        window.erase(window.begin(), window.begin() + static_cast<ptrdiff_t>(consumed));
        if (step == RequestParser::Step::kLarge) {
          if (skip) parser.Skip(); else parser.Collect(collected);
          skip = true;
        }
        if (step == RequestParser::Step::kMore) break;
      }
    }
    CHECK(cookies == std::vector<uint64_t>({1, 2, 3, 4, 5}));
    CHECK(window.empty());
  }
}

TEST("what is written is read back, in small, unaligned and large requests") {
  World world;
  Client client(world.path);
  client.Shake();
  for (const uint32_t length : {1u, 4096u, 4099u, 65536u, 65537u, 262144u, 1u << 20, kRequestBytesMax}) {
    const auto data = Pattern(length, static_cast<uint8_t>(length));
    CHECK(client.Ask(kCmdWrite, 777, length, 0, data) == 0);
    CHECK(client.Read(777, length) == data);
    CHECK(world.volume->Copy(777, length) == data);
  }
  CHECK(world.volume->aligned_payloads >= 4);
  const NbdCounters counters = world.server->counters();
  CHECK(Total(counters, NbdOperation::kWrite) == 8 && Total(counters, NbdOperation::kRead) == 8);
  CHECK(counters.latency_nanos[0] > 0 && counters.connections == 1);
}

TEST("requests sent one byte at a time are served, and half of one is not") {
  World world;
  Client client(world.path);
  client.Shake();
  const auto data = Pattern(100, 9);
  for (const uint8_t byte : Client::Encode(kCmdWrite, 5, 4000, 100, 0, data)) client.Give({byte});
  CHECK(client.Receive().cookie == 5);
  CHECK(world.volume->Copy(4000, 100) == data);
  auto half = Client::Encode(kCmdWrite, 6, 0, 100, 0, data);
  half.pop_back();
  client.Give(half);
  CHECK(client.Silent(50));
  client.Close();
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  CHECK(world.volume->Copy(0, 100) == std::vector<uint8_t>(100));
}

TEST("a client that goes away in the middle of a large payload leaves nothing behind") {
  World world;
  {
    Client client(world.path);
    client.Shake();
    auto bytes = Client::Encode(kCmdWrite, 6, 0, 8 << 20, 0, Pattern(4 << 20, 1));
    client.Give(bytes);
  }
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  CHECK(world.volume->end == 0);
  CHECK(Eventually([&] { return world.server->counters().buffer_bytes <= 4 * (kPageBytes + (256 << 10)); }));
}

TEST("wrong requests get the errors that the protocol names, and the connection goes on") {
  World world({}, 1 << 20);
  for (const uint8_t wishes : {uint8_t{0}, kAskStructured}) {
    Client client(world.path);
    client.Shake(wishes);
    const uint32_t end = 1 << 20;
    CHECK(client.Ask(kCmdRead, end - 10, 11) == kErrInvalid);
    CHECK(client.Ask(kCmdRead, UINT64_MAX - 5, 10) == kErrInvalid);
    CHECK(client.Ask(kCmdRead, 0, 0) == kErrInvalid);
    CHECK(client.Ask(kCmdRead, 0, kRequestBytesMax + 1) == kErrInvalid);
    CHECK(client.Ask(kCmdRead, 0, 10, kFlagNoHole) == kErrInvalid);
    CHECK(client.Ask(kCmdRead, 0, 10, 1 << 9) == kErrInvalid);
    CHECK(client.Ask(kCmdWrite, end - 10, 11, 0, Pattern(11, 1)) == kErrNoSpace);
    CHECK(client.Ask(kCmdWrite, end - 10, 100000, 0, Pattern(100000, 1)) == kErrNoSpace);
    CHECK(client.Ask(kCmdWrite, 0, kRequestBytesMax + 1, 0, Pattern(kRequestBytesMax + 1, 1)) == kErrInvalid);
    CHECK(client.Ask(kCmdWrite, 0, 4, kFlagDf, {1, 2, 3, 4}) == kErrInvalid);
    CHECK(client.Ask(kCmdTrim, end, 1) == kErrInvalid);
    CHECK(client.Ask(kCmdWriteZeroes, end, 1) == kErrNoSpace);
    CHECK(client.Ask(kCmdCache, end, 1) == kErrInvalid);
    CHECK(client.Ask(kCmdFlush, 0, 1) == kErrInvalid);
    CHECK(client.Ask(kCmdBlockStatus, 0, 4096) == kErrInvalid);
    CHECK(client.Ask(99, 0, 0) == kErrInvalid);
    if (wishes == 0) CHECK(client.Ask(kCmdRead, 0, 10, kFlagDf) == kErrInvalid);
    world.volume->read_only_flag = true;
    CHECK(client.Ask(kCmdWrite, 0, 4, 0, {1, 2, 3, 4}) == kErrPerm);
    CHECK(client.Ask(kCmdWrite, 0, 100000, 0, Pattern(100000, 1)) == kErrPerm);
    CHECK(client.Ask(kCmdTrim, 0, 4096) == kErrPerm);
    CHECK(client.Ask(kCmdWriteZeroes, 0, 4096) == kErrPerm);
    world.volume->read_only_flag = false;
    CHECK(client.Ask(kCmdCache, 0, 4096) == 0);
    CHECK(client.Ask(kCmdWrite, 0, 4, kFlagFua, {1, 2, 3, 4}) == 0);
  }
}

TEST("bad magic and absurd lengths end that connection and no other") {
  World world;
  Client good(world.path);
  good.Shake();
  Client bad(world.path);
  bad.Shake();
  auto nonsense = Client::Encode(kCmdRead, 1, 0, 4096);
  nonsense[0] ^= 1;
  bad.Give(nonsense);
  CHECK(bad.SeesEnd());
  Client absurd(world.path);
  absurd.Shake();
  absurd.Send(kCmdWrite, 1, 0, 0xffffffff);
  CHECK(absurd.SeesEnd());
  CHECK(good.Read(0, 10) == std::vector<uint8_t>(10));
}

TEST("structured reads send holes as holes, and with DF one chunk") {
  World world;
  Client client(world.path);
  client.Shake(kAskStructured);
  const auto data = Pattern(65536, 4);
  CHECK(client.Ask(kCmdWrite, 65536, 65536, 0, data) == 0);
  client.Send(kCmdRead, 50, 0, 262144);
  Reply reply = client.Receive();
  CHECK(reply.type == kReplyOffsetHole && reply.flags == 0 && Load64(reply.payload.data()) == 0 && Load32(reply.payload.data() + 8) == 65536);
  reply = client.Receive();
  CHECK(reply.type == kReplyOffsetData && reply.flags == 0 && Load64(reply.payload.data()) == 65536 && reply.payload.size() == 65544);
  CHECK(std::equal(data.begin(), data.end(), reply.payload.begin() + 8));
  reply = client.Receive();
  CHECK(reply.type == kReplyOffsetHole && reply.flags == kReplyFlagDone && Load32(reply.payload.data() + 8) == 131072);
  client.Send(kCmdRead, 51, 0, 262144, kFlagDf);
  reply = client.Receive();
  CHECK(reply.type == kReplyOffsetData && reply.flags == kReplyFlagDone && reply.payload.size() == 262144 + 8);
  client.Send(kCmdRead, 52, 65536, 100);
  reply = client.Receive();
  CHECK(reply.type == kReplyOffsetData && reply.flags == kReplyFlagDone && reply.payload.size() == 108);
}

TEST("rot is an error at its place, never data") {
  World world;
  Client simple(world.path), structured(world.path);
  simple.Shake();
  structured.Shake(kAskStructured);
  CHECK(simple.Ask(kCmdWrite, 131072, 65536, 0, Pattern(65536, 4)) == 0);
  world.volume->rotten_at = 140000;
  CHECK(simple.Ask(kCmdRead, 139264, 4096) == kErrIo);
  CHECK(simple.Ask(kCmdRead, 0, 1 << 20) == kErrIo);
  structured.Send(kCmdRead, 9, 0, 1 << 20);
  CHECK(structured.Receive().type == kReplyOffsetHole);
  const Reply reply = structured.Receive();
  CHECK(reply.type == kReplyErrorOffset && reply.flags == kReplyFlagDone && reply.error == kErrIo);
  CHECK(Load64(reply.payload.data() + reply.payload.size() - 8) == 131072);
  CHECK(structured.Ask(kCmdRead, 139264, 4096) == kErrIo);
  CHECK(world.server->counters().errors[0] == 4);
}

TEST("block status tells holes, one extent where one is asked for") {
  World world;
  Client client(world.path);
  client.Shake(kAskStructured | kAskAllocation);
  CHECK(client.Ask(kCmdWrite, 8192, 4096, 0, Pattern(4096, 1)) == 0);
  for (const bool cold : {false, true}) {
    world.volume->cold = cold;
    client.Send(kCmdBlockStatus, 8, 100, 100000);
    Reply reply = client.Receive();
    CHECK(reply.type == kReplyBlockStatus && reply.flags == kReplyFlagDone && reply.payload.size() == 4 + 3 * 8);
    const uint8_t* at = reply.payload.data();
    CHECK(Load32(at) == 77);
    CHECK(Load32(at + 4) == 8092 && Load32(at + 8) == (kStateHole | kStateZero));
    CHECK(Load32(at + 12) == 4096 && Load32(at + 16) == 0);
    CHECK(Load32(at + 20) == 100000 - 8092 - 4096);
    client.Send(kCmdBlockStatus, 9, 0, 100000, kFlagReqOne);
    reply = client.Receive();
    CHECK(reply.payload.size() == 12 && Load32(reply.payload.data() + 4) == 8192);
  }
  CHECK(client.Ask(kCmdBlockStatus, 0, 0) == kErrInvalid);
}

TEST("reads that must wait are answered out of order by other threads") {
  World world;
  Client client(world.path);
  client.Shake();
  const auto data = Pattern(1 << 20, 77);
  CHECK(client.Ask(kCmdWrite, 0, 1 << 20, 0, data) == 0);
  world.volume->cold = true;
  std::vector<uint8_t> burst;
  for (uint64_t i = 0; i < 200; ++i) {
    const auto request = Client::Encode(kCmdRead, i, i * 4096, 4096);
    burst.insert(burst.end(), request.begin(), request.end());
  }
  client.Give(burst);
  std::vector<bool> seen(200);
  for (int i = 0; i < 200; ++i) {
    const Reply reply = client.Receive(4096);
    CHECK(reply.error == 0 && reply.cookie < 200 && !seen[reply.cookie]);
    seen[reply.cookie] = true;
    CHECK(std::equal(reply.payload.begin(), reply.payload.end(), data.begin() + static_cast<ptrdiff_t>(reply.cookie * 4096)));
  }
}

TEST("flush, FUA and writethrough answer only what is durable, and pass its failure on") {
  World world(OneThread());
  Client client(world.path);
  client.Shake();
  CHECK(client.Ask(kCmdFlush, 0, 0) == 0);
  world.backend.Hold();
  CHECK(client.Ask(kCmdWrite, 0, 4, 0, {1, 2, 3, 4}) == 0);
  CHECK(Eventually([&] { return world.backend.kicks >= 1; }));
  client.Send(kCmdFlush, 1, 0, 0);
  CHECK(client.Silent(30));
  client.Send(kCmdWrite, 2, 0, 4, kFlagFua, {1, 2, 3, 4});
  CHECK(Eventually([&] { return world.backend.waiting() == 2; }));
  CHECK(client.Silent(30));
  CHECK(client.Ask(kCmdRead, 0, 4) == 0);  // others are not held up
  world.backend.Release(Status::Ok());
  CHECK(client.Receive().cookie == 1);
  CHECK(client.Receive().cookie == 2);
  world.volume->writethrough_flag = true;
  world.backend.Hold();
  client.Send(kCmdTrim, 3, 0, 4096);
  CHECK(Eventually([&] { return world.backend.waiting() == 1; }));
  CHECK(client.Silent(30));
  world.backend.Release(Status(Code::kReadOnly, "the journal failed"));
  const Reply reply = client.Receive();
  CHECK(reply.cookie == 3 && reply.error == kErrIo);
}

TEST("writes and flushes of a volume that flushes to its pool do not hurry the journal's flusher") {
  World world(OneThread());
  Client client(world.path);
  client.Shake();
  world.volume->to_pool_flag = true;
  CHECK(client.Ask(kCmdWrite, 0, 4, 0, {1, 2, 3, 4}) == 0);
  CHECK(client.Ask(kCmdFlush, 0, 0) == 0);
  CHECK(world.backend.late_kicks == 2 && world.backend.kicks == 0);
  world.volume->to_pool_flag = false;
  CHECK(client.Ask(kCmdWrite, 0, 4, 0, {1, 2, 3, 4}) == 0);
  CHECK(world.backend.late_kicks == 2 && world.backend.kicks == 1);
}

TEST("a parked write keeps its place and is tried again") {
  World world;
  Client client(world.path);
  client.Shake();
  world.volume->full = true;
  client.Send(kCmdWrite, 1, 0, 4, 0, {1, 1, 1, 1});
  client.Send(kCmdWrite, 2, 0, 4, 0, {2, 2, 2, 2});
  client.Send(kCmdRead, 3, 0, 4);
  CHECK(Eventually([&] { return world.backend.retries() == 1; }));
  CHECK(client.Silent(60));
  CHECK(world.backend.retries() == 1);
  world.volume->full = false;
  world.backend.Admit();
  CHECK(client.Receive().cookie == 1);
  CHECK(client.Receive().cookie == 2);
  CHECK(client.Receive(4).payload == std::vector<uint8_t>({2, 2, 2, 2}));
  // Nobody calls: it is tried again all the same.
  world.volume->full = true;
  const auto large = Pattern(1 << 20, 5);
  client.Send(kCmdWrite, 4, 0, 1 << 20, 0, large);
  CHECK(client.Silent(30));
  world.volume->full = false;
  CHECK(client.Receive().cookie == 4);
  CHECK(world.volume->Copy(0, 1 << 20) == large);
}

TEST("zeroes and trims reach the volume with what the flags say") {
  World world;
  Client client(world.path);
  client.Shake(kAskStructured | kAskAllocation);
  const auto state = [&] {
    client.Send(kCmdBlockStatus, 1, 0, 4096);
    return Load32(client.Receive().payload.data() + 8);
  };
  CHECK(client.Ask(kCmdWrite, 0, 4096, 0, Pattern(4096, 1)) == 0);
  CHECK(client.Ask(kCmdWriteZeroes, 0, 4096, kFlagNoHole | kFlagFastZero) == 0);
  CHECK(state() == 0);
  CHECK(client.Ask(kCmdWriteZeroes, 0, 4096, kFlagFastZero | kFlagFua) == 0);
  CHECK(state() == (kStateHole | kStateZero));
  CHECK(client.Ask(kCmdWriteZeroes, 0, 64u << 20) == 0);
  CHECK(client.Ask(kCmdTrim, 0, 64u << 20) == 0);
}

TEST("random requests never take the server down, nor another client with it") {
  World world({}, 1 << 20);
  Client good(world.path);
  good.Shake();
  uint64_t state = 88172645463325252ull;
  const auto random = [&](uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
  };
  for (int round = 0; round < 100; ++round) {
    Client bad(world.path);
    bad.Shake(static_cast<uint8_t>(random(4)));
    for (int i = 0; i < 20; ++i) {
      const auto type = static_cast<uint16_t>(random(10));
      if (type == kCmdDisc) continue;
      auto bytes = Client::Encode(type, i, random(2) ? random(1 << 20) : random(UINT64_MAX), static_cast<uint32_t>(random(200000)),
                                  random(4) == 0 ? static_cast<uint16_t>(random(64)) : uint16_t{0});
      if (type == kCmdWrite) bytes.resize(bytes.size() + Load32(bytes.data() + 24));
      bad.Give(bytes);
    }
    if (random(2) == 0) bad.Give(Pattern(random(1000) + 1, 3));
  }
  CHECK(good.Ask(kCmdWrite, 0, 3, 0, {1, 2, 3}) == 0);
  CHECK(good.Read(0, 3) == std::vector<uint8_t>({1, 2, 3}));
  CHECK(Eventually([&] { return world.server->counters().connections == 1; }));
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
