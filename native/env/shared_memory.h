#pragma once
// Named regions under /dev/shm. They hold users' data in clear, so a region is its owner's alone: mode 0600, never
// through a symbolic link, and one that belongs to somebody else is refused rather than used. While a region is mapped it is
// locked (flock), which ends with the process however that dies: a second one that would map it is refused.
#include "env.h"

namespace skerry {

Result<std::unique_ptr<SharedMemory>> MapPosixShared(const std::string& name, size_t header_bytes, size_t ring_bytes);
Status RemovePosixShared(const std::string& name);

}  // namespace skerry
