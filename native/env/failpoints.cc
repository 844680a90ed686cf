#include "failpoints.h"

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <string>

namespace skerry {
namespace {

constexpr uint32_t kPassesMax = 999'999;
std::atomic<uint32_t> passes_left{0};

Status NoFailpoint(std::string_view text) {
  std::string names;
  for (const FailpointName& each : kFailpointNames) names += (names.empty() ? "" : ", ") + std::string(each.name);
  return Status(Code::kInvalid, "SKERRY_FAILPOINT=" + std::string(text) + " names no failpoint: write NAME:N, the Nth time that the daemon comes to NAME, one of " +
                                    names + "; or leave it unset");
}

}  // namespace

Failpoint FailpointOf(std::string_view name) {
  for (const FailpointName& each : kFailpointNames) {
    if (each.name == name) return each.point;
  }
  return Failpoint::kNone;
}

Status ArmFailpoint(std::string_view text) {
  const size_t colon = text.find(':');
  const Failpoint point = FailpointOf(text.substr(0, colon));
  if (point == Failpoint::kNone || colon == std::string_view::npos) return NoFailpoint(text);
  const std::string_view count = text.substr(colon + 1);
  uint32_t passes = 0;
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), passes);
  if (error != std::errc() || end != count.data() + count.size() || passes < 1 || passes > kPassesMax) return NoFailpoint(text);
  passes_left.store(passes, std::memory_order_relaxed);
  failpoint_armed.store(point, std::memory_order_release);
  return Status::Ok();
}

void PassArmed() {
  if (passes_left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  kill(getpid(), SIGKILL);
  while (true) pause();   // no step further, however late the signal
}

}  // namespace skerry
