#pragma once
// A simulated machine whose dice, clock and boot id are written down here: golden files must not change with the simulator.
#include "../simulation/sim_env.h"
#include "golden.h"

namespace skerry {

class GoldenEnv : public SimEnv {
 public:
  GoldenEnv() : SimEnv(1) {}
  uint64_t WallMillis() override { return 1'750'000'000'000; }
  std::string BootId() override { return "golden file boot"; }
  void Random(Bytes into) override {
    for (uint8_t& byte : into) byte = next_++;
  }

 private:
  uint8_t next_ = 0x41;
};

}  // namespace skerry
