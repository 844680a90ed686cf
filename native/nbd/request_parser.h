#pragma once
// Cuts a client's byte stream into requests. A pure state machine: it does no I/O and allocates nothing, so it can be fed
// one byte at a time. A small payload is handed on where it lies; for a large one the caller brings a buffer, or skips it.
#include "../env/env.h"
#include "wire.h"

namespace skerry::nbd {

inline constexpr uint32_t kInPlacePayloadBytesMax = (64u << 10) - 1;  // larger ones want a buffer of their own
inline constexpr uint32_t kSkippedPayloadBytesMax = 64u << 20;  // a client that announces more is not worth draining

class RequestParser {
 public:
  enum class Step : uint8_t {
    kMore,     // nothing complete: append to what was not consumed, and call again
    kRequest,  // request() is complete, with payload() where it is a write that was not skipped
    kLarge,    // request() is a write whose payload wants Collect() or Skip(); until then Next() says so again
    kFailed,   // the stream makes no sense any more: why()
  };

  /** Takes `*consumed` bytes from the front of `input`. A payload() in `input` is valid until these bytes move. */
  Step Next(ConstBytes input, size_t* consumed);

  /** After kLarge. `into` holds at least request().length bytes and stays valid until kRequest has been dealt with. */
  void Collect(Bytes into);
  /** After kLarge: the payload is dropped as it arrives; kRequest with skipped() comes at its end. */
  void Skip();

  /** The part of a collected payload that is missing; empty when not collecting. */
  Bytes rest() const { return state_ == State::kCollect ? into_.subspan(filled_, request_.length - filled_) : Bytes{}; }
  /** `bytes` were received straight into the front of rest(). */
  Step Received(size_t bytes);

  const Request& request() const { return request_; }
  ConstBytes payload() const { return payload_; }
  bool skipped() const { return skipped_; }
  const char* why() const { return why_; }
  /** True in the middle of a payload that is collected or skipped. */
  bool mid_payload() const { return state_ != State::kHeader && state_ != State::kFailed; }

 private:
  enum class State : uint8_t { kHeader, kDecide, kCollect, kSkip, kFailed };
  Step Complete(bool skipped, ConstBytes payload);
  Step Fail(const char* why);

  State state_ = State::kHeader;
  bool skipped_ = false;
  uint32_t filled_ = 0;  // of the payload, collected or skipped
  Request request_;
  ConstBytes payload_;
  Bytes into_;
  const char* why_ = "";
};

}  // namespace skerry::nbd
