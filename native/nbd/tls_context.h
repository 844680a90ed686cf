#pragma once
// What TLS connections of the server have in common: its certificate with its key, and who may sign those of clients. It is
// never changed: a new certificate is a new context, and connections keep the one that they began with.
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "../env/status.h"

namespace skerry::nbd {

/** All in PEM. */
struct TlsMaterial {
  std::string certificate;  // the server's own first, then those that lead to its root
  std::string key;          // without a passphrase
  std::string client_ca;    // clients show a certificate that one of these signed; empty: they are asked for none
};

class TlsContext {
 public:
  /** kInvalid names what is wrong with which part. Versions 1.2 and 1.3 only, without resumption and renegotiation. */
  static Result<std::shared_ptr<const TlsContext>> Make(const TlsMaterial& material);

  SSL_CTX* get() const { return context_.get(); }
  const BIO_METHOD* socket_method() const { return method_.get(); }

 private:
  TlsContext() = default;
  Status Fill(const TlsMaterial& material);
  Status UseCertificates(const std::string& pem);
  Status UseKey(const std::string& pem);
  Status UseClientCa(const std::string& pem);

  std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context_{nullptr, &::SSL_CTX_free};
  std::unique_ptr<BIO_METHOD, decltype(&::BIO_meth_free)> method_{nullptr, &::BIO_meth_free};
};

/** What OpenSSL says of its last failure on this thread, which is then forgotten; `otherwise` where it says nothing. */
std::string TakeTlsError(const char* otherwise);

}  // namespace skerry::nbd
