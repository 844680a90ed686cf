#include "body_sums.h"

#include <algorithm>
#include <array>
#include <utility>

namespace skerry {
namespace {

constexpr CrcTables<uint32_t> kCrc32Tables = MakeCrcTables<uint32_t>(kCrc32Polynomial);
constexpr CrcTables<uint32_t> kCrc32cTables = MakeCrcTables<uint32_t>(kCrc32cPolynomial);
constexpr CrcTables<uint64_t> kCrc64NvmeTables = MakeCrcTables<uint64_t>(kCrc64NvmePolynomial);

constexpr std::array<std::pair<std::string_view, SumKind>, 6> kNames{{{"MD5", SumKind::kMd5},
                                                                      {"SHA1", SumKind::kSha1},
                                                                      {"SHA256", SumKind::kSha256},
                                                                      {"CRC32", SumKind::kCrc32},
                                                                      {"CRC32C", SumKind::kCrc32c},
                                                                      {"CRC64NVME", SumKind::kCrc64Nvme}}};

const EVP_MD* DigestOf(SumKind kind) {
  switch (kind) {
    case SumKind::kSha1:
      return EVP_sha1();
    default:
      return EVP_sha256();
  }
}

template <typename Word>
std::vector<uint8_t> BigEndian(Word value) {
  std::vector<uint8_t> bytes(sizeof(Word));
  for (size_t i = 0; i < sizeof(Word); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * (sizeof(Word) - 1 - i)));
  return bytes;
}

Status Failed() { return Status(Code::kIo, "the crypto library refuses a sum that was asked for"); }

}  // namespace

std::optional<SumKind> SumKindOf(std::string_view name) {
  for (const auto& [known, kind] : kNames) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

Result<std::unique_ptr<BodySums>> BodySums::Begin(const std::vector<SumKind>& kinds) {
  auto body = std::make_unique<BodySums>();
  for (const SumKind kind : kinds) {
    if (kind == SumKind::kMd5) {
      body->sums_.emplace_back(Md5());
    } else if (kind == SumKind::kCrc32) {
      body->sums_.emplace_back(Crc32(kCrc32Tables));
    } else if (kind == SumKind::kCrc32c) {
      body->sums_.emplace_back(Crc32(kCrc32cTables));
    } else if (kind == SumKind::kCrc64Nvme) {
      body->sums_.emplace_back(Crc64(kCrc64NvmeTables));
    } else {
      Digest digest(EVP_MD_CTX_new());
      if (!digest || EVP_DigestInit_ex(digest.get(), DigestOf(kind), nullptr) != 1) return Failed();
      body->sums_.emplace_back(std::move(digest));
    }
  }
  return body;
}

Status BodySums::Update(std::span<const ConstBytes> pieces) {
  for (Sum& sum : sums_) {
    if (Md5* const md5 = std::get_if<Md5>(&sum)) {
      md5->Update(pieces);
      continue;
    }
    for (const ConstBytes piece : pieces) {
      if (Digest* const digest = std::get_if<Digest>(&sum)) {
        if (EVP_DigestUpdate(digest->get(), piece.data(), piece.size()) != 1) return Failed();
      } else if (Crc32* const crc = std::get_if<Crc32>(&sum)) {
        crc->Update(piece);
      } else {
        std::get<Crc64>(sum).Update(piece);
      }
    }
  }
  return Status();
}

Result<std::vector<std::vector<uint8_t>>> BodySums::Finish() {
  std::vector<std::vector<uint8_t>> values;
  for (Sum& sum : sums_) {
    if (Md5* const md5 = std::get_if<Md5>(&sum)) {
      const std::array<uint8_t, 16> value = md5->Finish();
      values.emplace_back(value.begin(), value.end());
    } else if (Digest* const digest = std::get_if<Digest>(&sum)) {
      std::vector<uint8_t> value(EVP_MAX_MD_SIZE);
      unsigned size = 0;
      if (EVP_DigestFinal_ex(digest->get(), value.data(), &size) != 1) return Failed();
      value.resize(size);
      values.push_back(std::move(value));
    } else if (const Crc32* const crc = std::get_if<Crc32>(&sum)) {
      values.push_back(BigEndian(crc->value()));
    } else {
      values.push_back(BigEndian(std::get<Crc64>(sum).value()));
    }
  }
  return values;
}

Result<std::vector<uint8_t>> Sha256OfRuns(std::span<const ConstBytes> pieces, std::span<const uint64_t> lengths) {
  constexpr size_t kSha256Bytes = 32;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context) return Failed();
  std::vector<uint8_t> sums(lengths.size() * kSha256Bytes);
  size_t piece = 0;
  size_t at = 0;   // in the piece
  for (size_t run = 0; run < lengths.size(); ++run) {
    if (EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) return Failed();
    for (uint64_t left = lengths[run]; left > 0;) {
      if (piece == pieces.size()) return Status(Code::kInvalid, "the runs are longer than the pieces");
      const ConstBytes rest = pieces[piece].subspan(at);
      const size_t taken = std::min<uint64_t>(left, rest.size());
      if (EVP_DigestUpdate(context.get(), rest.data(), taken) != 1) return Failed();
      left -= taken;
      at += taken;
      if (at == pieces[piece].size()) {
        ++piece;
        at = 0;
      }
    }
    if (EVP_DigestFinal_ex(context.get(), sums.data() + run * kSha256Bytes, nullptr) != 1) return Failed();
  }
  while (piece < pieces.size() && at == pieces[piece].size()) {
    ++piece;
    at = 0;
  }
  if (piece < pieces.size()) return Status(Code::kInvalid, "the pieces are longer than the runs");
  return sums;
}

}  // namespace skerry
