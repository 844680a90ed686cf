#pragma once
// Content for tests of compression: text that shrinks, noise that does not, and blocks that are half of each.
#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "../blocks/codec.h"

namespace skerry::compressible {

inline constexpr Compression kLz4{Codec::kLz4, 0}, kZstd{Codec::kZstd, kZstdLevelDefault}, kZstdBest{Codec::kZstd, kZstdLevelMax};
inline constexpr Compression kAll[] = {kLz4, kZstd, kZstdBest};

inline std::vector<uint8_t> Noise(uint32_t seed, size_t bytes) {
  std::mt19937 dice(seed);
  std::vector<uint8_t> noise(bytes);
  for (uint8_t& byte : noise) byte = static_cast<uint8_t>(dice() >> 8);
  return noise;
}

/** Words of a small vocabulary; pages differ. */
inline std::vector<uint8_t> Text(uint32_t seed, size_t bytes) {
  static constexpr const char* kWords[] = {"the ", "island ", "and ", "harbour ", "of ", "a ", "stone ", "wind, ", "boats ", "north.\n"};
  std::mt19937 dice(seed + 1000);
  std::vector<uint8_t> text;
  while (text.size() < bytes) {
    for (const char* word = kWords[dice() % std::size(kWords)]; *word != 0; ++word) text.push_back(static_cast<uint8_t>(*word));
  }
  text.resize(bytes);
  return text;
}

/** Frames of text and frames of noise in turn. */
inline std::vector<uint8_t> Mixed(uint32_t seed, size_t bytes) {
  constexpr size_t kFrame = 16 << 10;
  std::vector<uint8_t> mixed = Text(seed, bytes);
  for (size_t at = kFrame; at < bytes; at += 2 * kFrame) std::ranges::copy(Noise(seed + static_cast<uint32_t>(at), std::min(kFrame, bytes - at)), mixed.begin() + static_cast<ptrdiff_t>(at));
  return mixed;
}

}  // namespace skerry::compressible
