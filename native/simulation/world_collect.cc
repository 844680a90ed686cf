// Packs are removed, step by step, while everything else goes on: what any resource reads afterwards is compared as ever. And all
// that rests is read, as a scrub does it.
#include "../check/scrub.h"
#include "world.h"

namespace skerry::simulation {

void World::Collect() {
  if (!collector_) {
    const std::shared_ptr<Pool> pool = PickPool();
    CollectOptions options;
    options.live_max = Dice(3) == 0 ? 1 : 0.6;
    options.copy_bytes_max = Dice(2) == 0 ? 256 << 10 : 4 << 20;
    collector_ = std::make_unique<Collector>(*store_, pool, RootsIn(*pool), options);
    Say("collect" + (pool->name == kSecondPool ? " in the second pool" : std::string()));
  }
  for (uint64_t steps = 1 + Dice(8); steps > 0; --steps) {
    const Result<Collector::Progress> progress = collector_->Next([this] { return !Crashed(); });
    const CollectReport& report = collector_->report();
    if (progress.ok() && *progress == Collector::Progress::kMore) continue;
    if (progress.ok() && *progress == Collector::Progress::kWait) {
      // A life is short, and a backend slow.
      if ((!backend_ && !second_backend_) || Dice(8) == 0 || !WaitForBackend()) return;
      ++steps;
      continue;
    }
    outcome_.removed += report.packs_removed;
    outcome_.copied += report.copied_bytes;
    Say("collected " + std::to_string(report.packs_removed) + " of " + std::to_string(report.packs) + ", copied " + std::to_string(report.copied_bytes));
    collector_.reset();
    if (!progress.ok() && !(progress.code() == Code::kCorrupt && outcome_.rotten > 0)) Blame("collecting", progress.status());
    return;
  }
}

bool World::WaitForBackend() {
  const uint64_t life = lives_;
  const auto lives = [&] { return life == lives_ && !Crashed() && !fault_met_ && outcome_.failure.empty(); };
  env_.Advance(50000000);
  Destage();
  if (lives()) Pump();
  return lives();
}

void World::ScrubAll() {
  if (collector_) return;   // no pack goes meanwhile
  if (backend_) backend_->SetWeather(false);
  CheckScrub();
  if (backend_) backend_->SetWeather(BadWeather());
}

void World::CheckScrub() {
  const std::shared_ptr<Pool> pool = store_->pools().front();
  Scrub scrub(*store_, pool, RootsIn(*pool));
  for (Result<bool> more = true; *more;) {
    more = scrub.Next([this] { return !Crashed(); });
    if (!more.ok()) return Blame("scrubbing", more.status());
  }
  const ScrubReport& report = scrub.report();
  ++outcome_.scrubs;
  outcome_.repaired += report.repaired;
  Say("scrubbed " + std::to_string(report.records) + " records, " + std::to_string(report.damaged) + " damaged, " + std::to_string(report.repaired) +
      " repaired, " + std::to_string(report.lost) + " lost");
  if (report.miscounted > 0) return Fail("a scrub counts otherwise than the pool: " + report.findings.front().what.detail);
  if (report.lost > 0 || report.nodes_unread > 0) return;
  // It found a way to everything that rests in sealed packs.
  for (const auto& [id, named] : catalog_) {
    if (named.deleting || (named.history && named.history->in_flight()) || store_->Find(id)->pool() != pool) continue;
    const Result<std::vector<uint8_t>> content = ReadAll(id);
    if (!content.ok()) return Blame("reading " + std::to_string(id) + ", of which a scrub says that nothing is lost", content.status());
    const Image& expected = named.history ? named.history->last().image : named.content;
    if (const auto page = expected.Differs(*content, losses_)) return Fail("after a scrub resource " + std::to_string(id) + " reads wrong at page " + std::to_string(*page));
  }
}

}  // namespace skerry::simulation
