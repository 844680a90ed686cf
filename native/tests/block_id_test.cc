// Identity: the HMAC is the one of RFC 4231, blocks and nodes are told apart, and zeroes are found.
#include "../blocks/block_id.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "check.h"

using namespace skerry;

namespace {

std::vector<uint8_t> Text(const std::string& text) { return {text.begin(), text.end()}; }

std::string Hex(const BlockId& id) {
  std::string hex;
  for (const uint8_t byte : id.bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

std::vector<uint8_t> Pages(size_t count, uint8_t seed) {
  std::vector<uint8_t> bytes(count * kPageBytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>((i >> 3) * 31 + i / kPageBytes + seed);
  return bytes;
}

/** An identity by the definition alone: OpenSSL's HMAC in one call, of each page and then of what that gave. */
struct Reference {
  std::vector<uint8_t> key;

  BlockId Mac(ConstBytes data) const {
    BlockId mac;
    unsigned length = 0;
    const uint8_t* done =
        HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), mac.bytes.data(), &length);
    CHECK(done != nullptr && length == mac.bytes.size());
    return mac;
  }
  BlockId IdOf(ConstBytes block) const {
    std::vector<uint8_t> macs;
    for (; !block.empty(); block = block.subspan(std::min(kPageBytes, block.size()))) {
      const BlockId mac = Mac(block.first(std::min(kPageBytes, block.size())));
      macs.insert(macs.end(), mac.bytes.begin(), mac.bytes.end());
    }
    return Mac(macs);
  }
};

std::vector<uint8_t> Random(size_t size, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(engine());
  return bytes;
}

}  // namespace

TEST("the hash is the HMAC-SHA-256 of RFC 4231") {
  struct Vector {
    std::vector<uint8_t> key, data;
    const char* mac;
  };
  std::vector<uint8_t> counting;
  for (uint8_t i = 1; i <= 25; ++i) counting.push_back(i);
  const Vector vectors[] = {
      {std::vector<uint8_t>(20, 0x0b), Text("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {Text("Jefe"), Text("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::vector<uint8_t>(20, 0xaa), std::vector<uint8_t>(50, 0xdd), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {counting, std::vector<uint8_t>(50, 0xcd), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {std::vector<uint8_t>(131, 0xaa), Text("Test Using Larger Than Block-Size Key - Hash Key First"),
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {std::vector<uint8_t>(131, 0xaa),
       Text("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
            "before being used by the HMAC algorithm."),
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (const Vector& vector : vectors) CHECK(Hex(DomainKey(vector.key).Mac(vector.data)) == vector.mac);
}

TEST("a block's id is the hash of its pages' hashes") {
  const DomainKey key(std::vector<uint8_t>(32, 7));
  const std::vector<uint8_t> block = Pages(16, 1);
  std::vector<uint8_t> hashes;
  for (size_t at = 0; at < block.size(); at += kPageBytes) {
    const BlockId page = key.Mac(ConstBytes(block).subspan(at, kPageBytes));
    hashes.insert(hashes.end(), page.bytes.begin(), page.bytes.end());
  }
  CHECK(key.BlockIdOf(block) == key.Mac(hashes));
}

TEST("a block of any length, at any address, has the id that OpenSSL's HMAC gives, whichever way its pages are hashed") {
  constexpr size_t kPagesMax = 21;
  const std::vector<uint8_t> bytes = Random((kPagesMax + 1) * kPageBytes + 64, 1);
  uint64_t seed = 2;
  for (size_t pages = 0; pages <= kPagesMax; ++pages) {
    for (const size_t tail : {0, 1, 55, 56, 63, 64, 65, 512, 4095}) {
      const Reference reference{Random(32, ++seed)};
      const DomainKey key(reference.key);
      const ConstBytes block = ConstBytes(bytes).subspan(seed % 64, pages * kPageBytes + tail);
      const BlockId id = reference.IdOf(block);
      CHECK(key.BlockIdOf(block, PageHashing::kFastest) == id);
      CHECK(key.BlockIdOf(block, PageHashing::kPortable) == id);
    }
  }
}

TEST("each byte of each page counts, and at its place only, whichever way pages are hashed") {
  const Reference reference{Random(32, 1)};
  const DomainKey key(reference.key);
  for (const uint8_t fill : {0x00, 0xff}) {
    std::vector<uint8_t> block(16 * kPageBytes, fill);
    std::vector<BlockId> ids{key.BlockIdOf(block)};
    // 4099 is prime: the places go through all pages and, in them, through all parts of a hashed block.
    for (size_t at = 0; at < block.size(); at += 4099) {
      block[at] ^= 0x10;
      ids.push_back(key.BlockIdOf(block));
      CHECK(ids.back() == reference.IdOf(block));
      CHECK(ids.back() == key.BlockIdOf(block, PageHashing::kPortable));
      block[at] ^= 0x10;
    }
    std::sort(ids.begin(), ids.end());
    CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
  }
}

TEST("one flipped bit, another key, or another order of pages gives another id") {
  const DomainKey key(std::vector<uint8_t>(32, 7));
  const std::vector<uint8_t> block = Pages(2, 1);
  std::vector<uint8_t> flipped = block;
  flipped[kPageBytes + 9] ^= 4;
  std::vector<uint8_t> turned(block.begin() + kPageBytes, block.end());
  turned.insert(turned.end(), block.begin(), block.begin() + kPageBytes);
  CHECK(key.BlockIdOf(flipped) != key.BlockIdOf(block));
  CHECK(key.BlockIdOf(turned) != key.BlockIdOf(block));
  CHECK(DomainKey(std::vector<uint8_t>(32, 8)).BlockIdOf(block) != key.BlockIdOf(block));
}

TEST("a node's id is the hash of a tag and its bytes, so that no block has it") {
  const DomainKey key(std::vector<uint8_t>(32, 7));
  const std::vector<uint8_t> bytes = Pages(1, 3);
  std::vector<uint8_t> tagged = Text("node");
  tagged.insert(tagged.end(), bytes.begin(), bytes.end());
  CHECK(key.NodeIdOf(bytes) == key.Mac(tagged));
  CHECK(key.NodeIdOf(bytes) != key.Mac(bytes));
  CHECK(key.NodeIdOf(bytes) != key.BlockIdOf(bytes));
}

TEST("only zeroes are zero, wherever the one other byte is") {
  for (const size_t size : {0, 1, 7, 8, 9, 15, 16, 17, 512, 4096, 65536}) {
    std::vector<uint8_t> bytes(size + 1);
    const Bytes part = Bytes(bytes).subspan(1);  // not aligned
    CHECK(IsZero(part));
    const size_t step = size > 4096 ? 101 : 1;
    for (size_t at = 0; at < size; at += step) {
      part[at] = 0x80;
      CHECK(!IsZero(part));
      part[at] = 0;
    }
    if (size > 0) {
      part[size - 1] = 1;
      CHECK(!IsZero(part));
    }
  }
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
