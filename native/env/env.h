#pragma once
// The one way out of the engine: clock, random, files and shared memory. `posix_env.cc` is the real one, the simulator
// (`native/simulation/sim_env.h`) the other. Engine code never calls the system directly (native/nbd's sockets excepted).
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "status.h"

namespace skerry {

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kSectorBytes = 4096;  // the unit that a log never rewrites; a device may still tear at 512

struct OpenOptions {
  bool write = false;
  bool create = false;     // create where absent
  bool exclusive = false;  // with create: fail (kInvalid) where present
  bool direct = false;     // bypass the page cache: offsets, lengths and memory are multiples of kSectorBytes
};

/** A stretch of a file that may hold data; what lies between stretches reads as zeroes and takes no space. */
struct DataRange {
  uint64_t start = 0, end = 0;
};

class File {
 public:
  virtual ~File() = default;
  /** The system's number for it; -1 where it has none. */
  virtual int descriptor() const { return -1; }
  /** Reads at `offset`; short only at the end of the file. Retries EINTR and partial reads. */
  virtual Result<size_t> Read(Bytes into, uint64_t offset) = 0;
  /** Scattered read that never waits for a device: kTryAgain when any byte is not in the page cache. Short only at the end. */
  virtual Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) = 0;
  /** Writes all of `data`. ENOSPC is kNoSpace. A write is durable only after a later DataSync succeeded. */
  virtual Status Write(ConstBytes data, uint64_t offset) = 0;
  /** fdatasync. A failure is final: the caller must treat what it wrote since the last success as lost, and never retry. */
  virtual Status DataSync() = 0;
  /** Says that this range will be read soon: a hint, which waits for nothing. */
  virtual void ReadAhead(uint64_t offset, uint64_t bytes) = 0;
  /** Reserves space for [0, bytes) and makes the file that long. */
  virtual Status Allocate(uint64_t bytes) = 0;
  virtual Status Truncate(uint64_t bytes) = 0;
  virtual Result<uint64_t> Size() = 0;
  /** The first stretch of data at or after `offset`; an empty one at the end. Without sparse files: all that is left. */
  virtual Result<DataRange> NextData(uint64_t offset) {
    Result<uint64_t> size = Size();
    if (!size.ok()) return size.status();
    return DataRange{offset < *size ? offset : *size, *size};
  }
};

/** One of many reads; `status` is the outcome: ok where all of `into` was read. */
struct FileRead {
  File* file = nullptr;
  uint64_t offset = 0;
  Bytes into;
  Status status;
};

/** Memory that outlives the process but not the host, mapped twice in a row so that a wrapped range is contiguous. */
class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  /** `header_bytes` of plain memory. */
  virtual Bytes header() = 0;
  /** First byte of the ring; [data, data + 2 * ring_bytes) is addressable, the second half aliasing the first. */
  virtual uint8_t* ring() = 0;
  virtual size_t ring_bytes() const = 0;
};

struct DirectoryEntry {
  std::string name;
  uint64_t bytes = 0;
};

class Env {
 public:
  virtual ~Env() = default;
  virtual uint64_t NowNanos() = 0;   // monotonic
  virtual uint64_t WallMillis() = 0; // since 1970
  virtual uint64_t ThreadCpuNanos() = 0;  // of the calling one, so far
  virtual void Random(Bytes into) = 0;
  /** Differs after every boot of the host; equal across processes of one boot. 16 bytes. */
  virtual std::string BootId() = 0;

  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) = 0;
  /** All of them, in any order, side by side where the system can. Waits for the last. */
  virtual void ReadMany(std::span<FileRead> reads) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  /** Removing an absent file succeeds. */
  virtual Status Remove(const std::string& path) = 0;
  virtual Status MakeDirectory(const std::string& path) = 0;  // with parents; present is fine
  virtual Status SyncDirectory(const std::string& path) = 0;
  /** Regular files only, sorted by name. kNotFound where there is no such directory. */
  virtual Result<std::vector<DirectoryEntry>> List(const std::string& path) = 0;
  /** Bytes the file system that holds `path` can still take. */
  virtual Result<uint64_t> FreeBytes(const std::string& path) = 0;
  /** A number for the file system that holds `path`: the same for all that share its free space. */
  virtual Result<uint64_t> FileSystemOf(const std::string& path) = 0;

  /** Maps the named region, creating it zero-filled and fully reserved where absent or of another size. */
  virtual Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header_bytes, size_t ring_bytes) = 0;
  virtual Status RemoveShared(const std::string& name) = 0;
};

/** The real machine. Thread-safe; its files may be used by many threads at once. Shared memory lives under /dev/shm. */
std::unique_ptr<Env> MakePosixEnv();

/** Memory aligned for direct I/O, freed with the holder. */
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t bytes);
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();
  uint8_t* data() { return data_; }
  size_t size() const { return bytes_; }
  Bytes bytes() { return {data_, bytes_}; }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace skerry
