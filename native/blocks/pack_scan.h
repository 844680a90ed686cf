#pragma once
// Finds the records of a pack that has no footer, by their own headers and sums: a pack left open by a crash, or a sealed
// one whose footer is damaged.
#include "pack_footer.h"

namespace skerry {

struct PackScan {
  std::vector<PackFooterEntry> entries;       // whole records, by offset
  struct Damaged {
    PackFooterEntry entry;
    std::vector<uint32_t> bad_cells;
  };
  std::vector<Damaged> damaged;               // the header holds, some cells do not: torn, or rotten
  uint64_t unreadable = 0;                    // records of which nothing but the header holds
  uint64_t unproven = 0;                      // what looks like a record and is none of the store's: a guest's bytes
  uint64_t data_end = 0;                      // all that lies beyond is zeroes
  bool header_holds = false;                  // of the file
};

/**
 * Reads all of `file`, which may be a direct one. `key`: of the pool's own domain. `cipher`: of the pool; nullptr where it is not
 * encrypted. kIo when it cannot be read.
 */
Result<PackScan> ScanPack(File& file, uint32_t pack, const DomainKey& key, const RecordCipher* cipher = nullptr);

}  // namespace skerry
