#include "tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tls_session.h"

namespace skerry::nbd {

namespace {

constexpr int kClientCaCertificatesMax = 256;
// TLS 1.2: forward secrecy and authenticated encryption only. What TLS 1.3 has is all of that kind.
constexpr const char* kCiphers12 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr int kSecurityLevel = 2;  // keys as strong as RSA 2048 at least

using Bio = std::unique_ptr<BIO, decltype(&::BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;

Bio Reader(const std::string& pem) { return {::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &::BIO_free}; }

/** Nobody is there to be asked for a passphrase. */
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Certificate NextCertificate(BIO* pem) {
  bool asked = false;
  return {::PEM_read_bio_X509(pem, nullptr, &NoPassphrase, &asked), &::X509_free};
}

/** Whether the last reading failed only because there was nothing more. */
bool AtEnd() {
  const unsigned long error = ::ERR_peek_last_error();
  const bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (end) ::ERR_clear_error();
  return end;
}

Status Wrong(const std::string& what, const char* otherwise) { return {Code::kInvalid, what + ": " + TakeTlsError(otherwise)}; }

}  // namespace

std::string TakeTlsError(const char* otherwise) {
  const unsigned long error = ::ERR_peek_error();
  const char* words = error == 0 ? nullptr : ::ERR_reason_error_string(error);
  std::string taken = words != nullptr ? words : otherwise;
  ::ERR_clear_error();
  return taken;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Make(const TlsMaterial& material) {
  ::ERR_clear_error();
  const std::shared_ptr<TlsContext> made(new TlsContext());
  if (Status status = made->Fill(material); !status.ok()) return status;
  return std::shared_ptr<const TlsContext>(made);
}

Status TlsContext::Fill(const TlsMaterial& material) {
  context_.reset(::SSL_CTX_new(::TLS_server_method()));
  method_.reset(TlsSession::MakeSocketMethod());
  SSL_CTX* const context = context_.get();
  if (context == nullptr || method_ == nullptr) return Wrong("TLS cannot be set up", "out of memory");
  ::SSL_CTX_set_security_level(context, kSecurityLevel);
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || ::SSL_CTX_set_cipher_list(context, kCiphers12) != 1) {
    return Wrong("TLS cannot be set up", "no version or cipher is left");
  }
  // Without resumption each connection is judged by the certificates and authorities of now.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(context, 0);
  ::SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection holds no record buffers; a busy one takes several records with one recv.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  ::SSL_CTX_set_default_read_buffer_len(context, kTlsReceiveBytes);
  if (Status status = UseCertificates(material.certificate); !status.ok()) return status;
  if (Status status = UseKey(material.key); !status.ok()) return status;
  return material.client_ca.empty() ? Status::Ok() : UseClientCa(material.client_ca);
}

Status TlsContext::UseCertificates(const std::string& pem) {
  const Bio reader = Reader(pem);
  const Certificate own = reader == nullptr ? Certificate(nullptr, &::X509_free) : NextCertificate(reader.get());
  if (own == nullptr) return Wrong("the certificate is no certificate in PEM", "it is empty");
  if (::SSL_CTX_use_certificate(context_.get(), own.get()) != 1) return Wrong("the certificate cannot be used", "it was refused");
  for (;;) {
    Certificate next = NextCertificate(reader.get());
    if (next == nullptr) break;
    if (SSL_CTX_add1_chain_cert(context_.get(), next.get()) != 1) {
      return Wrong("a certificate of the chain behind the server's own cannot be used", "it was refused");
    }
  }
  return AtEnd() ? Status::Ok() : Wrong("what follows the server's own certificate is no certificate in PEM", "it is damaged");
}

Status TlsContext::UseKey(const std::string& pem) {
  const Bio reader = Reader(pem);
  bool asked = false;
  const Key key(reader == nullptr ? nullptr : ::PEM_read_bio_PrivateKey(reader.get(), nullptr, &NoPassphrase, &asked), &::EVP_PKEY_free);
  if (key == nullptr && asked) {
    ::ERR_clear_error();
    return {Code::kInvalid, "the key is locked with a passphrase, and nobody is there to be asked: store it without one, in a file of mode 0600"};
  }
  if (key == nullptr) return Wrong("the key is no private key in PEM", "it is empty");
  if (::SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1 || ::SSL_CTX_check_private_key(context_.get()) != 1) {
    ::ERR_clear_error();
    return {Code::kInvalid, "the key does not belong to the certificate: give the key that the certificate was made with"};
  }
  return Status::Ok();
}

Status TlsContext::UseClientCa(const std::string& pem) {
  const Bio reader = Reader(pem);
  X509_STORE* const trusted = ::SSL_CTX_get_cert_store(context_.get());
  int count = 0;
  while (reader != nullptr && count <= kClientCaCertificatesMax) {
    const Certificate authority = NextCertificate(reader.get());
    if (authority == nullptr) break;
    if (::X509_STORE_add_cert(trusted, authority.get()) != 1 || ::SSL_CTX_add_client_CA(context_.get(), authority.get()) != 1) {
      return Wrong("a certificate of the clients' authorities cannot be used", "it was refused");
    }
    ++count;
  }
  if (count > kClientCaCertificatesMax) {
    return {Code::kInvalid, "there are more than " + std::to_string(kClientCaCertificatesMax) + " authorities for clients"};
  }
  if (!AtEnd() || count == 0) return Wrong("the clients' authorities are no certificates in PEM", "there is none");
  ::SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return Status::Ok();
}

}  // namespace skerry::nbd
