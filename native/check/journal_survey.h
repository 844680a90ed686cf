#pragma once
// What a journal holds, told without changing it: the shipped recovery reads it, in an environment that forgets what it
// writes. For those who must know what a start would find: recovering a catalog, checking a data directory.
#include <map>

#include "../journal/journal.h"

namespace skerry {

struct JournalSurvey {
  /** What the log holds of one resource, without what a later record of it voids. */
  struct Resource {
    uint64_t records = 0;
    uint64_t first_sequence = 0;   // 0: no record with a sequence
    uint64_t last_sequence = 0;
    uint64_t fence = 0;            // the highest
    uint64_t end_bytes = 0;        // where its writes end that come before a resize or a rollback: it was as large as that
    bool reshaped = false;         // a resize or a rollback is among them; the last one made it this large:
    uint64_t size_bytes = 0;
    bool dropped = false;          // it was deleted: nothing of it is wanted
  };
  struct Barrier {
    ResourceId volume = 0, snapshot = 0;
    uint64_t sequence = 0;
    uint64_t size_bytes = 0;       // of the volume there; 0: no record before it says
  };

  bool present = false;            // false: there is no journal in this directory
  std::string ring_name;           // of the ring that belongs to it; '' where none was found
  std::map<ResourceId, Resource> resources;
  std::vector<Barrier> barriers;
  ReplayReport report;
};

/**
 * `rings`: names of shared memory to look at; the one that is this journal's is taken. kCorrupt and others as a start of the
 * daemon would meet them, with the same words.
 */
Result<JournalSurvey> SurveyJournal(Env& system, const std::string& directory, const std::vector<std::string>& rings);

}  // namespace skerry
