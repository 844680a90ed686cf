#pragma once
// What the NBD tests stand the server on: a volume in memory that can be told to misbehave, a journal that is durable when
// told, a handshake of one message, and a client that speaks the raw protocol.
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../nbd/server.h"
#include "../nbd/wire.h"
#include "check.h"

namespace skerry::nbd_fake {

using namespace nbd;

inline bool Eventually(const std::function<bool()>& condition, int millis = 5000) {
  for (int waited = 0; waited < millis; ++waited) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

class FakeVolume : public Volume {
 public:
  FakeVolume(ResourceId id, uint64_t size) : id_(id), bytes_(size), mapped_(size / kPageBytes + 1) {}
  ResourceId id() const override { return id_; }
  uint64_t size() const override { return bytes_.size(); }
  bool read_only() const override { return read_only_flag; }
  bool writethrough() const override { return writethrough_flag; }
  bool flushes_to_pool() const override { return to_pool_flag; }

  Result<WriteOutcome> Write(uint64_t offset, ConstBytes data) override {
    if (full) return Status(Code::kTryAgain, "no room");
    const std::lock_guard lock(mutex_);
    std::memcpy(bytes_.data() + offset, data.data(), data.size());
    for (uint64_t page = offset / kPageBytes; page * kPageBytes < offset + data.size(); ++page) mapped_[page] = true;
    aligned_payloads += reinterpret_cast<uintptr_t>(data.data()) % kPageBytes == 0 ? 1 : 0;
    return WriteOutcome{end += 8};
  }
  Result<WriteOutcome> Zero(uint64_t offset, uint64_t length, bool punch_hole) override {
    if (full) return Status(Code::kTryAgain, "no room");
    const std::lock_guard lock(mutex_);
    std::memset(bytes_.data() + offset, 0, length);
    for (uint64_t page = offset / kPageBytes; (page + 1) * kPageBytes <= offset + length; ++page) mapped_[page] = !punch_hole;
    return WriteOutcome{end += 8};
  }
  Status Read(uint64_t offset, Bytes into, bool may_block) override {
    if (cold && !may_block) return {Code::kTryAgain, "cold"};
    const uint64_t rotten = rotten_at;
    if (offset <= rotten && rotten < offset + into.size()) return {Code::kCorrupt, "rot"};
    const std::lock_guard lock(mutex_);
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return Status::Ok();
  }
  Result<std::vector<Extent>> BlockStatus(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) override {
    if (cold && !may_block) return Status(Code::kTryAgain, "cold");
    const std::lock_guard lock(mutex_);
    std::vector<Extent> extents;
    for (uint64_t at = offset; at < offset + length;) {
      const bool hole = !mapped_[at / kPageBytes];
      const uint64_t to = std::min(offset + length, (at / kPageBytes + 1) * kPageBytes);
      if (!extents.empty() && extents.back().hole == hole) {
        extents.back().length += to - at;
      } else if (extents.size() == extents_max) {
        break;
      } else {
        extents.push_back({at, to - at, hole, hole});
      }
      at = to;
    }
    return extents;
  }
  Lsn FlushTarget() const override { return end; }

  std::vector<uint8_t> Copy(uint64_t offset, uint64_t length) {
    const std::lock_guard lock(mutex_);
    return {bytes_.begin() + static_cast<ptrdiff_t>(offset), bytes_.begin() + static_cast<ptrdiff_t>(offset + length)};
  }
  std::atomic<bool> read_only_flag{false}, writethrough_flag{false}, to_pool_flag{false}, full{false}, cold{false};
  std::atomic<uint64_t> rotten_at{UINT64_MAX};
  std::atomic<Lsn> end{0};
  std::atomic<unsigned> aligned_payloads{0};

 private:
  const ResourceId id_;
  std::mutex mutex_;
  std::vector<uint8_t> bytes_;
  std::vector<bool> mapped_;
};

/** Durable at once, until Hold(); Release() answers what waits. */
class FakeBackend : public NbdBackend {
 public:
  void WhenDurable(Lsn, std::function<void(Status)> done) override {
    {
      const std::lock_guard lock(mutex_);
      if (held_) return waiting_.push_back(std::move(done));
    }
    done(Status::Ok());
  }
  void Kick() override { ++kicks; }
  void KickLater() override { ++late_kicks; }
  void WhenAdmitted(ResourceId, std::function<void()> retry) override {
    const std::lock_guard lock(mutex_);
    retries_.push_back(std::move(retry));
  }
  void Hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  size_t retries() {
    const std::lock_guard lock(mutex_);
    return retries_.size();
  }
  void Release(const Status& status) {
    std::vector<std::function<void(Status)>> waiting;
    {
      const std::lock_guard lock(mutex_);
      held_ = false;
      waiting.swap(waiting_);
    }
    for (auto& done : waiting) done(status);
  }
  void Admit() {
    std::vector<std::function<void()>> retries;
    {
      const std::lock_guard lock(mutex_);
      retries.swap(retries_);
    }
    for (auto& retry : retries) retry();
  }
  std::atomic<unsigned> kicks{0}, late_kicks{0};

 private:
  std::mutex mutex_;
  bool held_ = false;
  std::vector<std::function<void(Status)>> waiting_;
  std::vector<std::function<void()>> retries_;
};

inline constexpr uint8_t kAskStructured = 1, kAskAllocation = 2, kAskRefusal = 4, kAskSecondMessage = 8, kAskTls = 16, kAskReadOnly = 32;

/** Greets with "HI", reads one byte of wishes, says "OK" and transmits; or does the TLS handshake and reads wishes again. */
class FakeHandshake : public NbdEvents {
 public:
  void OnConnected(ConnectionId connection, const std::string&, int64_t user) override {
    last_user = user;
    ++connected;
    HandshakeReply reply;
    reply.send = {'H', 'I'};
    reply.next = HandshakeReply::Next::kRead;
    reply.read_bytes = 1;
    if (!mute) server->Reply(connection, std::move(reply));
  }
  void OnMessage(ConnectionId connection, std::vector<uint8_t> bytes) override {
    HandshakeReply reply;
    if (bytes.size() == 1 && (bytes[0] & kAskSecondMessage) != 0) {
      reply.next = HandshakeReply::Next::kRead;
      reply.read_bytes = kHandshakeMessageBytesMax;
      return server->Reply(connection, std::move(reply));
    }
    const uint8_t wishes = bytes.back();
    reply.send = {'O', 'K'};
    if ((wishes & kAskRefusal) != 0) return server->Reply(connection, std::move(reply));
    if ((wishes & kAskTls) != 0) {
      reply.next = HandshakeReply::Next::kSecure;
      return server->Reply(connection, std::move(reply));
    }
    reply.next = HandshakeReply::Next::kTransmit;
    reply.transmit.read_only = (wishes & kAskReadOnly) != 0;
    reply.transmit.volume = volume;
    reply.transmit.structured_replies = (wishes & kAskStructured) != 0;
    reply.transmit.base_allocation = (wishes & kAskAllocation) != 0;
    reply.transmit.base_allocation_id = 77;
    server->Reply(connection, std::move(reply));
  }
  void OnSecured(ConnectionId connection, const TlsPeer& peer) override {
    {
      const std::lock_guard lock(mutex_);
      peer_ = peer;
      ++secured;
    }
    HandshakeReply reply;
    reply.next = HandshakeReply::Next::kRead;
    reply.read_bytes = 1;
    server->Reply(connection, std::move(reply));
  }
  TlsPeer LastPeer() {
    const std::lock_guard lock(mutex_);
    return peer_;
  }
  void OnClosed(ConnectionId, const std::string& why) override {
    const std::lock_guard lock(mutex_);
    whys_.push_back(why);
    ++closed;
  }
  std::string LastWhy() {
    const std::lock_guard lock(mutex_);
    return whys_.empty() ? "" : whys_.back();
  }
  NbdServer* server = nullptr;
  std::shared_ptr<FakeVolume> volume;
  std::atomic<bool> mute{false};
  std::atomic<unsigned> connected{0}, closed{0}, secured{0};
  std::atomic<int64_t> last_user{0};

 private:
  std::mutex mutex_;
  std::vector<std::string> whys_;
  TlsPeer peer_;
};

struct Reply {
  uint16_t flags = 0, type = 0;
  uint32_t error = 0;
  uint64_t cookie = 0;
  bool structured = false;
  std::vector<uint8_t> payload;
};

class Client {
 public:
  explicit Client(const std::string& path) {
    socket_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    CHECK(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    SetTimeout();
  }
  Client(const std::string& host, const std::string& port) {
    addrinfo* found = nullptr;
    CHECK(::getaddrinfo(host.c_str(), port.c_str(), nullptr, &found) == 0);
    socket_ = ::socket(found->ai_family, SOCK_STREAM, 0);
    const int connected = ::connect(socket_, found->ai_addr, found->ai_addrlen);
    ::freeaddrinfo(found);
    CHECK(connected == 0);
    SetTimeout();
  }
  virtual ~Client() { Close(); }
  void Close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  int socket() const { return socket_; }

  Client& Shake(uint8_t wishes = 0) {
    CHECK(Take(2) == std::vector<uint8_t>({'H', 'I'}));
    Give({wishes});
    CHECK(Take(2) == std::vector<uint8_t>({'O', 'K'}));
    return *this;
  }
  virtual void Give(const std::vector<uint8_t>& bytes) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t sent = ::send(socket_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      CHECK(sent > 0);
      at += static_cast<size_t>(sent);
    }
  }
  virtual std::vector<uint8_t> Take(size_t bytes) {
    std::vector<uint8_t> taken(bytes);
    for (size_t at = 0; at < bytes;) {
      const ssize_t got = ::recv(socket_, taken.data() + at, bytes - at, 0);
      CHECK(got > 0);
      at += static_cast<size_t>(got);
    }
    return taken;
  }
  virtual bool SeesEnd() {
    uint8_t byte;
    const ssize_t got = ::recv(socket_, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  bool Silent(int millis) const {
    pollfd probe{socket_, POLLIN, 0};
    return ::poll(&probe, 1, millis) == 0;
  }

  static std::vector<uint8_t> Encode(uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length, uint16_t flags = 0,
                                     const std::vector<uint8_t>& payload = {}) {
    std::vector<uint8_t> bytes(kRequestHeaderBytes + payload.size());
    uint8_t* at = Store16(Store16(Store32(bytes.data(), kRequestMagic), flags), type);
    Store32(Store64(Store64(at, cookie), offset), length);
    for (size_t i = 0; i < payload.size(); ++i) bytes[kRequestHeaderBytes + i] = payload[i];
    return bytes;
  }
  void Send(uint16_t type, uint64_t cookie, uint64_t offset, uint32_t length, uint16_t flags = 0, const std::vector<uint8_t>& payload = {}) {
    Give(Encode(type, cookie, offset, length, flags, payload));
  }
  /** One simple reply, with `data_bytes` of payload when it succeeds; or one structured chunk. */
  Reply Receive(size_t data_bytes = 0) {
    Reply reply;
    const uint32_t magic = Load32(Take(4).data());
    if (magic == kSimpleReplyMagic) {
      const auto rest = Take(12);
      reply.error = Load32(rest.data());
      reply.cookie = Load64(rest.data() + 4);
      if (reply.error == 0) reply.payload = Take(data_bytes);
      return reply;
    }
    CHECK(magic == kStructuredReplyMagic);
    const auto rest = Take(16);
    reply.structured = true;
    reply.flags = Load16(rest.data());
    reply.type = Load16(rest.data() + 2);
    reply.cookie = Load64(rest.data() + 4);
    reply.payload = Take(Load32(rest.data() + 12));
    if (reply.type >= kReplyError) reply.error = Load32(reply.payload.data());
    return reply;
  }
  uint32_t Ask(uint16_t type, uint64_t offset, uint32_t length, uint16_t flags = 0, const std::vector<uint8_t>& payload = {}) {
    Send(type, ++cookie_, offset, length, flags, payload);
    const Reply reply = Receive(type == kCmdRead ? length : 0);
    CHECK(reply.cookie == cookie_);
    return reply.error;
  }
  std::vector<uint8_t> Read(uint64_t offset, uint32_t length) {
    Send(kCmdRead, ++cookie_, offset, length);
    Reply reply = Receive(length);
    CHECK(reply.error == 0 && reply.cookie == cookie_);
    return reply.payload;
  }

 private:
  void SetTimeout() {
    const timeval limit{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  }
  int socket_ = -1;
  uint64_t cookie_ = 1000;
};

inline std::vector<uint8_t> Pattern(size_t bytes, uint8_t seed) {
  std::vector<uint8_t> made(bytes);
  for (size_t i = 0; i < bytes; ++i) made[i] = static_cast<uint8_t>(seed + i * 7 + (i >> 8) * 13);
  return made;
}

/** A server on a socket of its own. */
struct World {
  explicit World(NbdOptions options = {}, uint64_t size = 64 << 20) {
    volume = std::make_shared<FakeVolume>(5, size);
    handshake.volume = volume;
    auto started = NbdServer::Start(options, backend, handshake);
    CHECK_OK(started.status());
    server = std::move(started.value());
    handshake.server = server.get();
    static std::atomic<unsigned> serial{0};
    path = "/tmp/skerry-nbd-test-" + std::to_string(::getpid()) + "-" + std::to_string(++serial) + ".sock";
    CHECK_OK(server->ListenUnix(path).status());
  }
  ~World() { server->Stop(); }
  FakeBackend backend;
  FakeHandshake handshake;
  std::shared_ptr<FakeVolume> volume;
  std::unique_ptr<NbdServer> server;
  std::string path;
};

}  // namespace skerry::nbd_fake
