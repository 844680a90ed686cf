#include "frames.h"

#include <algorithm>
#include <array>

namespace skerry {
namespace {

uint32_t FrameRawBytes(uint32_t raw_bytes, uint32_t frame) { return std::min(kFrameBytes, raw_bytes - frame * kFrameBytes); }

uint32_t RoundUp(uint32_t bytes) { return (bytes + kPackAlignBytes - 1) / kPackAlignBytes * kPackAlignBytes; }

/** The most that a framed record of a block may take. */
constexpr uint32_t StoredBytesMax(uint32_t raw_record_bytes) { return raw_record_bytes - raw_record_bytes / 8; }

}  // namespace

FramePlace FrameAt(const PackRecordHeader& header, uint32_t frame) {
  FramePlace place{sizeof(PackRecordHeader), header.frame_bytes[frame], FrameRawBytes(header.raw_bytes, frame)};
  for (uint32_t i = 0; i < frame; ++i) place.offset += header.frame_bytes[i] + kCellSumBytes;
  return place;
}

bool FrameTableHolds(const PackRecordHeader& header) {
  if (header.raw_bytes == 0 || header.raw_bytes > kFramesMax * kFrameBytes || header.raw_bytes % kPageBytes != 0) return false;
  const uint32_t frames = FrameCount(header.raw_bytes);
  uint32_t bytes = sizeof(PackRecordHeader);
  for (uint32_t i = 0; i < frames; ++i) {
    if (header.frame_bytes[i] == 0 || header.frame_bytes[i] > FrameRawBytes(header.raw_bytes, i)) return false;
    bytes += header.frame_bytes[i] + kCellSumBytes;
  }
  const bool rest_is_zero = std::all_of(header.frame_bytes + frames, header.frame_bytes + kFramesMax, [](uint16_t one) { return one == 0; });
  return rest_is_zero && header.stored_bytes == RoundUp(bytes);
}

bool OpenFrame(const PackRecordHeader& header, const FramePlace& place, ConstBytes stored, uint64_t seed, Bytes into) {
  if (stored.size() < size_t{place.stored_bytes} + kCellSumBytes || into.size() != place.raw_bytes) return false;
  if (!CellHolds(stored.data(), place.stored_bytes, stored.data() + place.stored_bytes, seed)) return false;
  if (place.stored_bytes < place.raw_bytes) return Decompress(header.codec, stored.first(place.stored_bytes), into);
  std::copy_n(stored.data(), place.raw_bytes, into.data());
  return true;
}

bool CopyFrames(ConstBytes record, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into) {
  const auto header = ParseHeader(record, at.pack, at.offset);
  if (!header || header->codec == Codec::kRaw || (uint64_t{first} + count) * kPageBytes > header->raw_bytes) return false;
  BlockId id;
  std::copy(std::begin(header->id), std::end(header->id), id.bytes.begin());
  if (id.prefix() != prefix) return false;
  for (uint32_t page = first, done = 0; done < count;) {
    const uint32_t frame = page / kFramePages, in_frame = page % kFramePages;
    const FramePlace place = FrameAt(*header, frame);
    if (record.size() < place.end()) return false;
    const uint32_t pages = std::min(count - done, place.raw_bytes / uint32_t{kPageBytes} - in_frame);
    const Bytes wanted = into.subspan(size_t{done} * kPageBytes, size_t{pages} * kPageBytes);
    const ConstBytes stored = record.subspan(place.offset, place.stored_bytes + kCellSumBytes);
    if (wanted.size() == place.raw_bytes) {
      if (!OpenFrame(*header, place, stored, prefix + frame, wanted)) return false;
    } else {
      std::array<uint8_t, kFrameBytes> raw;
      if (!OpenFrame(*header, place, stored, prefix + frame, Bytes(raw).first(place.raw_bytes))) return false;
      std::copy_n(raw.data() + size_t{in_frame} * kPageBytes, wanted.size(), wanted.data());
    }
    page += pages;
    done += pages;
  }
  return true;
}

std::optional<FramedBlock> EncodeFrames(const Compression& how, const BlockId& id, ConstBytes raw) {
  if (!how.on() || raw.size() != kFramedRawBytes || !LooksCompressible(how, raw)) return std::nullopt;
  const uint32_t bytes_max = StoredBytesMax(RecordStoredBytes(kFramedRawBytes)) - uint32_t{sizeof(PackRecordHeader)};
  FramedBlock block;
  block.body.resize(bytes_max);
  uint32_t at = 0;
  for (uint32_t frame = 0; frame < FrameCount(kFramedRawBytes); ++frame) {
    const ConstBytes payload = raw.subspan(size_t{frame} * kFrameBytes, kFrameBytes);
    const uint32_t left = bytes_max - at;
    if (left <= kCellSumBytes) return std::nullopt;
    // One byte less than it has: what does not shrink is kept as it is, and needs no look at what it was made with.
    const Bytes into = Bytes(block.body).subspan(at, std::min(kFrameBytes - 1, left - kCellSumBytes));
    auto stored = static_cast<uint32_t>(Compress(how, payload, into));
    if (stored == 0) {
      if (left < kFrameBytes + kCellSumBytes) return std::nullopt;
      stored = kFrameBytes;
      std::copy(payload.begin(), payload.end(), block.body.begin() + at);
    }
    const uint64_t sum = SumOf(block.body.data() + at, stored, CellSeed(id, frame));
    std::memcpy(block.body.data() + at + stored, &sum, sizeof(sum));
    block.frame_bytes[frame] = static_cast<uint16_t>(stored);
    at += stored + kCellSumBytes;
  }
  const uint32_t end = uint32_t{sizeof(PackRecordHeader)} + at;
  block.stored_bytes = RoundUp(end);
  block.body.resize(block.stored_bytes - sizeof(PackRecordHeader));
  std::fill(block.body.begin() + at, block.body.end(), 0);
  return block;
}

}  // namespace skerry
