// What goes wrong with the disk of a world while it runs: refusals, bytes that rot or stand where they do not belong.
#include <algorithm>

#include "world.h"

namespace skerry::simulation {
namespace {

constexpr size_t kStrayBytes = 4104;   // a page in a pack with its sum
constexpr uint64_t kSpareBytesMax = 1 << 20;

}  // namespace

// About half of the lives end at a device operation drawn in advance, in the middle of whatever is going on then.
void World::MaybeArm() {
  constexpr uint64_t kOperationsMax = 400, kSoonMax = 60;
  if (Dice(2) == 0) env_.CrashAfterOperations(1 + Dice(options_.theme == Theme::kShortJournal ? kSoonMax : kOperationsMax));
}

void World::FillRing() {
  constexpr int kWritesMax = 40, kZeroesMax = 12;
  for (const uint64_t bytes : {uint64_t{20480}, uint64_t{4096}, uint64_t{512}}) {
    for (int i = 0; i < kWritesMax && !fault_asked_; ++i) {
      Named* named = PickVolume();
      if (named == nullptr) return;
      const std::vector<uint8_t> data = Content(bytes);
      Image image = named->history->last().image;
      image.Write(0, data);
      LoseParts(named->history->last().image, image, 0, bytes);
      named->history->Begin(std::move(image));
      const std::shared_ptr<LiveVolume> volume = store_->Find(named->spec.volume.id);
      const Status wrote = volume->Write(0, data).status();
      if (wrote.code() == Code::kTryAgain) {
        named->history->Abandon();
        break;
      }
      if (!wrote.ok()) return Blame("filling the ring", wrote);
      named->history->Acknowledge(volume->sequence());
    }
  }
  Say("the ring is full");
  const uint64_t life = lives_;
  for (int i = 0; i < kZeroesMax && life == lives_ && !Crashed() && !fault_met_ && outcome_.failure.empty(); ++i) Zero();
}

void World::Fault() {
  static constexpr const char* kParts[] = {".segment", ".segment", ".open", ".open", ".pack", "index.checkpoint"};
  const bool syncs_only = options_.theme == Theme::kFailingSyncs;
  const std::string part = syncs_only ? ".segment" : kParts[Dice(std::size(kParts))];
  fault_asked_ = true;
  ++outcome_.faults;
  switch (syncs_only ? 0 : Dice(4)) {
    case 0:
      env_.FailDataSync(part);
      sync_failed_ = true;
      return Say("a sync of " + part + " will fail");
    case 1:
      env_.FailWrites(part);
      return Say("a write to " + part + " will fail");
    case 2:
      env_.FailReads(part, 1 + Dice(3));
      return Say("reads of " + part + " will fail");
    default:
      env_.SetFreeBytes(Dice(kSpareBytesMax));
      return Say("the disk is nearly full");
  }
}

// A sync that failed is answered by a reboot: only that takes from the page cache what never reached the disk.
void World::Restart() {
  env_.ClearFaults();
  for (const auto& [id, named] : catalog_) {
    if (named.deleting || (named.history && named.history->in_flight())) continue;
    Result<std::vector<uint8_t>> content = ReadAll(id);
    if (!content.ok()) return Fail("resource " + std::to_string(id) + " cannot be read after a fault that is over: " + content.status().detail());
    const Image& expected = named.history ? named.history->last().image : named.content;
    if (const auto page = expected.Differs(*content, losses_)) {
      return Fail("resource " + std::to_string(id) + " reads wrong at page " + std::to_string(*page) + " after a fault");
    }
  }
  Crash(sync_failed_ || Dice(2) == 0);
}

void World::RotAtRest() {
  if (backend_) return RotAtBackend();
  if (fault_asked_) return;
  std::vector<std::pair<std::string, uint64_t>> packs;
  for (const char* folder : {"/sim/pool"}) {
    Result<std::vector<DirectoryEntry>> entries = env_.List(folder);
    if (!entries.ok()) return;
    for (const DirectoryEntry& entry : *entries) {
      if (entry.bytes > 2 * kStrayBytes) packs.emplace_back(std::string(folder) + "/" + entry.name, entry.bytes);
    }
  }
  if (packs.empty()) return;
  const auto& [path, bytes] = packs[Dice(packs.size())];
  // Records lie at the head of a pack that has room yet.
  const uint64_t reach = std::min<uint64_t>(bytes, path.ends_with(".open") ? bytes / 4 : bytes) - 2 * kStrayBytes;
  const uint64_t at = Dice(reach);
  if (path.ends_with(".open") && Dice(3) == 0) return WriteAstray(path, at - at % kSimTearBytes);
  const unsigned bit = static_cast<unsigned>(Dice(8));
  std::optional<std::vector<uint8_t>> stood;
  if (Dice(2) == 0) {
    // By whole cells, so that a page comes to stand where another is looked for.
    Result<std::vector<uint8_t>> moved = env_.Misplace(path, at + kStrayBytes, at, kStrayBytes);
    if (moved.ok()) stood = std::move(*moved);
  }
  if (!stood) {
    const Status flipped = env_.FlipBit(path, at, bit);
    if (!flipped.ok()) return Fail("rot: " + flipped.detail());
  }
  ++outcome_.damaged;
  Say(std::string(stood ? "bytes went astray" : "a bit flips") + " in " + path + " at " + std::to_string(at));
  CheckRotIsTold();
  if (path.ends_with(".pack")) ScrubAll();
  const Status healed = stood ? env_.Restore(path, at, *stood) : env_.FlipBit(path, at, bit);
  if (!healed.ok()) Fail("healing: " + healed.detail());
}

void World::WriteAstray(const std::string& pack, uint64_t at) {
  Named* named = PickVolume();
  const uint64_t length = (1 + Dice(2)) * kBlockBytes;
  if (named == nullptr || named->history->bytes() < length) return;
  const uint64_t offset = Dice((named->history->bytes() - length) / kBlockBytes + 1) * kBlockBytes;
  const std::vector<uint8_t> data = Content(length);
  Image image = named->history->last().image;
  image.Write(offset, data);
  LoseParts(named->history->last().image, image, offset, length);
  named->history->Begin(std::move(image));
  const std::shared_ptr<LiveVolume> volume = store_->Find(named->spec.volume.id);
  // Once, and not with what Retry does while a write waits: a destage would take what lies under the stray for lost.
  env_.MisdirectWrite(pack, at);
  const Status written = volume->Write(offset, data).status();
  if (written.ok()) {
    named->history->Acknowledge(volume->sequence());
    CheckRotIsTold();
  }
  if (env_.HealMisdirected()) {
    ++outcome_.damaged;
    Say("a write to " + pack + " went to " + std::to_string(at));
  }
  // The same at the same place, so that it is one write however often it was tried.
  if (!written.ok() && Retry([&] { return volume->Write(offset, data).status(); })) named->history->Acknowledge(volume->sequence());
}

void World::RotAtBackend() {
  if (fault_asked_) return;
  const SimBackend::Bit bit = backend_->Rot([this](uint64_t sides) { return Dice(sides); });
  if (bit.pack == 0) return;
  ++outcome_.damaged;
  Say("a bit flips in pack " + std::to_string(bit.pack) + " of the backend, at " + std::to_string(bit.at));
  CheckRotIsTold();
  ScrubAll();
  backend_->Flip(bit);
}

void World::CheckRotIsTold() {
  for (const auto& [id, named] : catalog_) {
    if (named.deleting || (named.history && named.history->in_flight())) continue;
    const Image& expected = named.history ? named.history->last().image : named.content;
    const std::shared_ptr<LiveVolume> volume = store_->Find(id);
    if (!volume || volume->size() != expected.bytes()) return Fail("resource " + std::to_string(id) + " is not as large as it was");
    std::vector<uint8_t> content(kPageBytes);
    for (size_t page = 0; page < expected.pages.size(); ++page) {
      const Status read = volume->Read(page * kPageBytes, content, true);
      if (read.code() == Code::kCorrupt || (!read.ok() && (Crashed() || BadWeather()))) continue;
      if (!read.ok()) return Fail("rot is told as something else: " + read.detail());
      if (!expected.PageEquals(page, content, losses_)) return Fail("rot is read as data: page " + std::to_string(page) + " of " + std::to_string(id));
    }
  }
}

}  // namespace skerry::simulation
