#include "block_id.h"

#include <algorithm>

// OpenSSL's low-level calls are marked deprecated, yet only they let a keyed midstate be kept and copied for nothing.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace skerry {
namespace {

constexpr size_t kShaBlockBytes = kSha256BlockBytes;
constexpr size_t kDigestBytes = SHA256_DIGEST_LENGTH;
constexpr char kNodeTag[] = {'n', 'o', 'd', 'e'};
constexpr std::array<uint8_t, 6> kDomainTag = {'d', 'o', 'm', 'a', 'i', 'n'};
static_assert(kShaBlockBytes == SHA256_CBLOCK && kPageBytes % kShaBlockBytes == 0);

/** The state of SHA-256 once it has taken one block. */
SHA256_CTX Resume(const Sha256State& midstate) {
  SHA256_CTX context;
  std::memset(&context, 0, sizeof(context));
  std::memcpy(context.h, midstate.data(), sizeof(context.h));
  context.Nl = kShaBlockBytes * 8;
  context.md_len = kDigestBytes;
  return context;
}

Sha256State AfterPad(const std::array<uint8_t, kShaBlockBytes>& key, uint8_t pad) {
  std::array<uint8_t, kShaBlockBytes> block;
  for (size_t i = 0; i < block.size(); ++i) block[i] = key[i] ^ pad;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  Sha256State midstate;
  std::memcpy(midstate.data(), context.h, sizeof(context.h));
  return midstate;
}

using PaddedBlock = std::array<uint8_t, kShaBlockBytes>;

/** The last block of a message of `message_bytes`, of which `used` bytes, still to be filled in, stand in that block. */
constexpr PaddedBlock Padding(size_t used, uint64_t message_bytes) {
  PaddedBlock block{};
  block[used] = 0x80;
  for (size_t i = 0; i < sizeof(uint64_t); ++i) block[kShaBlockBytes - 1 - i] = static_cast<uint8_t>(message_bytes * 8 >> 8 * i);
  return block;
}

/** The state's words, big-endian, to the kDigestBytes at `to`. */
void StoreDigest(const Sha256State& state, uint8_t* to) {
  for (const uint32_t word : state) {
    for (int shift = 24; shift >= 0; shift -= 8) *to++ = static_cast<uint8_t>(word >> shift);
  }
}

BlockId Finish(SHA256_CTX& inner, const Sha256State& outer_midstate) {
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

bool DomainKey::MacWholePages(ConstBytes pages, std::span<BlockId> macs) const {
  // What ends a message that, with the key's block before it, is a page long, and one that is a digest long.
  static constexpr PaddedBlock kPageEnd = Padding(0, kShaBlockBytes + kPageBytes);
  static constexpr PaddedBlock kDigestEnd = Padding(kDigestBytes, kShaBlockBytes + kDigestBytes);
  const size_t lanes = macs.size();
  std::array<Sha256State, kSha256LanesMax> state_room;
  std::array<const uint8_t*, kSha256LanesMax> stream_room;
  std::array<PaddedBlock, kSha256LanesMax> digests;
  const std::span states(state_room.data(), lanes);
  const std::span streams(stream_room.data(), lanes);

  for (size_t lane = 0; lane < lanes; ++lane) {
    states[lane] = inner_;
    streams[lane] = pages.data() + lane * kPageBytes;
  }
  if (!CompressLanes(states, streams, kPageBytes / kShaBlockBytes)) return false;
  std::fill(streams.begin(), streams.end(), kPageEnd.data());
  if (!CompressLanes(states, streams, 1)) return false;
  for (size_t lane = 0; lane < lanes; ++lane) {
    digests[lane] = kDigestEnd;
    StoreDigest(states[lane], digests[lane].data());
    states[lane] = outer_;
    streams[lane] = digests[lane].data();
  }
  if (!CompressLanes(states, streams, 1)) return false;
  for (size_t lane = 0; lane < lanes; ++lane) StoreDigest(states[lane], macs[lane].bytes.data());
  return true;
}

BlockId DomainKey::BlockIdOf(ConstBytes block, PageHashing hashing) const {
  SHA256_CTX inner = Resume(inner_);
  std::array<BlockId, kSha256LanesMax> macs;
  while (!block.empty()) {
    const size_t lanes = std::min(block.size() / kPageBytes, macs.size());
    if (hashing == PageHashing::kFastest && lanes > 1 && MacWholePages(block, std::span(macs.data(), lanes))) {
      for (size_t lane = 0; lane < lanes; ++lane) SHA256_Update(&inner, macs[lane].bytes.data(), kDigestBytes);
      block = block.subspan(lanes * kPageBytes);
    } else {
      const size_t page_bytes = std::min(kPageBytes, block.size());
      const BlockId page = Mac(block.first(page_bytes));
      SHA256_Update(&inner, page.bytes.data(), kDigestBytes);
      block = block.subspan(page_bytes);
    }
  }
  return Finish(inner, outer_);
}

BlockId DomainKey::NodeIdOf(ConstBytes canonical) const {
  SHA256_CTX inner = Resume(inner_);
  SHA256_Update(&inner, kNodeTag, sizeof(kNodeTag));
  if (!canonical.empty()) SHA256_Update(&inner, canonical.data(), canonical.size());
  return Finish(inner, outer_);
}

DomainKey DomainKey::ForDomain(uint64_t domain, uint64_t own) const {
  if (domain == 0 || domain == own) return *this;
  // As long as nothing else that is hashed under a pool's key: no page, hashes of pages, node or header is 14 bytes.
  std::array<uint8_t, kDomainTag.size() + sizeof(domain)> said;
  std::ranges::copy(kDomainTag, said.begin());
  std::memcpy(said.data() + kDomainTag.size(), &domain, sizeof(domain));
  return DomainKey(Mac(said).bytes);
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
