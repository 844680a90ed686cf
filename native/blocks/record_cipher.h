#pragma once
// Encrypts what records hold: AES-256-GCM, under a key that is derived for each record from the pool's data key and from all
// that the record's header says but its place. A random salt is part of that, and so is the id, which is a hash of the content: even
// where the salt came again, the same key would meet the same content. The number of the frame is the nonce. Nothing here touches
// a file. See docs/formats/pack.md and docs/decisions/0054-encryption-at-rest.md.
#include <array>

#include "block_id.h"

namespace skerry {

struct PackRecordHeader;

/** The authentication tag that follows each encrypted frame. */
inline constexpr uint32_t kTagBytes = 16;

/** Of one record. */
class PayloadKey {
 public:
  explicit PayloadKey(const BlockId& bytes) : bytes_(bytes) {}
  /** `into` is as long as `plain`, and may be it; `tag` has kTagBytes. False, and nothing to be used, where OpenSSL fails. */
  [[nodiscard]] bool Encrypt(uint32_t frame, ConstBytes plain, Bytes into, Bytes tag) const;
  /** False where the tag does not hold: what is in `into` then is worth nothing. `into` may be `stored`. */
  [[nodiscard]] bool Decrypt(uint32_t frame, ConstBytes stored, ConstBytes tag, Bytes into) const;

 private:
  BlockId bytes_;
};

/** A pool's data key. Copyable, thread-safe to use. */
class RecordCipher {
 public:
  explicit RecordCipher(ConstBytes data_key32) : key_(data_key32) {}
  /** `header` is complete but for its place: pack, proof and sum. */
  PayloadKey KeyOf(const PackRecordHeader& header) const;

 private:
  DomainKey key_;
};

}  // namespace skerry
