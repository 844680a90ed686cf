#pragma once
// Every short sequence of operations, with a crash after each operation on the disk in it: nothing is left to the dice where
// there are few enough cases to try them all.
#include <cstdint>
#include <string>

namespace skerry::simulation {

struct ExhaustiveOptions {
  unsigned depth = 2;            // operations in the longest sequences
  uint64_t images_max = 16;      // of one host crash: all there can be where these are fewer, else so many of them by the dice
  uint64_t part = 0, parts = 1;  // of the longest sequences, every so manieth: processors share them
};

struct ExhaustiveOutcome {
  std::string failure;      // empty: all held
  uint64_t sequences = 0;
};
ExhaustiveOutcome RunExhaustive(const ExhaustiveOptions& options);
/** Prints what was tried; the last line is `N passed, N failed`, each depth a test. 0: all held. */
int ReportExhaustive(const ExhaustiveOptions& options);

}  // namespace skerry::simulation
