#include "record_cipher.h"

#include <openssl/evp.h>

#include <cstddef>
#include <memory>

#include "pack.h"

namespace skerry {
namespace {

constexpr size_t kNonceBytes = 12;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

/** One of each direction for each thread: a context costs more than a page. nullptr where there is no memory for one. */
EVP_CIPHER_CTX* Context(bool encrypts) {
  thread_local std::unique_ptr<EVP_CIPHER_CTX, FreeContext> contexts[2];
  std::unique_ptr<EVP_CIPHER_CTX, FreeContext>& context = contexts[encrypts ? 1 : 0];
  if (context) return context.get();
  context.reset(EVP_CIPHER_CTX_new());
  if (context && EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, nullptr, nullptr, encrypts ? 1 : 0) != 1) context.reset();
  return context.get();
}

/** Key and nonce set; nullptr where that fails. A key is used by one record alone, so the frame's number will do as nonce. */
EVP_CIPHER_CTX* Begin(const BlockId& key, uint32_t frame, bool encrypts) {
  EVP_CIPHER_CTX* const context = Context(encrypts);
  if (context == nullptr) return nullptr;
  uint8_t nonce[kNonceBytes] = {};
  std::memcpy(nonce, &frame, sizeof(frame));
  return EVP_CipherInit_ex(context, nullptr, nullptr, key.bytes.data(), nonce, encrypts ? 1 : 0) == 1 ? context : nullptr;
}

bool Run(EVP_CIPHER_CTX* context, ConstBytes from, Bytes into) {
  int bytes = 0;
  return EVP_CipherUpdate(context, into.data(), &bytes, from.data(), static_cast<int>(from.size())) == 1 && static_cast<size_t>(bytes) == from.size();
}

}  // namespace

bool PayloadKey::Encrypt(uint32_t frame, ConstBytes plain, Bytes into, Bytes tag) const {
  if (into.size() != plain.size() || tag.size() != kTagBytes) return false;
  EVP_CIPHER_CTX* const context = Begin(bytes_, frame, true);
  int rest = 0;
  return context != nullptr && Run(context, plain, into) && EVP_CipherFinal_ex(context, into.data(), &rest) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagBytes), tag.data()) == 1;
}

bool PayloadKey::Decrypt(uint32_t frame, ConstBytes stored, ConstBytes tag, Bytes into) const {
  if (into.size() != stored.size() || tag.size() != kTagBytes) return false;
  EVP_CIPHER_CTX* const context = Begin(bytes_, frame, false);
  if (context == nullptr) return false;
  std::array<uint8_t, kTagBytes> expected;
  std::memcpy(expected.data(), tag.data(), expected.size());
  int rest = 0;
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagBytes), expected.data()) == 1 && Run(context, stored, into) &&
         EVP_CipherFinal_ex(context, into.data(), &rest) == 1;
}

PayloadKey RecordCipher::KeyOf(const PackRecordHeader& header) const {
  // All that the header says but its place, which is known only once everything else is; its proof says the place too.
  constexpr size_t kSaidBytes = offsetof(PackRecordHeader, pack);
  std::array<uint8_t, kSaidBytes + sizeof(header.frame_bytes)> said;
  std::memcpy(said.data(), &header, kSaidBytes);
  std::memcpy(said.data() + kSaidBytes, header.frame_bytes, sizeof(header.frame_bytes));
  return PayloadKey(key_.Mac(said));
}

}  // namespace skerry
