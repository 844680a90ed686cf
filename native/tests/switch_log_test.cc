// A volume that flushes to its pool changes it: which flushes are answered, and by what. docs/decisions/0071-logs-move-with-their-volumes.md.
#include "switch_life.h"

using namespace skerry;
using namespace skerry::switch_life;

namespace {

constexpr uint64_t kFence = 5, kNextFence = 9;

/** One volume whose log has begun, and its flushes. */
class LoggedLife : public Life {
 public:
  LoggedLife() : id(Create(kBlocks, true)) { CHECK_OK(store().BeginLog(id, kFence, 0)); }
  /** Whether it is answered by now shows later. */
  std::shared_ptr<int> Flush() {
    auto answered = std::make_shared<int>(0);
    volume(id).WhenInPool(volume(id).FlushTarget(), [answered](const Status& status) { *answered += status.ok() ? 1 : 100; });
    return answered;
  }
  void PutAll(const char* name) {
    SimRandom random(1);
    while (!logs.at(name)->under_way.empty()) logs.at(name)->Step(random);
  }
  uint64_t Switched() {
    const Result<uint64_t> sequence = store().Switch(id, kNextFence);
    CHECK_OK(sequence);
    CHECK_OK(store().Audit());
    return *sequence;
  }
  const ResourceId id;
};

}  // namespace

TEST("while the volume is held no flush is answered; where it is released, those that its pool has") {
  LoggedLife life;
  life.WriteAll(life.id, 1);
  const auto before = life.Flush();
  life.PutAll(kOld);
  CHECK(*before == 1);
  const auto under_way = life.Flush();
  life.WriteAll(life.id, 2);
  const auto late = life.Flush();
  CHECK(*under_way == 1 && *late == 0);
  life.Hold(life.id);
  life.PutAll(kOld);
  CHECK(*late == 0);
  life.WriteAll(life.id, 3);
  const auto held = life.Flush();
  life.PutAll(kOld);
  CHECK(*held == 0);
  life.store().Release(life.id);
  CHECK(*late == 1 && *held == 1);
}

TEST("in its new pool flushes wait for a root with what was written while it was held, and for chunks from there on") {
  LoggedLife life;
  life.WriteAll(life.id, 1);
  const Store::HeldResource held = life.Hold(life.id);
  life.WriteAll(life.id, 2);
  const auto while_held = life.Flush();
  const CopiedRoot copied = life.Copy(held);
  CHECK_OK(life.store().Expect(life.id, copied.root));
  life.Take(life.id, held, copied.root);
  CHECK(!life.logs.at(kOld)->under_way.empty());
  const uint64_t sequence = life.Switched();
  CHECK(sequence == life.volume(life.id).sequence() && sequence > held.at.applied_sequence);
  // The old pool has it by now, and nobody asks that any more.
  life.PutAll(kOld);
  CHECK(*while_held == 0);
  life.Write(life.id, 0, kPageBytes, 3);
  const auto after = life.Flush();
  CHECK(*after == 0 && life.logs.at(kNew)->under_way.size() == 1);
  const LogChunk first = life.logs.at(kNew)->under_way.front().chunk;
  CHECK(first.fence == kNextFence && first.number == 0 && first.first_sequence == sequence + 1 && first.settled == 0);
  life.PutAll(kNew);
  CHECK(*while_held == 0 && *after == 0);
  const int before = life.commits[kOld];
  life.Destage();
  CHECK(life.commits[kNew] == 1 && life.commits[kOld] == before);
  CHECK(*while_held == 1 && *after == 1);
  const auto then = life.Flush();
  CHECK(*then == 1);
  life.Write(life.id, 0, kPageBytes, 4);
  const auto last = life.Flush();
  CHECK(*last == 0);
  life.PutAll(kNew);
  CHECK(*last == 1 && life.Holds(life.id));
}

TEST("an answer of the old pool counts for no chunk of the new one, and one that was not given does no harm") {
  LoggedLife life;
  life.WriteAll(life.id, 1);
  const Store::HeldResource held = life.Hold(life.id);
  for (uint64_t i = 0; i < 6; ++i) {
    life.Write(life.id, i * kPageBytes, kPageBytes, i);
    (void)life.Flush();
  }
  const CopiedRoot copied = life.Copy(held);
  CHECK_OK(life.store().Expect(life.id, copied.root));
  life.Take(life.id, held, copied.root);
  CHECK(life.logs.at(kOld)->under_way.size() == LogTail::kPutsInFlightMax);
  (void)life.Switched();
  life.Destage();
  for (uint64_t i = 0; i < 6; ++i) life.Write(life.id, i * kPageBytes, kPageBytes, 10 + i);
  const auto flush = life.Flush();
  CHECK(!life.logs.at(kNew)->under_way.empty());
  // Among them one with the same number, and one that the daemon has given up.
  auto& left = life.logs.at(kOld)->under_way;
  left.back().done(Status(Code::kClosed, "nobody waits for it any more"));
  left.pop_back();
  life.PutAll(kOld);
  CHECK(*flush == 0);
  life.PutAll(kNew);
  CHECK(*flush == 1);
}

TEST("with nothing written while it was held the copy is all that flushes wait for") {
  LoggedLife life;
  life.WriteAll(life.id, 1);
  const Store::HeldResource held = life.Hold(life.id);
  const auto flush = life.Flush();
  const CopiedRoot copied = life.Copy(held);
  CHECK_OK(life.store().Expect(life.id, copied.root));
  life.Take(life.id, held, copied.root);
  CHECK(*flush == 0);
  CHECK(life.Switched() == held.at.applied_sequence);
  CHECK(*flush == 1 && life.volume(life.id).pool()->name == kNew);
}

TEST("a volume whose log has not begun is not held yet, and one that is deleted meanwhile ends its flushes") {
  Life fresh;
  const ResourceId id = fresh.Create(kBlocks, true);
  CHECK(fresh.store().Hold(id, kNew).code() == Code::kTryAgain);
  LoggedLife life;
  life.WriteAll(life.id, 1);
  life.Hold(life.id);
  const auto flush = life.Flush();
  CHECK_OK(life.store().Drop(life.id).status());
  CHECK(*flush == 100);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
