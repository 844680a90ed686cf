#pragma once
// The transmission phase on the wire: constants and encoders. All integers are big-endian. Names follow the protocol document.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../env/status.h"

namespace skerry::nbd {

inline constexpr uint32_t kRequestMagic = 0x25609513;
inline constexpr uint32_t kSimpleReplyMagic = 0x67446698;
inline constexpr uint32_t kStructuredReplyMagic = 0x668e33ef;

inline constexpr size_t kRequestHeaderBytes = 28;
inline constexpr size_t kSimpleReplyBytes = 16;
inline constexpr size_t kChunkHeaderBytes = 20;
inline constexpr size_t kDataChunkHeaderBytes = kChunkHeaderBytes + 8;
inline constexpr size_t kHoleChunkBytes = kChunkHeaderBytes + 12;
inline constexpr size_t kErrorReplyBytesMax = 128;

enum Command : uint16_t {
  kCmdRead = 0, kCmdWrite = 1, kCmdDisc = 2, kCmdFlush = 3, kCmdTrim = 4, kCmdCache = 5, kCmdWriteZeroes = 6, kCmdBlockStatus = 7,
};

inline constexpr uint16_t kFlagFua = 1 << 0;
inline constexpr uint16_t kFlagNoHole = 1 << 1;
inline constexpr uint16_t kFlagDf = 1 << 2;
inline constexpr uint16_t kFlagReqOne = 1 << 3;
inline constexpr uint16_t kFlagFastZero = 1 << 4;

inline constexpr uint16_t kReplyFlagDone = 1 << 0;
inline constexpr uint16_t kReplyNone = 0;
inline constexpr uint16_t kReplyOffsetData = 1;
inline constexpr uint16_t kReplyOffsetHole = 2;
inline constexpr uint16_t kReplyBlockStatus = 5;
inline constexpr uint16_t kReplyError = 0x8001;
inline constexpr uint16_t kReplyErrorOffset = 0x8002;

inline constexpr uint32_t kStateHole = 1 << 0;
inline constexpr uint32_t kStateZero = 1 << 1;
// Of skerry:changed contexts.
inline constexpr uint32_t kStateChanged = 1 << 0;
inline constexpr uint32_t kStateChangedZero = 1 << 1;

// The protocol fixes these values; they only happen to be those of Linux.
inline constexpr uint32_t kErrPerm = 1, kErrIo = 5, kErrInvalid = 22, kErrNoSpace = 28, kErrShutdown = 108;

struct Request {
  uint16_t flags = 0;
  uint16_t type = 0;
  uint64_t cookie = 0;  // opaque: kept in wire order by value, sent back as it came
  uint64_t offset = 0;  // bytes
  uint32_t length = 0;  // bytes
};

/** Of data that go with the request or with its answer. */
inline uint32_t MovedBytes(const Request& request) { return request.type == kCmdRead || request.type == kCmdWrite ? request.length : 0; }

inline uint16_t Load16(const uint8_t* at) { uint16_t v; std::memcpy(&v, at, 2); return __builtin_bswap16(v); }
inline uint32_t Load32(const uint8_t* at) { uint32_t v; std::memcpy(&v, at, 4); return __builtin_bswap32(v); }
inline uint64_t Load64(const uint8_t* at) { uint64_t v; std::memcpy(&v, at, 8); return __builtin_bswap64(v); }
inline uint8_t* Store16(uint8_t* at, uint16_t v) { v = __builtin_bswap16(v); std::memcpy(at, &v, 2); return at + 2; }
inline uint8_t* Store32(uint8_t* at, uint32_t v) { v = __builtin_bswap32(v); std::memcpy(at, &v, 4); return at + 4; }
inline uint8_t* Store64(uint8_t* at, uint64_t v) { v = __builtin_bswap64(v); std::memcpy(at, &v, 8); return at + 8; }

// Each encoder writes at `at` and returns the byte after.

inline uint8_t* EncodeSimple(uint8_t* at, uint64_t cookie, uint32_t error) {
  return Store64(Store32(Store32(at, kSimpleReplyMagic), error), cookie);
}

inline uint8_t* EncodeChunk(uint8_t* at, uint16_t flags, uint16_t type, uint64_t cookie, uint32_t payload_bytes) {
  return Store32(Store64(Store16(Store16(Store32(at, kStructuredReplyMagic), flags), type), cookie), payload_bytes);
}

inline uint8_t* EncodeDataHeader(uint8_t* at, bool done, uint64_t cookie, uint64_t offset, uint32_t data_bytes) {
  return Store64(EncodeChunk(at, done ? kReplyFlagDone : 0, kReplyOffsetData, cookie, data_bytes + 8), offset);
}

inline uint8_t* EncodeHole(uint8_t* at, bool done, uint64_t cookie, uint64_t offset, uint32_t hole_bytes) {
  return Store32(Store64(EncodeChunk(at, done ? kReplyFlagDone : 0, kReplyOffsetHole, cookie, 12), offset), hole_bytes);
}

/** What a person at the client reads. Never names anything inside the server. */
inline const char* ErrorWords(uint32_t error) {
  switch (error) {
    case kErrPerm: return "the export is read-only";
    case kErrInvalid: return "the request is not valid for this export";
    case kErrNoSpace: return "no space left, or past the end of the export";
    case kErrShutdown: return "the server is shutting down";
    default: return "the data cannot be read or written";
  }
}

/** The last chunk of a failed structured reply. `offset` may be null. */
inline uint8_t* EncodeError(uint8_t* at, uint64_t cookie, uint32_t error, const uint64_t* offset) {
  const char* words = ErrorWords(error);
  const auto words_bytes = static_cast<uint16_t>(std::strlen(words));
  at = EncodeChunk(at, kReplyFlagDone, offset ? kReplyErrorOffset : kReplyError, cookie, 6u + words_bytes + (offset ? 8u : 0u));
  at = Store16(Store32(at, error), words_bytes);
  std::memcpy(at, words, words_bytes);
  at += words_bytes;
  return offset ? Store64(at, *offset) : at;
}

inline uint32_t ErrorOf(Code code) {
  switch (code) {
    case Code::kOk: return 0;
    case Code::kNoSpace: return kErrNoSpace;
    case Code::kReadOnly: return kErrPerm;
    case Code::kInvalid: return kErrInvalid;
    case Code::kClosed: return kErrShutdown;
    default: return kErrIo;
  }
}

}  // namespace skerry::nbd
