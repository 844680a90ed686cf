// Hashing in lockstep: each lane gives what OpenSSL's compression gives for its stream alone, and the lanes are taken
// exactly where the processor has the instructions.
#include "../blocks/sha256_lanes.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "check.h"

using namespace skerry;

namespace {

std::vector<uint8_t> Random(size_t size, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(engine());
  return bytes;
}

std::vector<Sha256State> RandomStates(size_t lanes, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<Sha256State> states(lanes);
  for (Sha256State& state : states) {
    for (uint32_t& word : state) word = static_cast<uint32_t>(engine());
  }
  return states;
}

Sha256State Reference(const Sha256State& from, const uint8_t* stream, size_t blocks) {
  SHA256_CTX context{};
  std::copy(from.begin(), from.end(), context.h);
  for (size_t i = 0; i < blocks; ++i) SHA256_Transform(&context, stream + i * kSha256BlockBytes);
  Sha256State state;
  std::copy(std::begin(context.h), std::end(context.h), state.begin());
  return state;
}

/** True if the kernel names every instruction set that the lanes need. */
bool KernelNamesInstructions() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    int found = 0;
    for (std::string word; words >> word;) found += word == "sha_ni" || word == "ssse3" || word == "sse4_1";
    return found == 3;
  }
  return false;
}

bool LanesWork() {
  std::vector<Sha256State> states(2);
  const std::vector<const uint8_t*> streams(2);
  return CompressLanes(states, streams, 0);
}

}  // namespace

TEST("lanes are taken exactly where the processor has the SHA instructions") {
  CHECK(LanesWork() == KernelNamesInstructions());
}

TEST("each lane takes its own stream into its own state, as OpenSSL does for one, at any address") {
  if (!LanesWork()) return;  // the test above says whether that is right
  uint64_t seed = 0;
  for (size_t lanes = 2; lanes <= kSha256LanesMax; ++lanes) {
    for (const size_t blocks : {0, 1, 2, 3, 4, 5, 63, 64, 65, 200}) {
      const size_t stride = blocks * kSha256BlockBytes + 1;  // each lane at another alignment
      const std::vector<uint8_t> bytes = Random(lanes * stride, ++seed);
      const std::vector<Sha256State> before = RandomStates(lanes, ++seed);
      std::vector<Sha256State> states = before;
      std::vector<const uint8_t*> streams;
      for (size_t lane = 0; lane < lanes; ++lane) streams.push_back(bytes.data() + lane * stride + 1);
      CHECK(CompressLanes(states, streams, blocks));
      for (size_t lane = 0; lane < lanes; ++lane) CHECK(states[lane] == Reference(before[lane], streams[lane], blocks));
    }
  }
}

TEST("lanes that read one stream, and read it from one state, end in one state") {
  if (!LanesWork()) return;
  const std::vector<uint8_t> bytes = Random(4096, 1);
  std::vector<Sha256State> states(kSha256LanesMax, RandomStates(1, 2)[0]);
  const Sha256State expected = Reference(states[0], bytes.data(), 64);
  const std::vector<const uint8_t*> streams(kSha256LanesMax, bytes.data());
  CHECK(CompressLanes(states, streams, 64));
  for (const Sha256State& state : states) CHECK(state == expected);
}

TEST("a number of lanes that there is not, or states without their streams, change nothing") {
  const std::vector<uint8_t> bytes = Random(kSha256BlockBytes, 1);
  struct Case { size_t states, streams; };
  for (const auto& [state_count, stream_count] : {Case{0, 0}, {1, 1}, {5, 5}, {2, 1}, {2, 3}, {4, 0}}) {
    const std::vector<Sha256State> before = RandomStates(state_count, 3);
    std::vector<Sha256State> states = before;
    CHECK(!CompressLanes(states, std::vector<const uint8_t*>(stream_count, bytes.data()), 1));
    CHECK(states == before);
  }
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
