#pragma once
// The payload of a compressed record: frames of 16 KiB, each shrunk by itself and followed by the XXH3 of its stored bytes, so
// that one page costs one frame. Their lengths stand in the record's header, under its sum; a frame that does not shrink is
// kept as it is. A sum is checked before anything is decompressed. Nothing here touches a file. See docs/formats/pack.md.
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

/** Of one frame: its place from the record's head on, its stored bytes without the sum that follows them, and what they give. */
struct FramePlace {
  uint32_t offset = 0, stored_bytes = 0, raw_bytes = 0;
  uint32_t end() const { return offset + stored_bytes + kCellSumBytes; }
};
/** `header` is one that ParseHeader has passed. */
FramePlace FrameAt(const PackRecordHeader& header, uint32_t frame);

/** Whether the lengths of frames are such as a writer makes, and the record's length is theirs. */
bool FrameTableHolds(const PackRecordHeader& header);

/**
 * `stored`: a frame with its sum, as FrameAt says. Checked, then put in `into`, which has as many bytes as the frame gives; what is
 * there is worth nothing where this is false. `seed`: CellSeed(id, frame).
 */
bool OpenFrame(const PackRecordHeader& header, const FramePlace& place, ConstBytes stored, uint64_t seed, Bytes into);

/**
 * Copies pages [first, first + count) of the record whose head `record` begins with. `prefix`: of its id. False where its header is
 * not one of this place and id, or a frame that is needed is not all there, fails its sum or gives no payload.
 */
bool CopyFrames(ConstBytes record, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into);

/** What a block becomes: all of the record but its header. */
struct FramedBlock {
  uint16_t frame_bytes[kFramesMax] = {};
  uint32_t stored_bytes = 0;     // of the record
  std::vector<uint8_t> body;     // frames, sums, padding: stored_bytes less the header
};
/** nullopt where it would save less than an eighth of what the block takes raw, or is of no length that is framed. */
std::optional<FramedBlock> EncodeFrames(const Compression& how, const BlockId& id, ConstBytes raw);

}  // namespace skerry
