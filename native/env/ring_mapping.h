#pragma once
// A header and, in address space of its own, a ring that is mapped twice in a row, over one file descriptor.
#include "env.h"

namespace skerry {

class RingMapping {
 public:
  /** Bytes a file must have to be mapped: the header rounded up to pages, then the ring. kInvalid for a ring of broken pages. */
  static Result<uint64_t> FileBytes(size_t header_bytes, size_t ring_bytes);
  /** The file is at least FileBytes long; the descriptor may be closed afterwards. `name` is for messages. */
  static Result<std::unique_ptr<RingMapping>> Map(int fd, const std::string& name, size_t header_bytes, size_t ring_bytes);
  /** The same over zeroed memory without a name, which ends with the mapping. */
  static Result<std::unique_ptr<RingMapping>> MapAnonymous(const std::string& name, size_t header_bytes, size_t ring_bytes);
  /** Maps nothing; Map makes one that does. */
  RingMapping() = default;
  ~RingMapping();
  RingMapping(const RingMapping&) = delete;
  RingMapping& operator=(const RingMapping&) = delete;

  Bytes header() { return {header_, header_bytes_}; }
  uint8_t* ring() { return ring_; }
  size_t ring_bytes() const { return ring_bytes_; }

 private:
  uint8_t* header_ = nullptr;
  size_t header_bytes_ = 0;
  size_t header_mapped_bytes_ = 0;
  uint8_t* ring_ = nullptr;
  size_t ring_bytes_ = 0;
};

}  // namespace skerry
