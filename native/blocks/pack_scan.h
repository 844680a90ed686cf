#pragma once
// Finds the records of a pack that has no footer, by their own headers and sums: a pack left open by a crash, or a sealed
// one whose footer is damaged.
#include "pack_footer.h"

namespace skerry {

struct PackScan {
  std::vector<PackFooterEntry> entries;       // whole records, by offset
  struct Damaged {
    PackFooterEntry entry;
    uint32_t first_bad_cell;
  };
  std::vector<Damaged> damaged;               // the header holds, a cell does not: torn, or rotten
  uint64_t data_end = 0;                      // all that lies beyond is zeroes
  bool header_holds = false;                  // of the file
};

/** Reads all of `file`, which may be a direct one. kIo when it cannot be read. */
Result<PackScan> ScanPack(File& file, uint32_t pack);

}  // namespace skerry
