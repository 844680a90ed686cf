// Packs are removed, step by step, while everything else goes on: what any resource reads afterwards is compared as ever.
#include "world.h"

namespace skerry::simulation {

void World::Collect() {
  if (backend_) return;
  if (!collector_) {
    std::vector<TreeRoot> roots;
    for (const auto& [id, named] : catalog_) roots.push_back(named.spec.root);
    CollectOptions options;
    options.live_max = Dice(3) == 0 ? 1 : 0.6;
    options.copy_bytes_max = Dice(2) == 0 ? 256 << 10 : 4 << 20;
    collector_ = std::make_unique<Collector>(*store_, store_->pools().front(), std::move(roots), options);
    Say("collect");
  }
  for (uint64_t steps = 1 + Dice(8); steps > 0; --steps) {
    const Result<Collector::Progress> progress = collector_->Next([this] { return !Crashed(); });
    const CollectReport& report = collector_->report();
    if (progress.ok() && *progress == Collector::Progress::kMore) continue;
    if (progress.ok() && *progress == Collector::Progress::kWait) return;
    outcome_.removed += report.packs_removed;
    outcome_.copied += report.copied_bytes;
    Say("collected " + std::to_string(report.packs_removed) + " of " + std::to_string(report.packs) + ", copied " + std::to_string(report.copied_bytes));
    collector_.reset();
    if (!progress.ok() && !(progress.code() == Code::kCorrupt && outcome_.rotten > 0)) Blame("collecting", progress.status());
    return;
  }
}

}  // namespace skerry::simulation
