// The vectors hold what Intel's SHA extensions ask for, named from the highest word down: ABEF and CDGH. Two rounds turn
// (ABEF, CDGH) into (new, ABEF), so the two vectors change places with every instruction.
#include "sha256_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

namespace skerry {
namespace {

#define SK_SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define SK_SHA_INLINE __attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline
// Lanes must be unrolled, else their vectors live in memory.
#if defined(__clang__)
#define SK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SK_UNROLL _Pragma("GCC unroll 4")
#endif

constexpr size_t kVectorBytes = 16;
constexpr size_t kVectors = kSha256BlockBytes / kVectorBytes;

alignas(kVectorBytes) constexpr uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

bool HasShaInstructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) return false;
  constexpr unsigned kShaBit = 1u << 29;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kShaBit) != 0;
}

template <size_t kLanes>
struct LaneStates {
  __m128i abef[kLanes], cdgh[kLanes];
};

/** The last sixteen words of each lane's message schedule; the vector of words 4n to 4n + 3 stands at n modulo 4. */
template <size_t kLanes>
struct LaneWords {
  __m128i at[kLanes][kVectors];
};

/** Rounds 4 * kGroup to 4 * kGroup + 3 of every lane, with the words that they need. */
template <size_t kGroup, size_t kLanes>
SK_SHA_INLINE void FourRounds(LaneStates<kLanes>& states, LaneWords<kLanes>& words) {
  const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kRoundConstants) + kGroup);
  SK_UNROLL
  for (size_t lane = 0; lane < kLanes; ++lane) {
    __m128i& word = words.at[lane][kGroup % kVectors];
    if constexpr (kGroup >= kVectors) {
      const __m128i second = words.at[lane][(kGroup + 1) % kVectors];
      const __m128i third = words.at[lane][(kGroup + 2) % kVectors];
      const __m128i last = words.at[lane][(kGroup + 3) % kVectors];
      const __m128i seven_back = _mm_alignr_epi8(last, third, 4);
      word = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(word, second), seven_back), last);
    }
    const __m128i sum = _mm_add_epi32(word, constants);
    states.cdgh[lane] = _mm_sha256rnds2_epu32(states.cdgh[lane], states.abef[lane], sum);
    const __m128i upper = _mm_shuffle_epi32(sum, 0x0e);
    states.abef[lane] = _mm_sha256rnds2_epu32(states.abef[lane], states.cdgh[lane], upper);
  }
}

/** The next block of each stream, its words turned from big-endian. */
template <size_t kLanes>
SK_SHA_INLINE void LoadBlocks(LaneWords<kLanes>& words, const uint8_t* const (&streams)[kLanes]) {
  const __m128i turn = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  SK_UNROLL
  for (size_t lane = 0; lane < kLanes; ++lane) {
    SK_UNROLL
    for (size_t i = 0; i < kVectors; ++i) {
      const auto* from = reinterpret_cast<const __m128i_u*>(streams[lane] + i * kVectorBytes);
      words.at[lane][i] = _mm_shuffle_epi8(_mm_loadu_si128(from), turn);
    }
  }
}

template <size_t kLanes>
SK_SHA_INLINE void AllRounds(LaneStates<kLanes>& states, LaneWords<kLanes>& words) {
  FourRounds<0>(states, words);
  FourRounds<1>(states, words);
  FourRounds<2>(states, words);
  FourRounds<3>(states, words);
  FourRounds<4>(states, words);
  FourRounds<5>(states, words);
  FourRounds<6>(states, words);
  FourRounds<7>(states, words);
  FourRounds<8>(states, words);
  FourRounds<9>(states, words);
  FourRounds<10>(states, words);
  FourRounds<11>(states, words);
  FourRounds<12>(states, words);
  FourRounds<13>(states, words);
  FourRounds<14>(states, words);
  FourRounds<15>(states, words);
}

template <size_t kLanes>
SK_SHA_INLINE LaneStates<kLanes> Gather(const Sha256State* from) {
  LaneStates<kLanes> states;
  SK_UNROLL
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const auto [a, b, c, d, e, f, g, h] = from[lane];
    states.abef[lane] = _mm_set_epi32(static_cast<int>(a), static_cast<int>(b), static_cast<int>(e), static_cast<int>(f));
    states.cdgh[lane] = _mm_set_epi32(static_cast<int>(c), static_cast<int>(d), static_cast<int>(g), static_cast<int>(h));
  }
  return states;
}

template <size_t kLanes>
SK_SHA_INLINE void Scatter(const LaneStates<kLanes>& states, Sha256State* to) {
  SK_UNROLL
  for (size_t lane = 0; lane < kLanes; ++lane) {
    alignas(kVectorBytes) uint32_t feba[4], hgdc[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(feba), states.abef[lane]);
    _mm_store_si128(reinterpret_cast<__m128i*>(hgdc), states.cdgh[lane]);
    to[lane] = {feba[3], feba[2], hgdc[3], hgdc[2], feba[1], feba[0], hgdc[1], hgdc[0]};
  }
}

template <size_t kLanes>
SK_SHA_TARGET void Compress(Sha256State* states, const uint8_t* const* streams, size_t blocks) {
  const uint8_t* at[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) at[lane] = streams[lane];
  LaneStates<kLanes> now = Gather<kLanes>(states);
  for (; blocks > 0; --blocks) {
    const LaneStates<kLanes> before = now;
    LaneWords<kLanes> words;
    LoadBlocks(words, at);
    AllRounds(now, words);
    SK_UNROLL
    for (size_t lane = 0; lane < kLanes; ++lane) {
      now.abef[lane] = _mm_add_epi32(now.abef[lane], before.abef[lane]);
      now.cdgh[lane] = _mm_add_epi32(now.cdgh[lane], before.cdgh[lane]);
      at[lane] += kSha256BlockBytes;
    }
  }
  Scatter(now, states);
}

}  // namespace

bool CompressLanes(std::span<Sha256State> states, std::span<const uint8_t* const> streams, size_t blocks) {
  // Asked once: under a hypervisor cpuid costs as much as hashing a page.
  static const bool has_instructions = HasShaInstructions();
  if (!has_instructions || states.size() != streams.size()) return false;
  switch (states.size()) {
    case 2: Compress<2>(states.data(), streams.data(), blocks); return true;
    case 3: Compress<3>(states.data(), streams.data(), blocks); return true;
    case 4: Compress<4>(states.data(), streams.data(), blocks); return true;
    default: return false;
  }
}

}  // namespace skerry

#else

namespace skerry {

bool CompressLanes(std::span<Sha256State>, std::span<const uint8_t* const>, size_t) { return false; }

}  // namespace skerry

#endif
