#pragma once
// Sums of one body as it streams by: what object protocols compare and keep. All are of whole bytes in their order.
#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "../env/env.h"
#include "crc.h"
#include "md5.h"

namespace skerry {

enum class SumKind : uint8_t { kMd5, kSha1, kSha256, kCrc32, kCrc32c, kCrc64Nvme };

/** As src/object/sums.ts calls them: "MD5", "SHA1", "SHA256", "CRC32", "CRC32C", "CRC64NVME". */
std::optional<SumKind> SumKindOf(std::string_view name);

/** Any thread, one at a time. */
class BodySums {
 public:
  /** kIo where the crypto library does not have one of them. */
  static Result<std::unique_ptr<BodySums>> Begin(const std::vector<SumKind>& kinds);
  Status Update(std::span<const ConstBytes> pieces);
  /** One for each kind, in the order they were asked for; cyclic ones big-endian. Ends it. */
  Result<std::vector<std::vector<uint8_t>>> Finish();

 private:
  struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  using Digest = std::unique_ptr<EVP_MD_CTX, FreeContext>;
  using Sum = std::variant<Md5, Digest, Crc32, Crc64>;

  std::vector<Sum> sums_;
};

/**
 * SHA-256 of each of the runs that `pieces`, one after another, are made of: 32 bytes for each of `lengths`. kInvalid where these are not as long
 * together as the pieces.
 */
Result<std::vector<uint8_t>> Sha256OfRuns(std::span<const ConstBytes> pieces, std::span<const uint64_t> lengths);

}  // namespace skerry
