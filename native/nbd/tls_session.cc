#include "tls_session.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace skerry::nbd {

namespace {

constexpr size_t kPeerNamesMax = 64;
constexpr size_t kPeerNameBytesMax = 255;

/** A name as a certificate has it; empty for what no honest one holds, such as a NUL in the middle. */
std::string NameOf(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int bytes = ::ASN1_STRING_to_UTF8(&utf8, text);
  if (bytes < 0) {
    ::ERR_clear_error();
    return {};
  }
  std::string name(reinterpret_cast<const char*>(utf8), static_cast<size_t>(bytes));
  OPENSSL_free(utf8);
  if (name.size() > kPeerNameBytesMax) return {};
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return {};
  }
  return name;
}

}  // namespace

BIO_METHOD* TlsSession::MakeSocketMethod() {
  std::unique_ptr<BIO_METHOD, decltype(&::BIO_meth_free)> method(::BIO_meth_new(BIO_TYPE_SOURCE_SINK, "skerry socket"), &::BIO_meth_free);
  if (method == nullptr || ::BIO_meth_set_read(method.get(), &ReadSocket) != 1 || ::BIO_meth_set_write(method.get(), &QueueForSocket) != 1 ||
      ::BIO_meth_set_ctrl(method.get(), &Control) != 1) {
    return nullptr;
  }
  return method.release();
}

std::unique_ptr<TlsSession> TlsSession::Begin(std::shared_ptr<const TlsContext> context, int socket,
                                              std::shared_ptr<BufferBudget> budget) {
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context), socket, std::move(budget)));
  session->ssl_.reset(::SSL_new(session->context_->get()));
  BIO* const bio = ::BIO_new(session->context_->socket_method());
  if (session->ssl_ == nullptr || bio == nullptr) {
    ::BIO_free(bio);
    ::ERR_clear_error();
    return nullptr;
  }
  ::BIO_set_data(bio, session.get());
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(session->ssl_.get(), bio, bio);  // owns it from here
  ::SSL_set_accept_state(session->ssl_.get());
  return session;
}

TlsSession::~TlsSession() { SayGoodbye(); }

int TlsSession::ReadSocket(BIO* bio, char* at, int bytes) {
  auto& session = *static_cast<TlsSession*>(::BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  ssize_t got;
  do {
    got = ::recv(session.socket_, at, static_cast<size_t>(bytes), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got > 0) return static_cast<int>(got);
  if (got == 0) {
    session.ended_ = true;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    BIO_set_retry_read(bio);
  } else {
    session.socket_error_ = errno;
  }
  return got == 0 ? 0 : -1;
}

int TlsSession::QueueForSocket(BIO* bio, const char* data, int bytes) {
  auto& session = *static_cast<TlsSession*>(::BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  // Whoever asks for answers without end and reads none is not answered for ever.
  const auto count = static_cast<size_t>(bytes);
  if (session.queued_ + count > kTlsUnsentBytesMax) return -1;
  // Room or not: there is one for a connection, and its replies are taken out of the same budget.
  if (!session.buffer_) session.buffer_ = session.budget_->Force(kTlsUnsentBytesMax);
  std::memcpy(session.buffer_.data() + session.queued_, data, count);
  session.queued_ += count;
  return bytes;
}

long TlsSession::Control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<TlsSession*>(::BIO_get_data(bio))->ended_ ? 1 : 0;
  return 0;
}

TlsSession::Outcome TlsSession::Accept() {
  ::ERR_clear_error();
  const int result = ::SSL_do_handshake(ssl_.get());
  if (result != 1) return Judge(result);
  accepted_ = true;
  return Outcome::kDone;
}

TlsSession::Outcome TlsSession::Read(uint8_t* at, size_t bytes, size_t* received) {
  ::ERR_clear_error();
  const int result = ::SSL_read_ex(ssl_.get(), at, bytes, received);
  return result == 1 ? Outcome::kDone : Judge(result);
}

bool TlsSession::Encrypt(ConstBytes bytes) {
  while (!bytes.empty()) {
    ::ERR_clear_error();
    size_t taken = 0;
    if (const int result = ::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &taken); result != 1) {
      if (Judge(result) == Outcome::kBlocked) Fail("the client asked for a new handshake");
      return false;
    }
    bytes = bytes.subspan(taken);
  }
  return true;
}

TlsSession::Outcome TlsSession::Send() {
  while (unsent() > 0) {
    const ssize_t sent = ::send(socket_, buffer_.data() + sent_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kBlocked : Fail("the client no longer takes replies");
    sent_ += static_cast<size_t>(sent);
  }
  queued_ = sent_ = 0;
  return Outcome::kDone;
}

void TlsSession::Rest() {
  if (unsent() == 0) buffer_.Release();
}

void TlsSession::SayGoodbye() {
  if (!accepted_ || ssl_ == nullptr || !why_.empty()) return;
  accepted_ = false;
  ::ERR_clear_error();
  ::SSL_shutdown(ssl_.get());
  ::ERR_clear_error();
  Send();
}

TlsSession::Outcome TlsSession::Judge(int result) {
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return Outcome::kBlocked;
    case SSL_ERROR_ZERO_RETURN: return Outcome::kClosed;
    default: break;
  }
  // Many programs close their socket without a word of TLS. NBD's own messages tell what was complete.
  if (ended_) {
    ::ERR_clear_error();
    why_ = "the client closed the connection";
    return Outcome::kClosed;
  }
  if (socket_error_ != 0) {
    ::ERR_clear_error();
    return Fail(std::string("the connection failed: ") + std::strerror(socket_error_));
  }
  const long verified = ::SSL_get_verify_result(ssl_.get());
  std::string why = TakeTlsError("the client broke the protocol");
  if (verified != X509_V_OK) why += std::string(" (the client's certificate: ") + ::X509_verify_cert_error_string(verified) + ")";
  return Fail("TLS: " + why);
}

TlsSession::Outcome TlsSession::Fail(std::string why) {
  if (why_.empty()) why_ = std::move(why);  // what comes after the first only follows from it
  return Outcome::kFailed;
}

TlsPeer TlsSession::peer() const {
  TlsPeer peer;
  peer.protocol = ::SSL_get_version(ssl_.get());
  peer.cipher = ::SSL_get_cipher_name(ssl_.get());
  const std::unique_ptr<X509, decltype(&::X509_free)> certificate(::SSL_get1_peer_certificate(ssl_.get()), &::X509_free);
  if (certificate == nullptr) return peer;
  peer.certified = true;
  const X509_NAME* const subject = ::X509_get_subject_name(certificate.get());
  // Of several the last is the most specific.
  for (int at = -1; (at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    peer.common_name = NameOf(::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at)));
  }
  auto* const names = static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  const std::unique_ptr<GENERAL_NAMES, decltype(&::GENERAL_NAMES_free)> holder(names, &::GENERAL_NAMES_free);
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names) && peer.dns_names.size() < kPeerNamesMax; ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    if (std::string text = NameOf(name->d.dNSName); !text.empty()) peer.dns_names.push_back(std::move(text));
  }
  ::ERR_clear_error();
  return peer;
}

}  // namespace skerry::nbd
