#include "gone_packs.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "../env/mutants.h"
#include "cell.h"

namespace skerry {
namespace {

void Insert(GoneRanges& ranges, uint32_t pack) {
  auto next = ranges.upper_bound(pack);
  if (next != ranges.begin()) {
    const auto before = std::prev(next);
    if (before->second >= pack) return;
    if (before->second + 1 == pack) {
      before->second = pack;
      if (next == ranges.end() || next->first != pack + 1) return;
      before->second = next->second;
      ranges.erase(next);
      return;
    }
  }
  uint32_t last = pack;
  if (next != ranges.end() && next->first == pack + 1) {
    last = next->second;
    ranges.erase(next);
  }
  ranges.emplace(pack, last);
}

uint64_t SumOfList(const GonePacksHeader& header, ConstBytes ranges) {
  return SumOf(ranges.data(), ranges.size(), SumOf(&header, offsetof(GonePacksHeader, sum), 0));
}

}  // namespace

std::vector<uint8_t> EncodeGonePacks(uint64_t domain, const GoneRanges& ranges) {
  std::vector<uint8_t> bytes(sizeof(GonePacksHeader) + ranges.size() * sizeof(GoneRange));
  uint8_t* at = bytes.data() + sizeof(GonePacksHeader);
  for (const auto& [first, last] : ranges) {
    const GoneRange range{first, last};
    std::memcpy(at, &range, sizeof(range));
    at += sizeof(range);
  }
  GonePacksHeader header{kGonePacksMagic, kGonePacksVersion, domain, ranges.size(), 0};
  header.sum = SumOfList(header, ConstBytes(bytes).subspan(sizeof(header)));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

Result<GoneRanges> DecodeGonePacks(ConstBytes bytes, uint64_t domain) {
  const auto damaged = [](const char* why) { return Status(Code::kCorrupt, std::string("the list of packs that are gone ") + why); };
  GonePacksHeader header;
  if (bytes.size() < sizeof(header)) return damaged("is short");
  std::memcpy(&header, bytes.data(), sizeof(header));
  const ConstBytes body = bytes.subspan(sizeof(header));
  if (header.magic != kGonePacksMagic) return damaged("has no valid header");
  if (header.version != kGonePacksVersion) return damaged("is of another version");
  if (header.range_count != body.size() / sizeof(GoneRange) || body.size() % sizeof(GoneRange) != 0) return damaged("is not as long as it says");
  if (header.sum != SumOfList(header, body)) return damaged("fails its sum");
  if (header.domain != domain) return damaged("is of another pool");
  GoneRanges ranges;
  uint64_t free_from = 1;
  for (size_t i = 0; i < header.range_count; ++i) {
    GoneRange range;
    std::memcpy(&range, body.data() + i * sizeof(range), sizeof(range));
    if (range.first < free_from || range.last < range.first) return damaged("is not in order");
    ranges.emplace_hint(ranges.end(), range.first, range.last);
    free_from = uint64_t{range.last} + 2;
  }
  return ranges;
}

Status GonePacks::Load() {
  Result<std::unique_ptr<File>> file = env_.Open(path_, {});
  if (!file.ok()) return file.code() == Code::kNotFound ? Status::Ok() : file.status();
  const Result<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::vector<uint8_t> bytes(*size);
  const Result<size_t> got = (*file)->Read(bytes, 0);
  if (!got.ok()) return got.status();
  Result<GoneRanges> ranges = DecodeGonePacks(ConstBytes(bytes).first(*got), domain_);
  if (!ranges.ok()) return ranges.status();
  std::lock_guard lock(mutex_);
  ranges_ = std::move(*ranges);
  return {};
}

bool GonePacks::Contains(uint32_t pack) const {
  std::lock_guard lock(mutex_);
  const auto next = ranges_.upper_bound(pack);
  return next != ranges_.begin() && std::prev(next)->second >= pack;
}

uint32_t GonePacks::newest() const {
  std::lock_guard lock(mutex_);
  return ranges_.empty() ? 0 : ranges_.rbegin()->second;
}

Status GonePacks::Add(const std::set<uint32_t>& packs) {
  if (IsMutant(Mutant::kGoneForgotten)) return {};
  std::lock_guard lock(mutex_);
  GoneRanges ranges = ranges_;
  for (const uint32_t pack : packs) Insert(ranges, pack);
  const std::string fresh = path_ + ".new";
  if (Status status = Write(ranges, fresh); !status.ok()) {
    (void)env_.Remove(fresh);
    return status;
  }
  ranges_ = std::move(ranges);
  return env_.Rename(fresh, path_);
}

Status GonePacks::Write(const GoneRanges& ranges, const std::string& path) {
  const std::vector<uint8_t> bytes = EncodeGonePacks(domain_, ranges);
  const Result<std::unique_ptr<File>> file = env_.Open(path, {.write = true, .create = true});
  if (!file.ok()) return file.status();
  if (Status status = (*file)->Write(bytes, 0); !status.ok()) return status;
  if (Status status = (*file)->Truncate(bytes.size()); !status.ok()) return status;  // it may be left over from a crash
  return (*file)->DataSync();
}

}  // namespace skerry
