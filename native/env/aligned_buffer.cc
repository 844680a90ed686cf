#include <cstdlib>
#include <cstring>
#include <utility>

#include "env.h"

namespace skerry {

// Zeroed, so that padding which reaches a disk never carries what the heap held before.
AlignedBuffer::AlignedBuffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const size_t rounded = (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  data_ = static_cast<uint8_t*>(std::aligned_alloc(kSectorBytes, rounded));
  // As for every other allocation of the process, there is nothing to go on with.
  if (data_ == nullptr) std::abort();
  std::memset(data_, 0, rounded);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this == &other) return *this;
  std::free(data_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

AlignedBuffer::~AlignedBuffer() { std::free(data_); }

}  // namespace skerry
