#include "sim_inode.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

namespace skerry {
namespace {

constexpr std::array<uint8_t, kPageBytes> kZeroPage{};

uint64_t SectorCount(uint64_t bytes) { return bytes / kSimTearBytes; }

}  // namespace

SimInode::~SimInode() { Count(false); }

void SimInode::Count(bool counted) {
  const uint64_t bytes = pages_claimed_.size() * kPageBytes;
  if (counted && !counted_) space_->used_bytes += bytes;
  if (!counted && counted_) space_->used_bytes -= bytes;
  counted_ = counted;
}

void SimInode::Unlink() { Count(false); }

uint64_t SimInode::Claim(uint64_t offset, uint64_t bytes) {
  for (uint64_t at = offset; at < offset + bytes;) {
    const uint64_t page = at / kPageBytes;
    if (!pages_claimed_.contains(page)) {
      if (space_->free() < kPageBytes) return at - offset;
      pages_claimed_.insert(page);
      if (counted_) space_->used_bytes += kPageBytes;
    }
    at = (page + 1) * kPageBytes;
  }
  return bytes;
}

bool SimInode::Reserve(uint64_t bytes) {
  uint64_t pages_wanted = 0;
  const uint64_t pages = bytes / kPageBytes + (bytes % kPageBytes != 0 ? 1 : 0);
  if (pages > pages_claimed_.size() && (pages - pages_claimed_.size()) > space_->free() / kPageBytes) return false;
  for (uint64_t page = 0; page < pages; ++page) pages_wanted += pages_claimed_.contains(page) ? 0 : 1;
  if (pages_wanted * kPageBytes > space_->free()) return false;
  return Claim(0, bytes) == bytes;
}

void SimInode::ReleaseFrom(uint64_t bytes) {
  const size_t before = pages_claimed_.size();
  std::erase_if(pages_claimed_, [&](uint64_t page) { return page * kPageBytes >= bytes; });
  if (counted_) space_->used_bytes -= (before - pages_claimed_.size()) * kPageBytes;
}

void SimInode::Write(ConstBytes data, uint64_t offset) {
  if (data.empty()) return;
  // Growth comes before the bytes: a size that did not reach the disk cuts them off.
  if (offset + data.size() > current_.size()) {
    current_.Resize(offset + data.size());
    changes_.push_back({.resize = true, .bytes = current_.size()});
  }
  current_.Write(data, offset);
  Change change;
  change.offset = offset - offset % kSimTearBytes;
  const uint64_t end = offset + data.size();
  change.bytes = (end - change.offset + kSimTearBytes - 1) / kSimTearBytes * kSimTearBytes;
  change.data.resize(change.bytes);
  (void)current_.Read(change.data, change.offset);
  if (std::all_of(change.data.begin(), change.data.end(), [](uint8_t byte) { return byte == 0; })) {
    change.data = {};
  }
  changes_.push_back(std::move(change));
}

void SimInode::Resize(uint64_t bytes) {
  if (bytes == current_.size()) return;
  if (bytes < current_.size()) ReleaseFrom(bytes);
  current_.Resize(bytes);
  changes_.push_back({.resize = true, .bytes = bytes});
}

void SimInode::Apply(const Change& change, uint64_t at, uint64_t bytes) {
  if (!change.data.empty()) return durable_.Write(ConstBytes(change.data).subspan(at, bytes), change.offset + at);
  for (const uint64_t end = at + bytes; at < end;) {
    const uint64_t step = std::min(end - at, kPageBytes - (change.offset + at) % kPageBytes);
    durable_.Write(ConstBytes(kZeroPage).first(step), change.offset + at);
    at += step;
  }
}

void SimInode::ApplyAll() {
  for (const Change& change : changes_) {
    if (change.resize) {
      durable_.Resize(change.bytes);
    } else {
      Apply(change, 0, change.bytes);
    }
  }
  changes_.clear();
}

// Sizes reach the disk in order (they are the file system's journal); sectors each for itself, in any order: of the
// versions that a sector had since the last sync, any may be the one that stands.
void SimInode::ApplySome(SimRandom& random) {
  uint64_t sectors = 0, resizes = 0;
  for (const Change& change : changes_) (change.resize ? resizes : sectors) += change.resize ? 1 : SectorCount(change.bytes);

  enum class Mode : uint8_t { kScattered, kAll, kNone, kPrefix, kSizesOnly };
  constexpr Mode kModes[] = {Mode::kAll,       Mode::kNone,      Mode::kPrefix,    Mode::kSizesOnly,
                             Mode::kScattered, Mode::kScattered, Mode::kScattered, Mode::kScattered};
  const Mode mode = kModes[random.Below(std::size(kModes))];
  if (mode == Mode::kAll) return ApplyAll();
  if (mode == Mode::kNone) return changes_.clear();
  uint64_t sectors_left = random.Below(sectors + 1);          // kPrefix
  const uint64_t survivors_of_eight = 1 + random.Below(7);    // kScattered
  uint64_t resizes_left = random.Below(resizes + 1);

  // Bytes beyond a cut that did not reach the disk were meant for extents that did not either.
  uint64_t lost_from = std::numeric_limits<uint64_t>::max();
  uint64_t size_meant = durable_.size();
  for (const Change& change : changes_) {
    if (change.resize) {
      if (resizes_left > 0) {
        --resizes_left;
        durable_.Resize(change.bytes);
      } else if (change.bytes < size_meant) {
        lost_from = std::min(lost_from, change.bytes);
      }
      size_meant = change.bytes;
      continue;
    }
    for (uint64_t at = 0; at < change.bytes; at += kSimTearBytes) {
      bool survives = false;
      if (mode == Mode::kScattered) survives = random.Chance(survivors_of_eight, 8);
      if (mode == Mode::kPrefix && sectors_left > 0) {
        --sectors_left;
        survives = true;
      }
      if (survives && change.offset + at < lost_from) Apply(change, at, kSimTearBytes);
    }
  }
  changes_.clear();
}

void SimInode::Sync() { ApplyAll(); }

void SimInode::FailSync(SimRandom& random) {
  ApplySome(random);
  // The size is the file system's, whose journal goes on; only the data behind it was given up.
  if (durable_.size() != current_.size()) changes_.push_back({.resize = true, .bytes = current_.size()});
}

void SimInode::Crash(SimSurvival survival, SimRandom& random) {
  if (survival == SimSurvival::kAll) {
    ApplyAll();
  } else if (survival == SimSurvival::kNone) {
    changes_.clear();
  } else {
    ApplySome(random);
  }
  Settle();
}

void SimInode::Settle() {
  current_ = durable_;
  Count(true);
  ReleaseFrom(current_.size());
}

/** Whether the device holds already what this sector of the change would put there. */
bool SimInode::Stands(const Change& change, uint64_t at) const {
  std::array<uint8_t, kSimTearBytes> stands{};
  (void)durable_.Read(stands, change.offset + at);
  const ConstBytes wanted = change.data.empty() ? ConstBytes(kZeroPage).first(kSimTearBytes) : ConstBytes(change.data).subspan(at, kSimTearBytes);
  return std::ranges::equal(stands, wanted);
}

void SimInode::CrashBy(const SimKeeps& keeps) {
  std::set<uint64_t> asked;   // sectors that may have become another than the device held
  uint64_t lost_from = std::numeric_limits<uint64_t>::max();
  uint64_t size_meant = durable_.size();
  bool sizes = true;
  for (const Change& change : changes_) {
    if (change.resize) {
      sizes = sizes && keeps();
      if (sizes) durable_.Resize(change.bytes);
      else if (change.bytes < size_meant) lost_from = std::min(lost_from, change.bytes);
      size_meant = change.bytes;
      continue;
    }
    for (uint64_t at = 0; at < change.bytes; at += kSimTearBytes) {
      const uint64_t sector = change.offset + at;
      if (sector >= lost_from || sector >= durable_.size()) continue;
      if (!asked.contains(sector) && Stands(change, at)) continue;
      asked.insert(sector);
      if (keeps()) Apply(change, at, kSimTearBytes);
    }
  }
  changes_.clear();
  Settle();
}

std::shared_ptr<SimInode> SimInode::Copy(std::shared_ptr<SimSpace> space) const {
  auto copy = std::make_shared<SimInode>(std::move(space));
  copy->pages_claimed_ = pages_claimed_;
  copy->counted_ = counted_;
  copy->durable_ = durable_;
  copy->current_ = current_;
  copy->changes_ = changes_;
  return copy;
}

void SimInode::Flip(uint64_t offset, unsigned bit) {
  current_.Flip(offset, bit);
  durable_.Flip(offset, bit);
  // Rot that a later crash or sync would heal by itself would test nothing.
  for (Change& change : changes_) {
    if (change.resize || offset < change.offset || offset - change.offset >= change.bytes) continue;
    if (change.data.empty()) change.data.resize(change.bytes);
    change.data[offset - change.offset] ^= static_cast<uint8_t>(1u << (bit % 8));
  }
}

void SimInode::Replace(ConstBytes data, uint64_t offset) {
  current_.Write(data, offset);
  durable_.Write(data, offset);
}

uint64_t SimInode::Digest() const {
  uint64_t digest = SplitMix(durable_.Digest() ^ SplitMix(current_.Digest()));
  for (const Change& change : changes_) {
    digest = SplitMix(digest ^ change.offset);
    digest = SplitMix(digest ^ (change.bytes << 1 | (change.resize ? 1 : 0)));
    digest = SimDigest(change.data, digest);
  }
  return digest;
}

}  // namespace skerry
