// The journal's promises on the simulator: what survives which death, what is refused, what is salvaged.
#include "../journal/journal.h"

#include "../journal/layout.h"
#include "../simulation/sim_env.h"
#include "check.h"
#include "journal_rig.h"

namespace skerry {
namespace {

TEST("what was appended is replayed in order, across many segments and turns of the ring, after a process crash") {
  SimEnv env(1);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(700, 3000);
  CHECK(rig.journal->usage().segments > 4);
  const size_t appended = rig.kept.size();
  rig.CheckReads();
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.size() == appended && rig.seen.size() == appended);
  CHECK(rig.report.ring_used && rig.report.ring_records > 0 && rig.report.notes.empty());
  CHECK(rig.failing.empty());
  rig.CheckReads();
  rig.AppendMany(50, 5000);
  rig.Flush();
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.seen.size() == appended + 50);
}

TEST("an append that nobody wrote survives the process, and not the host") {
  SimEnv env(2);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(3, 100);
  rig.Flush();
  CHECK(rig.Append(4096) == Code::kOk);
  CHECK(rig.journal->durable() < rig.kept.back().at.end);
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.size() == 4 && rig.report.ring_records == 1);
  CHECK(rig.journal->durable() >= rig.kept.back().at.end);  // recovery moved it
  CHECK(rig.Append(4096) == Code::kOk);
  env.HostCrash();
  rig.Open();
  CHECK(rig.kept.size() == 4 && !rig.report.ring_used);
}

TEST("every kind of record comes back, with the list of blocks of a large write") {
  SimEnv env(3);
  JournalRig rig(env, "/j");
  rig.Open();
  CHECK(rig.Append(0, RecordType::kZero) == Code::kOk);
  CHECK(rig.Append(48 * 16, RecordType::kRef) == Code::kOk);
  CHECK(rig.Append(0, RecordType::kBarrier) == Code::kOk);
  rig.AppendMany(200, 4000);  // past the first segment's end: its index is what tells of them
  rig.Flush();
  env.HostCrash();
  rig.Open();
  CHECK(rig.seen.size() == 203 && rig.seen[1].payload_bytes.size() == 48 * 16);
  CHECK(rig.seen[0].below_durable && rig.seen[1].below_durable);
}

TEST("a record too large, or a write shorter than it says, is refused") {
  SimEnv env(4);
  JournalRig rig(env, "/j");
  rig.Open();
  CHECK(rig.Append(200 << 10) == Code::kInvalid);
  CHECK(rig.Append(2 << 20) == Code::kInvalid);
  const std::vector<uint8_t> bytes(10);
  CHECK(rig.journal->Append({.type = RecordType::kWrite, .length = 11, .payload = bytes}).code() == Code::kInvalid);
  CHECK(rig.Append(64 << 10) == Code::kOk);
}

TEST("without room an append changes nothing and says try again; writing, trimming and preparing make room") {
  SimEnv env(5);
  JournalRig rig(env, "/j");
  rig.options.journal_bytes_max = 1 << 20;
  rig.Open();
  Code code = Code::kOk;
  while ((code = rig.Append(4096)) == Code::kOk) {}
  CHECK(code == Code::kTryAgain);
  int full = 0;
  for (int i = 0; i < 3000; ++i) {
    if (rig.Append(4096) == Code::kOk) continue;
    rig.Flush();
    const Result<bool> prepared = rig.journal->PrepareSegment();
    CHECK_OK(prepared);
    if (!prepared.value() && rig.Append(4096) != Code::kOk) {
      ++full;
      rig.TrimTo(rig.kept.size() - 10);
    }
  }
  CHECK(full > 5);
  CHECK(rig.journal->usage().bytes <= rig.journal->usage().bytes_max);
  const size_t appended = rig.kept.size();
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.size() == appended);
  CHECK(rig.seen.front().header.sequence <= rig.trimmed + 1);
  std::vector<uint8_t> back(100);
  CHECK(rig.journal->Read(rig.kept[0].at.payload, back, true).code() == Code::kNotFound);
}

TEST("whatever a power cut leaves of unsynced sectors, the log is a prefix no older than durable()") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SimEnv env(seed);
    JournalRig rig(env, "/j");
    rig.options.journal_bytes_max = 2 << 20;
    rig.Open();
    for (int life = 0; life < 5; ++life) {
      if (rig.kept.size() > 60) rig.TrimTo(rig.kept.size() - 50);
      rig.AppendMany(30 + static_cast<int>(seed % 40), 2000 + seed * 13 % 5000, seed % 2 == 0);
      if (seed % 3 == 0) CHECK_OK(rig.journal->Write());
      const uint64_t durable = rig.DurableCount();
      const bool host = (seed + static_cast<uint64_t>(life)) % 3 != 0;
      const size_t appended = rig.kept.size();
      host ? env.HostCrash() : env.ProcessCrash();
      rig.Open();
      CHECK(rig.failing.empty());
      CHECK(rig.kept.size() >= durable);
      if (!host) CHECK(rig.kept.size() == appended);
    }
  }
}

TEST("dying at any operation, also of recovery itself, loses nothing that was promised") {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SimEnv env(seed);
    JournalRig rig(env, "/j");
    rig.options.journal_bytes_max = 2 << 20;
    rig.Open();
    for (int life = 0; life < 4; ++life) {
      if (rig.kept.size() > 60) rig.TrimTo(rig.kept.size() - 40);
      rig.AppendMany(45, 3000 + seed * 17 % 4000, seed % 2 == 0);
      const uint64_t durable = rig.DurableCount();
      bool host = false;
      const size_t appended = rig.kept.size();
      env.ProcessCrash();
      for (uint64_t step = seed % 3; true; step += 1 + seed % 4) {
        env.CrashAfterOperations(step);
        const Status status = rig.TryOpen();
        if (status.ok() && !env.crashed()) break;
        CHECK(env.crashed());
        rig.journal.reset();
        if ((step + seed) % 5 == 0) {
          env.HostCrash();
          host = true;
        } else {
          env.ProcessCrash();
        }
      }
      env.DisarmCrash();
      rig.kept.resize(rig.LastSeen());
      CHECK(rig.kept.size() >= durable);
      if (!host) CHECK(rig.kept.size() == appended);
      CHECK(rig.failing.empty());
    }
  }
}

TEST("dying at any operation of ordinary work loses nothing that was promised") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SimEnv env(seed * 977);
    JournalRig rig(env, "/j");
    rig.options.journal_bytes_max = 1 << 20;
    rig.Open();
    for (int life = 0; life < 4; ++life) {
      env.CrashAfterOperations(seed % 37 + static_cast<uint64_t>(life) * 5);
      uint64_t durable = rig.DurableCount();
      size_t appended = rig.kept.size();
      uint64_t trimmed = rig.trimmed;
      for (int i = 0; i < 400 && !env.crashed(); ++i) {
        const Code code = rig.Append(1000 + (seed * 29 + static_cast<uint64_t>(i) * 131) % 8000);
        if (env.crashed()) break;
        appended = rig.kept.size();
        if (code != Code::kOk || i % 11 == 0) {
          (void)rig.journal->Write();
          if (i % 3 == 0 || code != Code::kOk) (void)rig.journal->Sync();
          if (!env.crashed()) durable = rig.DurableCount();
          if (durable > 30) {
            rig.TrimTo(durable - 20);
            trimmed = rig.trimmed;
          }
          (void)rig.journal->PrepareSegment();
        }
      }
      rig.journal.reset();
      env.DisarmCrash();
      const bool host = (seed + static_cast<uint64_t>(life)) % 2 == 0;
      host ? env.HostCrash() : env.ProcessCrash();
      rig.trimmed = trimmed;
      rig.Open();
      CHECK(rig.kept.size() >= durable);
      if (!host) CHECK(rig.kept.size() >= appended);
      CHECK(rig.failing.empty());
    }
  }
}

TEST("a failed sync makes the journal read-only, and what was acknowledged survives the restart and a power cut after it") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SimEnv env(seed);
    JournalRig rig(env, "/j");
    rig.Open();
    rig.AppendMany(static_cast<int>(20 + seed), 3000);
    env.FailDataSync(".segment");
    CHECK_OK(rig.journal->Write());
    CHECK(rig.journal->Sync().code() == Code::kIo);
    CHECK(rig.journal->failed());
    CHECK(rig.Append(100) == Code::kReadOnly && rig.journal->Sync().code() == Code::kReadOnly && rig.journal->Write().code() == Code::kReadOnly);
    const size_t appended = rig.kept.size();
    env.ProcessCrash();
    env.ClearFaults();
    rig.Open();
    CHECK(rig.kept.size() == appended && rig.DurableCount() == appended);
    rig.AppendMany(1, 100);
    rig.Flush();
    env.HostCrash();
    rig.Open();
    CHECK(rig.kept.size() == appended + 1 && rig.failing.empty());
  }
}

TEST("a failed write makes the journal read-only, and the ring still holds what it took") {
  SimEnv env(8);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(4, 3000);
  CHECK(rig.Append(3000) == Code::kOk);
  env.FailWrites(".segment");
  CHECK(!rig.journal->Write().ok());
  CHECK(rig.journal->failed());
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.size() == 5);
}

/** A journal of some segments, all of it durable, with marks that say so; closed. */
void Fill(SimEnv& env, JournalRig& rig) {
  rig.Open();
  rig.AppendMany(300, 3000, true);
  rig.Flush();
  rig.AppendMany(1, 3000);
  rig.Flush();
  env.HostCrash();
}

TEST("rot below a mark in a header, an index, a batch or a record is refused by name, and salvage goes on, once and for all") {
  struct Place { const char* title; bool sealed; uint64_t offset; };
  const uint64_t footer = (256 << 10) - 40;
  const Place places[] = {{"segment header", true, 9},  {"segment header", false, 40}, {"index", true, footer},
                          {"batch header", false, kSectorBytes + 3}, {"record header", false, kSectorBytes + 64 + 10}};
  for (const Place& place : places) {
    SimEnv env(9);
    JournalRig rig(env, "/j");
    Fill(env, rig);
    const Lsn last = rig.kept.back().at.record;
    const std::string path = rig.SegmentPath(place.sealed ? last - rig.options.segment_bytes : last);
    CHECK_OK(env.FlipBit(path, place.offset, 2));
    const size_t all = rig.kept.size();
    const Status refused = rig.TryOpen();
    CHECK(refused.code() == Code::kCorrupt);
    CHECK(refused.detail().find(path) != std::string::npos && refused.detail().find("--salvage-journal") != std::string::npos);
    CHECK(refused.detail().find("byte offset") != std::string::npos);
    CHECK(rig.TryOpen().code() == Code::kCorrupt);  // refusing changed nothing
    rig.options.salvage = true;
    rig.gaps = true;
    rig.Open();
    CHECK(!rig.report.notes.empty() && rig.kept.size() == all);
    const size_t found = rig.seen.size();
    const bool loses = std::string(place.title) == "batch header" || std::string(place.title) == "record header";
    CHECK(loses ? found < all && found > all / 2 : found == all);
    rig.options.salvage = false;
    rig.AppendMany(20, 3000);
    rig.Flush();
    env.HostCrash();
    rig.Open();
    CHECK(rig.seen.size() == found + 20 && rig.report.notes.empty());
  }
}

TEST("rot below a mark in a payload costs the pages of that payload only") {
  SimEnv env(10);
  JournalRig rig(env, "/j");
  Fill(env, rig);
  for (const size_t index : {size_t{3}, rig.kept.size() - 2}) {  // one in a sealed segment, one in the last
    const Kept& victim = rig.kept[index];
    CHECK_OK(env.FlipBit(rig.SegmentPath(victim.at.payload), victim.at.payload % rig.options.segment_bytes + 700, 5));
  }
  const size_t all = rig.kept.size();
  rig.Open();
  CHECK(rig.seen.size() == all);
  CHECK(rig.failing == (std::vector<uint64_t>{4, all - 1}));
}

TEST("a bad batch above every mark is a torn tail: the log ends there, and what stood after it never returns") {
  SimEnv env(11);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(2, 3000);
  rig.Flush();
  for (int i = 0; i < 3; ++i) {
    CHECK(rig.Append(3000) == Code::kOk);
    CHECK_OK(rig.journal->Write());
  }
  const Lsn torn = rig.kept[2].at.payload;
  CHECK_OK(rig.journal->Sync());  // no later batch says so
  env.HostCrash();
  CHECK_OK(env.FlipBit(rig.SegmentPath(torn), torn % rig.options.segment_bytes + 5, 1));
  rig.Open();
  CHECK(rig.kept.size() == 2 && rig.report.notes.size() == 1);
  for (int life = 0; life < 4; ++life) {  // new batches of the same length lead straight to the old ones
    env.HostCrash();
    rig.Open();
    CHECK(rig.kept.size() == 2 + static_cast<size_t>(life));
    CHECK(rig.Append(3000) == Code::kOk);
    rig.Flush();
  }
}

TEST("a missing segment is refused above the trim mark and fine below it") {
  SimEnv env(12);
  JournalRig rig(env, "/j");
  Fill(env, rig);
  const Lsn last = rig.kept.back().at.record;
  const std::string path = rig.SegmentPath(last - rig.options.segment_bytes);
  CHECK_OK(env.Rename(path, "/j/away"));
  CHECK(rig.TryOpen().code() == Code::kCorrupt);
  rig.options.salvage = true;
  rig.gaps = true;
  rig.Open();
  CHECK(rig.seen.size() < rig.kept.size() && rig.seen.size() > rig.kept.size() / 2);
  rig.options.salvage = false;
  env.HostCrash();
  rig.Open();
  rig.AppendMany(300, 3000);
  rig.Flush();
  rig.TrimTo(rig.kept.size() - 5);
  rig.AppendMany(200, 3000);
  rig.Flush();
  env.HostCrash();
  rig.gaps = false;
  rig.Open();
  CHECK(rig.seen.size() < 330);
}

TEST("another ring size is taken up without losing what the old ring holds; another segment size is not taken up") {
  SimEnv env(13);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(3, 5000);
  CHECK(rig.Append(1000) == Code::kOk);
  env.ProcessCrash();
  rig.options.ring_bytes = 2 << 20;
  rig.options.segment_bytes = 512 << 10;
  rig.Open();
  CHECK(rig.kept.size() == 4 && rig.report.notes.size() == 1);
  rig.options.segment_bytes = 256 << 10;
  rig.AppendMany(400, 3000);
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.size() == 404 && rig.report.ring_used);
}

TEST("the ring of another boot, of another journal, or of an older state of the log is ignored or refused, never replayed") {
  SimEnv env(14);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(4, 100);
  CHECK(rig.Append(100) == Code::kOk);
  env.ProcessCrash();
  JournalRig other(env, "/other");
  other.Open();
  CHECK(other.seen.empty() && !other.report.ring_used);
  other.AppendMany(2, 100);
  other.Flush();
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.empty() || !rig.report.ring_used);
  other.Open();
  CHECK(other.kept.size() == 2);
}

TEST("a newer version, a damaged identity and a lost one are refused by name") {
  SimEnv env(15);
  JournalRig rig(env, "/j");
  Fill(env, rig);
  const size_t all = rig.kept.size();
  CHECK_OK(env.FlipBit("/j/identity", 4, 1));
  CHECK(rig.TryOpen().code() == Code::kInvalid);  // reads as version 3
  CHECK_OK(env.FlipBit("/j/identity", 4, 1));
  CHECK_OK(env.FlipBit("/j/identity", 12, 1));
  CHECK(rig.TryOpen().code() == Code::kCorrupt);
  CHECK_OK(env.Remove("/j/identity"));
  CHECK(rig.TryOpen().code() == Code::kCorrupt);
  rig.options.salvage = true;
  rig.Open();
  CHECK(rig.seen.size() == all);
}

TEST("a full disk keeps the journal from growing, not from opening or going on") {
  SimEnv env(16);
  JournalRig rig(env, "/j");
  rig.Open();
  rig.AppendMany(100, 3000);
  rig.Flush();
  env.SetFreeBytes(0);
  int refused = 0;
  for (int i = 0; i < 400 && refused == 0; ++i) {
    if (rig.Append(4096) == Code::kOk) continue;
    rig.Flush();
    if (rig.Append(4096) == Code::kOk) continue;
    const Result<bool> prepared = rig.journal->PrepareSegment();
    if (!prepared.ok()) {
      CHECK(prepared.code() == Code::kNoSpace);
      ++refused;
    }
  }
  CHECK(refused == 1 && !rig.journal->failed());
  const size_t appended = rig.kept.size();
  env.ProcessCrash();
  rig.Open();
  CHECK(rig.kept.size() == appended);
  rig.TrimTo(rig.kept.size() - 1);
  rig.Flush();
  CHECK_OK(rig.journal->PrepareSegment());
  CHECK(rig.Append(4096) == Code::kOk);
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
