// The journal's promises: what a process crash keeps, what a host crash keeps, and what is refused instead of guessed.
#include "../journal/journal.h"

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "../simulation/sim_env.h"
#include "check.h"
#include "journal_lives.h"

namespace skerry {
namespace {

/** A directory and a ring that go with the test. TMPDIR chooses the file system, which must take direct I/O. */
class Machine {
 public:
  Machine() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/var/tmp") + "/skerry-journal-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw check::Failure{"mkdtemp failed"};
    ring_ = "skerry-journal-test-" + std::to_string(::getpid());
    CHECK_OK(env_->RemoveShared(ring_));
  }
  ~Machine() {
    (void)env_->RemoveShared(ring_);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Env& env() { return *env_; }
  JournalOptions options() const { return {path_ + "/journal", ring_, 2 * kSegmentBytes, kSegmentBytes, 16 << 20, false}; }

 private:
  const std::unique_ptr<Env> env_ = MakePosixEnv();
  std::string path_, ring_;
};

TEST("what is appended over many segments and ring wraps is replayed in order, byte for byte") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk && lives.kept.empty() && lives.report.epoch == 1);
  constexpr uint64_t kWrites = 300;
  for (uint64_t i = 1; i <= kWrites; ++i) {
    lives.Append(i);
    if (i % 17 == 0) lives.Flush();
  }
  lives.Flush();
  CHECK(lives.journal->durable() == lives.journal->appended() && lives.journal->appended() > 20 * kSegmentBytes);
  for (uint64_t epoch = 2; epoch < 4; ++epoch) {
    CHECK(lives.Open() == Code::kOk && lives.report.epoch == epoch && lives.report.segments > 20 && lives.report.ring_records == 0);
    lives.CheckPrefix(kWrites);
  }
}

TEST("a process crash keeps every append, whatever was written or synced") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk);
  uint64_t sequence = 0;
  for (int life = 0; life < 12; ++life) {
    for (int i = 0; i < 3 + life * 2; ++i) lives.Append(++sequence);
    if (life % 3 == 1) {
      CHECK_OK(lives.journal->Write().status());
      lives.Append(++sequence);
    }
    if (life % 3 == 2) lives.Flush();
    CHECK(lives.Open() == Code::kOk && lives.report.ring_used);
    CHECK(life % 3 == 2 ? lives.report.ring_records == 0 : lives.report.ring_records > 0);
    lives.CheckPrefix(sequence);
  }
}

TEST("without the ring all that ended at or before durable() is kept, and nothing that was not written") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= 40; ++i) lives.Append(i);
  lives.Flush();
  CHECK(lives.Append(41, 100).end > lives.journal->durable());
  CHECK_OK(lives.env.RemoveShared(lives.options.ring_name));
  CHECK(lives.Open() == Code::kOk && !lives.report.ring_used);
  lives.CheckPrefix(40);
  // A ring of another boot, journal or epoch is as good as none: here it is a fresh one, and new appends go on in it.
  lives.Append(41);
  CHECK(lives.Open() == Code::kOk && lives.report.ring_records == 1);
  lives.CheckPrefix(41);
}

TEST("a torn tail ends the log before it, and what stood behind it never replays") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk);
  lives.Append(1);
  lives.Flush();
  const Appended torn = lives.Append(2, 100);
  lives.WriteAll();
  lives.Append(3, 100);
  lives.WriteAll();
  lives.journal.reset();
  Flip(lives, PathOf(lives, torn.payload), torn.payload % kSegmentBytes);
  CHECK_OK(lives.env.RemoveShared(lives.options.ring_name));
  CHECK(lives.Open() == Code::kOk && lives.report.notes.size() == 1 && Says(lives.report.notes[0], "torn tail"));
  lives.CheckPrefix(1);
  // The new epoch's first batch took the torn one's sector; behind it a whole batch of the dead epoch still stands.
  CHECK_OK(lives.env.RemoveShared(lives.options.ring_name));
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(1);
  for (uint64_t i = 2; i <= 60; ++i) lives.Append(i);
  lives.Flush();
  CHECK_OK(lives.env.RemoveShared(lives.options.ring_name));
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(60);
}

TEST("what an opening wrote that the host's death cut short never replays, with what was before it gone") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk);
  lives.Append(1);
  lives.Flush();
  const Appended written = lives.Append(2, 100);
  lives.WriteAll();
  const Appended in_ring = lives.Append(3, 100);
  lives.journal.reset();
  // This opening moves the third from the ring behind the second, under its own epoch, and then writes its first batch.
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(3);
  lives.journal.reset();
  const Lsn first_batch = (in_ring.record / kSectorBytes + 1) * kSectorBytes;
  for (const Lsn lost : {written.payload, first_batch}) Flip(lives, PathOf(lives, lost), lost % kSegmentBytes);
  for (int opening = 0; opening < 2; ++opening) {
    CHECK_OK(lives.env.RemoveShared(lives.options.ring_name));
    CHECK(lives.Open() == Code::kOk);
    lives.CheckPrefix(1);
  }
}

/** Writes 1, 2, 3 in a batch each, all durable, with 4 and its mark behind them. */
std::vector<Appended> FourBatches(Lives& lives) {
  std::vector<Appended> places;
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= 4; ++i) {
    places.push_back(lives.Append(i, 5000));
    lives.Flush();
  }
  lives.journal.reset();
  return places;
}

TEST("a flipped bit in a batch below a mark is corruption, named with file and byte; salvage goes on without it") {
  for (const bool in_batch_header : {true, false}) {
    SimEnv env(2);
    Lives lives{env, kSimulated};
    const std::vector<Appended> places = FourBatches(lives);
    const uint64_t batch = (places[1].record - sizeof(BatchHeader)) % kSegmentBytes;
    Flip(lives, PathOf(lives, places[1].record), in_batch_header ? batch + 24 : batch + sizeof(BatchHeader) + 16);
    for (int attempt = 0; attempt < 2; ++attempt) {
      CHECK(lives.Open() == Code::kCorrupt && Says(lives.status.detail(), PathOf(lives, places[1].record) + " at byte " + std::to_string(batch) + " "));
    }
    lives.options.salvage = true;
    // Killed before the log says what was let go: a plain start refuses as before.
    CHECK(lives.Look() == Code::kOk && lives.report.salvaged);
    lives.options.salvage = false;
    CHECK(lives.Look() == Code::kCorrupt);
    lives.options.salvage = true;
    CHECK(lives.Open() == Code::kOk && !lives.report.notes.empty() && Says(lives.report.notes[0], "salvage"));
    lives.options.salvage = false;
    for (int life = 0; life < 3; ++life) {
      CHECK(lives.kept.size() == 3u + life && lives.kept[0].header.sequence == 1 && lives.kept[1].header.sequence == 3);
      for (const Kept& record : lives.kept) CHECK(lives.Holds(record));
      lives.Append(5 + life);
      if (life == 1) lives.Flush();
      CHECK(lives.Open() == Code::kOk);
    }
  }
}

TEST("a flipped bit in a payload below a mark costs that page alone: it is delivered, and its sum says no") {
  SimEnv env(3);
  Lives lives{env, kSimulated};
  const std::vector<Appended> places = FourBatches(lives);
  Flip(lives, PathOf(lives, places[1].payload), (places[1].payload + 4999) % kSegmentBytes);
  CHECK(lives.Open() == Code::kOk && lives.kept.size() == 4 && lives.report.notes.size() == 1);
  for (const Kept& record : lives.kept) CHECK(lives.Holds(record) == (record.header.sequence != 2));
  CHECK(lives.kept[1].below_durable && lives.kept[1].record == places[1].record && lives.kept[1].payload == places[1].payload);
}

TEST("a flipped bit in the index of a durable segment is corruption; salvage reads its batches and loses nothing") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= 60; ++i) lives.Append(i);
  lives.Flush();
  lives.Append(61);
  lives.Flush();
  const std::string path = PathOf(lives, 0);
  lives.journal.reset();
  for (const uint64_t from_end : {20, 100}) {  // the footer, an entry
    Flip(lives, path, kSegmentBytes - from_end);
    CHECK(lives.Open() == Code::kCorrupt && Says(lives.status.detail(), path));
    lives.options.salvage = true;
    CHECK(lives.Open() == Code::kOk);
    lives.options.salvage = false;
    CHECK(lives.Open() == Code::kOk);
    lives.CheckPrefix(61);
    lives.journal.reset();
  }
  Flip(lives, path, 16);
  CHECK(lives.Open() == Code::kCorrupt && Says(lives.status.detail(), path + " at byte 0"));
}

TEST("a segment that is wholly lost is given up once: later openings need not be told again") {
  enum class Loss { kFile, kHeader };
  enum class Which { kFirst, kMiddle, kLast };
  for (const Loss loss : {Loss::kFile, Loss::kHeader}) {
    for (const Which which : {Which::kFirst, Which::kMiddle, Which::kLast}) {
      for (const bool ring : {false, true}) {
        SimEnv env(8);
        Lives lives{env, kSimulated};
        CHECK(lives.Open() == Code::kOk);
        std::vector<Appended> places(1);
        for (uint64_t i = 1; i <= 60; ++i) places.push_back(lives.Append(i));
        lives.Flush();
        const uint64_t last = places.back().record / kSegmentBytes;
        // First: the one that holds the trim position, which only its successors' headers name.
        lives.journal->Trim(places[5].record);
        for (uint64_t i = 61; i <= 90; ++i) places.push_back(lives.Append(i));
        lives.Flush();
        const uint64_t number = which == Which::kFirst ? places[5].record / kSegmentBytes : which == Which::kMiddle ? last : places.back().record / kSegmentBytes;
        lives.journal.reset();
        if (ring) env.ProcessCrash(); else env.HostCrash();
        const std::string path = PathOf(lives, number * kSegmentBytes);
        if (loss == Loss::kFile) {
          CHECK_OK(env.Remove(path));
          CHECK_OK(env.SyncDirectory(lives.options.directory));
        } else {
          Flip(lives, path, 16);
        }
        // Without the ring nobody knows that there was a last segment once its file is gone: the log ends before.
        const bool unknowable = which == Which::kLast && loss == Loss::kFile && !ring;
        CHECK(lives.Open() == (unknowable ? Code::kOk : Code::kCorrupt));
        if (unknowable) continue;
        lives.options.salvage = true;
        CHECK(lives.Open() == Code::kOk && lives.report.salvaged && lives.report.gaps_below > 0);
        lives.options.salvage = false;
        const size_t kept = lives.kept.size();
        CHECK(kept > 10 && kept < 90);
        // Killed at once, then plain starts, by either death, while the log goes on and is recycled.
        uint64_t sequence = 90;
        for (int life = 0; life < 6; ++life) {
          if (life % 2 == 0) env.ProcessCrash(); else env.HostCrash();
          CHECK(lives.Open() == Code::kOk && !lives.report.salvaged && lives.report.gaps_below > 0);
          CHECK(lives.kept.size() == kept + (sequence - 90));
          for (const Kept& record : lives.kept) CHECK(lives.Holds(record));
          for (int i = 0; i < 12; ++i) lives.Append(++sequence);
          lives.Flush();
        }
        // What is lost after that is lost anew.
        const uint64_t later = lives.journal->appended() / kSegmentBytes - 1;
        lives.journal.reset();
        Result<std::vector<DirectoryEntry>> files = env.List(lives.options.directory);
        CHECK_OK(files.status());
        for (const DirectoryEntry& file : *files) {
          if (!file.name.ends_with(".segment")) continue;
          const std::string name = lives.options.directory + "/" + file.name;
          uint8_t header[56];
          CHECK((*env.Open(name, {}))->Read(header, 0).ok());
          uint64_t found;
          std::memcpy(&found, header + 24, sizeof found);
          if (found == later) CHECK_OK(env.Remove(name));
        }
        CHECK(lives.Open() == Code::kCorrupt);
      }
    }
  }
}

TEST("all segments gone under a ring that lives is corruption, not a new journal") {
  SimEnv env(9);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  lives.Append(1);
  lives.Flush();
  env.ProcessCrash();
  Result<std::vector<DirectoryEntry>> files = env.List(lives.options.directory);
  for (const DirectoryEntry& file : *files) {
    if (file.name.ends_with(".segment")) CHECK_OK(env.Remove(lives.options.directory + "/" + file.name));
  }
  CHECK(lives.Open() == Code::kCorrupt && Says(lives.status.detail(), "--salvage-journal"));
  lives.options.salvage = true;
  CHECK(lives.Open() == Code::kOk && lives.kept.empty());
  lives.options.salvage = false;
  env.ProcessCrash();
  CHECK(lives.Open() == Code::kOk);
}

TEST("many empty restarts in a row cost nothing but room") {
  SimEnv env(4);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  lives.Append(1);
  lives.Flush();
  for (int i = 0; i < 200; ++i) {
    if (i % 3 > 0) i % 3 == 1 ? env.ProcessCrash() : env.HostCrash();
    CHECK(lives.Open() == Code::kOk && lives.report.epoch == static_cast<uint64_t>(i) + 2);
    lives.CheckPrefix(1);
  }
  lives.Append(2);
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(2);
}

TEST("recovery may be interrupted at every operation, twice, by either death, and is repeated to the same end") {
  for (const bool host : {false, true}) {
    bool interrupted = true;
    for (uint64_t operations = 0; interrupted; ++operations) {
      SimEnv env(100 + operations);
      Lives lives{env, kSimulated};
      CHECK(lives.Open() == Code::kOk);
      for (uint64_t i = 1; i <= 16; ++i) lives.Append(i);
      lives.Flush();
      for (uint64_t i = 17; i <= 24; ++i) lives.Append(i);
      interrupted = false;
      for (int attempt = 0; attempt < 2; ++attempt) {
        env.ProcessCrash();
        env.CrashAfterOperations(operations);
        CHECK(lives.Open() == Code::kOk || env.crashed());
        interrupted |= env.crashed();
        env.DisarmCrash();
      }
      lives.journal.reset();
      if (host) env.HostCrash(); else env.ProcessCrash();
      CHECK(lives.Open() == Code::kOk);
      CHECK(host ? lives.kept.size() >= 16 : lives.kept.size() == 24);
      lives.CheckPrefix(lives.kept.size());
    }
  }
}

TEST("a payload is read by its place: from the ring at once, then from its segment, and no longer once that is recycled") {
  SimEnv env(5);
  env.SetReadNowMissPercent(100);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  std::vector<uint8_t> got(3000);
  std::vector<Appended> places(1);
  for (uint64_t i = 1; i <= 60; ++i) {
    places.push_back(lives.Append(i, 9000));
    CHECK_OK(lives.journal->Read(places[i].payload + 5001, got, false));
    CHECK(std::equal(got.begin(), got.end(), Pattern(kVolume, i, 9000).begin() + 5001));
  }
  lives.Flush();
  for (uint64_t i = 1; i <= 60; ++i) {
    CHECK(lives.journal->Read(places[i].payload, got, false).code() == Code::kTryAgain);
    CHECK_OK(lives.journal->Read(places[i].payload + 5001, got, true));
    CHECK(std::equal(got.begin(), got.end(), Pattern(kVolume, i, 9000).begin() + 5001));
  }
  lives.journal->Trim(places[30].record);
  CHECK(lives.journal->Read(places[1].payload, got, true).code() == Code::kNotFound);
  CHECK_OK(lives.journal->Read(places[30].payload, got, true));
}

TEST("a failed sync is final: nothing is acknowledged after it, and what was acknowledged before replays") {
  SimEnv env(7);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  lives.Append(1);
  lives.Flush();
  lives.Append(2);
  lives.WriteAll();
  env.FailDataSync(".segment");
  CHECK(lives.journal->Sync().code() == Code::kIo && lives.journal->failed() && lives.journal->durable() < lives.journal->written());
  CHECK(lives.journal->Append({.type = RecordType::kTrim, .resource = kVolume, .sequence = 3}).code() == Code::kIo);
  CHECK(!lives.journal->Sync().ok() && !lives.journal->Write().ok());
  env.ProcessCrash();
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(2);
}

TEST("threads append, write, sync, read and trim at once") {
  Machine machine;
  Lives lives{machine.env(), machine.options()};
  CHECK(lives.Open() == Code::kOk);
  Journal& journal = *lives.journal;
  constexpr uint64_t kWrites = 300, kWriters = 2;
  std::mutex mutex;
  struct Published { ResourceId resource; uint64_t sequence; Lsn payload; };
  std::vector<Published> published;
  std::atomic<uint64_t> running{kWriters}, wrong{0}, reads{0};
  std::atomic<bool> stop{false};
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::microseconds(200)); };
  std::vector<std::thread> threads;
  for (ResourceId resource = 1; resource <= kWriters; ++resource) {
    threads.emplace_back([&, resource] {
      for (uint64_t i = 1; i <= kWrites; ++i) {
        const std::vector<uint8_t> data = Pattern(resource, i, 6000);
        const RecordDraft draft{.type = RecordType::kWrite, .resource = resource, .sequence = i, .offset = i * 8192, .length = 6000, .payload = data};
        Result<Appended> done = journal.Append(draft);
        for (; done.code() == Code::kTryAgain; done = journal.Append(draft)) pause();
        if (!done.ok()) { ++wrong; break; }
        std::lock_guard lock(mutex);
        published.push_back({resource, i, done->payload});
      }
      --running;
    });
  }
  threads.emplace_back([&] {  // the flusher
    while (!stop) {
      Result<bool> wrote = journal.Write();
      if (!wrote.ok() || !journal.Sync().ok()) ++wrong;
      if (!wrote.ok() || !*wrote) pause();
    }
  });
  threads.emplace_back([&] {
    for (; !stop; pause()) {
      if (!journal.PrepareSegment().ok()) ++wrong;
      journal.Trim(std::max(journal.durable(), 20 * kSegmentBytes) - 20 * kSegmentBytes);
    }
  });
  threads.emplace_back([&] {
    for (uint64_t turn = 0; !stop; ++turn) {
      std::unique_lock lock(mutex);
      if (published.empty()) continue;
      const Published record = published[published.size() - 1 - turn * 13 % std::min<size_t>(published.size(), 100)];
      lock.unlock();
      std::vector<uint8_t> bytes(6000);
      const Status status = journal.Read(record.payload, bytes, turn % 2 == 0);
      if (status.code() == Code::kTryAgain) continue;
      if (!status.ok() || bytes != Pattern(record.resource, record.sequence, 6000)) ++wrong;
      ++reads;
    }
  });
  while (running > 0) pause();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0 && reads > 0 && lives.Open() == Code::kOk);
  std::map<ResourceId, uint64_t> last;
  for (const Kept& record : lives.kept) {
    CHECK(last[record.header.resource] == 0 || record.header.sequence == last[record.header.resource] + 1);
    CHECK(lives.Holds(record));
    last[record.header.resource] = record.header.sequence;
  }
  for (ResourceId resource = 1; resource <= kWriters; ++resource) CHECK(last[resource] == kWrites);
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
