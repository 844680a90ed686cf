#include "world.h"

#include <algorithm>
#include <utility>

namespace skerry::simulation {
namespace {

constexpr uint64_t kVolumeBytes = 8 * kBlockBytes;   // at first
constexpr int kRetriesMax = 6000;   // of 50 ms: a pack whose shipping fails twenty times in a row still gets there
constexpr uint64_t kDiskBytes = 1ull << 40;
constexpr int kPatienceMax = 30;   // more than a backend throttles in a row
constexpr int kRetriesFaultyMax = 40;
constexpr uint64_t kBackendSalt = 0x6261636b656e64, kSecondBackendSalt = 0x7365636f6e64, kShelfSalt = 0x7368656c66, kSecondShelfSalt = 0x7368656c6632;

uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

}  // namespace

World::World(WorldOptions options) : options_(options), env_(options.seed), dice_(Mix(options.seed)) {
  if (options.seed % 2 == 0 || Logs()) backend_ = std::make_shared<SimBackend>(env_, Mix(options.seed ^ kBackendSalt));
  if (Logs()) shelf_ = std::make_shared<SimLogShelf>(Mix(options.seed ^ kShelfSalt));
  if (Logs() && TwoPools()) second_shelf_ = std::make_shared<SimLogShelf>(Mix(options.seed ^ kSecondShelfSalt));
  if (TwoPools() && (Logs() || options.seed / 5 % 3 == 0)) second_backend_ = std::make_shared<SimBackend>(env_, Mix(options.seed ^ kSecondBackendSalt));
}

uint64_t World::Dice(uint64_t sides) {
  dice_ = Mix(dice_);
  return dice_ % sides;
}

void World::Say(std::string line) {
  for (char c : line) outcome_.digest = Mix(outcome_.digest ^ static_cast<uint8_t>(c));
  if (options_.trace) outcome_.trace.push_back(std::to_string(step_) + ": " + line);
}

void World::Fail(std::string why) {
  if (!outcome_.failure.empty()) return;
  Say("FAILED " + why);
  outcome_.failed_step = step_;
  outcome_.failure = std::move(why);
}

void World::Blame(const std::string& doing, const Status& status) {
  if (Crashed()) return;
  if (fault_asked_ && (status.code() == Code::kIo || status.code() == Code::kNoSpace)) {
    fault_met_ = true;
    return Say("met a fault " + doing);
  }
  // What a backend refused is asked for again; only what failed for good, because it was cut short twice in a row, looks like rot.
  if (backend_ && backend_->weather_is_bad() && (status.code() == Code::kIo || status.code() == Code::kCorrupt)) return Say("bad weather " + doing);
  Fail(doing + ": " + status.detail());
}

bool World::Crashed() const { return env_.crashed(); }

// Not on a host that is new: who knows nothing yet must hear what there is, and what it heard is durable there only some lives later.
void World::ListFaults(bool wanted) {
  if (backend_) backend_->SetListFaults(wanted && hosts_lost_ == 0);
}

bool World::Open() {
  ListFaults(lives_ > 0);
  if (backend_) backend_->SetWeather(false);
  CloseCache();
  std::vector<ResourceSpec> resources;
  for (const auto& [id, named] : catalog_) resources.push_back(named.spec);
  // A clone or snapshot stands after what it is pending on: ids grow, so their order is that order.
  if (!DistrustPartialJournal()) return false;
  StoreReport report;
  Result<std::unique_ptr<Store>> store = Store::Open(env_, Options(), resources, report);
  if (!store.ok()) {
    Blame("opening", store.status());
    return false;
  }
  store_ = std::move(*store);
  durable_ = vouched_ = store_->journal().durable();   // the batch that begins an epoch vouches for all before it
  rewound_ = report.rewound;
  Say("open epoch " + std::to_string(report.journal.epoch) + " records " + std::to_string(report.journal.records) + " ring " +
      std::to_string(report.journal.ring_records));
  return BeginLogs();
}

void World::Die(bool host) {
  if (!host) return env_.ProcessCrash();
  env_.HostCrash(Dice(4) == 0);
  if (Logs() && Dice(2) == 0) LoseHost();
}

void World::Crash(bool host) {
  ++lives_;
  held_.reset();
  collector_.reset();
  carrying_.reset();
  carried_.reset();
  splicing_.reset();
  if (kept_) kept_->hold.reset();
  move_.reset();
  for (auto& [id, named] : catalog_) named.dropped = false;
  ended_in_order_ = EndInOrder();
  env_.ClearFaults();
  env_.SetFreeBytes(kDiskBytes);
  fault_asked_ = fault_met_ = sync_failed_ = false;
  store_.reset();
  ForgetBackends();
  ++(host ? outcome_.host_crashes : outcome_.process_crashes);
  Die(host);
  Say(host ? "host crash" : "process crash");
  for (int attempt = 0; outcome_.failure.empty(); ++attempt) {
    // Recovery itself is crashed now and then: recovering twice is recovering once.
    if (attempt < 3 && Dice(4) == 0) env_.CrashAfterOperations(1 + Dice(60));
    if (Open()) break;
    if (!outcome_.failure.empty()) return;
    const bool again_host = host || Dice(4) == 0;
    host = again_host;
    store_.reset();
    ForgetBackends();
    Die(again_host);
    Say(again_host ? "host crash in recovery" : "process crash in recovery");
  }
  if (!outcome_.failure.empty()) return;
  CheckRecovered(host);
  if (backend_) backend_->SetWeather(BadWeather());
  MaybeArm();
}

void World::CheckRecovered(bool host) {
  for (auto& [id, named] : catalog_) {
    if (named.deleting) continue;
    Result<std::vector<uint8_t>> content = ReadAll(id);
    if (!content.ok()) {
      if (!Crashed()) Fail("resource " + std::to_string(id) + " cannot be read after recovery: " + content.status().detail());
      return;
    }
    if (named.history) {
      const uint64_t taken = store_->Find(id)->sequence();
      uint64_t sequence = taken;
      for (const auto& [rewound, kept] : rewound_) {
        if (rewound == id) sequence = kept;
      }
      const uint64_t in_pool = shelf_ ? named.log.promised : 0;
      const bool all = !host || ended_in_order_;
      const uint64_t lowest = host_lost_ ? in_pool : all ? named.history->last().sequence : std::max(in_pool, named.history->flushed());
      const std::string wrong = named.history->Recover(sequence, lowest, taken, *content, losses_);
      if (!wrong.empty()) return Fail("volume " + std::to_string(id) + (host ? " after a host crash: " : " after a process crash: ") + wrong);
      // What was recovered is durable: a later host crash must keep it.
    } else if (const auto page = named.content.Differs(*content, losses_)) {
      return Fail("snapshot " + std::to_string(id) + " changed at page " + std::to_string(*page));
    }
  }
  host_lost_ = false;
}

WorldOutcome World::Run() {
  if (Open()) {
    MaybeArm();
    for (unsigned step = 0; step < options_.steps && outcome_.failure.empty(); ++step) {
      if (step < options_.left_out.size() && options_.left_out[step]) continue;
      BeginStep(step);
      Step();
      if (!outcome_.failure.empty()) break;
      if (Crashed()) Crash(HostDies());
      else if (fault_met_) Restart();
    }
    BeginStep(options_.steps);
    if (outcome_.failure.empty()) Crash(HostDies());
    CloseCache();
    if (backend_) outcome_.refusals = backend_->refusals();
    if (store_) outcome_.framed = Packs().usage().framed_records;
  }
  return std::move(outcome_);
}

void World::BeginStep(unsigned step) {
  step_ = step;
  dice_ = Mix(options_.seed ^ Mix(step));
}

void World::Step() {
  env_.Advance(1000000);
  if (Moves() && Dice(10) == 0) return Move();
  const uint64_t what = Dice(100);
  if (what < 4) return Create();
  if (what < 32) return Write();
  if (what < 40) return options_.seed % 7 == 0 && Dice(4) == 0 ? FillRing() : Zero();
  if (what < 49) return Read();
  if (what < 59) return Flush();
  if (what < 64) return Snapshot();
  if (what < 68) return Clone();
  if (what < 71) return Remove();
  if (what < 81) return Destage();
  if (what < 84) return Resize();
  if (what < 87) return Rollback();
  if (what < 90) return Compare();
  if (what < 94 && Carries() && Dice(2) == 0) return Carry();
  if (what < 94 && Splices() && Dice(2) == 0) return Splice();
  if (what < 94) return options_.theme == Theme::kAll || options_.theme == Theme::kLostHosts ? Collect() : Destage();
  if (what < 97) {
    if (options_.seed % 4 == 0 && Dice(2) == 0) return Rot();
    if (RotsAtRest() && Dice(2) == 0) return RotAtRest();
    if (FaultyDisk() && (options_.theme == Theme::kFailingSyncs || Dice(2) == 0)) return Fault();
    return Pump();
  }
  Crash(HostDies());
}

void World::Pump() {
  Result<bool> wrote = store_->WriteStep();
  if (!wrote.ok()) return Blame("writing the journal", wrote.status());
  if (Dice(3) == 0) {
    Result<bool> prepared = store_->journal().PrepareSegment();
    if (!prepared.ok()) return Blame("preparing a segment", prepared.status());
  }
  if (Dice(8) == 0) {
    const Status saved = Packs().Checkpoint(true);
    if (!saved.ok()) Blame("checkpoint", saved);
  }
  if (Dice(4) == 0) {
    Result<Store::Moved> moved = store_->MoveStep();
    // What has rotted must be destaged.
    if (!moved.ok() && moved.code() != Code::kCorrupt) return Blame("moving records", moved.status());
    outcome_.moves += moved.ok() && *moved == Store::Moved::kSegment;
    if (Dice(4) == 0) store_->Trim();
  }
  UpkeepBackends();
  store_->Pace();
  if (const Status audit = store_->Audit(); !audit.ok()) Fail("audit: " + audit.detail());
}

bool World::Retry(const std::function<Status()>& attempt) {
  const uint64_t life = lives_;
  Status status;
  for (int i = 0; i < kRetriesMax; ++i) {
    const Code code = (status = attempt()).code();
    if (Crashed()) return false;
    if (code == Code::kOk) return true;
    if (code != Code::kTryAgain) {
      Blame("an operation failed", status);
      fault_met_ |= BadWeather();   // what is half done is told apart by a recovery only
      return false;
    }
    env_.Advance(50000000);
    // While the operation waits all else goes on: nothing of it may be in a root.
    if (Dice(3) == 0) store_->FreezeAll();
    for (uint64_t more = Dice(4); more > 0 && life == lives_ && !Crashed() && !fault_met_; --more) Destage();
    if (life != lives_ || Crashed() || fault_met_ || !outcome_.failure.empty()) return false;
    Pump();
    if (i % 4 == 3) Destage();
    // A held volume is not destaged, and its share may be full: it is let go, or gets where it was going.
    if (move_ && i % 8 == 7 && life == lives_ && !Crashed() && !fault_met_) Move();
    // Whoever deletes asks for the word of it to be durable (Engine::Drop): nothing that it held goes before.
    if (i % 64 == 63) (void)MakeDurable();
    if (life != lives_ || Crashed() || fault_met_ || !outcome_.failure.empty()) return false;
    fault_met_ |= fault_asked_ && i > kRetriesFaultyMax;   // a disk without room
    if (fault_met_) return false;
  }
  Fail("no room after many destages: " + status.detail());
  return false;
}

bool World::MakeDurable() {
  Status status = Status::Ok();
  for (bool more = true; more && status.ok();) {
    Result<bool> wrote = store_->WriteStep();
    status = wrote.status();
    more = wrote.ok() && *wrote;
  }
  if (status.ok()) status = store_->SyncStep();
  if (!status.ok()) Blame("a flush failed without a fault", status);
  if (!status.ok() || Crashed()) return false;
  // What was appended before this is durable, the word of deletions with it.
  std::erase_if(catalog_, [](const auto& entry) { return entry.second.dropped; });
  return true;
}

World::Named* World::PickVolume() {
  std::vector<Named*> volumes;
  for (auto& [id, named] : catalog_) {
    if (named.history && !named.deleting) volumes.push_back(&named);
  }
  return volumes.empty() ? nullptr : volumes[Dice(volumes.size())];
}

// Few different contents, so that deduplication happens; pages differ within a block, so that misplaced ones show.
std::vector<uint8_t> World::Content(uint64_t length) {
  std::vector<uint8_t> bytes(length);
  const uint64_t flavor = Dice(6);
  if (flavor == 0) return bytes;
  for (size_t i = 0; i < length; i += 8) {
    const uint64_t run = Compresses() && flavor % 2 == 0 && i / 8192 % 3 != 2 ? 512 : 8;   // of one word: half of what such worlds write shrinks
    const uint64_t word = flavor < 3 ? Mix(flavor * 1000 + i % kBlockBytes / run) : Mix(dice_ + i / run * 8);
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, length - i));
  }
  return bytes;
}

void World::Write() {
  Named* named = PickVolume();
  if (named == nullptr) return Create();
  static constexpr uint64_t kLengths[] = {512, 1000, 4096, 4096, 8192, 20480, kBlockBytes, 2 * kBlockBytes, 3 * kBlockBytes + 4096};
  const uint64_t length = kLengths[Dice(std::size(kLengths))];
  uint64_t offset = Dice(named->history->bytes() - length + 1);
  if (Dice(4) != 0) offset -= offset % kPageBytes;
  if (length % kBlockBytes == 0 && Dice(4) != 0) offset -= offset % kBlockBytes;
  const std::vector<uint8_t> data = Content(length);
  Image image = named->history->last().image;
  image.Write(offset, data);
  LoseParts(named->history->last().image, image, offset, length);
  named->history->Begin(std::move(image));
  const std::shared_ptr<LiveVolume> volume = store_->Find(named->spec.volume.id);
  if (!Retry([&] { return volume->Write(offset, data).status(); })) return;
  named->history->Acknowledge(volume->sequence());
  ++outcome_.writes;
  Say("write " + std::to_string(volume->id()) + " " + std::to_string(offset) + "+" + std::to_string(length));
}

void World::Zero() {
  Named* named = PickVolume();
  if (named == nullptr) return;
  const uint64_t bytes = named->history->bytes();
  uint64_t offset = Dice(bytes), length = 1 + Dice(bytes - offset);
  if (Dice(3) != 0) {
    offset -= offset % kPageBytes;
    length += kPageBytes - length % kPageBytes;
    length = std::min(length, bytes - offset);
  }
  const bool punch = Dice(2) == 0;
  Image image = named->history->last().image;
  image.Clear(offset, length);
  LoseParts(named->history->last().image, image, offset, length);
  named->history->Begin(std::move(image));
  const std::shared_ptr<LiveVolume> volume = store_->Find(named->spec.volume.id);
  if (!Retry([&] { return volume->Zero(offset, length, punch).status(); })) return;
  named->history->Acknowledge(volume->sequence());
  Say((punch ? "trim " : "zero ") + std::to_string(volume->id()) + " " + std::to_string(offset) + "+" + std::to_string(length));
}

Result<std::vector<uint8_t>> World::ReadAll(ResourceId id) {
  const std::shared_ptr<LiveVolume> volume = store_->Find(id);
  if (!volume) return Status(Code::kNotFound, "the store does not know it");
  std::vector<uint8_t> content(volume->size());
  Status status = volume->Read(0, content, true);
  for (int i = 0; backend_ && BadWeather() && status.code() != Code::kOk && i < kPatienceMax; ++i) status = volume->Read(0, content, true);
  if (status.code() != Code::kCorrupt || losses_.empty()) return status.ok() ? Result<std::vector<uint8_t>>(std::move(content)) : status;
  for (uint64_t at = 0; at < content.size(); at += kPageBytes) {
    const Bytes page = Bytes(content).subspan(at, kPageBytes);
    status = volume->Read(at, page, true);
    if (status.code() == Code::kCorrupt) std::ranges::copy(Losses::Marker(), page.begin());
    else if (!status.ok()) return status;
  }
  return content;
}

void World::Read() {
  if (catalog_.empty()) return;
  auto it = catalog_.begin();
  std::advance(it, static_cast<long>(Dice(catalog_.size())));
  if (it->second.deleting) return;
  const Image& expected = it->second.history ? it->second.history->last().image : it->second.content;
  Result<std::vector<uint8_t>> content = ReadAll(it->first);
  if (!content.ok()) {
    return Blame("reading " + std::to_string(it->first), content.status());
  }
  if (const auto page = expected.Differs(*content, losses_)) Fail("resource " + std::to_string(it->first) + " reads wrong at page " + std::to_string(*page));
  // Block status must never call a page a hole that is not one.
  Result<std::vector<Extent>> extents = store_->Find(it->first)->BlockStatus(0, content->size(), 1000, true);
  if (!extents.ok()) return;
  for (const Extent& extent : *extents) {
    if (extent.zero && !std::all_of(content->begin() + static_cast<long>(extent.offset), content->begin() + static_cast<long>(extent.offset + extent.length),
                                    [](uint8_t byte) { return byte == 0; })) {
      Fail("resource " + std::to_string(it->first) + " reports zeroes where there is data, at " + std::to_string(extent.offset));
    }
  }
}

void World::Flush() {
  // Flushes to a pool ask for no sync.
  if (shelf_ && Dice(2) == 0) return FlushToPool();
  if (!MakeDurable()) return;
  for (auto& [id, named] : catalog_) {
    if (named.history && !named.deleting) named.history->Flushed(named.history->last().sequence);
  }
  FlushToPool();
  if (store_->journal().durable() > durable_) vouched_ = std::exchange(durable_, store_->journal().durable());
  ++outcome_.flushes;
  Say("flush");
}

}  // namespace skerry::simulation
