#pragma once
// Open pack files for reading, a bounded number of them. Sets of a few ways, each under its own lock held for nanoseconds:
// a page read from the page cache takes about a microsecond, and this must not show in it.
#include <array>

#include "pack.h"

namespace skerry {

/** `NNNNNNNN.pack`, or `.open` while it is not sealed: the number in eight hexadecimal digits. */
std::string PackPath(const std::string& directory, uint32_t pack, bool sealed);
/** `NNNNNNNN.kept`: a copy of a pack that the pool's backend has. */
std::string KeptPackPath(const std::string& directory, uint32_t pack);

/** Thread-safe. */
class PackHandles {
 public:
  static constexpr size_t kHandlesMax = 512;

  /** `direct`: handles that bypass the page cache. */
  PackHandles(Env& env, std::string directory, bool direct) : env_(env), directory_(std::move(directory)), direct_(direct) {}

  /** kNotFound when there is no such pack. */
  Result<std::shared_ptr<File>> Get(uint32_t pack);
  void Add(uint32_t pack, std::shared_ptr<File> file);
  void Remove(uint32_t pack);

 private:
  static constexpr size_t kWays = 8;
  struct Slot {
    uint32_t pack = 0;
    uint64_t used = 0;
    std::shared_ptr<File> file;
  };
  struct Set {
    std::mutex mutex;
    uint64_t clock = 0;
    std::array<Slot, kWays> slots;
  };
  Result<std::unique_ptr<File>> OpenFile(uint32_t pack);
  Set& SetOf(uint32_t pack) { return sets_[pack % sets_.size()]; }

  Env& env_;
  const std::string directory_;
  const bool direct_;
  std::array<Set, kHandlesMax / kWays> sets_;
};

}  // namespace skerry
