// Sums of bodies: the check values of each algorithm's definition, and the same for every way to cut a body in pieces.
#include "../sums/body_sums.h"

#include <algorithm>
#include <random>
#include <string>

#include "check.h"

using namespace skerry;

namespace {

const std::vector<SumKind> kAll = {SumKind::kMd5, SumKind::kSha1, SumKind::kSha256, SumKind::kCrc32, SumKind::kCrc32c, SumKind::kCrc64Nvme};

std::string Hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

/** In pieces that end at `cuts`. */
std::vector<std::string> SumsOf(ConstBytes bytes, const std::vector<size_t>& cuts) {
  Result<std::unique_ptr<BodySums>> sums = BodySums::Begin(kAll);
  CHECK(sums.ok());
  size_t from = 0;
  for (const size_t cut : cuts) {
    const ConstBytes piece = bytes.subspan(from, cut - from);
    CHECK_OK((*sums)->Update({&piece, 1}));
    from = cut;
  }
  // The rest at once, in pieces.
  const size_t middle = from + (bytes.size() - from) / 3;
  const std::vector<ConstBytes> pieces = {bytes.subspan(from, middle - from), ConstBytes(), bytes.subspan(middle)};
  CHECK_OK((*sums)->Update(pieces));
  const Result<std::vector<std::vector<uint8_t>>> values = (*sums)->Finish();
  CHECK(values.ok());
  std::vector<std::string> texts;
  for (const std::vector<uint8_t>& value : *values) texts.push_back(Hex(value));
  return texts;
}

TEST("the check values of the definitions: RFC 1321, FIPS 180-4, and 123456789 of the catalogue of CRCs") {
  const std::string digits = "123456789";
  const std::vector<std::string> found = SumsOf({reinterpret_cast<const uint8_t*>(digits.data()), digits.size()}, {});
  CHECK(found[0] == "25f9e794323b453885f5181f1b624d0b");
  CHECK(found[1] == "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
  CHECK(found[2] == "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
  CHECK(found[3] == "cbf43926");
  CHECK(found[4] == "e3069283");
  CHECK(found[5] == "ae8b14860a799888");
}

TEST("runs of a body have the sums that they have by themselves, wherever pieces end") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint8_t> body(random() % 5000);
    for (uint8_t& byte : body) byte = static_cast<uint8_t>(random());
    std::vector<ConstBytes> pieces;
    for (size_t at = 0; at < body.size();) {
      const size_t length = std::min<size_t>(body.size() - at, random() % 900);
      pieces.emplace_back(body.data() + at, length);
      at += length;
    }
    std::vector<uint64_t> lengths;
    std::string wanted;
    for (size_t at = 0; at < body.size() || random() % 3 == 0;) {
      const size_t length = std::min<size_t>(body.size() - at, random() % 1300);
      lengths.push_back(length);
      wanted += SumsOf({body.data() + at, length}, {})[2];
      at += length;
    }
    const Result<std::vector<uint8_t>> found = Sha256OfRuns(pieces, lengths);
    CHECK(found.ok());
    CHECK(Hex(*found) == wanted);
    lengths.push_back(1);
    CHECK(Sha256OfRuns(pieces, lengths).status().code() == Code::kInvalid);
    pieces.emplace_back(wanted.empty() ? nullptr : reinterpret_cast<const uint8_t*>(wanted.data()), wanted.empty() ? 0 : 2);
    if (!wanted.empty()) CHECK(Sha256OfRuns(pieces, lengths).status().code() == Code::kInvalid);
  }
}

TEST("a body of nothing") {
  const std::vector<std::string> found = SumsOf({}, {});
  CHECK(found[0] == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(found[3] == "00000000");
  CHECK(found[5] == "0000000000000000");
}

TEST("however a body is cut, its sums are the same") {
  std::mt19937_64 dice(7);
  std::vector<uint8_t> bytes(5000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(dice());
  const std::vector<std::string> whole = SumsOf(bytes, {});
  for (int round = 0; round < 200; ++round) {
    std::vector<size_t> cuts;
    for (size_t at = dice() % 40; at < bytes.size(); at += dice() % (round + 2)) cuts.push_back(at);
    CHECK(SumsOf(bytes, cuts) == whole);
  }
  bytes[4321] ^= 1;
  const std::vector<std::string> changed = SumsOf(bytes, {});
  for (size_t i = 0; i < kAll.size(); ++i) CHECK(changed[i] != whole[i]);
}

TEST("sums are known by the names that TypeScript has for them, and by no other") {
  CHECK(SumKindOf("CRC64NVME") == SumKind::kCrc64Nvme);
  CHECK(SumKindOf("MD5") == SumKind::kMd5);
  CHECK(!SumKindOf("md5"));
  CHECK(!SumKindOf(""));
}

}  // namespace

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
