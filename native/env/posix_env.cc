// The real machine: Linux.
#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "descriptor.h"
#include "env.h"
#include "errno_status.h"
#include "posix_file.h"
#include "shared_memory.h"
#include "uring.h"

namespace skerry {
namespace {

constexpr char kBootIdPath[] = "/proc/sys/kernel/random/boot_id";
constexpr size_t kBootIdBytes = 16;
constexpr unsigned kUringEntries = 128;
constexpr size_t kUringReadsMin = 8;   // fewer are not worth a ring

uint64_t ClockNanos(clockid_t clock) {
  struct timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class PosixEnv : public Env {
 public:
  PosixEnv() : boot_id_(ReadBootId()) {}

  uint64_t NowNanos() override { return ClockNanos(CLOCK_MONOTONIC); }
  uint64_t WallMillis() override { return ClockNanos(CLOCK_REALTIME) / 1'000'000; }
  uint64_t ThreadCpuNanos() override { return ClockNanos(CLOCK_THREAD_CPUTIME_ID); }

  void Random(Bytes into) override {
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = ::getrandom(into.data() + done, into.size() - done, 0);
      if (got > 0) {
        done += static_cast<size_t>(got);
      } else if (errno != EINTR) {
        std::abort();  // ids and epochs that are not random would be worse than none
      }
    }
  }

  std::string BootId() override { return boot_id_; }

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override {
    return PosixFile::Open(path, options);
  }

  void ReadMany(std::span<FileRead> reads) override {
    const bool known = std::all_of(reads.begin(), reads.end(), [](const FileRead& read) { return read.file->descriptor() >= 0; });
    const std::unique_ptr<Uring> ring = known && reads.size() >= kUringReadsMin ? Uring::Make(kUringEntries) : nullptr;
    if (ring != nullptr) return ring->Read(reads);
    for (FileRead& read : reads) ReadAlone(read);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return ErrnoStatus("rename " + from + " to", to, errno);
  }

  Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return ErrnoStatus("remove", path, errno);
  }

  // A directory that was made here is made durable in its parent at once: callers sync what they put in it, not above it.
  Status MakeDirectory(const std::string& path) override {
    for (size_t end = 0; end < path.size();) {
      end = path.find('/', end + 1);
      const std::string part = path.substr(0, end);
      if (end == std::string::npos) end = path.size();
      if (::mkdir(part.c_str(), 0700) == 0) {
        if (Status status = SyncDirectory(ParentOf(part)); !status.ok()) return status;
        continue;
      }
      const int error = errno;
      struct stat info;
      if (::stat(part.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
      return ErrnoStatus("make directory", part, error);
    }
    if (path.empty()) return ErrnoStatus("make directory", "''", EINVAL);
    return {};
  }

  Status SyncDirectory(const std::string& path) override {
    Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.open()) return ErrnoStatus("open directory", path, errno);
    int result;
    do result = ::fsync(directory.get());
    while (result != 0 && errno == EINTR);
    // As with a file's data: the names are lost or not known to be kept, whatever the number says.
    if (result != 0) return {Code::kIo, ErrnoStatus("sync directory", path, errno).detail()};
    return {};
  }

  Result<std::vector<DirectoryEntry>> List(const std::string& path) override {
    Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!descriptor.open()) return ErrnoStatus("open directory", path, errno);
    std::unique_ptr<DIR, DirectoryCloser> directory(::fdopendir(descriptor.get()));
    if (directory == nullptr) return ErrnoStatus("read directory", path, errno);
    const int fd = descriptor.Release();  // the stream owns it now
    std::vector<DirectoryEntry> entries;
    while (true) {
      errno = 0;
      const struct dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) {
        if (errno != 0) return ErrnoStatus("read directory", path, errno);
        break;
      }
      struct stat info;
      if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;  // removed meanwhile
        return ErrnoStatus("stat", path + "/" + entry->d_name, errno);
      }
      if (S_ISREG(info.st_mode)) entries.push_back({entry->d_name, static_cast<uint64_t>(info.st_size)});
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  Result<uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs info;
    int result;
    do result = ::statvfs(path.c_str(), &info);
    while (result != 0 && errno == EINTR);
    if (result != 0) return ErrnoStatus("find the free space of", path, errno);
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<uint64_t> FileSystemOf(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return ErrnoStatus("stat", path, errno);
    return static_cast<uint64_t>(info.st_dev);
  }

  Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header_bytes, size_t ring_bytes) override {
    return MapPosixShared(name, header_bytes, ring_bytes);
  }
  Status RemoveShared(const std::string& name) override { return RemovePosixShared(name); }

 private:
  // Where the kernel tells no boot id, all zero: tmpfs does not outlive a boot anyway, while an invented id would have
  // every restart of the daemon ignore a ring that holds acknowledged writes.
  static std::string ReadBootId() {
    std::string id;
    Descriptor file(::open(kBootIdPath, O_RDONLY | O_CLOEXEC));
    char text[64];
    const ssize_t length = file.open() ? ::read(file.get(), text, sizeof text) : 0;
    int high = -1;
    for (ssize_t i = 0; i < length && id.size() < kBootIdBytes; ++i) {
      const int digit = HexDigit(text[i]);
      if (digit < 0) continue;
      if (high < 0) {
        high = digit;
      } else {
        id.push_back(static_cast<char>(high << 4 | digit));
        high = -1;
      }
    }
    id.resize(kBootIdBytes, '\0');
    return id;
  }

  const std::string boot_id_;
};

}  // namespace

std::unique_ptr<Env> MakePosixEnv() { return std::make_unique<PosixEnv>(); }

}  // namespace skerry
