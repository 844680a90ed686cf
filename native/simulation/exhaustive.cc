#include "exhaustive.h"

#include <chrono>
#include <cstdio>
#include <set>
#include <string>

#include "trial.h"

namespace skerry::simulation {
namespace {

unsigned long long Number(uint64_t value) { return value; }

/** The choices of one host crash: first to keep all, then every other way, or, where there are too many, some by the dice. */
class Choices {
 public:
  Choices(uint64_t images_max, uint64_t seed) : images_max_(images_max), dice_(seed) {}
  SimKeeps Begin() {
    at_ = 0;
    return [this] { return Ask(); };
  }
  /** False once there is nothing more to try. */
  bool Advance() {
    taken_.resize(at_);
    if (tried_++ == 0) sampled_ = taken_.size() >= 63 || (1ull << taken_.size()) > images_max_;
    if (sampled_) return Sample();
    while (!taken_.empty() && !taken_.back()) taken_.pop_back();
    if (taken_.empty()) return false;
    taken_.back() = false;
    return true;
  }
  bool sampled() const { return sampled_; }

 private:
  bool Ask() {
    if (at_ == taken_.size()) taken_.push_back(sampled_ ? dice_.Chance(survivors_of_eight_, 8) : true);
    return taken_[at_++];
  }
  // Second is that nothing was kept; then between one and seven eighths.
  bool Sample() {
    taken_.clear();
    survivors_of_eight_ = tried_ == 1 ? 0 : 1 + dice_.Below(7);
    return tried_ < images_max_;
  }

  const uint64_t images_max_;
  SimRandom dice_;
  std::vector<bool> taken_;
  size_t at_ = 0;
  uint64_t tried_ = 0, survivors_of_eight_ = 0;
  bool sampled_ = false;
};

struct Counts {
  uint64_t sequences = 0, moments = 0, whole = 0, sampled = 0, process_images = 0, host_images = 0, repeated = 0, recoveries = 0;
};

class Exhaustive {
 public:
  explicit Exhaustive(const ExhaustiveOptions& options) : options_(options) {}
  /** Empty when every sequence of exactly `depth` operations held. */
  std::string Run(unsigned depth) {
    uint64_t total = 1;
    for (unsigned i = 0; i < depth; ++i) total *= Operations().size();
    for (uint64_t number = options_.part; number < total; number += options_.parts) {
      std::vector<const Operation*> sequence;
      uint64_t rest = number;
      for (unsigned i = 0; i < depth; ++i, rest /= Operations().size()) sequence.push_back(&Operations()[rest % Operations().size()]);
      ++counts_.sequences;
      if (std::string wrong = Try(sequence, number); !wrong.empty()) return NameOf(sequence) + ": " + wrong;
    }
    return {};
  }
  const Counts& counts() const { return counts_; }

 private:
  static std::string NameOf(const std::vector<const Operation*>& sequence) {
    std::string name;
    for (const Operation* operation : sequence) name += (name.empty() ? "" : ", ") + std::string(operation->name);
    return name;
  }

  // Crashes in the operations before the last are those of a shorter sequence.
  std::string Try(const std::vector<const Operation*>& sequence, uint64_t number) {
    Trial trial;
    if (std::string wrong = trial.Prepare(); !wrong.empty()) return "preparing: " + wrong;
    std::vector<Moment> moments;
    for (unsigned i = 0; i < sequence.size(); ++i) {
      const bool last = i + 1 == sequence.size();
      if (std::string wrong = trial.Run(*sequence[i], i, last ? &moments : nullptr); !wrong.empty()) return wrong;
    }
    seen_.clear();
    for (size_t i = 0; i < moments.size(); ++i) {
      if (std::string wrong = CrashAt(moments[i], SplitMix(number << 16 | i)); !wrong.empty()) return moments[i].where + ", " + wrong;
    }
    return {};
  }

  std::string CrashAt(const Moment& moment, uint64_t seed) {
    ++counts_.moments;
    const uint64_t promised = Promises(moment.tracks);
    SimEnv killed(*moment.machine);
    killed.ProcessCrash();
    ++counts_.process_images;
    if (std::string wrong = Check(killed, moment.tracks, promised, false); !wrong.empty()) return "a process crash: " + wrong;
    // The ring of a dead boot: what it holds was not flushed, and the log must not take it up.
    SimEnv haunted(*moment.machine);
    haunted.HostCrashBy([] { return false; }, true);
    ++counts_.host_images;
    if (std::string wrong = Check(haunted, moment.tracks, promised, true); !wrong.empty()) return "a host crash that leaves the ring: " + wrong;
    Choices choices(options_.images_max, seed);
    uint64_t image = 0;
    do {
      SimEnv lost(*moment.machine);
      lost.HostCrashBy(choices.Begin());
      ++counts_.host_images;
      if (std::string wrong = Check(lost, moment.tracks, promised, true); !wrong.empty()) return "a host crash (image " + std::to_string(image) + "): " + wrong;
      ++image;
    } while (choices.Advance());
    ++(choices.sampled() ? counts_.sampled : counts_.whole);
    return {};
  }

  /** Recovers, compares, and once more: recovering twice is recovering once. Then the log must go on from there. */
  std::string Check(SimEnv& env, Tracks tracks, uint64_t promised, bool host) {
    if (!seen_.insert(SplitMix(env.ContentDigest() ^ promised) + (host ? 1 : 0)).second) {
      ++counts_.repeated;
      return {};
    }
    counts_.recoveries += 3;
    const auto nothing = [] { return false; };
    if (std::string wrong = Life(env, tracks).Recover(host); !wrong.empty()) return wrong;
    host ? env.HostCrashBy(nothing) : env.ProcessCrash();
    {
      Life again(env, tracks);
      if (std::string wrong = again.Recover(host); !wrong.empty()) return "recovered again: " + wrong;
      static const std::vector<uint8_t> late(300, 0xa5);
      if (std::string wrong = again.Write(5 * kPageBytes, late); !wrong.empty()) return "recovered again: " + wrong;
      if (std::string wrong = again.Flush(); !wrong.empty()) return "recovered again: " + wrong;
    }
    env.HostCrashBy(nothing);
    Life last(env, tracks);
    const std::string wrong = last.Recover(true);
    return wrong.empty() ? wrong : "after one more write and host crash: " + wrong;
  }

  /** A digest of what must and may come back, so that an image is tried once for each promise and not for each moment. */
  static uint64_t Promises(const Tracks& tracks) {
    uint64_t digest = 0;
    for (const auto& [id, tracked] : tracks) {
      const ResourceSpec& spec = tracked.spec;
      const uint64_t last = tracked.history ? tracked.history->last().sequence : 0, flushed = tracked.history ? tracked.history->flushed() : 0;
      const uint64_t in_flight = tracked.history && tracked.history->in_flight() ? 1 : 0;
      for (const uint64_t part : {id, last, flushed, in_flight, spec.volume.applied_sequence, spec.volume.lineage, spec.pending_of}) digest = SplitMix(digest ^ part);
    }
    return digest;
  }

  const ExhaustiveOptions options_;
  Counts counts_;
  std::set<uint64_t> seen_;   // images of this sequence that were tried
};

}  // namespace

ExhaustiveOutcome RunExhaustive(const ExhaustiveOptions& options) {
  ExhaustiveOutcome outcome;
  for (unsigned depth = 1; depth <= options.depth && outcome.failure.empty(); ++depth) {
    Exhaustive exhaustive(options);
    outcome.failure = exhaustive.Run(depth);
    outcome.sequences += exhaustive.counts().sequences;
  }
  return outcome;
}

int ReportExhaustive(const ExhaustiveOptions& options) {
  unsigned passed = 0;
  for (unsigned depth = 1; depth <= options.depth; ++depth) {
    const auto begin = std::chrono::steady_clock::now();
    Exhaustive exhaustive(options);
    const std::string wrong = exhaustive.Run(depth);
    const Counts& counts = exhaustive.counts();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    if (!wrong.empty()) std::printf("FAILED depth %u: %s\n", depth, wrong.c_str());
    std::printf("depth %u: %llu sequences, %llu crash points (%llu with every image, %llu sampled), %llu process and %llu host images, "
                "%llu of them met before, %llu recoveries, %.1f s\n",
                depth, Number(counts.sequences), Number(counts.moments), Number(counts.whole), Number(counts.sampled), Number(counts.process_images),
                Number(counts.host_images), Number(counts.repeated), Number(counts.recoveries), spent.count());
    std::fflush(stdout);
    if (!wrong.empty()) break;
    ++passed;
  }
  const bool held = passed == options.depth;
  std::printf("%u passed, %u failed\n", passed, held ? 0 : 1);
  return held ? 0 : 1;
}

}  // namespace skerry::simulation
