#include "shared_memory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "descriptor.h"
#include "errno_status.h"
#include "ring_mapping.h"

namespace skerry {
namespace {

constexpr size_t kNameBytesMax = 200;
constexpr int kCreateAttemptsMax = 8;
/** A process that was killed lets go of its files one after the other: who starts in its place may be that early. */
constexpr int kLockAttemptsMax = 100;
constexpr std::chrono::milliseconds kLockPause{10};

class PosixSharedMemory : public SharedMemory {
 public:
  PosixSharedMemory(std::unique_ptr<RingMapping> mapping, Descriptor lock) : mapping_(std::move(mapping)), lock_(std::move(lock)) {}
  Bytes header() override { return mapping_->header(); }
  uint8_t* ring() override { return mapping_->ring(); }
  size_t ring_bytes() const override { return mapping_->ring_bytes(); }

 private:
  const std::unique_ptr<RingMapping> mapping_;
  const Descriptor lock_;
};

Result<std::string> PathOf(const std::string& name) {
  if (name.empty() || name.size() > kNameBytesMax || name[0] == '.' || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    return Status(Code::kInvalid, "'" + name + "' cannot name shared memory");
  }
  return "/dev/shm/" + name;
}

Result<struct stat> CheckOwned(const Descriptor& descriptor, const std::string& path) {
  struct stat info;
  if (::fstat(descriptor.get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  if (!S_ISREG(info.st_mode)) return Status(Code::kInvalid, path + " is not a regular file: remove it");
  if (info.st_uid != ::geteuid()) {
    return Status(Code::kInvalid, path + " belongs to user " + std::to_string(info.st_uid) + ": it is not used; remove it");
  }
  if ((info.st_mode & 077) != 0) return Status(Code::kInvalid, path + " is open to other users: it is not used; remove it");
  if (info.st_nlink != 1) return Status(Code::kInvalid, path + " has more than one name: it is not used; remove it");
  return info;
}

int OpenRegion(const std::string& path, int flags) {
  int fd;
  do fd = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | flags, 0600);
  while (fd < 0 && errno == EINTR);
  return fd;
}

// Two processes that write one ring destroy what each acknowledged. A copy of a data directory names the ring of its original.
Status Lock(const Descriptor& descriptor, const std::string& path) {
  for (int attempt = 0; ::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoStatus("lock", path, errno);
    if (attempt == kLockAttemptsMax) {
      return {Code::kInvalid, path + " is in use by another process: this data directory is a copy of one that a daemon serves here, and both "
                                     "would write that ring. Serve the copy on another host"};
    }
    std::this_thread::sleep_for(kLockPause);
  }
  return {};
}

// Touching a page that tmpfs cannot back is SIGBUS, at some later write: all of it is claimed here, where it can be refused.
Status Reserve(const Descriptor& descriptor, const std::string& path, uint64_t bytes) {
  int error;
  do error = ::posix_fallocate(descriptor.get(), 0, static_cast<off_t>(bytes));
  while (error == EINTR);
  if (error == 0) return {};
  Status status = ErrnoStatus("reserve " + std::to_string(bytes) + " bytes for", path, error);
  if (status.code() != Code::kNoSpace) return status;
  return {Code::kNoSpace, status.detail() + "; make /dev/shm larger or the ring smaller"};
}

}  // namespace

Result<std::unique_ptr<SharedMemory>> MapPosixShared(const std::string& name, size_t header_bytes, size_t ring_bytes) {
  Result<std::string> named = PathOf(name);
  if (!named.ok()) return named.status();
  const std::string& path = *named;
  Result<uint64_t> wanted = RingMapping::FileBytes(header_bytes, ring_bytes);
  if (!wanted.ok()) return wanted.status();

  Descriptor descriptor;
  bool created = false;
  for (int attempt = 0; !descriptor.open(); ++attempt) {
    if (attempt == kCreateAttemptsMax) return Status(Code::kIo, path + " keeps changing: another process recreates it");
    Descriptor found(OpenRegion(path, 0));
    if (found.open()) {
      Result<struct stat> info = CheckOwned(found, path);
      if (!info.ok()) return info.status();
      if (Status status = Lock(found, path); !status.ok()) return status;
      if (static_cast<uint64_t>(info->st_size) == *wanted) {
        descriptor = std::move(found);
        break;
      }
      // Of another size, or left half made by a process that died: what it held cannot be read as this region.
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus("remove", path, errno);
    } else if (errno != ENOENT) {
      return ErrnoStatus("open shared memory", path, errno);
    }
    Descriptor made(OpenRegion(path, O_CREAT | O_EXCL));
    if (made.open()) {
      if (Status status = Lock(made, path); !status.ok()) return status;
      created = true;
      descriptor = std::move(made);
    } else if (errno != EEXIST) {
      return ErrnoStatus("create shared memory", path, errno);
    }
  }
  // One that was found is reserved too: a reservation keeps what is there and fills what somebody punched out.
  Status status = Reserve(descriptor, path, *wanted);
  Result<std::unique_ptr<RingMapping>> mapping(status);
  if (status.ok()) mapping = RingMapping::Map(descriptor.get(), path, header_bytes, ring_bytes);
  if (!mapping.ok()) {
    if (created) ::unlink(path.c_str());
    return mapping.status();
  }
  return std::unique_ptr<SharedMemory>(std::make_unique<PosixSharedMemory>(std::move(*mapping), std::move(descriptor)));
}

Status RemovePosixShared(const std::string& name) {
  Result<std::string> path = PathOf(name);
  if (!path.ok()) return path.status();
  if (::unlink(path->c_str()) != 0 && errno != ENOENT) return ErrnoStatus("remove", *path, errno);
  return {};
}

}  // namespace skerry
