#pragma once
// TLS of one connection, over its socket, without ever waiting: each call goes as far as the socket lets it. What is to be
// sent is encrypted into a small buffer first, so that several records leave with one send, and no more is encrypted while
// that buffer holds something.
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "buffer_budget.h"
#include "server.h"
#include "tls_context.h"

namespace skerry::nbd {

inline constexpr size_t kTlsReceiveBytes = 64u << 10;         // of a session in the middle of receiving
inline constexpr size_t kTlsRecordBytes = 16u << 10;          // of plain text, the most that a record holds
inline constexpr size_t kTlsSendBytes = 4 * kTlsRecordBytes;  // of plain text that is encrypted before it is sent
inline constexpr size_t kTlsUnsentBytesMax = 128u << 10;      // encrypted; beyond it the peer makes this side talk and does not listen

class TlsSession {
 public:
  enum class Outcome : uint8_t {
    kDone,
    kBlocked,  // the socket must become readable (Accept, Read) or writable (Send) first
    kClosed,   // the peer said so, or its end of the socket is closed
    kFailed,   // why()
  };

  /** `socket` is non-blocking and outlives the session, whose buffer is `budget`'s. Null when out of memory. */
  static std::unique_ptr<TlsSession> Begin(std::shared_ptr<const TlsContext> context, int socket, std::shared_ptr<BufferBudget> budget);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /** After each there may be something unsent(), also after a failure: it tells the peer why. */
  Outcome Accept();
  /** kDone: 1 to `bytes` bytes are there. There may be more without the socket becoming readable again. */
  Outcome Read(uint8_t* at, size_t bytes, size_t* received);
  /** Encrypts all of `bytes`, at most kTlsSendBytes at once. False: failed. */
  bool Encrypt(ConstBytes bytes);
  /** kDone: nothing is left unsent. */
  Outcome Send();
  size_t unsent() const { return queued_ - sent_; }
  /** Gives the buffer back where nothing waits in it. */
  void Rest();
  /** Says goodbye, as far as the socket takes it at once. Only for one that is accepted and has not failed; else nothing. */
  void SayGoodbye();

  /** After Accept() is done. */
  TlsPeer peer() const;
  const std::string& why() const { return why_; }

  /** How sessions reach their sockets, for TlsContext. */
  static BIO_METHOD* MakeSocketMethod();

 private:
  TlsSession(std::shared_ptr<const TlsContext> context, int socket, std::shared_ptr<BufferBudget> budget)
      : context_(std::move(context)), socket_(socket), budget_(std::move(budget)) {}
  static int ReadSocket(BIO* bio, char* at, int bytes);
  static int QueueForSocket(BIO* bio, const char* data, int bytes);
  static long Control(BIO* bio, int command, long number, void* pointer);
  Outcome Judge(int result);
  Outcome Fail(std::string why);

  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<SSL, decltype(&::SSL_free)> ssl_{nullptr, &::SSL_free};
  const int socket_;
  const std::shared_ptr<BufferBudget> budget_;
  Buffer buffer_;
  size_t queued_ = 0, sent_ = 0;  // of what is in buffer_, from its front
  bool accepted_ = false;
  bool ended_ = false;  // of the socket: nothing more will come
  int socket_error_ = 0;
  std::string why_;
};

}  // namespace skerry::nbd
