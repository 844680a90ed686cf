#include "block_id.h"

#include <algorithm>

// OpenSSL's low-level calls are marked deprecated, yet only they let a keyed midstate be kept and copied for nothing.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace skerry {
namespace {

constexpr size_t kShaBlockBytes = SHA256_CBLOCK;
constexpr size_t kDigestBytes = SHA256_DIGEST_LENGTH;
constexpr char kNodeTag[] = {'n', 'o', 'd', 'e'};

using Midstate = std::array<uint32_t, 8>;

/** The state of SHA-256 once it has taken one block. */
SHA256_CTX Resume(const Midstate& midstate) {
  SHA256_CTX context;
  std::memset(&context, 0, sizeof(context));
  std::memcpy(context.h, midstate.data(), sizeof(context.h));
  context.Nl = kShaBlockBytes * 8;
  context.md_len = kDigestBytes;
  return context;
}

Midstate AfterPad(const std::array<uint8_t, kShaBlockBytes>& key, uint8_t pad) {
  std::array<uint8_t, kShaBlockBytes> block;
  for (size_t i = 0; i < block.size(); ++i) block[i] = key[i] ^ pad;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  Midstate midstate;
  std::memcpy(midstate.data(), context.h, sizeof(context.h));
  return midstate;
}

BlockId Finish(SHA256_CTX& inner, const Midstate& outer_midstate) {
  uint8_t digest[kDigestBytes];
  SHA256_Final(digest, &inner);
  SHA256_CTX outer = Resume(outer_midstate);
  SHA256_Update(&outer, digest, sizeof(digest));
  BlockId id;
  SHA256_Final(id.bytes.data(), &outer);
  return id;
}

}  // namespace

DomainKey::DomainKey(ConstBytes key32) {
  std::array<uint8_t, kShaBlockBytes> key{};
  if (key32.size() > key.size()) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, key32.data(), key32.size());
    SHA256_Final(key.data(), &context);
  } else if (!key32.empty()) {
    std::memcpy(key.data(), key32.data(), key32.size());
  }
  inner_ = AfterPad(key, 0x36);
  outer_ = AfterPad(key, 0x5c);
}

BlockId DomainKey::Mac(ConstBytes data) const {
  SHA256_CTX inner = Resume(inner_);
  if (!data.empty()) SHA256_Update(&inner, data.data(), data.size());
  return Finish(inner, outer_);
}

BlockId DomainKey::BlockIdOf(ConstBytes block) const {
  SHA256_CTX inner = Resume(inner_);
  for (size_t at = 0; at < block.size(); at += kPageBytes) {
    const BlockId page = Mac(block.subspan(at, std::min(kPageBytes, block.size() - at)));
    SHA256_Update(&inner, page.bytes.data(), page.bytes.size());
  }
  return Finish(inner, outer_);
}

BlockId DomainKey::NodeIdOf(ConstBytes canonical) const {
  SHA256_CTX inner = Resume(inner_);
  SHA256_Update(&inner, kNodeTag, sizeof(kNodeTag));
  if (!canonical.empty()) SHA256_Update(&inner, canonical.data(), canonical.size());
  return Finish(inner, outer_);
}

bool IsZero(ConstBytes bytes) {
  constexpr size_t kLook = sizeof(uint64_t);
  if (bytes.size() < kLook) {
    for (const uint8_t byte : bytes) {
      if (byte != 0) return false;
    }
    return true;
  }
  uint64_t head;
  std::memcpy(&head, bytes.data(), kLook);
  if (head != 0) return false;  // nearly all that is not zero is told apart here
  // Each byte equals the one eight before it, and the first eight are zero: memcmp runs at the speed of memory.
  return std::memcmp(bytes.data(), bytes.data() + kLook, bytes.size() - kLook) == 0;
}

}  // namespace skerry
