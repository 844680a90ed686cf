#include "standing_ring.h"

#include "journal_impl.h"

namespace skerry {

Result<std::array<uint8_t, 16>> StandingRing(Env& env, const JournalOptions& options) {
  Journal::Impl journal(env, options);
  if (Status status = journal.LoadIdentity(); !status.ok()) return status;
  if (Status status = journal.MapRing(); !status.ok()) return status;
  return journal.RingIsOurs() ? journal.id() : std::array<uint8_t, 16>{};
}

}  // namespace skerry
