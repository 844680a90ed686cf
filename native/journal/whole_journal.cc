#include "whole_journal.h"

#include "journal_impl.h"

namespace skerry {

Result<std::array<uint8_t, 16>> WholeJournal(Env& env, const JournalOptions& options) {
  Journal::Impl journal(env, options);
  if (Status status = journal.LoadIdentity(); !status.ok()) return status;
  if (Status status = journal.MapRing(); !status.ok()) return status;
  if (journal.RingIsOurs()) return journal.id();
  ReplayReport report;
  if (Status status = journal.Recover([](const ReplayedRecord&) { return Status::Ok(); }, report); !status.ok()) return status;
  return report.ended_in_order ? journal.id() : std::array<uint8_t, 16>{};
}

}  // namespace skerry
