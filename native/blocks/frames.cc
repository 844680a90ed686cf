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

uint32_t EncryptedStoredBytes(uint32_t raw_bytes) {
  return RoundUp(uint32_t{sizeof(PackRecordHeader)} + raw_bytes + CellCount(raw_bytes) * kTagBytes);
}

FramePlace FrameAt(const PackRecordHeader& header, uint32_t frame) {
  const uint32_t frame_bytes = FrameBytesOf(header), seal_bytes = SealBytes(header);
  const uint32_t raw_bytes = std::min(frame_bytes, header.raw_bytes - frame * frame_bytes);
  if (header.codec == Codec::kRaw) return {uint32_t{sizeof(PackRecordHeader)} + frame * (frame_bytes + seal_bytes), raw_bytes, raw_bytes, seal_bytes};
  FramePlace place{sizeof(PackRecordHeader), header.frame_bytes[frame], raw_bytes, seal_bytes};
  for (uint32_t i = 0; i < frame; ++i) place.offset += header.frame_bytes[i] + seal_bytes;
  return place;
}

bool FrameTableHolds(const PackRecordHeader& header) {
  const uint32_t frames_max = header.encrypted() ? kEncryptedFramesMax : kFramesMax;
  const auto is_zero_from = [&](uint32_t frame) {
    return std::all_of(header.frame_bytes + frame, header.frame_bytes + frames_max, [](uint16_t one) { return one == 0; });
  };
  if (header.codec == Codec::kRaw) {
    return header.raw_bytes <= kFramedRawBytes && is_zero_from(0) && header.stored_bytes == EncryptedStoredBytes(header.raw_bytes);
  }
  if (header.raw_bytes == 0 || header.raw_bytes > frames_max * kFrameBytes || header.raw_bytes % kPageBytes != 0) return false;
  const uint32_t frames = FrameCount(header);
  uint32_t bytes = sizeof(PackRecordHeader);
  for (uint32_t i = 0; i < frames; ++i) {
    if (header.frame_bytes[i] == 0 || header.frame_bytes[i] > FrameRawBytes(header.raw_bytes, i)) return false;
    bytes += header.frame_bytes[i] + SealBytes(header);
  }
  return is_zero_from(frames) && header.stored_bytes == RoundUp(bytes);
}

namespace {

uint64_t PrefixOf(const PackRecordHeader& header) {
  BlockId id;
  std::copy(std::begin(header.id), std::end(header.id), id.bytes.begin());
  return id.prefix();
}

}  // namespace

FrameReader::FrameReader(const PackRecordHeader& header, const RecordCipher* cipher)
    : header_(header), prefix_(PrefixOf(header)), readable_(header.encrypted() == (cipher != nullptr)) {
  if (readable_ && cipher != nullptr) key_ = cipher->KeyOf(header);
}

bool FrameReader::Holds(ConstBytes record, uint32_t frame) const {
  const FramePlace place = FrameAt(header_, frame);
  if (!readable_ || record.size() < place.end()) return false;
  const ConstBytes stored = record.subspan(place.offset, place.stored_bytes), seal = record.subspan(place.offset + place.stored_bytes, place.seal_bytes);
  if (!key_) return CellHolds(stored.data(), stored.size(), seal.data(), prefix_ + frame);
  std::array<uint8_t, kFrameBytes> plain;
  return key_->Decrypt(frame, stored, seal, Bytes(plain).first(stored.size()));
}

bool FrameReader::Open(ConstBytes record, uint32_t frame, Bytes into) const {
  const FramePlace place = FrameAt(header_, frame);
  if (!readable_ || record.size() < place.end() || into.size() != place.raw_bytes) return false;
  const ConstBytes stored = record.subspan(place.offset, place.stored_bytes), seal = record.subspan(place.offset + place.stored_bytes, place.seal_bytes);
  const bool shrunk = place.stored_bytes < place.raw_bytes;
  if (!key_) {
    if (!CellHolds(stored.data(), stored.size(), seal.data(), prefix_ + frame)) return false;
    if (shrunk) return Decompress(header_.codec, stored, into);
    std::copy(stored.begin(), stored.end(), into.begin());
    return true;
  }
  if (!shrunk) return key_->Decrypt(frame, stored, seal, into);
  std::array<uint8_t, kFrameBytes> plain;
  const Bytes of_frame = Bytes(plain).first(stored.size());
  return key_->Decrypt(frame, stored, seal, of_frame) && Decompress(header_.codec, of_frame, into);
}

bool CopyFrames(ConstBytes record, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into, const RecordCipher* cipher) {
  const auto header = ParseHeader(record, at.pack, at.offset);
  if (!header || !IsInFrames(header->kind, header->codec, header->encrypted())) return false;
  if ((uint64_t{first} + count) * kPageBytes > header->raw_bytes || PrefixOf(*header) != prefix) return false;
  const FrameReader frames(*header, cipher);
  const uint32_t frame_pages = FrameBytesOf(*header) / uint32_t{kPageBytes};
  for (uint32_t page = first, done = 0; done < count;) {
    const uint32_t frame = page / frame_pages, in_frame = page % frame_pages;
    const uint32_t raw_bytes = FrameAt(*header, frame).raw_bytes;
    const uint32_t pages = std::min(count - done, raw_bytes / uint32_t{kPageBytes} - in_frame);
    const Bytes wanted = into.subspan(size_t{done} * kPageBytes, size_t{pages} * kPageBytes);
    if (wanted.size() == raw_bytes) {
      if (!frames.Open(record, frame, wanted)) return false;
    } else {
      std::array<uint8_t, kFrameBytes> raw;
      if (!frames.Open(record, frame, Bytes(raw).first(raw_bytes))) return false;
      std::copy_n(raw.data() + size_t{in_frame} * kPageBytes, wanted.size(), wanted.data());
    }
    page += pages;
    done += pages;
  }
  return true;
}

std::optional<FramedBlock> EncodeFrames(const Compression& how, const BlockId& id, ConstBytes raw, uint32_t seal_bytes) {
  if (!how.on() || raw.size() != kFramedRawBytes || !LooksCompressible(how, raw)) return std::nullopt;
  const uint32_t bytes_max = StoredBytesMax(RecordStoredBytes(kFramedRawBytes)) - uint32_t{sizeof(PackRecordHeader)};
  FramedBlock block;
  block.body.resize(bytes_max);
  uint32_t at = 0;
  for (uint32_t frame = 0; frame < FrameCount(kFramedRawBytes); ++frame) {
    const ConstBytes payload = raw.subspan(size_t{frame} * kFrameBytes, kFrameBytes);
    const uint32_t left = bytes_max - at;
    if (left <= seal_bytes) return std::nullopt;
    // One byte less than it has: what does not shrink is kept as it is, and needs no look at what it was made with.
    const Bytes into = Bytes(block.body).subspan(at, std::min(kFrameBytes - 1, left - seal_bytes));
    auto stored = static_cast<uint32_t>(Compress(how, payload, into));
    if (stored == 0) {
      if (left < kFrameBytes + seal_bytes) return std::nullopt;
      stored = kFrameBytes;
      std::copy(payload.begin(), payload.end(), block.body.begin() + at);
    }
    if (seal_bytes == kCellSumBytes) {
      const uint64_t sum = SumOf(block.body.data() + at, stored, CellSeed(id, frame));
      std::memcpy(block.body.data() + at + stored, &sum, sizeof(sum));
    }
    block.frame_bytes[frame] = static_cast<uint16_t>(stored);
    at += stored + seal_bytes;
  }
  const uint32_t end = uint32_t{sizeof(PackRecordHeader)} + at;
  block.stored_bytes = RoundUp(end);
  block.body.resize(block.stored_bytes - sizeof(PackRecordHeader));
  std::fill(block.body.begin() + at, block.body.end(), 0);
  return block;
}

bool EncryptFrames(const PackRecordHeader& header, const RecordCipher& cipher, ConstBytes raw, uint32_t lost, Bytes record) {
  const PayloadKey key = cipher.KeyOf(header);
  uint32_t end = sizeof(PackRecordHeader);
  for (uint32_t frame = 0; frame < FrameCount(header); ++frame) {
    const FramePlace place = FrameAt(header, frame);
    const Bytes stored = record.subspan(place.offset, place.stored_bytes), tag = record.subspan(place.offset + place.stored_bytes, kTagBytes);
    const ConstBytes plain = header.codec == Codec::kRaw ? raw.subspan(size_t{frame} * kPageBytes, place.raw_bytes) : ConstBytes(stored);
    if (!key.Encrypt(frame, plain, stored, tag)) return false;
    if ((lost >> frame & 1) != 0) std::ranges::transform(tag, tag.begin(), [](uint8_t byte) { return static_cast<uint8_t>(~byte); });
    end = place.end();
  }
  std::fill(record.begin() + end, record.end(), 0);
  return true;
}

}  // namespace skerry
