#pragma once
// One client, owned by one reactor and touched by its thread alone. Everything that happens sets a fact (readable, a
// reply has come, a buffer was granted); Turn() then goes as far as it can and may. See handshake.cc and dispatch.cc for the phases.
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "latency.h"
#include "mailbox.h"
#include "read_job.h"
#include "reply_queue.h"
#include "request_parser.h"
#include "write_job.h"

namespace skerry::nbd {

class Reactor;

inline constexpr size_t kReceiveBytes = 256u << 10;           // of a connection that has something to parse
inline constexpr size_t kReceiveBesideLargeBytes = 4096;      // while large writes stream: little is received only to be copied
inline constexpr uint32_t kArenaReadBytesMax = 32u << 10;     // larger read replies have a buffer of their own
inline constexpr size_t kInFlightRequestsMax = 256;           // of a connection
inline constexpr size_t kStagedBytesMax = 16u << 20;          // of large writes under way: beyond it no further request is taken
inline constexpr size_t kReplyBacklogBytesMax = 4u << 20;     // unsent: beyond it no further request is taken
inline constexpr size_t kSendEarlyBytes = 512u << 10;         // within a batch
inline constexpr unsigned kRoundsPerTurnMax = 16;
inline constexpr uint64_t kHandshakeStallNanosMax = 30ull * 1000 * 1000 * 1000;
inline constexpr uint64_t kMemoryStallNanosMax = 10ull * 1000 * 1000 * 1000;
inline constexpr uint64_t kLingerNanosMax = 2ull * 1000 * 1000 * 1000;

class Connection {
 public:
  Connection(Reactor& reactor, ConnectionId id, Descriptor socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Facts. Each wants a Turn() after it.
  void OnPoll(uint32_t events);
  void OnAnswer(Answer answer);
  void OnFenced();
  void OnDurable(uint64_t group, Code code);
  void OnRetry();
  void OnJob(std::unique_ptr<Job> job);
  void OnGranted(Buffer buffer, bool receive);
  void OnTick(uint64_t now);
  /** Takes nothing new, answers what was received, ends. */
  void OnStop();

  /** Stops where `allowed` is spent; the last request may take more. */
  void Turn(uint64_t allowed);
  /** True where Turn() stopped out of fairness alone. */
  bool wants_turn() const { return again_; }
  /** Of the last turn, as kQuantumBytes counts. */
  uint64_t spent() const { return spent_; }
  /** Who shares what is allowed: all connections of a volume. 0 before it is known. */
  ResourceId lane() const { return volume_ == nullptr ? 0 : volume_->id(); }

  void End(std::string why);
  bool ended() const { return phase_ == Phase::kEnded; }
  const std::string& why() const { return why_; }
  ConnectionId id() const { return id_; }
  /** Serves, or is about to serve, this resource. */
  bool Serves(ResourceId resource) const { return volume_ != nullptr && volume_->id() == resource; }
  /** The client has closed its side: what was not yet appended of it must not be any more. */
  bool PeerGone() const;

  bool queued = false;  // the reactor's mark: in its list of turns

 private:
  enum class Phase : uint8_t { kHandshake, kSecuring, kFencing, kTransmission, kLinger, kEnded };
  enum class Hold : uint8_t { kNone, kAdmission, kBudget };
  struct Pending {  // answered once durable
    uint64_t cookie;
    uint64_t started_nanos;
    uint32_t bytes;
    NbdOperation operation;
  };
  struct Group {
    Lsn target = 0;
    std::vector<Pending> requests;
  };
  struct Tally {
    uint32_t operations = 0, errors = 0;
    uint64_t bytes = 0;
  };

  // handshake.cc
  void HandshakeTurn();
  void BeginFence(TransmissionSpec spec);
  void BeginSecuring();
  void SecureTurn();
  void Linger();
  void LingerTurn();

  // connection.cc
  void TransmissionTurn();
  /** False where nothing more is to be had now. */
  bool Receive();
  bool ReceiveInto(uint8_t* at, size_t bytes, size_t* received);
  bool ReceiveDecrypted(uint8_t* at, size_t bytes, size_t* received);
  void PeerClosed(const std::string& why);
  /** Nothing of what was answered is still to be sent. */
  bool AllSent() const { return replies_.bytes() == 0 && (tls_ == nullptr || tls_->unsent() == 0); }
  /** False (and held) where one must be waited for. */
  bool TakeReceiveBuffer();
  void RestBuffers();
  void Flush();
  void SetHold(Hold hold);
  void Drain(std::string why);
  /** A buffer of the data budget; empty (and held) where one must be waited for. */
  Buffer TakeBuffer(size_t bytes);

  // dispatch.cc
  /** False where something other than missing bytes stopped it. */
  bool DispatchReceived();
  bool BeginPayload();
  /** 0, or the error that the request deserves whatever the volume says. */
  uint32_t Check(const Request& request) const;
  /** False: held, the same request comes again. */
  bool Dispatch();
  /** Whether the volume's rate lets the request go now. */
  bool Charge(const Request& request);
  bool DispatchRead(const Request& request);
  bool DispatchChange(const Request& request);
  void StageWrite(const Request& request);
  void PublishStaged();
  void AnswerChange(const Request& request, uint64_t started_nanos, Lsn end);
  void RegisterForAdmission();
  void SetPublishWaits(bool waits);
  bool Full() const;
  /** Of the data budget, for requests under way and answers that are not sent. */
  uint64_t Held() const { return replies_.bytes() + reading_bytes_ + staged_bytes_; }
  void FinishJob(ReadJob& job);
  void AnswerError(uint64_t cookie, uint32_t error);
  void AnswerDone(uint64_t cookie);
  void AwaitDurable(const Request& request, uint64_t started_nanos, Lsn target);
  void Count(uint16_t type, uint64_t bytes, uint32_t error);
  void EndBatch();
  /** Counts it for the reactor and for the volume. */
  void Record(NbdOperation operation, uint64_t count, uint64_t bytes, uint64_t errors, uint64_t nanos);
  void CountBatch();

  Reactor& reactor_;
  const ConnectionId id_;
  Descriptor socket_;
  std::unique_ptr<TlsSession> tls_;  // before the socket is closed it says goodbye there
  Phase phase_ = Phase::kHandshake;
  std::string why_;
  bool readable_ = true;
  bool half_closed_ = false;
  bool writable_armed_ = false;  // polled for
  bool send_blocked_ = false;
  bool again_ = false;
  uint64_t allowed_ = 0, spent_ = 0;  // of this turn
  bool draining_ = false;
  bool stopping_ = false;
  bool close_after_send_ = false;
  uint64_t progress_nanos_ = 0;  // when bytes last moved, or the phase changed

  // Handshake.
  std::vector<uint8_t> message_;
  size_t message_filled_ = 0;
  bool reading_message_ = false;
  unsigned fences_ = 0;
  std::shared_ptr<const TlsContext> secure_after_send_;
  uint64_t secured_since_nanos_ = 0;

  // Transmission.
  std::shared_ptr<Volume> volume_;
  Attachment attachment_;
  bool structured_ = false;
  std::shared_ptr<const StatusContexts> contexts_;
  bool read_only_ = false;
  uint64_t size_bytes_ = 0;      // that the client was told: it may use no more, whatever the volume has now
  RequestParser parser_;
  Buffer receive_;
  size_t begin_ = 0, end_ = 0;   // of what is in receive_ and not yet parsed
  Buffer payload_;               // of the large write being received or dispatched
  bool large_stream_ = false;
  bool head_ = false;            // parser_.request() is complete and not yet dispatched
  uint32_t skip_error_ = 0;
  Hold hold_ = Hold::kNone;
  bool retry_ = false;           // the hold on admission may have passed
  bool publish_waits_ = false;   // staged writes are held for want of room, and all behind them
  bool admission_registered_ = false;
  bool grant_awaited_ = false;
  Buffer granted_;
  ReplyQueue replies_;
  size_t in_flight_ = 0;         // waiting for durability or the blocking pool
  size_t staged_bytes_ = 0;      // of large writes that are not published yet
  size_t reading_bytes_ = 0;     // of reads that wait for the blocking pool
  std::deque<std::unique_ptr<WriteJob>> staged_;  // to be published
  Group group_;                  // of the batch under way
  std::unordered_map<uint64_t, Group> groups_;
  uint64_t next_group_ = 1;
  bool appended_ = false;
  bool charged_ = false;         // the request at hand has been counted against the volume's rate
  uint64_t batch_nanos_ = 0;     // when the bytes being dispatched were received
  unsigned batch_requests_ = 0;
  std::array<Tally, kOperations> tally_{};
  bool counted_ = false;         // tally_ holds something
  std::shared_ptr<Mailbox> mailbox_;
};

}  // namespace skerry::nbd
