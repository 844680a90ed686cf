#pragma once
// Whether a journal has all that it was ever given, for whoever has to know before it is opened.
#include <array>
#include <cstdint>

#include "journal.h"

namespace skerry {

/**
 * Before Journal::Open, which must follow: the journal's id where its ring stands since it was last open, and so it has all that it was
 * given. Zeroes where it does not: what no sync covered may be gone.
 */
Result<std::array<uint8_t, 16>> StandingRing(Env& env, const JournalOptions& options);

}  // namespace skerry
