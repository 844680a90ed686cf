// MD5 in lanes: what OpenSSL says of each stream alone, for any number of lanes, any cut, and any number of threads.
#include "../sums/md5.h"

#include <openssl/evp.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

using namespace skerry;

namespace {

using Value = std::array<uint8_t, 16>;

std::vector<uint8_t> Random(size_t size, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(engine());
  return bytes;
}

Value Reference(ConstBytes bytes) {
  Value value{};
  unsigned size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), value.data(), &size, EVP_md5(), nullptr) == 1 && size == value.size());
  return value;
}

/** In updates of some pieces each, of up to `piece_max` bytes. */
Value InPieces(ConstBytes bytes, size_t piece_max, uint64_t seed) {
  std::mt19937_64 dice(seed);
  Md5 sum;
  while (!bytes.empty()) {
    std::vector<ConstBytes> pieces;
    for (size_t count = dice() % 5; count > 0; --count) {
      const size_t size = std::min<size_t>(dice() % (piece_max + 1), bytes.size());
      pieces.push_back(bytes.first(size));
      bytes = bytes.subspan(size);
    }
    sum.Update(pieces);
  }
  return sum.Finish();
}

bool KernelNames(const std::string& flag) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == flag) return true;
    }
    return false;
  }
  return false;
}

}  // namespace

TEST("lanes are there exactly where the processor has AVX2") {
  CHECK(Md5LanesHere() == (KernelNames("avx2") ? kMd5LanesMax : 1));
}

TEST("a body of any length has the MD5 that OpenSSL has of it") {
  const std::vector<uint8_t> bytes = Random(400, 1);
  for (size_t length = 0; length <= bytes.size(); ++length) {
    const ConstBytes body = ConstBytes(bytes).first(length);
    Md5 sum;
    sum.Update({&body, 1});
    CHECK(sum.Finish() == Reference(body));
  }
}

TEST("each lane takes its own stream into its own state, at any address, and the others change nothing in it") {
  for (size_t lanes = 1; lanes <= Md5LanesHere(); ++lanes) {
    for (const size_t blocks : {0, 1, 2, 3, 17}) {
      const size_t stride = blocks * kMd5BlockBytes + 1;
      const std::vector<uint8_t> bytes = Random(lanes * stride, lanes * 100 + blocks);
      std::vector<Md5State> together(lanes, kMd5Begin), alone(lanes, kMd5Begin);
      std::vector<Md5State*> states;
      std::vector<const uint8_t*> streams;
      for (size_t lane = 0; lane < lanes; ++lane) {
        together[lane][lane % 4] += static_cast<uint32_t>(lane);
        alone[lane] = together[lane];
        states.push_back(&together[lane]);
        streams.push_back(bytes.data() + lane * stride + 1);
        Md5State* const state = &alone[lane];
        CompressMd5({&state, 1}, {&streams[lane], 1}, blocks);
      }
      CompressMd5(states, streams, blocks);
      CHECK(together == alone);
    }
  }
}

TEST("however a body is cut, its MD5 is the same") {
  const std::vector<uint8_t> bytes = Random(20'000, 2);
  const Value whole = Reference(bytes);
  for (const size_t piece_max : {1, 63, 64, 65, 1000, 30'000}) CHECK(InPieces(bytes, piece_max, piece_max) == whole);
}

TEST("threads that take sums at the same time get each its own") {
  for (const size_t count : {2, 5, 24}) {
    std::vector<std::vector<uint8_t>> bodies;
    for (size_t i = 0; i < count; ++i) bodies.push_back(Random(1000 + 40'000 * (i % 7), 10 + i));
    std::vector<Value> found(count);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 20; ++round) found[i] = InPieces(bodies[i], 70'000, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < count; ++i) CHECK(found[i] == Reference(bodies[i]));
  }
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
