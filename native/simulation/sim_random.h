#pragma once
// The simulator's dice: xoshiro256** seeded by splitmix64. The same seed gives the same world on every machine.
#include <array>
#include <cstdint>

namespace skerry {

/** One step of splitmix64: a good mix of `value`, also used to digest worlds. */
inline uint64_t SplitMix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

class SimRandom {
 public:
  explicit SimRandom(uint64_t seed) {
    for (uint64_t& word : state_) word = seed = SplitMix(seed);
  }
  uint64_t Next() {
    const uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }
  /** Uniform in [0, bound) but for a bias far below what any test could see; 0 for a bound of 0. */
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }
  /** True `of` times in `in`. */
  bool Chance(uint64_t of, uint64_t in) { return Below(in) < of; }

 private:
  static uint64_t Rotate(uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }
  std::array<uint64_t, 4> state_;
};

}  // namespace skerry
