// One text of the 64 steps for single words and for vectors of eight, by AVX2 or by the 256-bit forms of AVX-512, which has a rotation,
// and any function of three words as one instruction.
#include "md5_lanes.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace skerry {
namespace {

constexpr size_t kWords = kMd5BlockBytes / 4;

// A vector's functions have to say which instructions they are of, and what is inlined in them too: so the steps are macros.
#define SK_STEP(W, MIX, a, b, c, d, word, bits, sine) \
  a = W::Add(b, W::Rotate<bits>(W::Add(W::Add(W::Add(a, W::Of(sine)), words[word]), W::MIX(b, c, d))));

#define SK_STEPS(W) \
  SK_STEP(W, F, a, b, c, d, 0, 7, 0xd76aa478) SK_STEP(W, F, d, a, b, c, 1, 12, 0xe8c7b756)     \
  SK_STEP(W, F, c, d, a, b, 2, 17, 0x242070db) SK_STEP(W, F, b, c, d, a, 3, 22, 0xc1bdceee)    \
  SK_STEP(W, F, a, b, c, d, 4, 7, 0xf57c0faf) SK_STEP(W, F, d, a, b, c, 5, 12, 0x4787c62a)     \
  SK_STEP(W, F, c, d, a, b, 6, 17, 0xa8304613) SK_STEP(W, F, b, c, d, a, 7, 22, 0xfd469501)    \
  SK_STEP(W, F, a, b, c, d, 8, 7, 0x698098d8) SK_STEP(W, F, d, a, b, c, 9, 12, 0x8b44f7af)     \
  SK_STEP(W, F, c, d, a, b, 10, 17, 0xffff5bb1) SK_STEP(W, F, b, c, d, a, 11, 22, 0x895cd7be)  \
  SK_STEP(W, F, a, b, c, d, 12, 7, 0x6b901122) SK_STEP(W, F, d, a, b, c, 13, 12, 0xfd987193)   \
  SK_STEP(W, F, c, d, a, b, 14, 17, 0xa679438e) SK_STEP(W, F, b, c, d, a, 15, 22, 0x49b40821)  \
  SK_STEP(W, G, a, b, c, d, 1, 5, 0xf61e2562) SK_STEP(W, G, d, a, b, c, 6, 9, 0xc040b340)      \
  SK_STEP(W, G, c, d, a, b, 11, 14, 0x265e5a51) SK_STEP(W, G, b, c, d, a, 0, 20, 0xe9b6c7aa)   \
  SK_STEP(W, G, a, b, c, d, 5, 5, 0xd62f105d) SK_STEP(W, G, d, a, b, c, 10, 9, 0x02441453)     \
  SK_STEP(W, G, c, d, a, b, 15, 14, 0xd8a1e681) SK_STEP(W, G, b, c, d, a, 4, 20, 0xe7d3fbc8)   \
  SK_STEP(W, G, a, b, c, d, 9, 5, 0x21e1cde6) SK_STEP(W, G, d, a, b, c, 14, 9, 0xc33707d6)     \
  SK_STEP(W, G, c, d, a, b, 3, 14, 0xf4d50d87) SK_STEP(W, G, b, c, d, a, 8, 20, 0x455a14ed)    \
  SK_STEP(W, G, a, b, c, d, 13, 5, 0xa9e3e905) SK_STEP(W, G, d, a, b, c, 2, 9, 0xfcefa3f8)     \
  SK_STEP(W, G, c, d, a, b, 7, 14, 0x676f02d9) SK_STEP(W, G, b, c, d, a, 12, 20, 0x8d2a4c8a)   \
  SK_STEP(W, H, a, b, c, d, 5, 4, 0xfffa3942) SK_STEP(W, H, d, a, b, c, 8, 11, 0x8771f681)     \
  SK_STEP(W, H, c, d, a, b, 11, 16, 0x6d9d6122) SK_STEP(W, H, b, c, d, a, 14, 23, 0xfde5380c)  \
  SK_STEP(W, H, a, b, c, d, 1, 4, 0xa4beea44) SK_STEP(W, H, d, a, b, c, 4, 11, 0x4bdecfa9)     \
  SK_STEP(W, H, c, d, a, b, 7, 16, 0xf6bb4b60) SK_STEP(W, H, b, c, d, a, 10, 23, 0xbebfbc70)   \
  SK_STEP(W, H, a, b, c, d, 13, 4, 0x289b7ec6) SK_STEP(W, H, d, a, b, c, 0, 11, 0xeaa127fa)    \
  SK_STEP(W, H, c, d, a, b, 3, 16, 0xd4ef3085) SK_STEP(W, H, b, c, d, a, 6, 23, 0x04881d05)    \
  SK_STEP(W, H, a, b, c, d, 9, 4, 0xd9d4d039) SK_STEP(W, H, d, a, b, c, 12, 11, 0xe6db99e5)    \
  SK_STEP(W, H, c, d, a, b, 15, 16, 0x1fa27cf8) SK_STEP(W, H, b, c, d, a, 2, 23, 0xc4ac5665)   \
  SK_STEP(W, I, a, b, c, d, 0, 6, 0xf4292244) SK_STEP(W, I, d, a, b, c, 7, 10, 0x432aff97)     \
  SK_STEP(W, I, c, d, a, b, 14, 15, 0xab9423a7) SK_STEP(W, I, b, c, d, a, 5, 21, 0xfc93a039)   \
  SK_STEP(W, I, a, b, c, d, 12, 6, 0x655b59c3) SK_STEP(W, I, d, a, b, c, 3, 10, 0x8f0ccc92)    \
  SK_STEP(W, I, c, d, a, b, 10, 15, 0xffeff47d) SK_STEP(W, I, b, c, d, a, 1, 21, 0x85845dd1)   \
  SK_STEP(W, I, a, b, c, d, 8, 6, 0x6fa87e4f) SK_STEP(W, I, d, a, b, c, 15, 10, 0xfe2ce6e0)    \
  SK_STEP(W, I, c, d, a, b, 6, 15, 0xa3014314) SK_STEP(W, I, b, c, d, a, 13, 21, 0x4e0811a1)   \
  SK_STEP(W, I, a, b, c, d, 4, 6, 0xf7537e82) SK_STEP(W, I, d, a, b, c, 11, 10, 0xbd3af235)    \
  SK_STEP(W, I, c, d, a, b, 2, 15, 0x2ad7d2bb) SK_STEP(W, I, b, c, d, a, 9, 21, 0xeb86d391)

struct One {
  using Word = uint32_t;
  static Word Of(uint32_t value) { return value; }
  static Word Add(Word a, Word b) { return a + b; }
  template <int kBits>
  static Word Rotate(Word a) { return std::rotl(a, kBits); }
  static Word F(Word b, Word c, Word d) { return d ^ (b & (c ^ d)); }
  static Word G(Word b, Word c, Word d) { return c ^ (d & (b ^ c)); }
  static Word H(Word b, Word c, Word d) { return b ^ c ^ d; }
  static Word I(Word b, Word c, Word d) { return c ^ (b | ~d); }
};

void CompressOne(Md5State& state, const uint8_t* stream, size_t blocks) {
  static_assert(std::endian::native == std::endian::little);
  auto [a, b, c, d] = state;
  for (; blocks > 0; --blocks, stream += kMd5BlockBytes) {
    uint32_t words[kWords];
    std::memcpy(words, stream, sizeof(words));
    const uint32_t a0 = a, b0 = b, c0 = c, d0 = d;
    SK_STEPS(One)
    a += a0, b += b0, c += c0, d += d0;
  }
  state = {a, b, c, d};
}

#if defined(__x86_64__)

#define SK_AVX2 __attribute__((target("avx2")))
#define SK_AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline
#define SK_AVX512 __attribute__((target("avx2,avx512f,avx512vl")))
#define SK_AVX512_INLINE __attribute__((target("avx2,avx512f,avx512vl"), always_inline)) inline

struct Avx2 {
  using Word = __m256i;
  SK_AVX2_INLINE static Word Of(uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
  SK_AVX2_INLINE static Word Add(Word a, Word b) { return _mm256_add_epi32(a, b); }
  template <int kBits>
  SK_AVX2_INLINE static Word Rotate(Word a) { return _mm256_or_si256(_mm256_slli_epi32(a, kBits), _mm256_srli_epi32(a, 32 - kBits)); }
  SK_AVX2_INLINE static Word F(Word b, Word c, Word d) { return _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))); }
  SK_AVX2_INLINE static Word G(Word b, Word c, Word d) { return _mm256_xor_si256(c, _mm256_and_si256(d, _mm256_xor_si256(b, c))); }
  SK_AVX2_INLINE static Word H(Word b, Word c, Word d) { return _mm256_xor_si256(b, _mm256_xor_si256(c, d)); }
  SK_AVX2_INLINE static Word I(Word b, Word c, Word d) {
    return _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, _mm256_set1_epi32(-1))));
  }
};

/** The last argument of _mm256_ternarylogic_epi32 is the function's value for each of the eight cases of three bits. */
struct Avx512 : Avx2 {
  template <int kBits>
  SK_AVX512_INLINE static Word Rotate(Word a) { return _mm256_rol_epi32(a, kBits); }
  SK_AVX512_INLINE static Word F(Word b, Word c, Word d) { return _mm256_ternarylogic_epi32(b, c, d, 0xca); }
  SK_AVX512_INLINE static Word G(Word b, Word c, Word d) { return _mm256_ternarylogic_epi32(b, c, d, 0xe4); }
  SK_AVX512_INLINE static Word H(Word b, Word c, Word d) { return _mm256_ternarylogic_epi32(b, c, d, 0x96); }
  SK_AVX512_INLINE static Word I(Word b, Word c, Word d) { return _mm256_ternarylogic_epi32(b, c, d, 0x39); }
};

/** Eight words of each of eight rows become eight rows of one word of each. */
SK_AVX2_INLINE void Transpose(const __m256i (&rows)[8], __m256i* columns) {
  __m256i pairs[8], fours[8];
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      fours[4 * i + 2 * j] = _mm256_unpacklo_epi64(pairs[4 * i + j], pairs[4 * i + 2 + j]);
      fours[4 * i + 2 * j + 1] = _mm256_unpackhi_epi64(pairs[4 * i + j], pairs[4 * i + 2 + j]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    columns[i] = _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x20);
    columns[4 + i] = _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x31);
  }
}

SK_AVX2_INLINE __m256i Load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

/** The words of the next block of each stream. */
SK_AVX2_INLINE void LoadBlocks(const uint8_t* const (&streams)[kMd5LanesMax], __m256i (&words)[kWords]) {
  for (size_t half = 0; half < 2; ++half) {
    __m256i rows[kMd5LanesMax];
    for (size_t lane = 0; lane < kMd5LanesMax; ++lane) rows[lane] = Load(streams[lane] + half * sizeof(__m256i));
    Transpose(rows, words + half * kMd5LanesMax);
  }
}

/** The same text for both, in functions that have their instructions. */
#define SK_COMPRESS_LANES(W)                                                                                       \
  const uint8_t* at[kMd5LanesMax];                                                                                 \
  std::copy_n(streams, kMd5LanesMax, at);                                                                          \
  __m256i a = Load(lanes[0]), b = Load(lanes[1]), c = Load(lanes[2]), d = Load(lanes[3]);                          \
  for (; blocks > 0; --blocks) {                                                                                   \
    __m256i words[kWords];                                                                                         \
    LoadBlocks(at, words);                                                                                         \
    const __m256i a0 = a, b0 = b, c0 = c, d0 = d;                                                                  \
    SK_STEPS(W)                                                                                                    \
    a = W::Add(a, a0), b = W::Add(b, b0), c = W::Add(c, c0), d = W::Add(d, d0);                                    \
    for (const uint8_t*& stream : at) stream += kMd5BlockBytes;                                                    \
  }                                                                                                                \
  const __m256i ends[4] = {a, b, c, d};                                                                            \
  std::memcpy(lanes, ends, sizeof(ends));

/** The words A of all lanes, then B, C and D. */
using LaneStates = uint32_t[4][kMd5LanesMax];

SK_AVX2 void CompressAvx2(LaneStates& lanes, const uint8_t* const* streams, size_t blocks) { SK_COMPRESS_LANES(Avx2) }
SK_AVX512 void CompressAvx512(LaneStates& lanes, const uint8_t* const* streams, size_t blocks) { SK_COMPRESS_LANES(Avx512) }

using CompressLanes = void (*)(LaneStates& lanes, const uint8_t* const* streams, size_t blocks);

CompressLanes FindCompressLanes() {
  if (!__builtin_cpu_supports("avx2")) return nullptr;
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? CompressAvx512 : CompressAvx2;
}

/** Asked once: under a hypervisor that costs as much as hashing a page. */
CompressLanes LanesHere() {
  static const CompressLanes found = FindCompressLanes();
  return found;
}

#else

using LaneStates = uint32_t[4][kMd5LanesMax];
using CompressLanes = void (*)(LaneStates& lanes, const uint8_t* const* streams, size_t blocks);
CompressLanes LanesHere() { return nullptr; }

#endif

}  // namespace

size_t Md5LanesHere() { return LanesHere() == nullptr ? 1 : kMd5LanesMax; }

void CompressMd5(std::span<Md5State* const> states, std::span<const uint8_t* const> streams, size_t blocks) {
  if (states.size() == 1) return CompressOne(*states[0], streams[0], blocks);
  // Lanes that nobody wants do what the first does.
  const uint8_t* all[kMd5LanesMax];
  LaneStates lanes;
  for (size_t lane = 0; lane < kMd5LanesMax; ++lane) {
    const size_t from = lane < states.size() ? lane : 0;
    all[lane] = streams[from];
    for (size_t word = 0; word < 4; ++word) lanes[word][lane] = (*states[from])[word];
  }
  LanesHere()(lanes, all, blocks);
  for (size_t lane = 0; lane < states.size(); ++lane) {
    for (size_t word = 0; word < 4; ++word) (*states[lane])[word] = lanes[word][lane];
  }
}

}  // namespace skerry
