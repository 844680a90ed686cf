#pragma once
// Who reads a volume of a pool on a backend from front to back, and how far ahead of each such reader its blocks were asked for: so that the
// next of them are on their way while these are read, however little a reader asks for at a time. As readahead of Linux does it: the window
// begins small, doubles while the reader goes on, and two of them are ahead. Whoever reads elsewhere is asked nothing for.
#include <array>
#include <cstdint>
#include <mutex>

namespace skerry {

class SequentialReaders {
 public:
  /** `bytes_max`: of all that is ahead of all readers together; 0: nothing is. */
  explicit SequentialReaders(uint64_t bytes_max) : windows_bytes_max_(bytes_max / 2) {}

  struct Blocks {
    uint64_t first = 0, count = 0;
  };
  /**
   * Notes a read of the blocks [first, last], which may be told more than once. What is to be asked for ahead of its reader: it is told
   * again until Asked says that it was.
   */
  Blocks Note(uint64_t volume, uint64_t first, uint64_t last);
  /** What Note told was asked for, up to the block `end`. */
  void Asked(uint64_t volume, uint64_t end);

 private:
  struct Reader {
    uint64_t volume = 0;
    uint64_t next = 0;     // the block after the last that was read
    uint64_t asked = 0;    // up to where blocks were asked for ahead; not above `next`: none are
    uint64_t window = 0;   // in blocks, as it was asked for last; 0: it has read but once
    uint64_t used = 0;
  };
  static constexpr size_t kReadersMax = 32;

  Reader* Find(uint64_t volume, uint64_t first, uint64_t reach);
  uint64_t WindowMax() const;
  uint64_t Window(const Reader& reader) const;
  uint64_t Grown(const Reader& reader) const;

  const uint64_t windows_bytes_max_;
  std::mutex mutex_;
  std::array<Reader, kReadersMax> readers_;
  uint64_t clock_ = 0;
};

}  // namespace skerry
