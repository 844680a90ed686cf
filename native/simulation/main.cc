// simulate --seed S | --seeds N [--from S] [--steps N]: runs worlds; the last line is the outcome and the digest.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "world.h"

using skerry::simulation::World;
using skerry::simulation::WorldOptions;
using skerry::simulation::WorldOutcome;

int main(int argc, char** argv) {
  uint64_t from = 1, count = 100, steps = 250;
  double seconds = 0;
  bool trace = false;
  for (int i = 1; i + 1 < argc + 1; ++i) {
    const bool has_value = i + 1 < argc;
    const auto value = [&] { return has_value ? std::strtoull(argv[++i], nullptr, 10) : 0ull; };
    if (std::strcmp(argv[i], "--seed") == 0) {
      from = value();
      count = 1;
      trace = true;
    } else if (std::strcmp(argv[i], "--seeds") == 0) {
      count = value();
    } else if (std::strcmp(argv[i], "--from") == 0) {
      from = value();
    } else if (std::strcmp(argv[i], "--steps") == 0) {
      steps = value();
    } else if (std::strcmp(argv[i], "--seconds") == 0) {
      seconds = static_cast<double>(value());
      count = ~0ull;
    } else {
      std::fprintf(stderr, "usage: simulate [--seed S | --seeds N | --seconds N] [--from S] [--steps N]\n");
      return 2;
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  WorldOutcome total;
  uint64_t done = 0;
  for (; done < count; ++done) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    if (seconds > 0 && spent.count() > seconds) break;
    const WorldOutcome one = World({from + done, static_cast<unsigned>(steps), trace}).Run();
    for (const std::string& line : one.trace) std::printf("%s\n", line.c_str());
    total.digest = (total.digest ^ one.digest) * 0x100000001b3ull;
    total.process_crashes += one.process_crashes;
    total.host_crashes += one.host_crashes;
    total.writes += one.writes;
    total.flushes += one.flushes;
    total.roots += one.roots;
    total.moves += one.moves;
    total.snapshots += one.snapshots;
    total.clones += one.clones;
    total.resizes += one.resizes;
    total.rollbacks += one.rollbacks;
    total.compares += one.compares;
    total.rotten += one.rotten;
    total.framed += one.framed;
    total.removed += one.removed;
    total.copied += one.copied;
    if (!one.failure.empty()) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(from + done), one.failure.c_str());
      std::printf("FAILED seed %llu digest %016llx\n", static_cast<unsigned long long>(from + done), static_cast<unsigned long long>(total.digest));
      return 1;
    }
  }
  std::printf("%llu seeds: %llu process and %llu host crashes, %llu writes, %llu flushes, %llu roots, %llu snapshots, %llu clones, %llu resizes, %llu rollbacks, %llu compares, %llu segments moved, %llu rotten pages, %llu compressed blocks, %llu packs removed, %llu bytes moved before that\n",
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(total.process_crashes),
              static_cast<unsigned long long>(total.host_crashes), static_cast<unsigned long long>(total.writes),
              static_cast<unsigned long long>(total.flushes), static_cast<unsigned long long>(total.roots),
              static_cast<unsigned long long>(total.snapshots), static_cast<unsigned long long>(total.clones),
              static_cast<unsigned long long>(total.resizes), static_cast<unsigned long long>(total.rollbacks),
              static_cast<unsigned long long>(total.compares), static_cast<unsigned long long>(total.moves), static_cast<unsigned long long>(total.rotten),
              static_cast<unsigned long long>(total.framed), static_cast<unsigned long long>(total.removed), static_cast<unsigned long long>(total.copied));
  std::printf("HELD digest %016llx\n", static_cast<unsigned long long>(total.digest));
  return 0;
}
