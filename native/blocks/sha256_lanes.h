#pragma once
// SHA-256 (FIPS 180-4) over several independent streams in lockstep. One stream is bound by the latency of the SHA
// instructions: each pair of rounds waits for the one before it. The rounds of other streams fill that wait.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace skerry {

/** The words a to h between two blocks. */
using Sha256State = std::array<uint32_t, 8>;

inline constexpr size_t kSha256BlockBytes = 64;
inline constexpr size_t kSha256LanesMax = 4;

/**
 * Takes `blocks` blocks of 64 bytes from each stream into the state of the same index; streams need no alignment.
 * False, and nothing done: this processor has no SHA instructions, or there are not 2 to kSha256LanesMax states with a
 * stream each.
 */
[[nodiscard]] bool CompressLanes(std::span<Sha256State> states, std::span<const uint8_t* const> streams, size_t blocks);

}  // namespace skerry
