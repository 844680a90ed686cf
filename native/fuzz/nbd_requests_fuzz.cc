// A client's byte stream, cut into requests: whole, and in pieces of any length. Both must give what a second reading of the
// protocol (Expected, below) finds, and nothing may be lost between requests.
#include <algorithm>

#include "../nbd/request_parser.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

using nbd::Request;
using nbd::RequestParser;
using Step = RequestParser::Step;

Reach small_write("a write whose payload lies in place"), collected("a large write that is collected"), skipped("a large write that is skipped"),
    refused("a stream that makes no sense"), cut_off("a stream that ends in a request");

enum Repair : uint8_t { kMagic = 1, kLengths = 2, kPayload = 4 };
constexpr size_t kStreamBytesMax = 200 << 10;

struct Event {
  Request request;
  std::vector<uint8_t> payload;
  bool skipped = false;
  bool operator==(const Event& other) const {
    return request.flags == other.request.flags && request.type == other.request.type && request.cookie == other.request.cookie &&
           request.offset == other.request.offset && request.length == other.request.length && payload == other.payload && skipped == other.skipped;
  }
};
struct Outcome {
  std::vector<Event> events;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

std::vector<uint8_t> Encode(const Request& request) {
  std::vector<uint8_t> bytes(nbd::kRequestHeaderBytes);
  uint8_t* at = nbd::Store32(bytes.data(), nbd::kRequestMagic);
  at = nbd::Store16(nbd::Store16(at, request.flags), request.type);
  nbd::Store32(nbd::Store64(nbd::Store64(at, request.cookie), request.offset), request.length);
  return bytes;
}

/** Headers as they come; a payload is made up where the input says so, so that a short input has large writes. */
std::vector<uint8_t> StreamOf(uint8_t repairs, Input input) {
  std::vector<uint8_t> stream;
  while (!input.empty() && stream.size() < kStreamBytesMax) {
    std::vector<uint8_t> header = Copy(input.TakeBytes(nbd::kRequestHeaderBytes));
    if ((repairs & kMagic) != 0 && header.size() >= 4) nbd::Store32(header.data(), nbd::kRequestMagic);
    if (header.size() == nbd::kRequestHeaderBytes && (repairs & kLengths) != 0) {
      nbd::Store32(header.data() + 24, nbd::Load32(header.data() + 24) & 0x1ffff);
    }
    stream.insert(stream.end(), header.begin(), header.end());
    if (header.size() < nbd::kRequestHeaderBytes || nbd::Load16(header.data() + 6) != nbd::kCmdWrite || (repairs & kPayload) == 0) continue;
    const size_t bytes = std::min<size_t>(nbd::Load32(header.data() + 24), kStreamBytesMax);
    for (size_t i = 0; i < bytes; ++i) stream.push_back(static_cast<uint8_t>(i * 7 + header[8]));
  }
  return stream;
}

bool SkipsThis(uint8_t choices, size_t request) { return (choices >> request % 8 & 1) != 0; }

/** The stream read once more, in the words of the protocol document. */
Outcome Expected(ConstBytes stream, uint8_t choices) {
  Outcome outcome;
  for (Input rest(stream); !rest.empty();) {
    const ConstBytes header = rest.TakeBytes(nbd::kRequestHeaderBytes);
    if (header.size() >= 4 && nbd::Load32(header.data()) != 0x25609513) {
      outcome.failed = true;
      return outcome;
    }
    if (header.size() < 28) return outcome;
    Event event{{nbd::Load16(&header[4]), nbd::Load16(&header[6]), nbd::Load64(&header[8]), nbd::Load64(&header[16]), nbd::Load32(&header[24])}, {}, false};
    if (event.request.type == 1) {
      if (event.request.length > 64u << 20) {
        outcome.failed = true;
        return outcome;
      }
      const ConstBytes payload = rest.TakeBytes(event.request.length);
      if (payload.size() < event.request.length) return outcome;
      event.skipped = event.request.length >= 64u << 10 && SkipsThis(choices, outcome.events.size());
      if (!event.skipped) event.payload = Copy(payload);
    }
    outcome.events.push_back(std::move(event));
  }
  return outcome;
}

/** As a connection feeds it: what was not consumed comes again with more behind it. `pieces`: lengths of what arrives. */
Outcome Parsed(ConstBytes stream, uint8_t choices, ConstBytes pieces) {
  RequestParser parser;
  Outcome outcome;
  std::vector<uint8_t> buffer;
  size_t begin = 0, arrived = 0;
  for (size_t piece = 0;; ++piece) {
    // In memory of exactly this length, so that a read past what has arrived is seen.
    const size_t length = pieces.empty() ? stream.size() : std::max(stream.size() / 256, 1 + size_t{pieces[piece % pieces.size()]} * 97);
    const size_t end = std::min(stream.size(), arrived + length);
    std::vector<uint8_t> input(stream.begin() + begin, stream.begin() + end);
    arrived = end;
    for (size_t at = 0;;) {
      size_t consumed = 0;
      Step step = parser.Next(ConstBytes(input).subspan(at), &consumed);
      HOLDS(consumed <= input.size() - at);
      if (step == Step::kRequest) {
        const Request& request = parser.request();
        outcome.events.push_back({request, Copy(parser.payload()), parser.skipped()});
        if (request.type == nbd::kCmdWrite && request.length > 0) (request.length < 64u << 10 ? small_write : parser.skipped() ? skipped : collected)();
      }
      at += consumed;
      begin += consumed;
      if (step == Step::kFailed) {
        HOLDS(consumed == 0 && *parser.why() != 0 && !parser.mid_payload());
        outcome.failed = true;
        return outcome;
      }
      if (step == Step::kLarge) {
        buffer.assign(parser.request().length, 0);
        SkipsThis(choices, outcome.events.size()) ? parser.Skip() : parser.Collect(buffer);
        HOLDS(parser.mid_payload());
      }
      if (step == Step::kMore && (consumed == 0 || at == input.size())) break;
    }
    if (arrived == stream.size()) return outcome;
  }
}

}  // namespace

void Run(ConstBytes bytes) {
  Input input(bytes);
  const auto repairs = input.Take<uint8_t>(), choices = input.Take<uint8_t>(), piece_count = input.Take<uint8_t>();
  const ConstBytes pieces = input.TakeBytes(piece_count % 8);
  const std::vector<uint8_t> stream = StreamOf(repairs, input);
  const Outcome expected = Expected(stream, choices);
  HOLDS(Parsed(stream, choices, {}) == expected);
  if (!pieces.empty()) HOLDS(Parsed(stream, choices, pieces) == expected);
  size_t at = 0;
  for (const Event& event : expected.events) {
    const std::vector<uint8_t> header = Encode(event.request);
    HOLDS(std::equal(header.begin(), header.end(), stream.begin() + at));
    at += header.size() + (event.request.type == nbd::kCmdWrite ? event.request.length : 0);
    uint8_t reply[nbd::kErrorReplyBytesMax];
    HOLDS(nbd::EncodeError(reply, event.request.cookie, event.request.flags, &event.request.offset) <= reply + sizeof(reply));
  }
  if (expected.failed) refused();
  if (!expected.failed && at < stream.size()) cut_off();
}

void WriteSeeds(const std::string& directory) {
  const auto stream = [](uint8_t repairs, uint8_t choices, std::vector<Request> requests, size_t cut) {
    Seed seed;
    seed.Add(repairs).Add(choices).Add(uint8_t{3}).AddBytes(std::vector<uint8_t>{0, 40, 255});
    for (const Request& request : requests) seed.AddBytes(Encode(request));
    if (cut > 0) seed.AddBytes(ConstBytes(Encode(requests[0])).first(cut));
    return seed;
  };
  const std::vector<Request> each = {{0, 0, 1, 4096, 4096}, {1, 1, 2, 0, 512}, {0, 1, 3, 65536, 65536}, {0, 3, 4, 0, 0}, {2, 6, 5, 0, 1 << 20},
                                     {0, 4, 6, 0, 4096}, {0, 7, 7, 0, 1 << 20}, {0, 1, 8, 0, 100'000}, {0, 2, 9, 0, 0}};
  stream(kPayload, 0, each, 0).Write(directory, "each_collected");
  stream(kPayload, 0xff, each, 10).Write(directory, "each_skipped");
  stream(kMagic | kLengths | kPayload, 0x55, each, 0).Write(directory, "each_repaired");
  stream(0, 0, {{0, 1, 1, 0, 20}, {0, 0, 2, 0, 512}}, 3).Write(directory, "plain");
  stream(0, 0, {{0, 1, 1, 0, 0xffffffff}}, 0).Write(directory, "too_long");
}

}  // namespace skerry::fuzz
