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

bool Holds(const GoneRanges& ranges, uint32_t pack) {
  const auto next = ranges.upper_bound(pack);
  return next != ranges.begin() && std::prev(next)->second >= pack;
}

uint64_t SumOfList(const GonePacksHeader& header, ConstBytes ranges) {
  return SumOf(ranges.data(), ranges.size(), SumOf(&header, offsetof(GonePacksHeader, sum), 0));
}

/** As lists were before they had numbers, and before they were in the pool. */
struct HeaderV1 {
  uint32_t magic;
  uint32_t version;
  uint64_t domain;
  uint64_t range_count;
  uint64_t sum;
};
static_assert(sizeof(HeaderV1) == 32);

struct Heading {
  GonePacksHeader header;
  size_t bytes = 0;
  bool holds = false;   // its sum
};

/** `bytes` are no fewer than a HeaderV1. */
Heading HeadingOf(ConstBytes bytes) {
  HeaderV1 before;
  std::memcpy(&before, bytes.data(), sizeof(before));
  if (before.version == 1) {
    const ConstBytes body = bytes.subspan(sizeof(before));
    const bool holds = before.sum == SumOf(body.data(), body.size(), SumOf(&before, offsetof(HeaderV1, sum), 0));
    return {{before.magic, before.version, before.domain, 1, before.range_count, before.sum}, sizeof(before), holds};
  }
  GonePacksHeader header{before.magic, before.version, 0, 0, 0, 0};
  if (bytes.size() < sizeof(header)) return {header, 0, false};
  std::memcpy(&header, bytes.data(), sizeof(header));
  return {header, sizeof(header), header.sum == SumOfList(header, bytes.subspan(sizeof(header)))};
}

}  // namespace

std::vector<uint8_t> EncodeGonePacks(uint64_t domain, const GoneList& list) {
  std::vector<uint8_t> bytes(sizeof(GonePacksHeader) + list.ranges.size() * sizeof(GoneRange));
  uint8_t* at = bytes.data() + sizeof(GonePacksHeader);
  for (const auto& [first, last] : list.ranges) {
    const GoneRange range{first, last};
    std::memcpy(at, &range, sizeof(range));
    at += sizeof(range);
  }
  GonePacksHeader header{kGonePacksMagic, kGonePacksVersion, domain, list.number, list.ranges.size(), 0};
  header.sum = SumOfList(header, ConstBytes(bytes).subspan(sizeof(header)));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

Result<GoneList> DecodeGonePacks(ConstBytes bytes, uint64_t domain) {
  const auto damaged = [](const char* why) { return Status(Code::kCorrupt, std::string("the list of packs that are gone ") + why); };
  if (bytes.size() < sizeof(HeaderV1)) return damaged("is short");
  const auto [header, header_bytes, holds] = HeadingOf(bytes);
  if (header.magic != kGonePacksMagic) return damaged("has no valid header");
  if (header.version == 0 || header.version > kGonePacksVersion) return damaged("is of another version");
  if (!holds) return damaged("fails its sum");
  const ConstBytes body = bytes.subspan(header_bytes);
  if (header.range_count != body.size() / sizeof(GoneRange) || body.size() % sizeof(GoneRange) != 0) return damaged("is not as long as it says");
  if (header.domain != domain) return damaged("is of another pool");
  if (header.number == 0) return damaged("has no number");
  GoneList list{header.number, {}};
  uint64_t free_from = 1;
  for (size_t i = 0; i < header.range_count; ++i) {
    GoneRange range;
    std::memcpy(&range, body.data() + i * sizeof(range), sizeof(range));
    if (range.first < free_from || range.last < range.first) return damaged("is not in order");
    list.ranges.emplace_hint(list.ranges.end(), range.first, range.last);
    free_from = uint64_t{range.last} + 2;
  }
  return list;
}

Status GonePacks::Load() {
  Result<std::unique_ptr<File>> file = env_.Open(path_, {});
  if (!file.ok()) return file.code() == Code::kNotFound ? Status::Ok() : file.status();
  const Result<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::vector<uint8_t> bytes(*size);
  const Result<size_t> got = (*file)->Read(bytes, 0);
  if (!got.ok()) return got.status();
  Result<GoneList> list = DecodeGonePacks(ConstBytes(bytes).first(*got), domain_);
  if (!list.ok()) return list.status();
  // A crash may have left it without a durable name, under which another could come to stand.
  if (Status status = env_.SyncDirectory(directory_); !status.ok()) return status;
  std::lock_guard lock(mutex_);
  list_ = std::move(*list);
  standing_ = list_;
  return {};
}

bool GonePacks::Contains(uint32_t pack) const {
  std::lock_guard lock(mutex_);
  return Holds(list_.ranges, pack);
}

bool GonePacks::Stands(uint32_t pack) const {
  std::lock_guard lock(mutex_);
  return Holds(standing_.ranges, pack);
}

uint32_t GonePacks::newest() const {
  std::lock_guard lock(mutex_);
  return list_.ranges.empty() ? 0 : list_.ranges.rbegin()->second;
}

Status GonePacks::Begin(ConstBytes before) {
  GoneList list;
  if (!before.empty()) {
    Result<GoneList> given = DecodeGonePacks(before, domain_);
    if (!given.ok()) return given.status();
    list = std::move(*given);
  }
  list.number = 1;
  std::lock_guard lock(mutex_);
  if (Status status = Write(list); !status.ok()) return status;
  if (Status status = env_.Rename(path_ + ".new", path_); !status.ok()) return status;
  if (Status status = env_.SyncDirectory(directory_); !status.ok()) return status;
  list_ = std::move(list);
  standing_ = list_;
  return {};
}

Status GonePacks::Add(const std::set<uint32_t>& packs) {
  if (IsMutant(Mutant::kGoneForgotten)) return {};
  std::lock_guard lock(mutex_);
  GoneList list = list_;
  list.number = standing_.number + 1;   // one that failed was not put anywhere, and never will be
  for (const uint32_t pack : packs) Insert(list.ranges, pack);
  if (Status status = Write(list); !status.ok()) {
    (void)env_.Remove(path_ + ".new");
    return status;
  }
  list_ = std::move(list);
  return env_.Rename(path_ + ".new", path_);
}

void GonePacks::Stand() {
  std::lock_guard lock(mutex_);
  standing_ = list_;
}

GonePacks::Standing GonePacks::standing() const {
  std::lock_guard lock(mutex_);
  if (standing_.number == 0) return {};
  return {standing_.number, EncodeGonePacks(domain_, standing_)};
}

uint64_t GonePacks::number() const {
  std::lock_guard lock(mutex_);
  return standing_.number;
}

/** Under another name. */
Status GonePacks::Write(const GoneList& list) {
  const std::vector<uint8_t> bytes = EncodeGonePacks(domain_, list);
  const Result<std::unique_ptr<File>> file = env_.Open(path_ + ".new", {.write = true, .create = true});
  if (!file.ok()) return file.status();
  if (Status status = (*file)->Write(bytes, 0); !status.ok()) return status;
  if (Status status = (*file)->Truncate(bytes.size()); !status.ok()) return status;  // it may be left over from a crash
  return (*file)->DataSync();
}

}  // namespace skerry
