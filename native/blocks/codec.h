#pragma once
// What shrinks bytes: LZ4 and Zstandard behind one face. Contexts belong to the thread that uses them, so that no caller waits
// for another; their memory is bounded by what one frame (frames.h) needs. Nothing here believes what it decompresses.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "../env/env.h"

namespace skerry {

enum class Codec : uint8_t { kRaw = 0, kLz4 = 1, kZstd = 2 };

inline constexpr uint8_t kZstdLevelDefault = 3;
inline constexpr uint8_t kZstdLevelMax = 19;   // those above it are for windows far larger than a frame

/** How new blocks are stored. */
struct Compression {
  Codec codec = Codec::kRaw;
  uint8_t level = 0;       // of kZstd: 1 to kZstdLevelMax
  bool on() const { return codec != Codec::kRaw; }
  bool operator==(const Compression&) const = default;
};

/** A Compression that is read with each write and changed now and then, or none: whoever reads asks elsewhere. */
class CompressionSetting {
 public:
  void Set(std::optional<Compression> wish) {
    word_.store(wish ? kSet | static_cast<uint32_t>(wish->codec) << 8 | wish->level : 0, std::memory_order_relaxed);
  }
  std::optional<Compression> wish() const {
    const uint32_t word = word_.load(std::memory_order_relaxed);
    if (word == 0) return std::nullopt;
    return Compression{static_cast<Codec>(word >> 8 & 0xff), static_cast<uint8_t>(word)};
  }

 private:
  static constexpr uint32_t kSet = 1u << 16;
  std::atomic<uint32_t> word_{0};
};

/** Bytes written to `into`; 0 where they do not fit there, or no memory is left for it. `how` is on. */
size_t Compress(const Compression& how, ConstBytes raw, Bytes into);

/** True where `stored` is whole and gave exactly into.size() bytes. Whatever `stored` holds, nothing past `into` is written. */
bool Decompress(Codec codec, ConstBytes stored, Bytes into);

/**
 * A look at a few pages of `raw`: false where it would hardly shrink. Costs a small part of compressing it. It may err on the
 * side of false where only what lies between those pages shrinks.
 */
bool LooksCompressible(const Compression& how, ConstBytes raw);

}  // namespace skerry
