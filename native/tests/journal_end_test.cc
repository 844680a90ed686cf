// A journal that ends in order says so, and only then: whoever finds the mark needs no ring to know that nothing is missing.
#include <set>

#include "../journal/layout.h"
#include "../journal/whole_journal.h"
#include "../simulation/sim_env.h"
#include "file_image.h"
#include "golden_env.h"
#include "journal_lives.h"

namespace skerry {
namespace {

constexpr const char* kGolden = "journal_v1_ended";
constexpr const char* kFiles[] = {"identity", "000000.segment"};
constexpr uint64_t kSmallSegmentBytes = 16 * kSectorBytes;
const JournalOptions kSmall{"/d/journal", "ring", 2 * kSmallSegmentBytes, kSmallSegmentBytes, 1 << 20, false};

/** Whether a start believes that the journal has all; the ring counts where it stands. */
bool Whole(Lives& lives) {
  const Result<std::array<uint8_t, 16>> id = WholeJournal(lives.env, lives.options);
  CHECK_OK(id.status());
  return *id != std::array<uint8_t, 16>{};
}

/** As Store::End does. */
Status End(Lives& lives) {
  lives.journal->StopAppends();
  for (Result<bool> wrote = true; *wrote;) {
    wrote = lives.journal->Write();
    if (!wrote.ok()) return wrote.status();
  }
  if (Status status = lives.journal->Sync(); !status.ok()) return status;
  return lives.journal->MarkEnd();
}

TEST("without its ring a journal has all only where it ended in order, and only until the next epoch begins") {
  SimEnv env(1);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= 20; ++i) lives.Append(i);
  lives.Flush();
  CHECK(Whole(lives));   // its ring stands
  env.HostCrash();
  CHECK(!Whole(lives));
  CHECK(lives.Open() == Code::kOk && !lives.report.ended_in_order);
  CHECK_OK(End(lives));
  const std::array<uint8_t, 16> id = lives.journal->id();
  env.HostCrash();
  CHECK(*WholeJournal(env, lives.options) == id);
  // A start that died before it began an epoch changed nothing.
  CHECK(lives.Look() == Code::kOk && lives.report.ended_in_order && lives.kept.size() == 20);
  env.HostCrash();
  CHECK(Whole(lives));
  // One that began it may have been written to, whether that reached the disk or not.
  CHECK(lives.Open() == Code::kOk && lives.report.ended_in_order);
  env.HostCrash();
  CHECK(!Whole(lives));
}

TEST("a start that dies anywhere before the next epoch stands leaves the mark or none, and never one over a later record") {
  for (uint64_t operations = 0;; ++operations) {
    SimEnv env(operations + 7);
    Lives lives{env, kSimulated};
    CHECK(lives.Open() == Code::kOk);
    for (uint64_t i = 1; i <= 20; ++i) lives.Append(i);
    CHECK_OK(End(lives));
    env.HostCrash();
    env.CrashAfterOperations(operations);
    const bool began = lives.Open() == Code::kOk;
    if (began) lives.Append(21);
    const bool ended = began && End(lives).ok();
    const bool through = !env.crashed();
    env.DisarmCrash();
    lives.journal.reset();
    env.HostCrash();
    const bool whole = Whole(lives);
    CHECK(lives.Open() == Code::kOk);
    // Where it is believed, everything is there that anybody was told of.
    CHECK(!whole || !began || lives.kept.size() == 21);
    CHECK(whole || !ended);
    lives.CheckPrefix(lives.kept.size());
    if (through) break;
  }
}

TEST("an end that is cut short anywhere, or whose sync fails, leaves no mark over what is not there") {
  std::set<bool> met;
  for (uint64_t operations = 0; operations < 40; ++operations) {
    for (const bool fails : {false, true}) {
      SimEnv env(operations + 100);
      Lives lives{env, kSimulated};
      CHECK(lives.Open() == Code::kOk);
      for (uint64_t i = 1; i <= 9; ++i) lives.Append(i);
      lives.WriteAll();
      lives.journal->StopAppends();
      bool synced = true;
      if (fails) {
        env.FailDataSync(".segment");
        synced = lives.journal->Sync().ok();
        CHECK(!synced && lives.journal->MarkEnd().code() != Code::kOk);
      } else {
        env.CrashAfterOperations(operations);
        synced = lives.journal->Sync().ok() && lives.journal->MarkEnd().ok();
      }
      env.ClearFaults();
      env.DisarmCrash();
      lives.journal.reset();
      env.HostCrash();
      const bool whole = Whole(lives);
      CHECK(lives.Open() == Code::kOk);
      CHECK(whole || !synced);
      CHECK(!whole || lives.kept.size() == 9);
      CHECK(!fails || !whole);
      met.insert(whole);
    }
  }
  CHECK(met.size() == 2);
}

TEST("nothing is marked before all is durable, and nothing is appended after") {
  SimEnv env(2);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  lives.Append(1);
  CHECK(lives.journal->MarkEnd().code() == Code::kInvalid);
  lives.journal->StopAppends();
  CHECK(lives.journal->MarkEnd().code() == Code::kInvalid);
  lives.WriteAll();
  CHECK(lives.journal->MarkEnd().code() == Code::kInvalid);
  CHECK_OK(lives.journal->Sync());
  CHECK_OK(lives.journal->MarkEnd());
  CHECK(lives.journal->Append({.type = RecordType::kTrim, .resource = kVolume, .sequence = 2}).code() == Code::kClosed);
}

TEST("what rots below the mark is corruption, not a torn end") {
  SimEnv env(3);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  const Lsn last = (lives.Flush(), lives.Append(1).record);
  CHECK_OK(End(lives));
  env.HostCrash();
  Flip(lives, PathOf(lives, last), last % kSegmentBytes + 8);
  CHECK(WholeJournal(env, lives.options).code() == Code::kCorrupt);
  CHECK(lives.Open() == Code::kCorrupt);
}

TEST("many lives that end in order, short or long, fit their segments and lose nothing") {
  SimEnv env(4);
  Lives lives{env, kSimulated};
  uint64_t written = 0;
  for (uint64_t life = 0; life < 300; ++life) {
    CHECK(lives.Open() == Code::kOk && lives.report.ended_in_order == (life > 0));
    if (life % 20 == 0) lives.CheckPrefix(written);
    CHECK(lives.kept.size() == written);
    for (uint64_t more = life % 4 == 1 ? life % 7 : 0; more > 0; --more) lives.Append(++written);
    CHECK_OK(End(lives));
    env.HostCrash();
    CHECK(Whole(lives));
  }
}

TEST("an orderly end is written as its golden file holds it, byte for byte, and that is found") {
  GoldenEnv env;
  {
    Lives lives{env, kSmall};
    CHECK(lives.Open() == Code::kOk);
    lives.Append(1, 300);
    CHECK_OK(End(lives));
    lives.journal.reset();
  }
  golden::Parts parts;
  for (const char* name : kFiles) parts.push_back({name, LoadFile(env, kSmall.directory + "/" + name)});
  golden::Compare(kGolden, parts);

  GoldenEnv other;
  for (const char* name : kFiles) StoreFile(other, kSmall.directory + "/" + name, golden::BytesOf(parts, name));
  Lives lives{other, kSmall};
  CHECK(Whole(lives));
  CHECK(lives.Open() == Code::kOk && lives.report.ended_in_order && lives.report.notes.empty());
  CHECK(lives.kept.size() == 1 && lives.Holds(lives.kept[0]));
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
