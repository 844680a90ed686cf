#pragma once
// What files would take in a pool, told before anything of them is written: their blocks are cut and named as destage does
// it, and looked for in the pool and among those that were seen before. It remembers eight bytes of each distinct block, up
// to a bound; past that it goes on with every second one, then every fourth, and its numbers are estimates.
#include <functional>
#include <string>
#include <vector>

#include "../volume/pool.h"

namespace skerry {

class Estimate {
 public:
  /** Zeroes and data together are the bytes of the files; what is distinct or known is counted in blocks, and never more than the data. */
  struct Totals {
    uint64_t zero_bytes = 0;      // holes and zeroes: never stored
    uint64_t data_bytes = 0;      // all others
    uint64_t distinct_bytes = 0;  // of these, each content once
    uint64_t known_bytes = 0;     // of the distinct ones, what the pool has
    uint64_t stored_bytes = 0;    // what records of all others would take in packs as the pool compresses now, map nodes aside
    uint64_t raw_bytes = 0;       // the same if nothing were compressed
    uint64_t lz4_bytes = 0;       // with LZ4
    uint64_t zstd_bytes = 0;      // with Zstandard at its default level
    bool exact = true;            // every distinct block is remembered
  };
  struct Step {
    uint64_t next = 0;            // where to go on
    uint64_t file_bytes = 0;      // the end
  };

  /** `remembered_max`: distinct blocks; eight bytes each, and as much again while the table grows. */
  Estimate(Env& env, const Pool& pool, size_t remembered_max = kRememberedMax);

  /** From `offset`, a block's bound, for as long as `go_on`: a megabyte at least. Not thread-safe. */
  Result<Step> Read(const std::string& path, uint64_t offset, const std::function<bool()>& go_on);
  Totals totals() const;

 private:
  static constexpr size_t kRememberedMax = 3u << 20;   // 192 GiB of distinct blocks

  Status LookAt(File& file, uint64_t offset, size_t length, const std::string& path);
  void Remember(ConstBytes block);
  void Measure(const BlockId& id, ConstBytes block);
  void Insert(uint64_t entry);
  void Grow();
  void Thin();
  bool Chosen(uint64_t entry) const { return halvings_ == 0 || entry >> (64 - halvings_) == 0; }

  Env& env_;
  const Pool& pool_;
  const size_t remembered_max_;
  AlignedBuffer buffer_;
  std::vector<uint64_t> table_;   // the first bytes of an id, but the lowest bit: whether the pool has it; 0: free
  size_t used_ = 0, known_ = 0;
  uint32_t halvings_ = 0;         // blocks are remembered whose id begins with so many zero bits
  uint64_t zero_bytes_ = 0, data_bytes_ = 0, data_blocks_ = 0;
  /** Of all blocks that were new when they were met: how many, and what their records would take each way. */
  uint64_t measured_ = 0, measured_now_ = 0, measured_lz4_ = 0, measured_zstd_ = 0;
};

}  // namespace skerry
