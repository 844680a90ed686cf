// Who may write how fast: nothing is held back below half, a steady rate above it, nothing more when full.
#include "../simulation/sim_env.h"
#include "../volume/admission.h"
#include "check.h"

using namespace skerry;

namespace {

constexpr AdmissionLimits kLimits{1000 << 20, 1000 << 20, 1000 << 20, 1 << 20};

/** Bytes that a writer of 4 KiB gets through in a second, looking again every 2 ms when it is held back. */
uint64_t InOneSecond(uint64_t journal_bytes) {
  SimEnv env(1);
  Admission admission(env, kLimits);
  admission.Refresh(journal_bytes, kLimits.journal_bytes_max, 0, 1);
  AdmissionShare share;
  PoolRoom room;
  const uint64_t end = env.NowNanos() + 1000000000;
  uint64_t taken = 0;
  while (env.NowNanos() < end) {
    if (admission.Admit(share, room, 4096, journal_bytes, 0).ok()) {
      taken += 4096;
      env.Advance(1000);
    } else {
      env.Advance(2000000);
    }
  }
  return taken;
}

}  // namespace

TEST("the ramp falls steadily, and a writer gets the rate that it says") {
  // Left of the upper half: 0.8, 0.5, 0.2. The rate goes with its cube.
  const struct { uint64_t fill_mib; double mib_per_second; } steps[] = {{600, 512}, {750, 125}, {900, 8}};
  for (const auto& step : steps) {
    const double got = static_cast<double>(InOneSecond(step.fill_mib << 20)) / (1 << 20);
    CHECK(got > step.mib_per_second * 0.9 && got < step.mib_per_second * 1.1 + 6);
  }
}

TEST("below half nothing is held back, when full nothing is taken, and a full disk says so") {
  SimEnv env(1);
  Admission admission(env, kLimits);
  AdmissionShare share;
  PoolRoom room;
  for (int i = 0; i < 1000; ++i) CHECK_OK(admission.Admit(share, room, 1 << 20, 499 << 20, 0));
  admission.Refresh(1000 << 20, kLimits.journal_bytes_max, 0, 1);
  CHECK(admission.Admit(share, room, 1, 1000 << 20, 0).code() == Code::kTryAgain);
  admission.Refresh(0, kLimits.journal_bytes_max, 0, 1);
  room.Refresh(Room::kNone, 0);
  CHECK(admission.Admit(share, room, 1, 0, 0).code() == Code::kNoSpace);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
