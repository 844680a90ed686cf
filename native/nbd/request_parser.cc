#include "request_parser.h"

#include <algorithm>

namespace skerry::nbd {

RequestParser::Step RequestParser::Next(ConstBytes input, size_t* consumed) {
  *consumed = 0;
  switch (state_) {
    case State::kFailed: return Step::kFailed;
    case State::kDecide: return Step::kLarge;
    case State::kCollect:
    case State::kSkip: {
      const size_t taken = std::min<size_t>(input.size(), request_.length - filled_);
      if (taken == 0) return Step::kMore;
      if (state_ == State::kCollect) std::memcpy(into_.data() + filled_, input.data(), taken);
      *consumed = taken;
      return Received(taken);
    }
    case State::kHeader: break;
  }
  if (input.size() >= 4 && Load32(input.data()) != kRequestMagic) return Fail("the request does not begin with the magic number");
  if (input.size() < kRequestHeaderBytes) return Step::kMore;
  Request request;
  request.flags = Load16(input.data() + 4);
  request.type = Load16(input.data() + 6);
  request.cookie = Load64(input.data() + 8);
  request.offset = Load64(input.data() + 16);
  request.length = Load32(input.data() + 24);
  const uint32_t payload_bytes = request.type == kCmdWrite ? request.length : 0;
  if (payload_bytes > kSkippedPayloadBytesMax) return Fail("the request announces more payload than the server would even skip");
  if (payload_bytes > kInPlacePayloadBytesMax) {
    request_ = request;
    *consumed = kRequestHeaderBytes;
    state_ = State::kDecide;
    return Step::kLarge;
  }
  if (input.size() - kRequestHeaderBytes < payload_bytes) return Step::kMore;
  request_ = request;
  *consumed = kRequestHeaderBytes + payload_bytes;
  return Complete(false, input.subspan(kRequestHeaderBytes, payload_bytes));
}

void RequestParser::Collect(Bytes into) {
  if (state_ != State::kDecide || into.size() < request_.length) return;
  into_ = into;
  filled_ = 0;
  state_ = State::kCollect;
}

void RequestParser::Skip() {
  if (state_ != State::kDecide) return;
  filled_ = 0;
  state_ = State::kSkip;
}

RequestParser::Step RequestParser::Received(size_t bytes) {
  filled_ += static_cast<uint32_t>(bytes);
  if (filled_ < request_.length) return Step::kMore;
  const bool skipped = state_ == State::kSkip;
  return Complete(skipped, skipped ? ConstBytes{} : ConstBytes{into_.data(), request_.length});
}

RequestParser::Step RequestParser::Complete(bool skipped, ConstBytes payload) {
  state_ = State::kHeader;
  skipped_ = skipped;
  payload_ = payload;
  into_ = {};
  return Step::kRequest;
}

RequestParser::Step RequestParser::Fail(const char* why) {
  state_ = State::kFailed;
  why_ = why;
  return Step::kFailed;
}

}  // namespace skerry::nbd
