#pragma once
// A file's bytes in memory: sparse (a page never written, or written with zeroes only, costs nothing), copied by page on
// the first change after a copy.
#include <array>
#include <memory>
#include <unordered_map>

#include "../env/env.h"

namespace skerry {

class SimImage {
 public:
  uint64_t size() const { return size_; }
  /** Grows with zeroes, or cuts: what was cut reads as zero when it grows again. */
  void Resize(uint64_t bytes);
  /** Writes what lies inside the size; the rest is dropped. */
  void Write(ConstBytes data, uint64_t offset);
  /** Short only at the end. */
  size_t Read(Bytes into, uint64_t offset) const;
  /** Changes one bit inside the size. */
  void Flip(uint64_t offset, unsigned bit);
  uint64_t Digest() const;

 private:
  using Page = std::array<uint8_t, kPageBytes>;
  Page& Own(uint64_t index);

  uint64_t size_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<Page>> pages_;
};

/** A digest of bytes that is the same on every machine. Not for anything but comparing worlds. */
uint64_t SimDigest(ConstBytes bytes, uint64_t seed);

}  // namespace skerry
