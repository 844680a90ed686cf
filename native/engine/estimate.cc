#include "estimate.h"

#include <algorithm>

#include "../blocks/frames.h"

namespace skerry {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kTableEntriesMin = 1024;
constexpr uint64_t kKnown = 1;

uint64_t WholeBlocks(uint64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes; }

}  // namespace

Estimate::Estimate(Env& env, const Pool& pool, size_t remembered_max)
    : env_(env), pool_(pool), remembered_max_(std::max(remembered_max, kTableEntriesMin)), buffer_(kReadBytes), table_(kTableEntriesMin) {}

Result<Estimate::Step> Estimate::Read(const std::string& path, uint64_t offset, const std::function<bool()>& go_on) {
  if (offset % kBlockBytes != 0) return Status(Code::kInvalid, "an estimate goes on where a block begins");
  Result<std::unique_ptr<File>> file = env_.Open(path, {});
  if (!file.ok()) return file.status();
  Result<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  uint64_t at = offset;
  for (bool first = true; at < *size && (first || go_on()); first = false) {
    Result<DataRange> data = (*file)->NextData(at);
    if (!data.ok()) return data.status();
    const uint64_t start = data->start >= *size ? *size : std::max(at, data->start / kBlockBytes * kBlockBytes);
    zero_bytes_ += start - at;
    at = start;
    do {
      const size_t length = std::min<uint64_t>({kReadBytes, *size - at, WholeBlocks(data->end - std::min(at, data->end))});
      if (length == 0) break;
      if (Status status = LookAt(**file, at, length, path); !status.ok()) return status;
      at += length;
    } while (at < data->end && go_on());
  }
  return Step{std::min(at, *size), *size};
}

Status Estimate::LookAt(File& file, uint64_t offset, size_t length, const std::string& path) {
  Result<size_t> got = file.Read(buffer_.bytes().first(length), offset);
  if (!got.ok()) return got.status();
  if (*got != length) return Status(Code::kInvalid, path + " shrank while it was read");
  const size_t whole = WholeBlocks(length);
  std::fill(buffer_.data() + length, buffer_.data() + whole, 0);
  for (size_t at = 0; at < whole; at += kBlockBytes) {
    const ConstBytes block = buffer_.bytes().subspan(at, kBlockBytes);
    // What a last block is filled up with was not in the file.
    const uint64_t bytes = std::min<uint64_t>(kBlockBytes, length - at);
    if (IsZero(block)) {
      zero_bytes_ += bytes;
    } else {
      data_bytes_ += bytes;
      ++data_blocks_;
      Remember(block);
    }
  }
  return Status::Ok();
}

void Estimate::Remember(ConstBytes block) {
  const BlockId id = pool_.key->BlockIdOf(block);
  // A free entry is 0, so that the one id that would be is taken for its neighbour.
  const uint64_t entry = std::max<uint64_t>(id.prefix() & ~kKnown, 2);
  if (!Chosen(entry)) return;
  const size_t mask = table_.size() - 1;
  for (size_t slot = static_cast<size_t>(entry >> 1) & mask; table_[slot] != 0; slot = (slot + 1) & mask) {
    if ((table_[slot] & ~kKnown) == entry) return;
  }
  const bool known = pool_.packs->Find(id).has_value();
  Insert(entry | (known ? kKnown : 0));
  if (!known) Measure(id, block);
  while (used_ > remembered_max_) Thin();
  if (used_ * 4 > table_.size() * 3) Grow();
}

void Estimate::Measure(const BlockId& id, ConstBytes block) {
  const auto taken = [&](const Compression& how) -> uint64_t {
    const std::optional<FramedBlock> framed = EncodeFrames(how, id, block);
    return framed ? framed->stored_bytes : RecordStoredBytes(kBlockBytes);
  };
  constexpr Compression kLz4{Codec::kLz4, 0}, kZstd{Codec::kZstd, kZstdLevelDefault};
  const Compression now = pool_.compression.wish().value_or(Compression{});
  const uint64_t lz4 = taken(kLz4), zstd = taken(kZstd);
  ++measured_;
  measured_lz4_ += lz4;
  measured_zstd_ += zstd;
  measured_now_ += now == kLz4 ? lz4 : now == kZstd ? zstd : taken(now);
}

void Estimate::Insert(uint64_t entry) {
  const size_t mask = table_.size() - 1;
  size_t slot = static_cast<size_t>(entry >> 1) & mask;
  while (table_[slot] != 0) slot = (slot + 1) & mask;
  table_[slot] = entry;
  ++used_;
  known_ += entry & kKnown;
}

void Estimate::Grow() {
  std::vector<uint64_t> before(table_.size() * 2);
  before.swap(table_);
  used_ = known_ = 0;
  for (const uint64_t entry : before) {
    if (entry != 0) Insert(entry);
  }
}

/** Ids are a keyed hash: half of them begin with one zero bit more. */
void Estimate::Thin() {
  ++halvings_;
  std::vector<uint64_t> before(table_.size());
  before.swap(table_);
  used_ = known_ = 0;
  for (const uint64_t entry : before) {
    if (entry != 0 && Chosen(entry)) Insert(entry);
  }
}

Estimate::Totals Estimate::totals() const {
  Totals totals;
  totals.zero_bytes = zero_bytes_;
  totals.data_bytes = data_bytes_;
  const uint64_t distinct = std::min<uint64_t>(uint64_t{used_} << halvings_, data_blocks_);
  const uint64_t known = std::min<uint64_t>(uint64_t{known_} << halvings_, distinct);
  totals.distinct_bytes = std::min(distinct * kBlockBytes, data_bytes_);
  totals.known_bytes = std::min(known * kBlockBytes, totals.distinct_bytes);
  const uint64_t fresh = distinct - known;
  // Where not all are remembered, those that were measured stand for the others.
  const auto scaled = [&](uint64_t bytes) -> uint64_t {
    if (measured_ == 0) return 0;
    return fresh == measured_ ? bytes : static_cast<uint64_t>(static_cast<double>(bytes) / static_cast<double>(measured_) * static_cast<double>(fresh));
  };
  totals.raw_bytes = fresh * RecordStoredBytes(kBlockBytes);
  totals.stored_bytes = scaled(measured_now_);
  totals.lz4_bytes = scaled(measured_lz4_);
  totals.zstd_bytes = scaled(measured_zstd_);
  totals.exact = halvings_ == 0;
  return totals;
}

}  // namespace skerry
