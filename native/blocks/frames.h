#pragma once
// The payload of a compressed record: frames of 16 KiB, each shrunk by itself and followed by the XXH3 of its stored bytes, so
// that one page costs one frame. Their lengths stand in the record's header, under its sum; a frame that does not shrink is
// kept as it is. A sum is checked before anything is decompressed. Nothing here touches a file. See docs/formats/pack.md.
//
// Every encrypted record is in frames: what is not compressed, in frames of a page. Its frames are followed by their tags
// instead, and a tag that does not hold is what a wrong sum is: rot.
#include <vector>

#include "cell.h"

namespace skerry {

inline constexpr uint32_t kFrameBytes = 16u << 10;
inline constexpr uint32_t kFramePages = kFrameBytes / kPageBytes;
static_assert(kFrameBytes <= UINT16_MAX);
/** The only payload that is stored in frames. Formats have room for others; what such records save is told by their number. */
inline constexpr uint32_t kFramedRawBytes = 64u << 10;
static_assert(kFramedRawBytes <= kFramesMax * kFrameBytes);

inline uint32_t FrameCount(uint32_t raw_bytes) { return (raw_bytes + kFrameBytes - 1) / kFrameBytes; }

/** What each frame of the record gives, but the last one. */
inline uint32_t FrameBytesOf(const PackRecordHeader& header) { return header.codec == Codec::kRaw ? uint32_t{kPageBytes} : kFrameBytes; }
inline uint32_t FrameCount(const PackRecordHeader& header) { return (header.raw_bytes + FrameBytesOf(header) - 1) / FrameBytesOf(header); }
/** Of the sum or the tag behind each frame. */
inline uint32_t SealBytes(const PackRecordHeader& header) { return header.encrypted() ? kTagBytes : kCellSumBytes; }
/** Of an encrypted record that is not compressed. At most kFramedRawBytes of payload are put in one. */
uint32_t EncryptedStoredBytes(uint32_t raw_bytes);

/** Of one frame: its place from the record's head on, its stored bytes without the sum or tag that follows them, and what they give. */
struct FramePlace {
  uint32_t offset = 0, stored_bytes = 0, raw_bytes = 0, seal_bytes = kCellSumBytes;
  uint32_t end() const { return offset + stored_bytes + seal_bytes; }
};
/** `header` is one that ParseHeader has passed. */
FramePlace FrameAt(const PackRecordHeader& header, uint32_t frame);

/** Whether the lengths of frames are such as a writer makes, and the record's length is theirs. */
bool FrameTableHolds(const PackRecordHeader& header);

/** Opens the frames of one record. `header` is one that ParseHeader has passed; both stay where they are. */
class FrameReader {
 public:
  /** `cipher`: of the pool; nullptr where it is not encrypted. No frame of a record that is otherwise holds. */
  FrameReader(const PackRecordHeader& header, const RecordCipher* cipher);
  /** Checked, then put in `into`, which has as many bytes as the frame gives; what is there is worth nothing where this is false. */
  bool Open(ConstBytes record, uint32_t frame, Bytes into) const;
  /** The sum or tag is all that is looked at: what it holds is decompressed for those who want it. */
  bool Holds(ConstBytes record, uint32_t frame) const;

 private:
  const PackRecordHeader& header_;
  const uint64_t prefix_;               // of the id
  const bool readable_;
  std::optional<PayloadKey> key_;
};

/**
 * Copies pages [first, first + count) of the record whose head `record` begins with. `prefix`: of its id. False where its header is
 * not one of this place and id, or a frame that is needed is not all there, fails its sum or tag, or gives no payload.
 */
bool CopyFrames(ConstBytes record, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into,
                const RecordCipher* cipher = nullptr);

/** What a block becomes: all of the record but its header. */
struct FramedBlock {
  uint16_t frame_bytes[kFramesMax] = {};
  uint32_t stored_bytes = 0;     // of the record
  std::vector<uint8_t> body;     // frames, sums, padding: stored_bytes less the header
};
/**
 * nullopt where it would save less than an eighth of what the block takes raw, or is of no length that is framed. With kTagBytes as
 * `seal_bytes`, the place of each tag is left free: EncryptFrames has yet to come.
 */
std::optional<FramedBlock> EncodeFrames(const Compression& how, const BlockId& id, ConstBytes raw, uint32_t seal_bytes = kCellSumBytes);

/**
 * Fills an encrypted record but for its header, which is complete but for its place. What is compressed stands in `record` already and is
 * encrypted there; else `raw` is taken. Tags of `lost` pages (bit i: page i) are the complement of what they should be, so that they never
 * hold. False where OpenSSL fails.
 */
[[nodiscard]] bool EncryptFrames(const PackRecordHeader& header, const RecordCipher& cipher, ConstBytes raw, uint32_t lost, Bytes record);

}  // namespace skerry
