#pragma once
// Whether a journal has all that it was ever given, for whoever has to know before it is opened.
#include <array>
#include <cstdint>

#include "journal.h"

namespace skerry {

/**
 * Before Journal::Open, which must follow: the journal's id where it has all that it was given, for its ring stands since it was last open, or
 * it ended in order (Journal::MarkEnd) and no epoch was begun since. Zeroes where neither is so: what no sync covered may be gone. Fails as Open.
 */
Result<std::array<uint8_t, 16>> WholeJournal(Env& env, const JournalOptions& options);

}  // namespace skerry
