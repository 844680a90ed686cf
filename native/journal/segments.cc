#include "segments.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "../env/failpoints.h"

namespace skerry {
namespace {

constexpr size_t kPrewriteBytes = 1 << 20;
constexpr const char* kSuffix = ".segment";
// One takes records, one waits for its records to be destaged, one is ready.
constexpr size_t kSlotsMin = 3;
/** No log gets there in centuries; positions past it would come round to its beginning. */
constexpr uint64_t kLogBytesMax = 1ull << 62;

}  // namespace

Segments::Segments(Env& env, std::string directory, uint64_t segment_bytes, uint64_t slots_max, uint64_t keep_free_bytes)
    : env_(env), directory_(std::move(directory)), segment_bytes_(segment_bytes), slots_max_(slots_max), keep_free_bytes_(keep_free_bytes) {}

Result<std::shared_ptr<SegmentSlot>> Segments::OpenSlot(unsigned slot, bool create) {
  char name[32];
  std::snprintf(name, sizeof(name), "%06u%s", slot, kSuffix);
  auto opened = std::make_shared<SegmentSlot>();
  opened->slot = slot;
  opened->path = directory_ + "/" + name;
  Result<std::unique_ptr<File>> direct = env_.Open(opened->path, {.write = true, .create = create, .direct = true});
  if (!direct.ok()) return direct.status();
  Result<std::unique_ptr<File>> buffered = env_.Open(opened->path, {});
  if (!buffered.ok()) return buffered.status();
  opened->direct = std::move(*direct);
  opened->buffered = std::move(*buffered);
  return opened;
}

Result<std::vector<Segments::Found>> Segments::Load(const JournalId& journal, bool salvage, std::vector<std::string>& removed) {
  Result<std::vector<DirectoryEntry>> entries = env_.List(directory_);
  if (!entries.ok()) return entries.status();
  std::vector<Found> found;
  AlignedBuffer sector(kSectorBytes);
  for (const DirectoryEntry& entry : *entries) {
    unsigned slot = 0;
    int end = 0;
    if (std::sscanf(entry.name.c_str(), "%6u.segment%n", &slot, &end) != 1 || static_cast<size_t>(end) != entry.name.size()) continue;
    next_slot_ = std::max(next_slot_, slot + 1);
    if (entry.bytes < segment_bytes_) {
      // Prewriting was interrupted; nothing was ever put in it: what is used was whole and durable first.
      Result<std::unique_ptr<File>> file = env_.Open(directory_ + "/" + entry.name, {});
      uint8_t magic[4] = {};
      if (file.ok()) {
        Result<size_t> got = (*file)->Read(magic, 0);
        if (!got.ok()) return got.status();
      }
      if (std::any_of(magic, magic + 4, [](uint8_t byte) { return byte != 0; })) {
        return Status(Code::kCorrupt, "the journal is damaged: " + directory_ + "/" + entry.name + " was cut short at byte " + std::to_string(entry.bytes));
      }
      if (Status removed = env_.Remove(directory_ + "/" + entry.name); !removed.ok()) return removed;
      continue;
    }
    Result<std::shared_ptr<SegmentSlot>> opened = OpenSlot(slot, false);
    if (!opened.ok()) return opened.status();
    Result<size_t> got = (*opened)->direct->Read(sector.bytes(), 0);
    if (!got.ok()) return got.status();
    SegmentHeader header;
    std::memcpy(&header, sector.data(), sizeof(header));
    const bool ours = *got == kSectorBytes && header.magic == kSegmentMagic && header.journal == journal &&
                      header.sum == JournalSum(&header, sizeof(header) - sizeof(header.sum), 0) && header.number <= kLogBytesMax / segment_bytes_;
    if (ours && header.version > kJournalVersion) {
      return Status(Code::kInvalid, (*opened)->path + " was written by a newer version of Skerry (journal format " + std::to_string(header.version) + ")");
    }
    if (ours) {
      found.push_back({header, *opened});
      continue;
    }
    // A header fits in one device sector, so it is there whole or not at all: anything else is damage, not a torn write.
    const bool blank = std::all_of(sector.data(), sector.data() + kSectorBytes, [](uint8_t byte) { return byte == 0; });
    if (!blank && !salvage) {
      return Status(Code::kCorrupt, "the journal is damaged: the header of " + (*opened)->path + " at byte 0 fails its sum. To go on without this segment, "
                                    "start with --salvage-journal; to lose nothing, restore the file from a copy first");
    }
    if (!blank) {
      // Given up for good, or the next start would meet it again. Whole: under another header its old batches could come to stand
      // at their old positions, and their marks would vouch for a log that is not there.
      removed.push_back((*opened)->path);
      if (Status gone = env_.Remove((*opened)->path); !gone.ok()) return gone;
      continue;
    }
    ready_.push_back(*opened);
  }
  if (!removed.empty()) {
    if (Status synced = env_.SyncDirectory(directory_); !synced.ok()) return synced;
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.header.number < b.header.number; });
  return found;
}

Result<bool> Segments::Prepare(size_t ready_want, bool beyond_limit) {
  std::lock_guard preparing(prepare_mutex_);
  unsigned slot;
  bool may_wait;
  {
    std::lock_guard lock(mutex_);
    if (ready_.size() >= ready_want) return false;
    if (!beyond_limit && live_.size() + ready_.size() >= slots_max_) return false;
    may_wait = !beyond_limit && live_.size() + ready_.size() >= kSlotsMin;
  }
  if (may_wait) {
    Result<uint64_t> free = env_.FreeBytes(directory_);
    if (!free.ok()) return free.status();
    std::lock_guard lock(mutex_);
    cramped_ = *free < keep_free_bytes_ + segment_bytes_;
    if (cramped_) return false;
  }
  {
    std::lock_guard lock(mutex_);
    slot = next_slot_++;
  }
  Result<std::shared_ptr<SegmentSlot>> opened = OpenSlot(slot, true);
  if (!opened.ok()) return opened.status();
  AlignedBuffer zeroes(std::min<uint64_t>(kPrewriteBytes, segment_bytes_));
  std::memset(zeroes.data(), 0, zeroes.size());
  Status status = Status::Ok();
  for (uint64_t at = 0; status.ok() && at < segment_bytes_; at += zeroes.size()) {
    status = (*opened)->direct->Write(zeroes.bytes().first(std::min<uint64_t>(zeroes.size(), segment_bytes_ - at)), at);
  }
  if (status.ok()) status = (*opened)->direct->DataSync();
  if (status.ok()) status = env_.SyncDirectory(directory_);
  if (!status.ok()) {
    // What cannot be prewritten is no segment; that it cannot be removed either changes nothing: its length tells.
    const Status removed = env_.Remove((*opened)->path);
    return removed.ok() ? status : Status(status.code(), status.detail() + "; " + removed.detail());
  }
  std::lock_guard lock(mutex_);
  ready_.push_back(*opened);
  return true;
}

bool Segments::Assign(uint64_t number, bool beyond_limit) {
  std::lock_guard lock(mutex_);
  // A slot that a start made beyond the limit stays for the next such start: were it taken here, each would add one more.
  if (ready_.empty() || (!beyond_limit && live_.size() >= slots_max_)) return false;
  live_[number] = ready_.front();
  ready_.pop_front();
  return true;
}

void Segments::Adopt(uint64_t number, std::shared_ptr<SegmentSlot> slot) {
  std::lock_guard lock(mutex_);
  live_[number] = std::move(slot);
}

std::shared_ptr<SegmentSlot> Segments::Find(uint64_t number) const {
  std::lock_guard lock(mutex_);
  const auto found = live_.find(number);
  return found == live_.end() ? nullptr : found->second;
}

void Segments::Recycle(uint64_t number) {
  std::lock_guard lock(mutex_);
  while (!live_.empty() && live_.begin()->first < number) {
    ready_.push_back(live_.begin()->second);
    live_.erase(live_.begin());
    Pass(Failpoint::kJournalRecycled);
  }
}

size_t Segments::live() const {
  std::lock_guard lock(mutex_);
  return live_.size();
}

uint64_t Segments::window() const {
  std::lock_guard lock(mutex_);
  const uint64_t slots = live_.size() + ready_.size();
  return (cramped_ ? std::min<uint64_t>(slots, slots_max_) : slots_max_) * segment_bytes_;
}

size_t Segments::ready() const {
  std::lock_guard lock(mutex_);
  return ready_.size();
}

uint64_t Segments::lowest() const {
  std::lock_guard lock(mutex_);
  return live_.empty() ? ~0ull : live_.begin()->first;
}

}  // namespace skerry
