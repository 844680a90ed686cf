// What is damaged at rest: torn tails end the log, rot below a mark refuses and says where, a rotten page costs that page.
#include <algorithm>
#include <cstddef>

#include "../journal/layout.h"
#include "../simulation/sim_env.h"
#include "../volume/store.h"
#include "file_image.h"
#include "journal_lives.h"

namespace skerry {
namespace {

constexpr size_t kTearBytes = 512;  // what a device writes whole or not at all

/** The file that is segment `number` now: slots are used again. */
std::string SlotOf(Env& env, const std::string& directory, uint64_t number) {
  Result<std::vector<DirectoryEntry>> entries = env.List(directory);
  CHECK_OK(entries.status());
  for (const DirectoryEntry& entry : *entries) {
    if (!Says(entry.name, ".segment")) continue;
    SegmentHeader header;
    const std::vector<uint8_t> bytes = LoadFile(env, directory + "/" + entry.name);
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic == kSegmentMagic && header.number == number) return directory + "/" + entry.name;
  }
  throw check::Failure{"no slot holds segment " + std::to_string(number)};
}

/** The log is whole from whatever it begins with to write `last`. */
void CheckEndsAt(Lives& lives, uint64_t last) {
  CHECK(!lives.kept.empty() && lives.kept.back().header.sequence == last);
  for (size_t i = 0; i < lives.kept.size(); ++i) {
    CHECK(lives.kept[i].header.sequence == lives.kept[0].header.sequence + i && lives.Holds(lives.kept[i]));
  }
}

/** `sectors` of the last batch are as it was written, the others as before: on a fresh slot, and on one used before. */
void CheckTears(bool used_before) {
  SimEnv env(used_before ? 31 : 30);
  Lives lives{env, {"/d/journal", "ring", 2 * kSegmentBytes, kSegmentBytes, 4 * kSegmentBytes, false}};
  CHECK(lives.Open() == Code::kOk);
  uint64_t sequence = 0;
  Appended last;
  while (last.record < (used_before ? 6 * kSegmentBytes : 0) + 20 * kPageBytes) {
    last = lives.Append(++sequence, 3000);
    lives.Flush();
    lives.journal->Trim(last.record);
  }
  const uint64_t number = last.record / kSegmentBytes, prefix = sequence;
  const std::string path = SlotOf(env, lives.options.directory, number);
  CHECK(used_before == (path != PathOf(lives, last.record)));
  const std::vector<uint8_t> before = LoadFile(env, path);
  const Lsn batch = RoundUp(last.end, kSectorBytes);
  for (int i = 0; i < 5; ++i) last = lives.Append(++sequence, 1500 + 997 * i);
  lives.WriteAll();
  const std::vector<uint8_t> after = LoadFile(env, path);
  const uint64_t start = batch % kSegmentBytes, bytes = last.end - batch;
  CHECK(std::equal(before.begin(), before.begin() + start, after.begin()) && before != after);
  const uint64_t sectors = RoundUp(bytes, kSectorBytes) / kTearBytes;
  CHECK(sectors > 24);

  const auto check = [&](const std::vector<uint8_t>& torn) {
    lives.journal.reset();
    CHECK_OK(env.RemoveShared(lives.options.ring_name));
    StoreFile(env, path, torn);
    const bool whole = std::equal(torn.begin() + start, torn.begin() + start + bytes, after.begin() + start);
    CHECK(lives.Open() == Code::kOk);
    CheckEndsAt(lives, whole ? sequence : prefix);
    return whole;
  };
  const auto put = [&](std::vector<uint8_t>& image, const std::vector<uint8_t>& from, uint64_t sector) {
    std::copy_n(from.begin() + start + sector * kTearBytes, kTearBytes, image.begin() + start + sector * kTearBytes);
  };
  std::vector<uint8_t> growing = before;
  uint64_t whole = 0;
  for (uint64_t sector = 0; sector <= sectors; ++sector) {
    whole += check(growing) ? 1 : 0;
    if (sector < sectors) put(growing, after, sector);
  }
  CHECK(whole == 1 + sectors - RoundUp(bytes, kTearBytes) / kTearBytes);
  for (uint64_t sector = 0; sector < sectors; ++sector) {
    std::vector<uint8_t> hole = after;
    put(hole, before, sector);
    (void)check(hole);
    std::vector<uint8_t> alone = before;
    put(alone, after, sector);
    CHECK(!check(alone));
  }
}

TEST("a batch torn at any sector of the device, in any order, ends the log exactly before it") {
  CheckTears(false);
  CheckTears(true);
}

/** Flips a byte, looks, puts it back. */
template <typename Check>
void WithFlip(Lives& lives, const std::string& path, uint64_t offset, Check check) {
  lives.journal.reset();
  const std::string place = " (byte " + std::to_string(offset) + " of " + path + ")";
  for (const unsigned bit : {0u, 6u}) {
    auto& env = static_cast<SimEnv&>(lives.env);
    CHECK_OK(env.FlipBit(path, offset, bit));
    lives.Look();
    try {
      check();
    } catch (const check::Failure& failure) {
      throw check::Failure{failure.what + place + ": " + lives.status.detail()};
    }
    lives.journal.reset();
    CHECK_OK(env.FlipBit(path, offset, bit));
  }
}

TEST("any flipped bit in headers and sums of a batch below a mark refuses, and names the file and the byte") {
  SimEnv env(32);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  std::vector<Appended> places;
  for (uint64_t i = 1; i <= 4; ++i) {
    places.push_back(lives.Append(i, 5000));
    lives.Flush();
  }
  env.HostCrash();
  const uint64_t batch = (places[1].record - sizeof(BatchHeader)) % kSegmentBytes, payload = places[1].payload % kSegmentBytes;
  const std::string path = PathOf(lives, places[1].record);
  for (uint64_t at = batch; at < payload; ++at) {
    WithFlip(lives, path, at, [&] {
      CHECK(lives.status.code() == Code::kCorrupt);
      const std::string place = std::to_string(batch);  // of segment 0, so byte and position are the same
      CHECK(Says(lives.status.detail(), path + " at byte " + place + " (log position " + place + ")"));
      CHECK(Says(lives.status.detail(), "--salvage-journal"));
    });
  }
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(4);
}

TEST("any flipped bit in the identity or in a segment's header refuses and names the file") {
  SimEnv env(33);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t i = 1; i <= 30; ++i) (void)lives.Append(i);
  lives.Flush();
  env.HostCrash();
  const std::string identity = lives.options.directory + "/identity";
  for (uint64_t at = 0; at < sizeof(IdentityFile); ++at) {
    // A version from the future is another refusal, of the same file.
    const bool version = at >= offsetof(IdentityFile, version) && at < offsetof(IdentityFile, journal);
    WithFlip(lives, identity, at, [&] {
      CHECK(lives.status.code() == Code::kCorrupt || (version && lives.status.code() == Code::kInvalid));
      CHECK(Says(lives.status.detail(), identity));
    });
  }
  for (const uint64_t number : {0, 1}) {
    const std::string path = PathOf(lives, number * kSegmentBytes);
    for (uint64_t at = 0; at < sizeof(SegmentHeader); ++at) {
      WithFlip(lives, path, at, [&] {
        CHECK(lives.status.code() == Code::kCorrupt && Says(lives.status.detail(), path + " at byte 0"));
      });
    }
  }
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(30);
}

// The journal fuzzer's: one of the two was read and the other written to, so that the next start found neither whole.
TEST("two files that say they are the same segment refuse, and are named") {
  SimEnv env(33);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) (void)lives.Append(sequence, 3000);
  lives.Flush();
  const std::string path = SlotOf(env, lives.options.directory, 0), copy = lives.options.directory + "/000077.segment";
  lives.journal.reset();
  env.ProcessCrash();
  StoreFile(env, copy, LoadFile(env, path));
  for (const bool salvage : {false, true}) {
    lives.options.salvage = salvage;
    CHECK(lives.Open() == Code::kCorrupt && Says(lives.status.detail(), path) && Says(lives.status.detail(), copy));
  }
  lives.options.salvage = false;
  CHECK_OK(env.Remove(copy));
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(5);
}

TEST("any flipped bit in a durable segment's index refuses and names the segment; its batches' headers are not needed any more") {
  SimEnv env(34);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  uint64_t sequence = 0;
  Appended first = lives.Append(++sequence), last;
  while (last.record < kSegmentBytes) last = lives.Append(++sequence);
  lives.Flush();
  (void)lives.Append(++sequence);
  lives.Flush();
  env.HostCrash();
  const std::string path = PathOf(lives, 0);
  const std::vector<uint8_t> bytes = LoadFile(env, path);
  IndexFooter footer;
  std::memcpy(&footer, bytes.data() + kSegmentBytes - sizeof footer, sizeof footer);
  CHECK(footer.magic == kIndexMagic && footer.entries > 3);
  const uint64_t entries = kSegmentBytes - sizeof footer - footer.bytes;
  const uint64_t region = kSegmentBytes - IndexBuilder::RegionBytes(footer.bytes);
  for (uint64_t at = entries; at < kSegmentBytes; ++at) {
    WithFlip(lives, path, at, [&] {
      CHECK(lives.status.code() == Code::kCorrupt);
      CHECK(Says(lives.status.detail(), path + " at its end (the index of log segment 0)"));
    });
  }
  const auto delivered = [&] { CHECK(lives.status.ok() && lives.kept.size() == sequence && lives.report.notes.empty()); };
  for (uint64_t at = region; at < entries; ++at) WithFlip(lives, path, at, delivered);
  const uint64_t batch = first.record - sizeof(BatchHeader);
  for (uint64_t at = batch; at < first.payload; ++at) WithFlip(lives, path, at, delivered);
  CHECK(lives.Open() == Code::kOk);
  lives.CheckPrefix(sequence);
}

TEST("any flipped bit in a REF's places in a sealed segment refuses and names the record's place") {
  SimEnv env(35);
  Lives lives{env, kSimulated};
  CHECK(lives.Open() == Code::kOk);
  std::vector<uint8_t> places(sizeof(RefPlace), 0x3c);
  const RecordDraft draft{.type = RecordType::kRef, .resource = kVolume, .sequence = 1, .length = 1 << 16, .payload = places};
  const Appended ref = lives.Append(draft);
  uint64_t sequence = 1;
  for (Appended last; last.record < kSegmentBytes;) last = lives.Append(++sequence);
  lives.Flush();
  env.HostCrash();
  const std::string path = PathOf(lives, 0);
  for (uint64_t at = ref.payload; at < ref.payload + places.size(); ++at) {
    WithFlip(lives, path, at, [&] {
      CHECK(lives.status.code() == Code::kCorrupt);
      CHECK(Says(lives.status.detail(), path + " at byte " + std::to_string(ref.record)));
    });
  }
  CHECK(lives.Open() == Code::kOk && lives.kept.size() == sequence);
}

/** Pages that say which they are. */
std::vector<uint8_t> Stamped(uint64_t page, uint64_t count) {
  std::vector<uint8_t> bytes;
  for (const uint64_t end = page + count; page < end; ++page) {
    for (size_t i = 0; i < kPageBytes; ++i) bytes.push_back(static_cast<uint8_t>(i % 2 == 0 ? page + 1 : i / 16));
  }
  return bytes;
}

TEST("a rotten page in a sealed segment is an error to who reads it, after restarts too, and every other page is served") {
  SimEnv env(36);
  env.SetReadNowMissPercent(0);
  StoreOptions options;
  options.journal = {"/s/journal", "ring", 4 * kSegmentBytes, kSegmentBytes, 64 * kSegmentBytes, false};
  PoolOptions& pool = options.pools.emplace_back();
  pool.packs = {"/s/packs", "/s/index", 1 << 20, 0, 1, 1, DomainKey(ConstBytes{}), {}};
  pool.domain_key.assign(32, 9);
  ResourceSpec spec;
  spec.volume.id = kVolume;
  spec.volume.size_bytes = 1 << 20;
  spec.root.levels = 1;
  StoreReport report;
  Result<std::unique_ptr<Store>> store = Store::Open(env, options, {spec}, report);
  CHECK_OK(store.status());
  const uint64_t pages = spec.volume.size_bytes / kPageBytes;
  // Three pages a write, no two alike: no whole block, so all of it is journalled.
  for (uint64_t page = 0; page < pages; page += 3) {
    const std::vector<uint8_t> data = Stamped(page, std::min<uint64_t>(3, pages - page));
    Status status = (*store)->Find(kVolume)->Write(page * kPageBytes, data).status();
    for (; status.code() == Code::kTryAgain; status = (*store)->Find(kVolume)->Write(page * kPageBytes, data).status()) {
      CHECK_OK((*store)->WriteStep().status());
      CHECK_OK((*store)->journal().PrepareSegment().status());
    }
    CHECK_OK(status);
  }
  while (true) {
    Result<bool> wrote = (*store)->WriteStep();
    CHECK_OK(wrote.status());
    if (!*wrote) break;
  }
  CHECK_OK((*store)->SyncStep());

  // The middle page of the write at page 9.
  constexpr uint64_t kRotten = 10;
  const std::vector<uint8_t> written = Stamped(kRotten, 1);
  const std::string path = "/s/journal/000000.segment";
  const std::vector<uint8_t> bytes = LoadFile(env, path);
  const auto found = std::search(bytes.begin(), bytes.end(), written.begin(), written.end());
  CHECK(found != bytes.end());
  CHECK_OK(env.FlipBit(path, found - bytes.begin() + 1234, 3));
  for (int life = 0; life < 3; ++life) {
    for (uint64_t page = 0; page < pages; ++page) {
      std::vector<uint8_t> got(kPageBytes);
      const Status status = (*store)->Find(kVolume)->Read(page * kPageBytes, got, true);
      CHECK(page == kRotten ? status.code() == Code::kCorrupt : status.ok());
      CHECK(page == kRotten || got == Stamped(page, 1));
    }
    store->reset();
    if (life == 0) env.ProcessCrash(); else env.HostCrash();
    store = Store::Open(env, options, {spec}, report);
    CHECK_OK(store.status());
  }
  // A write over it makes the page good again.
  const std::vector<uint8_t> fresh(kPageBytes, 0x77);
  std::vector<uint8_t> got(kPageBytes);
  CHECK_OK((*store)->Find(kVolume)->Write(kRotten * kPageBytes, fresh).status());
  CHECK_OK((*store)->Find(kVolume)->Read(kRotten * kPageBytes, got, true));
  CHECK(got == fresh);
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
