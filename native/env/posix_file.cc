#include "posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>

#include "errno_status.h"

namespace skerry {
namespace {

// One system call moves less than 2 GiB; a round number below keeps direct I/O aligned.
constexpr size_t kTransferBytesMax = size_t{1} << 30;
constexpr size_t kReadNowPartsMax = 64;

std::string Range(const char* verb, size_t bytes, uint64_t offset) {
  return std::string(verb) + " " + std::to_string(bytes) + " bytes at " + std::to_string(offset) + " of";
}

bool PastOffsetMax(uint64_t offset, uint64_t bytes) {
  constexpr uint64_t kOffsetMax = std::numeric_limits<int64_t>::max();
  return offset > kOffsetMax || bytes > kOffsetMax - offset;
}

}  // namespace

Result<std::unique_ptr<File>> PosixFile::Open(const std::string& path, const OpenOptions& options) {
  // O_NONBLOCK matters only to what is refused below: opening a FIFO must not wait for its other end.
  int flags = (options.write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  if (options.create) flags |= O_CREAT;
  if (options.create && options.exclusive) flags |= O_EXCL;
  if (options.direct) flags |= O_DIRECT;
  bool direct = options.direct;
  int fd;
  do {
    fd = ::open(path.c_str(), flags, 0600);
    if (fd < 0 && errno == EINVAL && (flags & O_DIRECT) != 0) {
      // A file system without direct I/O. Nothing is lost but speed: durability comes from DataSync, not from O_DIRECT.
      // Where the call created the file before it failed, the second call finds it.
      flags &= ~(O_DIRECT | O_EXCL);
      fd = ::open(path.c_str(), flags, 0600);
    }
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoStatus("open", path, errno);
  Descriptor descriptor(fd);
  struct stat info;
  if (::fstat(fd, &info) != 0) return ErrnoStatus("stat", path, errno);
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
    return Status(Code::kInvalid, "cannot open " + path + ": it is neither a regular file nor a block device");
  }
  return std::unique_ptr<File>(std::make_unique<PosixFile>(std::move(descriptor), path, direct));
}

Status PosixFile::CheckDirect(const char* verb, const void* memory, size_t bytes, uint64_t offset) const {
  if (PastOffsetMax(offset, bytes)) return ErrnoStatus(Range(verb, bytes, offset), path_, EINVAL);
  if (!direct_) return {};
  if ((reinterpret_cast<uintptr_t>(memory) | bytes | offset) % kSectorBytes == 0) return {};
  return {Code::kInvalid, "cannot " + Range(verb, bytes, offset) + " " + path_ + ": direct I/O moves whole aligned sectors"};
}

Result<size_t> PosixFile::Read(Bytes into, uint64_t offset) {
  if (Status status = CheckDirect("read", into.data(), into.size(), offset); !status.ok()) return status;
  size_t done = 0;
  while (done < into.size()) {
    const size_t wanted = std::min(into.size() - done, kTransferBytesMax);
    const ssize_t got = ::pread(descriptor_.get(), into.data() + done, wanted, static_cast<off_t>(offset + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(Range("read", wanted, offset + done), path_, errno);
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
    // A direct read ends inside a sector only at the end of the file; going on from there would be misaligned.
    if (direct_ && done % kSectorBytes != 0) break;
  }
  return done;
}

Result<size_t> PosixFile::ReadNow(std::span<const Bytes> into, uint64_t offset) {
  // Direct I/O always waits for the device, RWF_NOWAIT or not.
  if (direct_) return Status(Code::kTryAgain, {});
  size_t done = 0;
  size_t part = 0, part_done = 0;  // where in `into` the next byte goes
  while (true) {
    std::array<iovec, kReadNowPartsMax> parts;
    size_t count = 0, wanted = 0;
    for (size_t i = part, skip = part_done; i < into.size() && count < parts.size(); ++i, skip = 0) {
      if (into[i].size() == skip) continue;
      const size_t room = kTransferBytesMax - wanted;
      const size_t length = std::min(into[i].size() - skip, room);
      parts[count++] = {into[i].data() + skip, length};
      wanted += length;
      if (wanted == kTransferBytesMax) break;
    }
    if (count == 0) return done;
    if (PastOffsetMax(offset, done + wanted)) return ErrnoStatus(Range("read", wanted, offset), path_, EINVAL);
    const ssize_t got =
        ::preadv2(descriptor_.get(), parts.data(), static_cast<int>(count), static_cast<off_t>(offset + done), RWF_NOWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      // A file system that cannot tell (EOPNOTSUPP) is one that might wait.
      if (errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS) return Status(Code::kTryAgain, {});
      return ErrnoStatus(Range("read", wanted, offset + done), path_, errno);
    }
    if (got == 0) return done;
    done += static_cast<size_t>(got);
    // A short answer is the end of the file or the end of what is cached: only the next call tells which.
    for (size_t left = static_cast<size_t>(got); left > 0;) {
      const size_t step = std::min(left, into[part].size() - part_done);
      part_done += step;
      left -= step;
      if (part_done == into[part].size()) {
        ++part;
        part_done = 0;
      }
    }
  }
}

Status PosixFile::Write(ConstBytes data, uint64_t offset) {
  if (Status status = CheckDirect("write", data.data(), data.size(), offset); !status.ok()) return status;
  size_t done = 0;
  while (done < data.size()) {
    const size_t wanted = std::min(data.size() - done, kTransferBytesMax);
    const ssize_t put = ::pwrite(descriptor_.get(), data.data() + done, wanted, static_cast<off_t>(offset + done));
    if (put < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(Range("write", wanted, offset + done), path_, errno);
    }
    size_t advanced = static_cast<size_t>(put);
    if (direct_ && advanced < wanted) advanced -= advanced % kSectorBytes;  // go on from a boundary; the cause shows then
    if (advanced == 0) {
      return {Code::kIo, "cannot " + Range("write", wanted, offset + done) + " " + path_ + ": the system took no bytes"};
    }
    done += advanced;
  }
  return {};
}

Status PosixFile::DataSync() {
  if (!sync_failed_.load(std::memory_order_acquire)) {
    int result;
    do result = ::fdatasync(descriptor_.get());
    while (result != 0 && errno == EINTR);
    if (result == 0) {
      // A failure that another thread met while this call ran may have been of this call's writes.
      if (!sync_failed_.load(std::memory_order_acquire)) return {};
    } else {
      sync_failed_.store(true, std::memory_order_release);
      // Never kNoSpace: the loss is of writes that were already answered, not of one that may be refused.
      return {Code::kIo, ErrnoStatus("sync", path_, errno).detail() + "; what was written since the last sync may be lost"};
    }
  }
  return {Code::kIo, "cannot sync " + path_ + ": an earlier sync failed, and what was written before it may be lost"};
}

void PosixFile::ReadAhead(uint64_t offset, uint64_t bytes) {
  if (bytes == 0 || PastOffsetMax(offset, bytes)) return;
  (void)::posix_fadvise(descriptor_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

Status PosixFile::Allocate(uint64_t bytes) {
  if (bytes == 0) return {};
  const std::string doing = "allocate " + std::to_string(bytes) + " bytes for";
  if (PastOffsetMax(0, bytes)) return ErrnoStatus(doing, path_, EFBIG);
  int error;
  do error = ::posix_fallocate(descriptor_.get(), 0, static_cast<off_t>(bytes));
  while (error == EINTR);
  return error == 0 ? Status() : ErrnoStatus(doing, path_, error);
}

Status PosixFile::Truncate(uint64_t bytes) {
  const std::string doing = "truncate to " + std::to_string(bytes) + " bytes";
  if (PastOffsetMax(0, bytes)) return ErrnoStatus(doing, path_, EFBIG);
  int result;
  do result = ::ftruncate(descriptor_.get(), static_cast<off_t>(bytes));
  while (result != 0 && errno == EINTR);
  return result == 0 ? Status() : ErrnoStatus(doing, path_, errno);
}

Result<uint64_t> PosixFile::Size() {
  struct stat info;
  if (::fstat(descriptor_.get(), &info) != 0) return ErrnoStatus("stat", path_, errno);
  if (S_ISREG(info.st_mode)) return static_cast<uint64_t>(info.st_size);
  // A block device says its size only by its end; no other call of this class looks at the position.
  const off_t end = ::lseek(descriptor_.get(), 0, SEEK_END);
  if (end < 0) return ErrnoStatus("find the size of", path_, errno);
  return static_cast<uint64_t>(end);
}

Result<DataRange> PosixFile::NextData(uint64_t offset) {
  Result<uint64_t> size = Size();
  if (!size.ok()) return size.status();
  if (offset >= *size) return DataRange{*size, *size};
  const off_t start = ::lseek(descriptor_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (start < 0) {
    if (errno == ENXIO) return DataRange{*size, *size};
    return DataRange{offset, *size};  // a file system without SEEK_DATA: all of it may be data
  }
  const off_t end = ::lseek(descriptor_.get(), start, SEEK_HOLE);
  if (end < 0) return ErrnoStatus("seek in", path_, errno);
  return DataRange{static_cast<uint64_t>(start), static_cast<uint64_t>(end)};
}

}  // namespace skerry
