#pragma once
// Reading pages through a stack: overlay generations first, then the map, each page verified before it leaves.
#include <string_view>
#include <vector>

#include "../journal/journal.h"
#include "base.h"
#include "pool.h"

namespace skerry {

/** How the detail of a kCorrupt begins whose bytes stand in the journal. */
inline constexpr std::string_view kJournalRot = "journal bytes at ";

/** What is known of one page after asking some layers; `done` once nothing below can matter. */
struct PageSource {
  bool done = false;
  bool hole = false;                 // zero, given back
  PageSlot base;                     // kNone and done == false: below, then the map
  ResourceId base_resource = 0;      // seeds the sum of a journalled base
  struct Piece {
    PagePiece piece;
    ResourceId resource;
  };
  std::vector<Piece> pieces;         // newest first, over the base
};

/** Adds what `generation` knows of `page` under what is already in `source`. */
void AskLayer(const Generation& generation, PageIndex page, PageSource& source);

/** What reading needs besides the sources; all shared by every volume of a store. */
struct ReadContext {
  Journal& journal;
  Pool& pool;
  std::span<const JournalStretch> ahead = {};   // what was read already, by place; those that are not ok are empty
};

/**
 * Fills `into` (whole pages) with pages [first, first + sources.size()). Sources that are not done are read from the map
 * under `root`. kTryAgain when it would block and may not. kNotFound or kCorrupt: the stack may have moved on, ask again.
 */
Status FetchPages(ReadContext context, const TreeRoot& root, PageIndex first, std::vector<PageSource>& sources, Bytes into, bool may_block);

/**
 * Has the blocks [first, first + count) of the map come into the cache, if they are on a backend, without waiting for any. False where the
 * map itself is not all here: it was asked for, and those of them that it leads to are to be asked for again.
 */
bool AskAhead(ReadContext context, const TreeRoot& root, BlockIndex first, uint32_t count);

/**
 * The same for one block where that ended in kCorrupt, page by page: bit i of `lost` is set where page first + i has rotted, and
 * nothing is filled in there. Rotten is only what was read past every cache and fails its sum. All else is an error as before: a
 * map node that fails, a pack that is away, a disk that does not answer may come back, and what is called lost is lost for good.
 */
Status FetchWhatHolds(ReadContext context, const TreeRoot& root, PageIndex first, std::vector<PageSource>& sources, Bytes into, uint32_t& lost);

}  // namespace skerry
