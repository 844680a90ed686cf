#include "trial.h"

#include <algorithm>

#include "../gc/collector.h"

namespace skerry::simulation {
namespace {

constexpr uint64_t kVolumeBytes = 3 * kBlockBytes;
constexpr ResourceId kVolume = 1;
constexpr int kAttemptsMax = 20;

StoreOptions Options() {
  StoreOptions options;
  options.journal.directory = "/sim/journal";
  options.journal.ring_name = "sim-ring";
  options.journal.ring_bytes = 128 << 10;
  options.journal.segment_bytes = 64 << 10;
  options.journal.journal_bytes_max = 512 << 10;
  PoolOptions& pool = options.pools.emplace_back();
  pool.packs.directory = "/sim/pool";
  pool.packs.checkpoint = "/sim/index.checkpoint";
  pool.packs.pack_bytes = 256 << 10;
  pool.packs.reserve_bytes = 0;
  pool.domain_key.assign(32, 7);
  options.overlay_bytes_max = 1 << 20;
  options.node_cache_bytes_max = 64 << 10;
  return options;
}

/** Bytes that are nowhere else: a page that lands in another's place shows. */
std::vector<uint8_t> Content(uint64_t length, uint64_t flavor) {
  std::vector<uint8_t> bytes(length);
  for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>(1 + SplitMix(flavor << 32 | i / 8) % 255);
  return bytes;
}

std::string Sentence(const std::string& doing, const Status& status) { return doing + ": " + status.detail(); }

constexpr Operation kOperations[] = {
    {"write", &Trial::WritePiece}, {"write block", &Trial::WriteBlock}, {"zero", &Trial::Zero},         {"trim", &Trial::Trim},
    {"flush", &Trial::Flush},      {"snapshot", &Trial::Snapshot},      {"clone", &Trial::Clone},       {"rollback", &Trial::Rollback},
    {"resize", &Trial::Resize},    {"destage", &Trial::Destage},         {"gc", &Trial::Collect},
};

}  // namespace

std::span<const Operation> Operations() { return kOperations; }

Result<std::vector<uint8_t>> Life::ReadAll(ResourceId id) {
  const std::shared_ptr<LiveVolume> volume = store_->Find(id);
  if (!volume) return Status(Code::kNotFound, "the store does not know it");
  std::vector<uint8_t> content(volume->size());
  const Status status = volume->Read(0, content, true);
  return status.ok() ? Result<std::vector<uint8_t>>(std::move(content)) : status;
}

std::string Life::Recover(bool host) {
  std::vector<ResourceSpec> resources;
  for (const auto& [id, tracked] : tracks_) resources.push_back(tracked.spec);
  StoreReport report;
  Result<std::unique_ptr<Store>> store = Store::Open(env_, Options(), resources, report);
  if (!store.ok()) return Sentence("opening", store.status());
  store_ = std::move(*store);
  Losses nothing_lost;
  for (auto& [id, tracked] : tracks_) {
    const Result<std::vector<uint8_t>> content = ReadAll(id);
    if (!content.ok()) return Sentence("reading resource " + std::to_string(id) + " after recovery", content.status());
    if (!tracked.history) {
      if (const auto page = tracked.content.Differs(*content, nothing_lost)) return "snapshot " + std::to_string(id) + " changed at page " + std::to_string(*page);
      continue;
    }
    const uint64_t taken = store_->Find(id)->sequence();
    uint64_t sequence = taken;
    for (const auto& [rewound, kept] : report.rewound) {
      if (rewound == id) sequence = kept;
    }
    const uint64_t lowest = host ? tracked.history->flushed() : tracked.history->last().sequence;
    const std::string wrong = tracked.history->Recover(sequence, lowest, taken, *content, nothing_lost);
    if (!wrong.empty()) return "volume " + std::to_string(id) + ": " + wrong;
  }
  const Status audit = store_->Audit();
  return audit.ok() ? std::string() : Sentence("audit after recovery", audit);
}

std::string Life::Compare() {
  for (const auto& [id, tracked] : tracks_) {
    const Result<std::vector<uint8_t>> content = ReadAll(id);
    if (!content.ok()) return Sentence("reading resource " + std::to_string(id), content.status());
    const Image& expected = tracked.history ? tracked.history->last().image : tracked.content;
    if (const auto page = expected.Differs(*content, Losses())) return "resource " + std::to_string(id) + " reads wrong at page " + std::to_string(*page);
  }
  const Status audit = store_->Audit();
  return audit.ok() ? std::string() : Sentence("audit", audit);
}

std::string Life::Write(uint64_t offset, ConstBytes data) {
  History& history = *tracks_.at(kVolume).history;
  const std::shared_ptr<LiveVolume> volume = store_->Find(kVolume);
  Image image = history.last().image;
  image.Write(offset, data);
  history.Begin(std::move(image));
  const Status wrote = volume->Write(offset, data).status();
  if (!wrote.ok()) return Sentence("writing", wrote);
  history.Acknowledge(volume->sequence());
  return {};
}

std::string Life::Flush() {
  for (bool more = true; more;) {
    const Result<bool> wrote = store_->WriteStep();
    if (!wrote.ok()) return Sentence("writing the journal", wrote.status());
    more = *wrote;
  }
  if (const Status synced = store_->SyncStep(); !synced.ok()) return Sentence("syncing", synced);
  for (auto& [id, tracked] : tracks_) {
    if (tracked.history) tracked.history->Flushed(tracked.history->last().sequence);
  }
  return {};
}

std::string Trial::Prepare() {
  if (std::string wrong = life_.Recover(true); !wrong.empty()) return wrong;
  Tracked volume;
  volume.spec.volume = {next_id_++, kVolumeBytes, false, false, 0, 1, 0};
  volume.history.emplace(kVolumeBytes);
  const Status added = life_.store().Add(volume.spec);
  tracks_.emplace(kVolume, std::move(volume));
  if (!added.ok()) return Sentence("creating", added);
  if (std::string wrong = life_.Write(0, Content(2 * kBlockBytes + 3 * kPageBytes, 99)); !wrong.empty()) return wrong;
  if (std::string wrong = Snapshot(0); !wrong.empty()) return wrong;
  if (std::string wrong = Destage(0); !wrong.empty()) return wrong;
  // The newest pack is never collected: what stands now is in one that may be, and a newer root behind it.
  if (const Status sealed = life_.store().pools().front()->packs->Seal(); !sealed.ok()) return Sentence("sealing packs", sealed);
  if (std::string wrong = life_.Write(0, Content(300, 98)); !wrong.empty()) return wrong;
  if (std::string wrong = Destage(0); !wrong.empty()) return wrong;
  env_.BeforeOperation([this](const char* operation, const std::string& path) { Note(std::string("before ") + operation + " of " + path); });
  return Flush(0);
}

void Trial::Note(std::string where) {
  if (moments_ != nullptr) moments_->push_back({std::make_unique<SimEnv>(env_), tracks_, std::move(where)});
}

std::string Trial::Run(const Operation& operation, unsigned position, std::vector<Moment>* moments) {
  moments_ = moments;
  env_.Advance(1'000'000);
  std::string wrong = (this->*operation.run)(position);
  if (wrong.empty()) Note("after it");
  moments_ = nullptr;
  return wrong.empty() ? life_.Compare() : wrong;
}

std::string Trial::WriteOut() {
  Note("in the ring");
  for (bool more = true; more;) {
    const Result<bool> wrote = life_.store().WriteStep();
    if (!wrote.ok()) return Sentence("writing the journal", wrote.status());
    more = *wrote;
  }
  return {};
}

std::string Trial::Until(const std::function<Status()>& attempt) {
  for (int i = 0; i < kAttemptsMax; ++i) {
    const Status status = attempt();
    if (status.ok()) return {};
    if (status.code() != Code::kTryAgain) return Sentence("an operation failed", status);
    env_.Advance(50'000'000);
    const Result<bool> prepared = life_.store().journal().PrepareSegment();
    if (!prepared.ok()) return Sentence("preparing a segment", prepared.status());
    if (std::string wrong = Destage(0); !wrong.empty()) return wrong;
  }
  return "an operation found no room after many destages";
}

// Over the bound of two pages: two pieces, one sector of the device.
std::string Trial::WritePiece(unsigned position) {
  std::string wrong = life_.Write((1 + position) * kPageBytes - 100, Content(200, 1 + position));
  return wrong.empty() ? WriteOut() : wrong;
}

std::string Trial::WriteBlock(unsigned position) {
  std::string wrong = life_.Write(kBlockBytes, Content(kBlockBytes, 20 + position));
  // A volume that was made smaller ends before that, and says so.
  return wrong.empty() ? WriteOut() : wrong;
}

std::string Trial::Clear(uint64_t offset, uint64_t length, bool punch) {
  const ResourceId id = NewestVolume();
  History& history = *tracks_.at(id).history;
  length = std::min(length, history.bytes() - offset);
  Image image = history.last().image;
  image.Clear(offset, length);
  history.Begin(std::move(image));
  const std::shared_ptr<LiveVolume> volume = life_.store().Find(id);
  std::string wrong = Until([&] { return volume->Zero(offset, length, punch).status(); });
  if (!wrong.empty()) return wrong;
  history.Acknowledge(volume->sequence());
  return WriteOut();
}

// With an edge within a page at each end.
std::string Trial::Zero(unsigned position) { return Clear(kPageBytes + 300 + position * kPageBytes, 3 * kPageBytes, false); }

// A whole block, and some of the blocks beside it.
std::string Trial::Trim(unsigned position) { return Clear(kBlockBytes - (1 + position) * kPageBytes, kBlockBytes + 3 * kPageBytes, true); }

std::string Trial::Flush(unsigned) { return life_.Flush(); }

std::string Trial::Snapshot(unsigned) {
  Tracked& volume = tracks_.at(kVolume);
  const ResourceId id = next_id_++;
  uint64_t sequence = 0;
  volume.history->Begin(volume.history->last().image);
  std::string wrong = Until([&] { return life_.store().Snapshot(kVolume, id, &sequence).status(); });
  if (!wrong.empty()) return wrong;
  volume.history->Acknowledge(sequence);
  Note("a barrier in the ring");
  if (wrong = life_.Flush(); !wrong.empty()) return wrong;
  Note("a barrier without a name");
  Tracked snapshot;
  snapshot.spec.volume = {id, volume.history->bytes(), true, false, 0, 0, 0};
  snapshot.spec.kind = ResourceKind::kSnapshot;
  snapshot.spec.pending_of = kVolume;
  snapshot.content = volume.history->last().image;
  tracks_.emplace(id, std::move(snapshot));
  return {};
}

std::string Trial::Clone(unsigned) {
  const Tracked& source = tracks_.at(NewestSnapshot());
  const ResourceId id = next_id_++;
  Tracked clone;
  clone.spec.volume = {id, source.content.bytes(), false, false, 0, 1, 0};
  clone.spec.root = source.spec.root;
  clone.spec.pending_of = source.spec.pending_of != 0 ? source.spec.volume.id : 0;
  clone.history.emplace(source.content.bytes());
  clone.history->Reset(0, source.content);
  const ResourceSpec spec = clone.spec;
  tracks_.emplace(id, std::move(clone));
  Note("a name that the store does not know");
  const Status added = life_.store().Add(spec);
  return added.ok() ? std::string() : Sentence("cloning", added);
}

std::string Trial::Rollback(unsigned) {
  const ResourceId to = NewestSnapshot();
  std::string wrong = Until([&] {
    History& history = *tracks_.at(kVolume).history;
    history.Begin(tracks_.at(to).content, true);
    return life_.store().Rollback(kVolume, to).status();
  });
  if (!wrong.empty()) return wrong;
  tracks_.at(kVolume).history->Acknowledge(life_.store().Find(kVolume)->sequence());
  return WriteOut();
}

// Smaller, larger, smaller: always with room for what writes.
std::string Trial::Resize(unsigned position) {
  constexpr uint64_t kSizes[] = {2 * kBlockBytes + kPageBytes, 4 * kBlockBytes, 2 * kBlockBytes};
  const uint64_t bytes = kSizes[position % std::size(kSizes)];
  const ResourceId id = NewestVolume();
  History& history = *tracks_.at(id).history;
  Image image = history.last().image;
  image.Resize(bytes);
  history.Begin(std::move(image), true);
  std::string wrong = Until([&] { return life_.store().Resize(id, bytes).status(); });
  if (!wrong.empty()) return wrong;
  history.Acknowledge(life_.store().Find(id)->sequence());
  return WriteOut();
}

std::string Trial::Destage(unsigned) {
  life_.store().FreezeAll();
  while (true) {
    Result<std::optional<RootCommit>> commit = life_.store().DestageStep(*life_.store().pools().front());
    if (!commit.ok()) return Sentence("destage", commit.status());
    if (!commit->has_value()) return {};
    Note("a root without a name");
    Take(**commit);
    Note("a root that the store does not know to be committed");
    life_.store().Committed((*commit)->token, true);
  }
}

// Every pack, whatever is wanted of it: all that is goes elsewhere.
std::string Trial::Collect(unsigned) {
  const std::shared_ptr<Pool> pool = life_.store().pools().front();
  if (const Status sealed = pool->packs->Seal(); !sealed.ok()) return Sentence("sealing packs", sealed);
  std::vector<TreeRoot> roots;
  for (const auto& [id, tracked] : tracks_) roots.push_back(tracked.spec.root);
  CollectOptions options;
  options.live_max = 1;
  Collector collector(life_.store(), pool, std::move(roots), options);
  while (true) {
    const Result<Collector::Progress> progress = collector.Next([] { return true; });
    if (!progress.ok()) return Sentence("collecting", progress.status());
    if (*progress == Collector::Progress::kDone) return {};
    if (*progress == Collector::Progress::kWait) return "collecting waits, and nothing is under way";
    Note("between steps of collecting");
  }
}

void Trial::Take(const RootCommit& root) {
  for (const RootTaker& taker : root.takers) {
    const auto found = tracks_.find(taker.id);
    if (found == tracks_.end()) continue;
    ResourceSpec& spec = found->second.spec;
    if (taker.lineage < spec.volume.lineage || taker.applied_sequence < spec.volume.applied_sequence) continue;
    spec.root = root.root;
    spec.volume.applied_sequence = taker.applied_sequence;
    spec.volume.size_bytes = taker.size_bytes;
    spec.volume.lineage = taker.lineage;
    spec.pending_of = 0;
  }
}

ResourceId Trial::NewestVolume() const {
  return std::ranges::find_if(tracks_.rbegin(), tracks_.rend(), [](const auto& entry) { return entry.second.history.has_value(); })->first;
}

ResourceId Trial::NewestSnapshot() const {
  return std::ranges::find_if(tracks_.rbegin(), tracks_.rend(), [](const auto& entry) { return !entry.second.history; })->first;
}

}  // namespace skerry::simulation
