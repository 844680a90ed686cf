// Laws of the journal under both deaths, on a simulated disk: what is kept, what is not believed, what is refused.
#include <cstring>
#include <map>

#include "../journal/layout.h"
#include "../simulation/sim_env.h"
#include "file_image.h"
#include "journal_lives.h"

namespace skerry {
namespace {

constexpr uint64_t kSlots = 4;
/** As few segments as a journal may have. */
const JournalOptions kTight{"/d/journal", "ring", 2 * kSegmentBytes, kSegmentBytes, kSlots * kSegmentBytes, false};

uint64_t SegmentOf(Lsn lsn) { return lsn / kSegmentBytes; }

/** The slot file that is segment `number` now; empty where none is. */
std::string SlotOf(Env& env, uint64_t number) {
  Result<std::vector<DirectoryEntry>> entries = env.List(kTight.directory);
  CHECK_OK(entries.status());
  for (const DirectoryEntry& entry : *entries) {
    if (!Says(entry.name, ".segment") || entry.bytes < kSegmentBytes) continue;
    const std::vector<uint8_t> bytes = LoadFile(env, kTight.directory + "/" + entry.name);
    uint64_t words[2];
    std::memcpy(words, bytes.data() + 16, sizeof words);
    uint32_t magic;
    std::memcpy(&magic, bytes.data(), sizeof magic);
    if (magic == kSegmentMagic && words[1] == number) return kTight.directory + "/" + entry.name;
  }
  return {};
}

void CheckSame(const std::vector<Kept>& a, const std::vector<Kept>& b) {
  CHECK(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(std::memcmp(&a[i].header, &b[i].header, sizeof(RecordHeader)) == 0 && a[i].record == b[i].record);
    CHECK(a[i].payload == b[i].payload && a[i].sums == b[i].sums && a[i].ref == b[i].ref);
  }
}

/** Exactly the writes `first` to `last` were found, in order, and each reads as it was written. */
void CheckRange(Lives& lives, uint64_t first, uint64_t last) {
  CHECK(lives.kept.size() == last + 1 - first);
  for (size_t i = 0; i < lives.kept.size(); ++i) CHECK(lives.kept[i].header.sequence == first + i && lives.Holds(lives.kept[i]));
}

RecordDraft RefDraft(uint64_t sequence, std::span<const uint8_t> payload) {
  return {.type = RecordType::kRef, .resource = kVolume, .sequence = sequence, .offset = sequence << 16,
          .length = payload.size() / sizeof(RefPlace) << 16, .payload = payload};
}

/** What one process after another did to one journal, and what it may rely on. */
class History {
 public:
  explicit History(uint64_t seed) : dice_(seed), env_(seed), lives_{env_, kTight} {
    CHECK(lives_.Open() == Code::kOk);
  }
  SimEnv& env() { return env_; }
  Lives& lives() { return lives_; }

  void Live() {
    if (dice_.Chance(1, 2)) env_.CrashAfterOperations(dice_.Below(60));
    for (uint64_t steps = dice_.Below(120); steps > 0 && !env_.crashed(); --steps) Step();
  }

  /** One death, perhaps others while recovering, and a life that finds what it must. */
  void DieAndRecover() {
    bool host = dice_.Chance(1, 2);
    Die(host);
    for (int attempt = 0; attempt < 2 && dice_.Chance(1, 3); ++attempt) {
      env_.CrashAfterOperations(dice_.Below(30));
      CHECK(lives_.Open() == Code::kOk || env_.crashed());
      host |= dice_.Chance(1, 2);
      Die(host);
    }
    CHECK(lives_.Open() == Code::kOk);
    CheckKept(host);
  }

  void Die(bool host) {
    lives_.journal.reset();
    if (host) env_.HostCrash(); else env_.ProcessCrash();
  }

  uint64_t recovered() const { return recovered_; }

 private:
  struct Model {
    uint64_t life = 0;       // stands in the record as its fence: a record of a dead epoch is not the one that took its sequence
    Appended at;
  };

  void Step() {
    Journal& journal = *lives_.journal;
    const uint64_t what = dice_.Below(100);
    if (what < 50) return Append();
    if (what < 75) return (void)journal.Write();
    if (what < 88) return Flush();
    if (what < 95) return (void)journal.PrepareSegment();
    Trim();
  }

  void Append() {
    const uint64_t sequence = last_ + 1;
    const size_t bytes = 1 + dice_.Below(dice_.Chance(1, 4) ? 20'000 : 700);
    const std::vector<uint8_t> data = Pattern(life_, sequence, bytes);
    RecordDraft draft = WriteDraft(sequence, data);
    draft.fence = life_;
    draft.offset = sequence * 777;
    Result<Appended> done = lives_.journal->Append(draft);
    CHECK(done.ok() || done.code() == Code::kTryAgain);
    if (!done.ok()) return Trim();
    last_ = sequence;
    model_[sequence] = {life_, *done};
  }

  void Flush() {
    Result<bool> wrote = true;
    while (wrote.ok() && *wrote) wrote = lives_.journal->Write();
    const bool synced = wrote.ok() && lives_.journal->Sync().ok();
    CHECK(synced || env_.crashed());
    if (!synced) return;
    CHECK(lives_.journal->durable() == lives_.journal->appended());
    synced_ = last_;
  }

  /** As after a root commit: only what a flush covered is given up. */
  void Trim() {
    if (synced_ < wanted_ || !model_.contains(synced_)) return;
    wanted_ += dice_.Below(synced_ - wanted_ + 1);
    lives_.journal->Trim(model_[wanted_].at.record);
  }

  void CheckKept(bool host) {
    ++recovered_;
    const std::vector<Kept>& kept = lives_.kept;
    const uint64_t end = kept.empty() ? wanted_ - 1 : kept.back().header.sequence;
    CHECK(kept.empty() || kept.front().header.sequence <= wanted_);
    CHECK(host ? end >= synced_ && end <= last_ : end == last_);
    for (size_t i = 0; i < kept.size(); ++i) {
      const uint64_t sequence = kept[0].header.sequence + i;
      const Model& model = model_.at(sequence);
      CHECK(kept[i].header.sequence == sequence && kept[i].header.fence == model.life && kept[i].record == model.at.record);
      std::vector<uint8_t> bytes(kept[i].header.payload_bytes);
      CHECK_OK(lives_.journal->Read(kept[i].payload, bytes, true));
      CHECK(PassesSums(kept[i], bytes) && bytes == Pattern(model.life, sequence, bytes.size()));
    }
    // Begun durably: whatever was found stays from here on.
    last_ = synced_ = end;
    ++life_;
  }

  SimRandom dice_;
  SimEnv env_;
  Lives lives_;
  std::map<uint64_t, Model> model_;
  uint64_t life_ = 1, last_ = 0, synced_ = 0, wanted_ = 1, recovered_ = 0;
};

TEST("whatever is done and however it dies, synced records are there, a process death keeps all, and no dead epoch comes back") {
  uint64_t recovered = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    try {
      History history(seed);
      for (int life = 0; life < 6; ++life) {
        history.Live();
        history.DieAndRecover();
      }
      recovered += history.recovered();
    } catch (const check::Failure& failure) {
      throw check::Failure{failure.what + " (seed " + std::to_string(seed) + ")"};
    }
  }
  CHECK(recovered == 300 * 6);
}

TEST("recovering twice is recovering once, whichever death lies between and whether an epoch was begun or not") {
  for (uint64_t seed = 1000; seed < 1060; ++seed) {
    History history(seed);
    history.Live();
    history.Die(seed % 2 == 0);
    Lives& lives = history.lives();
    CHECK(lives.Look() == Code::kOk);
    const std::vector<Kept> first = lives.kept;
    for (int attempt = 0; attempt < 2; ++attempt) {
      history.Die(false);
      CHECK(lives.Look() == Code::kOk);
      CheckSame(first, lives.kept);
    }
    for (const bool host : {false, true, true}) {
      CHECK(lives.Open() == Code::kOk);
      CheckSame(first, lives.kept);
      history.Die(host);
    }
  }
}

TEST("an opening vouches for nothing before what it decided is there, also where it ends a segment first") {
  const auto all = [] { return true; };
  uint64_t decided = 0, undecided = 0;
  for (size_t left = 8; left <= 40; left += 2) {   // kibibytes of the segment
    SimEnv machine(left);
    uint64_t sequence = 0;
    {
      Lives lives{machine, kSimulated};
      CHECK(lives.Open() == Code::kOk);
      while (lives.journal->appended() + (left << 10) < kSegmentBytes) {
        (void)lives.Append(++sequence, 3000);
        lives.Flush();
      }
      // Written and never flushed: what it names may be gone.
      (void)lives.Append(++sequence, 100);
      lives.WriteAll();
    }
    machine.HostCrashBy(all);
    const RecordDraft rewind{.type = RecordType::kRewind, .resource = kVolume, .sequence = sequence};
    for (uint64_t operations = 0; operations < 100; ++operations) {
      SimEnv env(machine);
      Lives lives{env, kSimulated};
      env.CrashAfterOperations(operations);
      const bool opened = lives.Open({&rewind, 1}) == Code::kOk;
      lives.journal.reset();
      env.HostCrashBy(all);
      CHECK(lives.Look() == Code::kOk && lives.kept.size() >= sequence);
      const bool there = lives.kept.back().header.type == RecordType::kRewind;
      CHECK(there || !lives.kept[sequence - 1].below_durable);
      ++(there ? decided : undecided);
      if (opened) break;
    }
  }
  CHECK(decided > 16 && undecided > 20);
}

TEST("a REF that ends a segment is recovered with its places, by index and by batch") {
  std::vector<uint8_t> places(3 * sizeof(RefPlace));
  for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<uint8_t>(i * 11 + 5);
  enum class Death { kProcess, kHost, kHostUnsynced };
  for (const Death death : {Death::kProcess, Death::kHost, Death::kHostUnsynced}) {
    for (size_t filler = 1; filler < 9000; filler += 311) {
      SimEnv env(filler);
      Lives lives{env, kSimulated};
      CHECK(lives.Open() == Code::kOk);
      uint64_t sequence = 0;
      while (lives.journal->appended() + 50'000 < kSegmentBytes) (void)lives.Append(++sequence, 9000);
      (void)lives.Append(++sequence, filler);
      const Appended ref = lives.Append(RefDraft(++sequence, places));
      const uint64_t ref_sequence = sequence;
      const Appended next = lives.Append(++sequence, 60'000);
      CHECK(SegmentOf(ref.record) == 0 && SegmentOf(next.record) == 1);
      if (death == Death::kHost) {
        lives.Flush();
        (void)lives.Append(++sequence, 100);  // its batch carries the mark
        lives.Flush();
      }
      if (death == Death::kHostUnsynced) lives.WriteAll();
      if (death == Death::kProcess) env.ProcessCrash(); else env.HostCrash();
      // The segment was made durable before its successor began, whatever a flush said.
      CHECK(lives.Open() == Code::kOk && lives.kept.size() >= (death == Death::kHostUnsynced ? ref_sequence : sequence));
      const Kept& kept = lives.kept[ref_sequence - 1];
      CHECK(kept.header.type == RecordType::kRef && kept.record == ref.record && kept.ref == places);
      CHECK(kept.below_durable == (death == Death::kHost) || death == Death::kHostUnsynced);
      for (const Kept& other : lives.kept) CHECK(other.header.type == RecordType::kRef || lives.Holds(other));
    }
  }
}

TEST("a full ring says so, takes nothing of what it refuses, and has room again after one batch is written") {
  SimEnv env(20);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  uint64_t sequence = 0;
  int refusals = 0;
  while (refusals < 6) {
    const std::vector<uint8_t> data = Pattern(kVolume, sequence + 1, 7000);
    const Lsn before = lives.journal->appended();
    const Result<Appended> done = lives.journal->Append(WriteDraft(sequence + 1, data));
    if (done.ok()) {
      ++sequence;
      continue;
    }
    CHECK(done.code() == Code::kTryAgain && Says(done.status().detail(), "ring is full") && lives.journal->appended() == before);
    CHECK(lives.journal->appended() - lives.journal->written() <= lives.options.ring_bytes);
    ++refusals;
    // A death at this very moment loses nothing either.
    if (refusals == 3) {
      env.ProcessCrash();
      CHECK(lives.Open() == Code::kOk);
      CheckRange(lives, 1, sequence);
      continue;
    }
    Result<bool> wrote = lives.journal->Write();
    CHECK(wrote.ok() && *wrote);
    CHECK_OK(lives.journal->PrepareSegment().status());
    CHECK_OK(lives.journal->Append(WriteDraft(sequence + 1, data)).status());
    ++sequence;
  }
  env.ProcessCrash();
  CHECK(lives.Open() == Code::kOk);
  CheckRange(lives, 1, sequence);
}

TEST("a full journal refuses until a trim gives segments back, and never overwrites what is wanted") {
  SimEnv env(21);
  Lives lives{env, kTight};
  CHECK(lives.Open() == Code::kOk);
  uint64_t sequence = 0, wanted = 1;
  std::map<uint64_t, Appended> places;
  const auto append = [&] {
    const std::vector<uint8_t> data = Pattern(kVolume, sequence + 1, 9000);
    Result<Appended> done = lives.journal->Append(WriteDraft(sequence + 1, data));
    if (done.ok()) places[++sequence] = *done;
    return done.status();
  };
  for (int round = 0; round < 12; ++round) {
    for (bool full = false; !full;) {
      const Status status = append();
      CHECK(status.ok() || status.code() == Code::kTryAgain);
      if (status.ok()) continue;
      lives.Flush();
      Result<bool> prepared = lives.journal->PrepareSegment();
      CHECK_OK(prepared.status());
      full = !*prepared && Says(append().detail(), "no journal segment is ready");
    }
    lives.Flush();
    // A start may need one segment beyond the limit for its own mark; however many starts there are, it is that same one.
    CHECK(lives.journal->usage().segments >= kSlots);
    CHECK(lives.journal->usage().segments + lives.journal->usage().segments_ready <= kSlots + 1);
    if (round % 3 == 1) env.HostCrash();
    if (round % 3 == 2) env.ProcessCrash();
    if (round % 3 != 0) {
      CHECK(lives.Open() == Code::kOk && lives.kept.front().header.sequence <= wanted);
      CheckRange(lives, lives.kept.front().header.sequence, sequence);
    }
    wanted = sequence - round % 4;
    lives.journal->Trim(places[wanted].record);
    CHECK(lives.journal->usage().segments_ready > 0);
    CHECK_OK(append());
  }
}

/** Fills segments 0 to 3 with flushed writes and gives up all before the last; returns the sequence of what is wanted first. */
uint64_t FillAndTrim(Lives& lives, uint64_t& sequence) {
  CHECK(lives.Open() == Code::kOk);
  Appended last = lives.Append(++sequence);
  while (SegmentOf(last.record) < kSlots - 1) last = lives.Append(++sequence);
  lives.Flush();
  lives.journal->Trim(last.record);
  return sequence;
}

/** True if the host died before the work was done. */
bool DieWhileSegmentsAreUsedAgain(uint64_t operations, uint64_t seed) {
  SimEnv env(seed);
  Lives lives{env, kTight};
  uint64_t sequence = 0;
  const uint64_t wanted = FillAndTrim(lives, sequence);
  env.CrashAfterOperations(operations);
  uint64_t synced = sequence;
  for (Lsn last = 0; !env.crashed() && SegmentOf(last) < kSlots + 2;) {
    const std::vector<uint8_t> data = Pattern(kVolume, sequence + 1, 9000);
    const Result<Appended> done = lives.journal->Append(WriteDraft(sequence + 1, data));
    CHECK(done.ok() || done.code() == Code::kTryAgain);
    if (done.ok()) {
      ++sequence;
      last = done.value().record;
    }
    Result<bool> wrote = lives.journal->Write();
    const bool flushed = wrote.ok() && sequence % 5 == 0 && lives.journal->Sync().ok();
    if (flushed && lives.journal->durable() == lives.journal->appended()) synced = sequence;
  }
  const bool died = env.crashed();
  lives.journal.reset();
  env.HostCrash();
  CHECK(lives.Open() == Code::kOk && lives.kept.front().header.sequence <= wanted);
  CHECK(lives.kept.back().header.sequence >= synced && lives.kept.back().header.sequence <= sequence);
  CheckRange(lives, lives.kept.front().header.sequence, lives.kept.back().header.sequence);
  return died;
}

TEST("a host that dies at any operation while segments are used again keeps what was flushed, and believes nothing older") {
  constexpr uint64_t kFates = 8;  // what of the unsynced survives is the dice's
  bool died = true;
  for (uint64_t operations = 0; died; ++operations) {
    for (uint64_t fate = 0; fate < kFates; ++fate) died = DieWhileSegmentsAreUsedAgain(operations, operations * kFates + fate);
  }
}

TEST("a slot whose header still names its former segment is not believed, whole batches of the new one behind it or not") {
  SimEnv env(22);
  Lives lives{env, kTight};
  uint64_t sequence = 0;
  const uint64_t wanted = FillAndTrim(lives, sequence);
  const std::string slot = SlotOf(env, 1);
  CHECK(!slot.empty());
  const std::vector<uint8_t> former = LoadFile(env, slot);
  Appended last;
  uint64_t kept = 0;
  while (SlotOf(env, 1) == slot) {
    kept = sequence;
    last = lives.Append(++sequence);
    lives.WriteAll();
  }
  // That record is the first of its segment.
  const uint64_t number = SegmentOf(last.record);
  CHECK(SlotOf(env, number) == slot);
  for (int i = 0; i < 3; ++i) {
    (void)lives.Append(++sequence);
    lives.WriteAll();
  }
  std::vector<uint8_t> bytes = LoadFile(env, slot);
  CHECK(std::equal(former.begin() + 2 * kSectorBytes, former.end(), bytes.begin() + 2 * kSectorBytes) == false);
  std::copy(former.begin(), former.begin() + kSectorBytes, bytes.begin());
  // The device has done what it was never asked to: batches before the header. All else of this host's is there.
  StoreFile(env, slot, bytes);
  lives.journal.reset();
  CHECK_OK(env.RemoveShared(kTight.ring_name));
  CHECK(lives.Open() == Code::kOk && lives.kept.front().header.sequence <= wanted);
  CheckRange(lives, lives.kept.front().header.sequence, kept);
  // And the log goes on where it ended.
  for (uint64_t i = kept + 1; i < kept + 20; ++i) (void)lives.Append(i);
  env.ProcessCrash();
  CHECK(lives.Open() == Code::kOk);
  CheckRange(lives, lives.kept.front().header.sequence, kept + 19);
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
