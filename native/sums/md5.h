#pragma once
// MD5 of bodies: what several threads take at the same time is taken in lanes, by one of them.
#include <array>
#include <cstdint>
#include <span>

#include "../env/env.h"
#include "md5_lanes.h"

namespace skerry {

/** One body's. Any thread, one at a time. */
class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(const Md5&) = delete;
  Md5& operator=(const Md5&) = delete;
  /** Returns when all of it is taken. */
  void Update(std::span<const ConstBytes> pieces);
  /** Ends it. */
  std::array<uint8_t, 16> Finish();

 private:
  friend class Md5Gang;
  /** So many of the blocks that lie together were taken, and where those end the next are found. False where all is taken: the rest is kept. */
  bool Took(size_t blocks);

  Md5State state_ = kMd5Begin;
  uint64_t bytes_ = 0;
  std::array<uint8_t, kMd5BlockBytes> rest_;   // what came and is no whole block, or one that lay in several pieces
  size_t rest_bytes_ = 0;
  // Of an update: what is left to look at, and the blocks that were found there.
  std::span<const ConstBytes> pieces_;
  ConstBytes piece_;
  const uint8_t* blocks_at_ = nullptr;
  size_t blocks_ = 0;
};

}  // namespace skerry
