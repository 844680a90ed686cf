#include "codec.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <memory>

namespace skerry {
namespace {

/** One page of this many is looked at. */
constexpr size_t kProbePages = 4;
/** A page that LZ4 makes no smaller than this is taken for one that does not shrink. */
constexpr size_t kProbeBytesMax = kPageBytes - kPageBytes / 16;
/**
 * The squares of how often each byte stands in a page, together. Random bytes come to some 69,600, text that is coded in base64
 * to 266,000: what is over this has less than 7.5 of 8 bits a byte, by which Huffman codes save what no repetition does.
 */
constexpr uint64_t kSquaresMin = kPageBytes * kPageBytes / 181;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

/** nullptr where there is no memory for one. */
ZSTD_CCtx* Compressor() {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context;
  if (!context) context.reset(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* Decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeContext> context;
  if (!context) context.reset(ZSTD_createDCtx());
  return context.get();
}

const char* Chars(const uint8_t* bytes) { return reinterpret_cast<const char*>(bytes); }
char* Chars(uint8_t* bytes) { return reinterpret_cast<char*>(bytes); }

size_t CompressLz4(ConstBytes raw, Bytes into) {
  if (raw.size() > LZ4_MAX_INPUT_SIZE) return 0;
  const size_t room = std::min<size_t>(into.size(), INT_MAX);
  const int bytes = LZ4_compress_default(Chars(raw.data()), Chars(into.data()), static_cast<int>(raw.size()), static_cast<int>(room));
  return bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

size_t CompressZstd(int level, ConstBytes raw, Bytes into) {
  ZSTD_CCtx* const context = Compressor();
  if (context == nullptr) return 0;
  const size_t bytes = ZSTD_compressCCtx(context, into.data(), into.size(), raw.data(), raw.size(), level);
  return ZSTD_isError(bytes) ? 0 : bytes;
}

bool IsUneven(ConstBytes page) {
  std::array<uint32_t, 256> counts{};
  for (const uint8_t byte : page) ++counts[byte];
  uint64_t squares = 0;
  for (const uint64_t count : counts) squares += count * count;
  return squares > kSquaresMin;
}

}  // namespace

size_t Compress(const Compression& how, ConstBytes raw, Bytes into) {
  if (raw.empty() || into.empty()) return 0;
  switch (how.codec) {
    case Codec::kRaw: return 0;
    case Codec::kLz4: return CompressLz4(raw, into);
    case Codec::kZstd: return CompressZstd(how.level, raw, into);
  }
  return 0;
}

bool Decompress(Codec codec, ConstBytes stored, Bytes into) {
  if (stored.empty() || into.empty() || stored.size() > INT_MAX || into.size() > INT_MAX) return false;
  if (codec == Codec::kLz4) {
    const int bytes = LZ4_decompress_safe(Chars(stored.data()), Chars(into.data()), static_cast<int>(stored.size()), static_cast<int>(into.size()));
    return bytes >= 0 && static_cast<size_t>(bytes) == into.size();
  }
  if (codec == Codec::kZstd) {
    ZSTD_DCtx* const context = Decompressor();
    if (context == nullptr) return false;
    const size_t bytes = ZSTD_decompressDCtx(context, into.data(), into.size(), stored.data(), stored.size());
    return !ZSTD_isError(bytes) && bytes == into.size();
  }
  return false;
}

bool LooksCompressible(const Compression& how, ConstBytes raw) {
  uint8_t shrunk[kProbeBytesMax];
  for (size_t at = 0; at + kPageBytes <= raw.size(); at += kProbePages * kPageBytes) {
    const ConstBytes page = raw.subspan(at, kPageBytes);
    if (CompressLz4(page, shrunk) != 0) return true;
    if (how.codec == Codec::kZstd && IsUneven(page)) return true;
  }
  return raw.size() < kPageBytes;
}

}  // namespace skerry
