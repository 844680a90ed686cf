#pragma once
// The NBD server: owns every descriptor it serves. In the handshake it reads messages to their exact length and hands
// each to the state machine above (TypeScript), which answers with bytes to send and what to read next; in the transmission phase native
// threads parse, dispatch and answer in batches. Protocol: github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../volume/volume.h"

namespace skerry {

inline constexpr uint32_t kRequestBytesMax = 32u << 20;
inline constexpr uint32_t kHandshakeMessageBytesMax = 64u << 10;

struct NbdOptions {
  unsigned threads = 2;                 // socket threads
  unsigned blocking_threads = 8;        // for reads that must wait for a device
  uint64_t buffer_bytes_max = 256u << 20;  // of all connections together: admission stops reading sockets, it does not allocate and hope
  unsigned connections_max = 1024;
  uint64_t tls_handshake_nanos_max = 10ull * 1000 * 1000 * 1000;  // all of it, however the bytes drip
};

using ConnectionId = uint64_t;

/** A metadata context skerry:changed:SNAP, under the id that was negotiated for it. */
struct ChangedContext {
  std::shared_ptr<Changes> changes;
  uint32_t id = 0;
};

/** How a connection enters the transmission phase. */
struct TransmissionSpec {
  std::shared_ptr<Volume> volume;
  bool structured_replies = false;
  bool base_allocation = false;         // base:allocation was negotiated, with this context id
  uint32_t base_allocation_id = 0;
  std::vector<ChangedContext> changed;  // in the order they are answered in
  bool read_only = false;               // for this client, whatever the volume is
  uint64_t size_bytes = 0;              // that the client was told; 0: as the volume has now
};

/** What the state machine wants done, in this order. */
struct HandshakeReply {
  std::vector<uint8_t> send;
  enum class Next : uint8_t {
    kRead, kTransmit, kClose,
    kSecure,  // do the TLS handshake; OnSecured follows, and is answered as a message is
  } next = Next::kClose;
  uint32_t read_bytes = 0;              // kRead: the next message is exactly this long
  TransmissionSpec transmit;            // kTransmit
};

inline constexpr int64_t kNoUser = -1;

/** Who is at the other end of a TLS connection. Names are what the certificate says, which an authority of ours signed. */
struct TlsPeer {
  bool certified = false;  // it has shown a certificate
  std::string common_name;
  std::vector<std::string> dns_names;
  std::string protocol, cipher;
};

namespace nbd {
class TlsContext;
}

/** Called from server threads; must not block. */
class NbdEvents {
 public:
  virtual ~NbdEvents() = default;
  /** Answer with Reply: the greeting. `user` is the peer's id on a Unix socket, else kNoUser. */
  virtual void OnConnected(ConnectionId connection, const std::string& listener, int64_t user) = 0;
  virtual void OnMessage(ConnectionId connection, std::vector<uint8_t> bytes) = 0;      // exactly read_bytes long
  virtual void OnSecured(ConnectionId connection, const TlsPeer& peer) = 0;
  virtual void OnClosed(ConnectionId connection, const std::string& why) = 0;
};

/** What the server needs of the engine. Thread-safe. */
class NbdBackend {
 public:
  virtual ~NbdBackend() = default;
  /**
   * Calls `done` (from any thread, or at once) when the journal is durable up to `target` (Status ok), or can no longer be.
   */
  virtual void WhenDurable(Lsn target, std::function<void(Status)> done) = 0;
  /** The same where a flush of `volume` has to be: in its pool instead, where it flushes to that. */
  void WhenFlushed(Volume& volume, Lsn target, std::function<void(Status)> done);
  /** Tells the flusher that something was appended. Cheap; call once a batch of requests. */
  virtual void Kick() = 0;
  /** The same of a volume whose flushes wait for its pool: nobody waits for the journal to write it, and more may gather first. */
  virtual void KickLater() = 0;
  /** Calls `retry` once, from any thread, when a kTryAgain of a write may have passed. */
  virtual void WhenAdmitted(ResourceId volume, std::function<void()> retry) = 0;
};

enum class NbdOperation : uint8_t { kRead, kWrite, kFlush, kTrim, kZero, kCache, kStatus, kCount };

struct NbdCounters {
  static constexpr size_t kBuckets = 24;  // bucket i counts latencies under 2^i microseconds; the last all others
  uint64_t operations[7] = {}, bytes[7] = {}, errors[7] = {}, latency_nanos[7] = {};
  uint64_t latency[7][kBuckets] = {};
  uint64_t connections = 0, connections_total = 0, buffer_bytes = 0;
};

/** Since the first of the connections that are attached now. */
struct ResourceActivity {
  enum Kind : uint8_t { kRead, kWrite, kFlush, kTrim, kKindCount };  // hints and block status count as reads, zeroes as trims
  static constexpr size_t kKinds = kKindCount;
  struct Row {
    uint64_t operations = 0, bytes = 0, errors = 0, latency_nanos = 0;
  };
  ResourceId resource = 0;
  unsigned connections = 0;
  Row rows[kKinds];
};

class NbdServer {
 public:
  static Result<std::unique_ptr<NbdServer>> Start(const NbdOptions& options, NbdBackend& backend, NbdEvents& events);
  virtual ~NbdServer() = default;
  /** Removes a dead socket file first; a live one is kInvalid. Mode 0600. */
  virtual Result<std::string> ListenUnix(const std::string& path) = 0;
  /** Port 0 picks a free one. Returns "host:port". */
  virtual Result<std::string> ListenTcp(const std::string& host, uint16_t port) = 0;
  /** Of connections that are told to be secure from here on. Without one they are closed. */
  virtual void UseTls(std::shared_ptr<const nbd::TlsContext> context) = 0;
  virtual void Reply(ConnectionId connection, HandshakeReply reply) = 0;
  /** Connections in transmission on this resource. */
  virtual unsigned Attached(ResourceId resource) const = 0;
  /** Of every resource with a connection in transmission, in no order. */
  virtual std::vector<ResourceActivity> Activities() const = 0;
  /**
   * Ends every connection of the resource (its volume is deleted). Returns at once: a request under way may still reach
   * the volume, which refuses it.
   */
  virtual void Disconnect(ResourceId resource) = 0;
  /**
   * Stops accepting; answers what has been read, for up to 2 s; closes; joins its threads. Idempotent. OnClosed is called
   * meanwhile; not to be called from an event or a completion.
   */
  virtual void Stop() = 0;
  virtual NbdCounters counters() const = 0;
};

}  // namespace skerry
