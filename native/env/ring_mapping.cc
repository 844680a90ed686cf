#include "ring_mapping.h"

#include <sys/mman.h>

#include <cerrno>

#include "descriptor.h"
#include "errno_status.h"

namespace skerry {
namespace {

constexpr size_t kRegionBytesMax = size_t{1} << 40;

size_t RoundUpToPage(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

}  // namespace

Result<uint64_t> RingMapping::FileBytes(size_t header_bytes, size_t ring_bytes) {
  if (ring_bytes == 0 || ring_bytes % kPageBytes != 0 || ring_bytes > kRegionBytesMax) {
    return Status(Code::kInvalid, "a ring of " + std::to_string(ring_bytes) + " bytes is not a positive number of 4 KiB pages");
  }
  if (header_bytes == 0 || header_bytes > kRegionBytesMax) {
    return Status(Code::kInvalid, "a ring's header cannot have " + std::to_string(header_bytes) + " bytes");
  }
  return static_cast<uint64_t>(RoundUpToPage(header_bytes) + ring_bytes);
}

Result<std::unique_ptr<RingMapping>> RingMapping::Map(int fd, const std::string& name, size_t header_bytes, size_t ring_bytes) {
  if (Result<uint64_t> bytes = FileBytes(header_bytes, ring_bytes); !bytes.ok()) return bytes.status();
  auto mapping = std::make_unique<RingMapping>();

  const size_t header_mapped_bytes = RoundUpToPage(header_bytes);
  void* header = ::mmap(nullptr, header_mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (header == MAP_FAILED) return ErrnoStatus("map the header of", name, errno);
  mapping->header_ = static_cast<uint8_t*>(header);
  mapping->header_bytes_ = header_bytes;
  mapping->header_mapped_bytes_ = header_mapped_bytes;

  // The whole span is reserved first, so that nothing else can settle between the two halves.
  void* span = ::mmap(nullptr, ring_bytes * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (span == MAP_FAILED) return ErrnoStatus("reserve address space for", name, errno);
  mapping->ring_ = static_cast<uint8_t*>(span);
  mapping->ring_bytes_ = ring_bytes;
  for (size_t half = 0; half < 2; ++half) {
    void* place = mapping->ring_ + half * ring_bytes;
    if (::mmap(place, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(header_mapped_bytes)) ==
        MAP_FAILED) {
      return ErrnoStatus("map the ring of", name, errno);
    }
  }
  return mapping;
}

Result<std::unique_ptr<RingMapping>> RingMapping::MapAnonymous(const std::string& name, size_t header_bytes, size_t ring_bytes) {
  Result<uint64_t> bytes = FileBytes(header_bytes, ring_bytes);
  if (!bytes.ok()) return bytes.status();
  Descriptor memory(::memfd_create("skerry-ring", MFD_CLOEXEC));
  if (!memory.open()) return ErrnoStatus("make memory for", name, errno);
  if (::ftruncate(memory.get(), static_cast<off_t>(*bytes)) != 0) return ErrnoStatus("size the memory of", name, errno);
  return Map(memory.get(), name, header_bytes, ring_bytes);
}

RingMapping::~RingMapping() {
  if (header_ != nullptr) ::munmap(header_, header_mapped_bytes_);
  if (ring_ != nullptr) ::munmap(ring_, ring_bytes_ * 2);
}

}  // namespace skerry
