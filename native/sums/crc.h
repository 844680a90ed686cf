#pragma once
// Cyclic redundancy checks of reflected bits, inverted at both ends: CRC-32 (ISO-HDLC), CRC-32C (iSCSI) and CRC-64/NVME of the catalogue
// of parametrised CRC algorithms (reveng). Sixteen bytes at a time, by tables.
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "../env/env.h"

namespace skerry {

inline constexpr uint32_t kCrc32Polynomial = 0xedb88320;
inline constexpr uint32_t kCrc32cPolynomial = 0x82f63b78;
inline constexpr uint64_t kCrc64NvmePolynomial = 0x9a6c9329ac4bc9b5;

inline constexpr size_t kCrcSlices = 16;

/** Of table k: what a byte comes to when k bytes follow it. */
template <typename Word>
using CrcTables = std::array<std::array<Word, 256>, kCrcSlices>;

template <typename Word>
constexpr CrcTables<Word> MakeCrcTables(Word polynomial) {
  CrcTables<Word> tables{};
  for (size_t byte = 0; byte < 256; ++byte) {
    Word value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? (value >> 1) ^ polynomial : value >> 1;
    tables[0][byte] = value;
  }
  for (size_t k = 1; k < kCrcSlices; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const Word before = tables[k - 1][byte];
      tables[k][byte] = tables[0][before & 0xff] ^ (before >> 8);
    }
  }
  return tables;
}

template <typename Word>
class Crc {
 public:
  explicit Crc(const CrcTables<Word>& tables) : tables_(&tables) {}

  void Update(ConstBytes bytes) {
    static_assert(std::endian::native == std::endian::little);
    const CrcTables<Word>& t = *tables_;
    size_t at = 0;
    for (; at + kCrcSlices <= bytes.size(); at += kCrcSlices) {
      std::array<uint8_t, kCrcSlices> block;
      std::memcpy(block.data(), bytes.data() + at, kCrcSlices);
      for (size_t i = 0; i < sizeof(Word); ++i) block[i] ^= static_cast<uint8_t>(value_ >> (8 * i));
      Word next = 0;
      for (size_t i = 0; i < kCrcSlices; ++i) next ^= t[kCrcSlices - 1 - i][block[i]];
      value_ = next;
    }
    for (; at < bytes.size(); ++at) value_ = t[0][(value_ ^ bytes[at]) & 0xff] ^ (value_ >> 8);
  }
  Word value() const { return ~value_; }

 private:
  const CrcTables<Word>* tables_;
  Word value_ = static_cast<Word>(~Word{0});
};

using Crc32 = Crc<uint32_t>;
using Crc64 = Crc<uint64_t>;

}  // namespace skerry
