// What names a failpoint and what does not; that one which is not armed, or not due, is passed.
#include "../env/failpoints.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "check.h"

using namespace skerry;

namespace {

/** What became of a process that arms `text` and passes `point` so many times. */
int EndOf(const std::string& text, Failpoint point, int passes) {
  const pid_t child = fork();
  if (child == 0) {
    if (!ArmFailpoint(text).ok()) _exit(9);
    for (int i = 0; i < passes; ++i) Pass(point);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST("the process dies when it comes to the armed place for the Nth time, and not before, nor elsewhere") {
  CHECK(EndOf("pack-sealed:3", Failpoint::kPackSealed, 2) == 0);
  CHECK(EndOf("pack-sealed:3", Failpoint::kPackSealed, 3) == -SIGKILL);
  CHECK(EndOf("pack-sealed:1", Failpoint::kPackSynced, 9) == 0);
}

TEST("what names no failpoint is refused with the names that there are") {
  for (const char* text : {"", ":", "nowhere:1", "pack-sealed", "pack-sealed:", "pack-sealed:0", "pack-sealed:-1", "pack-sealed:1x", "pack-sealed:1000000"}) {
    const Status refused = ArmFailpoint(text);
    CHECK(refused.code() == Code::kInvalid);
    for (const FailpointName& each : kFailpointNames) CHECK(refused.detail().find(each.name) != std::string::npos);
  }
  CHECK(failpoint_armed.load() == Failpoint::kNone);
}

TEST("every failpoint has one name") {
  for (const FailpointName& each : kFailpointNames) CHECK(FailpointOf(each.name) == each.point);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
