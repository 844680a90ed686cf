#pragma once
// MD5 (RFC 1321) over several independent streams in lockstep, a stream in each lane of a vector. One stream is bound by latency: each
// step waits for the one before it, so that eight streams in lanes take about as long as one.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace skerry {

/** The words A to D between two blocks. */
using Md5State = std::array<uint32_t, 4>;

inline constexpr Md5State kMd5Begin{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
inline constexpr size_t kMd5BlockBytes = 64;
inline constexpr size_t kMd5LanesMax = 8;

/** Streams that this processor does in lockstep: 1 where it has no vectors for it. */
size_t Md5LanesHere();

/**
 * Takes `blocks` blocks of 64 bytes from each stream into the state of the same index; streams need no alignment. As many states as
 * streams, 1 to Md5LanesHere().
 */
void CompressMd5(std::span<Md5State* const> states, std::span<const uint8_t* const> streams, size_t blocks);

}  // namespace skerry
