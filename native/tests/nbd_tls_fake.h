#pragma once
// Certificates made on the spot, and a client that speaks TLS.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../nbd/tls_context.h"
#include "nbd_fake.h"

namespace skerry::nbd_fake {

/** A certificate with its key, to serve with, to show, or to sign others with. */
struct Identity {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  std::string CertificatePem() const {
    BIO* const bio = ::BIO_new(::BIO_s_mem());
    CHECK(::PEM_write_bio_X509(bio, certificate.get()) == 1);
    return Drain(bio);
  }
  std::string KeyPem(const char* passphrase = nullptr) const {
    BIO* const bio = ::BIO_new(::BIO_s_mem());
    void* const word = const_cast<char*>(passphrase);
    CHECK(::PEM_write_bio_PrivateKey(bio, key.get(), word != nullptr ? ::EVP_aes_128_cbc() : nullptr, nullptr, 0, nullptr, word) == 1);
    return Drain(bio);
  }

 private:
  static std::string Drain(BIO* bio) {
    char* data = nullptr;
    const long bytes = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(bytes));
    ::BIO_free(bio);
    return text;
  }
};

inline void Extend(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = ::X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  CHECK(extension != nullptr && ::X509_add_ext(certificate, extension, -1) == 1);
  ::X509_EXTENSION_free(extension);
}

/** `names`: of a subjectAltName, such as "DNS:vm.example". Without an issuer it is an authority. */
inline Identity Issue(const std::string& common_name, const Identity* issuer = nullptr, const std::string& names = "", int days = 1) {
  Identity made;
  made.key.reset(EVP_EC_gen("P-256"), &::EVP_PKEY_free);
  made.certificate.reset(::X509_new(), &::X509_free);
  X509* const certificate = made.certificate.get();
  static std::atomic<long> serial{1};
  ::X509_set_version(certificate, 2);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), ++serial);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -2 * 86'400L);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), days * 86'400L);
  ::X509_set_pubkey(certificate, made.key.get());
  ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(common_name.data()), static_cast<int>(common_name.size()), -1, 0);
  X509* const by = issuer == nullptr ? certificate : issuer->certificate.get();
  ::X509_set_issuer_name(certificate, ::X509_get_subject_name(by));
  Extend(certificate, by, NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!names.empty()) Extend(certificate, by, NID_subject_alt_name, names.c_str());
  CHECK(::X509_sign(certificate, (issuer == nullptr ? made : *issuer).key.get(), ::EVP_sha256()) > 0);
  return made;
}

/** Trusts one authority, and may have something to show. Asks for TLS at once. */
class TlsClient : public Client {
 public:
  TlsClient(const std::string& path, const Identity& authority, const Identity* own = nullptr, int version_max = 0) : Client(path) {
    Shake(kAskTls);
    context_.reset(::SSL_CTX_new(::TLS_client_method()));
    ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(context_.get()), authority.certificate.get());
    ::SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    if (version_max != 0) {
      ::SSL_CTX_set_security_level(context_.get(), 0);
      SSL_CTX_set_max_proto_version(context_.get(), version_max);
    }
    if (own != nullptr) {
      CHECK(::SSL_CTX_use_certificate(context_.get(), own->certificate.get()) == 1);
      CHECK(::SSL_CTX_use_PrivateKey(context_.get(), own->key.get()) == 1);
    }
    ssl_.reset(::SSL_new(context_.get()));
    ::SSL_set_fd(ssl_.get(), socket());
  }
  ~TlsClient() override { ssl_.reset(); }

  /** With TLS 1.3 a client is done before the server has judged its certificate: the next Take() tells. */
  bool Connect() {
    ::ERR_clear_error();
    return ::SSL_connect(ssl_.get()) == 1;
  }
  TlsClient& Wish(uint8_t wishes = 0) {
    Give({wishes});
    CHECK(Take(2) == std::vector<uint8_t>({'O', 'K'}));
    return *this;
  }
  void Give(const std::vector<uint8_t>& bytes) override {
    if (ssl_ == nullptr) return Client::Give(bytes);
    size_t given = 0;
    CHECK(bytes.empty() || (::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &given) == 1 && given == bytes.size()));
  }
  std::vector<uint8_t> Take(size_t bytes) override {
    if (ssl_ == nullptr) return Client::Take(bytes);
    std::vector<uint8_t> taken(bytes);
    for (size_t at = 0; at < bytes;) {
      size_t got = 0;
      CHECK(::SSL_read_ex(ssl_.get(), taken.data() + at, bytes - at, &got) == 1);
      at += got;
    }
    return taken;
  }
  /** An end of the socket without a goodbye is none. */
  bool SeesEnd() override {
    uint8_t byte;
    ::ERR_clear_error();
    return ::SSL_get_error(ssl_.get(), ::SSL_read(ssl_.get(), &byte, 1)) == SSL_ERROR_ZERO_RETURN;
  }
  /** Whether it is cut off, with an alert or without. */
  bool IsRefused() {
    uint8_t byte;
    ::ERR_clear_error();
    return ::SSL_read(ssl_.get(), &byte, 1) <= 0;
  }
  SSL* ssl() { return ssl_.get(); }

 private:
  std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context_{nullptr, &::SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&::SSL_free)> ssl_{nullptr, &::SSL_free};
};

/** A world whose server has a certificate, and asks clients for theirs. */
struct TlsWorld : World {
  explicit TlsWorld(bool asks = true, NbdOptions options = {}) : World(options) { Use(own, asks); }
  void Use(const Identity& identity, bool asks = true) {
    auto context = nbd::TlsContext::Make({identity.CertificatePem(), identity.KeyPem(), asks ? authority.CertificatePem() : ""});
    CHECK_OK(context.status());
    server->UseTls(*context);
  }
  Identity authority = Issue("Skerry test authority");
  Identity own = Issue("localhost", &authority, "DNS:localhost");
  Identity client = Issue("vm-host-1", &authority, "DNS:vm1.example,DNS:vm2.example");
};

}  // namespace skerry::nbd_fake
