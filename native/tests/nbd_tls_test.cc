// TLS as a client meets it: who is let in, what is refused, and that bytes, ends and memory are as without it.
#include <csignal>
#include <thread>

#include "nbd_tls_fake.h"

using namespace skerry;
using namespace skerry::nbd_fake;

TEST("under TLS requests of all sizes are answered, and the client's names are known") {
  TlsWorld world;
  TlsClient client(world.path, world.authority, &world.client);
  CHECK(client.Connect());
  client.Wish(kAskStructured);
  CHECK(Eventually([&] { return world.handshake.secured == 1; }));
  const TlsPeer peer = world.handshake.LastPeer();
  CHECK(peer.certified && peer.common_name == "vm-host-1" && peer.protocol == "TLSv1.3" && !peer.cipher.empty());
  CHECK(peer.dns_names == std::vector<std::string>({"vm1.example", "vm2.example"}));
  for (const size_t bytes : {size_t{1}, size_t{511}, size_t{4096}, size_t{16'384}, size_t{65'537}, size_t{3} << 20}) {
    const auto data = Pattern(bytes, static_cast<uint8_t>(bytes));
    client.Send(kCmdWrite, 1, 7, static_cast<uint32_t>(bytes), 0, data);
    CHECK(client.Receive().error == 0);
    client.Send(kCmdRead, 2, 7, static_cast<uint32_t>(bytes));
    std::vector<uint8_t> got;
    for (bool done = false; !done;) {
      const Reply reply = client.Receive();
      CHECK(reply.error == 0 && reply.type == kReplyOffsetData);
      got.insert(got.end(), reply.payload.begin() + 8, reply.payload.end());
      done = (reply.flags & kReplyFlagDone) != 0;
    }
    CHECK(got == data);
  }
}

TEST("TLS 1.2 serves too, with forward secrecy; nothing older does") {
  TlsWorld world(false);
  {
    TlsClient client(world.path, world.authority, nullptr, TLS1_2_VERSION);
    CHECK(client.Connect());
    client.Wish();
    const auto data = Pattern(1 << 20, 3);
    CHECK(client.Ask(kCmdWrite, 0, 1 << 20, 0, data) == 0);
    CHECK(client.Read(0, 1 << 20) == data);
    CHECK(world.handshake.LastPeer().protocol == "TLSv1.2" && !world.handshake.LastPeer().certified);
    CHECK(world.handshake.LastPeer().cipher.find("ECDHE") == 0);
  }
  TlsClient old(world.path, world.authority, nullptr, TLS1_1_VERSION);
  CHECK(!old.Connect());
}

TEST("many requests in one breath come back in one piece each, also to a client that reads late") {
  TlsWorld world(false);
  TlsClient client(world.path, world.authority);
  CHECK(client.Connect());
  client.Wish();
  const auto data = Pattern(256 << 10, 9);
  CHECK(client.Ask(kCmdWrite, 0, 256 << 10, 0, data) == 0);
  std::vector<uint8_t> requests;
  constexpr uint64_t kCount = 200;
  for (uint64_t i = 0; i < kCount; ++i) {
    const auto request = Client::Encode(kCmdRead, i, (i % 60) * 4096 + i, i % 3 == 0 ? 128 : 4096);
    requests.insert(requests.end(), request.begin(), request.end());
  }
  client.Give(requests);
  for (uint64_t seen = 0; seen < kCount; ++seen) {
    const auto head = client.Take(16);
    const uint64_t i = Load64(head.data() + 8);
    CHECK(Load32(head.data()) == kSimpleReplyMagic && Load32(head.data() + 4) == 0);
    const size_t bytes = i % 3 == 0 ? 128 : 4096;
    const size_t offset = (i % 60) * 4096 + i;
    const auto from = data.begin() + static_cast<ptrdiff_t>(offset);
    CHECK(client.Take(bytes) == std::vector<uint8_t>(from, from + static_cast<ptrdiff_t>(bytes)));
  }
  // More than any buffer on the way holds.
  for (uint64_t i = 0; i < 64; ++i) client.Send(kCmdRead, i, 0, 256 << 10);
  for (uint64_t i = 0; i < 64; ++i) CHECK(client.Receive(256 << 10).payload == data);
}

TEST("a client without a certificate, or with one of another authority, or of yesterday, is turned away and told so") {
  TlsWorld world;
  const Identity stranger_authority = Issue("Another authority");
  const Identity stranger = Issue("vm-host-1", &stranger_authority);
  const Identity expired = Issue("vm-host-1", &world.authority, "", -1);
  unsigned closed = 0;
  for (const Identity* const shown : {static_cast<const Identity*>(nullptr), &stranger, &expired}) {
    TlsClient client(world.path, world.authority, shown);
    client.Connect();
    CHECK(client.IsRefused());
    client.Close();
    ++closed;
    CHECK(Eventually([&] { return world.handshake.closed == closed; }));
    const std::string why = world.handshake.LastWhy();
    CHECK(why.find(shown == nullptr ? "peer did not return a certificate" : "certificate verify failed") != std::string::npos);
    CHECK(shown != &expired || why.find("expired") != std::string::npos);
  }
  CHECK(world.handshake.secured == 0 && world.server->counters().connections == 0);
}

TEST("a client that does not trust the server's certificate says so, and the log has it") {
  TlsWorld world(false);
  const Identity other = Issue("Another authority");
  TlsClient client(world.path, other);
  CHECK(!client.Connect());
  client.Close();
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  CHECK(world.handshake.LastWhy().find("unknown ca") != std::string::npos);
}

TEST("bytes slipped in behind the request for TLS are never taken for what came under it") {
  TlsWorld world(false);
  Client client(world.path);
  client.Take(2);
  std::vector<uint8_t> bytes{kAskTls, 0};
  const auto request = Client::Encode(kCmdWrite, 1, 0, 3, 0, {1, 2, 3});
  bytes.insert(bytes.end(), request.begin(), request.end());
  client.Give(bytes);
  CHECK(client.Take(2) == std::vector<uint8_t>({'O', 'K'}));
  CHECK(client.SeesEnd());
  client.Close();
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  CHECK(world.handshake.secured == 0);
}

TEST("a handshake that drips byte by byte, and one that never begins, are ended in time") {
  NbdOptions options;
  options.tls_handshake_nanos_max = 300'000'000;
  TlsWorld world(false, options);
  Client silent(world.path), dripping(world.path);
  silent.Shake(kAskTls);
  dripping.Shake(kAskTls);
  const std::vector<uint8_t> hello{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03};
  for (size_t i = 0; world.handshake.closed < 2; ++i) {
    if (i < 500) ::send(dripping.socket(), &hello[std::min(i, hello.size() - 1)], 1, MSG_NOSIGNAL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(world.handshake.LastWhy() == "the TLS handshake took too long");
  CHECK(world.server->counters().connections == 0);
}

TEST("a client that vanishes, wherever it is, leaves nothing behind") {
  TlsWorld world(false);
  const auto data = Pattern(128 << 10, 1);
  for (int stage = 0; stage < 4; ++stage) {
    TlsClient client(world.path, world.authority);
    if (stage == 0) ::send(client.socket(), "\x16\x03\x01", 3, MSG_NOSIGNAL);
    if (stage >= 1) CHECK(client.Connect());
    if (stage >= 2) client.Wish();
    if (stage == 3) {
      for (int i = 0; i < 8; ++i) client.Send(kCmdRead, 1, 0, 8 << 20);
      auto half = Client::Encode(kCmdWrite, 1, 0, 128 << 10, 0, data);
      half.resize(half.size() / 2);
      client.Give(half);
    }
    client.Close();
  }
  CHECK(Eventually([&] { return world.handshake.closed == 4; }));
  CHECK(Eventually([&] { return world.server->counters().connections == 0 && world.server->Attached(5) == 0; }));
  TlsClient(world.path, world.authority).Connect();
}

TEST("each side's goodbye is heard: the server's after a disconnect and at its stop, and the client's") {
  TlsWorld world(false);
  TlsClient leaving(world.path, world.authority), staying(world.path, world.authority), waving(world.path, world.authority);
  for (TlsClient* const client : {&leaving, &staying, &waving}) {
    CHECK(client->Connect());
    client->Wish();
  }
  leaving.Send(kCmdDisc, 1, 0, 0);
  CHECK(leaving.SeesEnd());
  ::SSL_shutdown(waving.ssl());
  CHECK(waving.SeesEnd());
  CHECK(Eventually([&] { return world.server->counters().connections == 1; }));
  CHECK(staying.Ask(kCmdFlush, 0, 0) == 0);
  world.server->Stop();
  CHECK(staying.SeesEnd());
}

TEST("a refusal under TLS gets its last words and a goodbye") {
  TlsWorld world(false);
  TlsClient client(world.path, world.authority);
  CHECK(client.Connect());
  client.Wish(kAskRefusal);
  CHECK(client.SeesEnd());
}

TEST("a new certificate serves new connections, and those that are there go on under theirs") {
  TlsWorld world(false);
  TlsClient old(world.path, world.authority);
  CHECK(old.Connect());
  old.Wish();
  const Identity authority = Issue("The next authority");
  world.Use(Issue("localhost", &authority), false);
  TlsClient fresh(world.path, authority);
  CHECK(fresh.Connect());
  CHECK(fresh.Wish().Ask(kCmdFlush, 0, 0) == 0);
  CHECK(old.Ask(kCmdFlush, 0, 0) == 0);
  CHECK(!TlsClient(world.path, world.authority).Connect());
}

TEST("a connection is asked for TLS once, and closed where there is none to be had") {
  TlsWorld world(false);
  TlsClient twice(world.path, world.authority);
  CHECK(twice.Connect());
  twice.Give({kAskTls});
  CHECK(twice.IsRefused());
  World plain;
  Client client(plain.path);
  client.Take(2);
  client.Give({kAskTls});
  CHECK(client.SeesEnd());
}

TEST("a record that was tampered with ends the connection, and what it said is not done") {
  TlsWorld world(false);
  TlsClient client(world.path, world.authority);
  CHECK(client.Connect());
  client.Wish();
  std::vector<uint8_t> record{0x17, 0x03, 0x03, 0x00, 0x40};
  record.resize(5 + 0x40, 0x5a);
  CHECK(::send(client.socket(), record.data(), record.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(record.size()));
  CHECK(client.IsRefused());
  client.Close();
  CHECK(Eventually([&] { return world.handshake.closed == 1; }));
  CHECK(world.handshake.LastWhy().find("TLS: ") == 0);
}

TEST("a client that may only read is refused writes, whatever it was told") {
  TlsWorld world(false);
  TlsClient client(world.path, world.authority);
  CHECK(client.Connect());
  client.Wish(kAskReadOnly);
  CHECK(client.Ask(kCmdWrite, 0, 3, 0, {1, 2, 3}) == kErrPerm);
  CHECK(client.Ask(kCmdTrim, 0, 4096) == kErrPerm && client.Ask(kCmdWriteZeroes, 0, 4096) == kErrPerm);
  CHECK(client.Read(0, 3) == std::vector<uint8_t>({0, 0, 0}) && client.Ask(kCmdFlush, 0, 0) == 0);
}

TEST("on a unix socket the kernel says who connects; on TCP nobody does") {
  World world;
  Client(world.path).Shake();
  CHECK(world.handshake.last_user == static_cast<int64_t>(::getuid()));
  const auto name = world.server->ListenTcp("127.0.0.1", 0);
  CHECK_OK(name.status());
  Client("127.0.0.1", name.value().substr(name.value().find(':') + 1)).Shake();
  CHECK(world.handshake.last_user == kNoUser);
}

TEST("certificates and keys that cannot serve are refused, and each refusal says which and why") {
  const Identity authority = Issue("authority"), own = Issue("localhost", &authority), other = Issue("other", &authority);
  const auto why = [](const std::string& certificate, const std::string& key, const std::string& authorities) {
    const auto made = nbd::TlsContext::Make({certificate, key, authorities});
    CHECK(made.code() == Code::kInvalid && ::ERR_peek_error() == 0);
    return made.status().detail();
  };
  const auto says = [](const std::string& text, const char* words) { return text.find(words) != std::string::npos; };
  const std::string certificate = own.CertificatePem(), key = own.KeyPem();
  CHECK_OK(nbd::TlsContext::Make({certificate + authority.CertificatePem(), key, ""}).status());
  CHECK_OK(nbd::TlsContext::Make({certificate, key, authority.CertificatePem() + other.CertificatePem()}).status());
  CHECK(says(why("", key, ""), "the certificate is no certificate"));
  CHECK(says(why(key, key, ""), "the certificate is no certificate"));
  CHECK(says(why(certificate + "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", key, ""), "what follows"));
  CHECK(says(why(certificate, "", ""), "the key is no private key"));
  CHECK(says(why(certificate, other.KeyPem(), ""), "does not belong"));
  CHECK(says(why(certificate, own.KeyPem("secret"), ""), "passphrase"));
  CHECK(says(why(certificate, key, "nothing"), "authorities"));
  CHECK(says(why(certificate, key, certificate.substr(0, 200)), "authorities"));
}

TEST("many clients at once under TLS, each with its own bytes") {
  TlsWorld world;
  std::vector<std::thread> threads;
  std::atomic<unsigned> right{0};
  for (unsigned n = 0; n < 8; ++n) {
    threads.emplace_back([&, n] {
      TlsClient client(world.path, world.authority, &world.client);
      if (!client.Connect()) return;
      client.Wish();
      for (unsigned round = 0; round < 20; ++round) {
        const auto data = Pattern(100'000 + round, static_cast<uint8_t>(n * 20 + round));
        const uint64_t offset = uint64_t{n} << 20;
        if (client.Ask(kCmdWrite, offset, static_cast<uint32_t>(data.size()), 0, data) != 0) return;
        if (client.Read(offset, static_cast<uint32_t>(data.size())) != data) return;
      }
      ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 8);
}

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  return skerry::check::RunAll(argc, argv);
}
