// What is fetched before it is asked for: whom it is fetched for and how far, what joins it, and that nobody hears of its failures.
#include <algorithm>
#include <deque>

#include "../blocks/errand.h"
#include "../simulation/sim_env.h"
#include "../volume/sequential_readers.h"
#include "plain_backend.h"
#include "remote_pack_fixture.h"
#include "small_store.h"

using namespace skerry;
using namespace skerry::check;

namespace {

constexpr uint64_t kMiB = 1 << 20;
/** Blocks in so many bytes. */
constexpr uint64_t Blocks(uint64_t bytes) { return bytes / kBlockBytes; }

/** Reads [first, last], and asks for what is to be asked for. Blocks that were asked for. */
uint64_t Read(SequentialReaders& readers, uint64_t first, uint64_t last, uint64_t volume = 1) {
  const SequentialReaders::Blocks ahead = readers.Note(volume, first, last);
  if (ahead.count > 0) readers.Asked(volume, ahead.first + ahead.count);
  return ahead.count;
}

/** Keeps its answers to itself until it is told. */
class HeldBackend : public PlainBackend {
 public:
  using PlainBackend::PlainBackend;
  std::deque<std::function<void()>> held;
  bool holds = false;
  uint64_t fetches = 0, fetched_bytes = 0;
  void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) override {
    ++fetches;
    fetched_bytes += bytes;
    const auto answer = [this, pack, offset, bytes, done = std::move(done)] { PlainBackend::Fetch(pack, offset, bytes, done); };
    holds ? held.push_back(answer) : answer();
  }
  void Answer() {
    for (; !held.empty(); held.pop_front()) held.front()();
  }
};

/** A volume of which all is on the backend and nothing is here. */
class FarVolume {
 public:
  static constexpr uint64_t kBlocks = 192;   // three packs
  explicit FarVolume(size_t cache_bytes = 64 << 20) : cache_bytes_(cache_bytes) {
    spec_.volume.id = 1;
    spec_.volume.size_bytes = kBlocks * kBlockBytes;
    Open();
    CHECK_OK(volume().Write(0, Data(0, kBlocks)).status());
    for (Result<bool> more = store_->WriteStep(); more.ok() && *more;) more = store_->WriteStep();
    CHECK_OK(store_->SyncStep());
    store_->FreezeAll();
    for (int attempt = 0; attempt < 3; ++attempt) {
      const Result<std::optional<RootCommit>> commit = store_->DestageStep(*store_->pools().front());
      CHECK_OK(commit.status());
      if (commit->has_value()) {
        spec_.root = (*commit)->root;
        spec_.volume.applied_sequence = (*commit)->takers.front().applied_sequence;
        spec_.volume.lineage = (*commit)->takers.front().lineage;
        store_->Committed((*commit)->token, true);
      }
      CHECK_OK(store_->pools().front()->packs->Seal());
      for (int i = 0; i < 3; ++i) CHECK_OK(store_->pools().front()->packs->Upkeep());
    }
    Open();
    // The map: what is told of gets below is of blocks.
    CHECK(Guest(0, 1) && Guest(kBlocks - 1, 1));
    backend->fetches = backend->fetched_bytes = 0;
  }
  void Open() {
    store_.reset();
    StoreOptions options = SmallStore("/far", {{"far", 4 << 20}});
    RemotePackOptions& remote = RestOn(options.pools[0], backend);
    remote.cache = std::make_shared<BlockCache>(cache_bytes_);
    remote.kept_bytes_max = 0;
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env, options, {spec_}, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  Volume& volume() { return *store_->Find(1); }
  static std::vector<uint8_t> Data(uint64_t first, uint64_t count) {
    std::vector<uint8_t> data(count * kBlockBytes);
    for (size_t i = 0; i < data.size(); i += 8) {
      const uint64_t word = (first * kBlockBytes + i + 1) * 0x9e3779b97f4a7c15ull;
      std::memcpy(data.data() + i, &word, 8);
    }
    return data;
  }
  /** As a guest reads: what is not here is waited for, and then it comes again. False where it fails or is other bytes. */
  bool Guest(uint64_t first, uint64_t count) {
    std::vector<uint8_t> into(count * kBlockBytes);
    ReadWaits waits;
    Status status = volume().Read(first * kBlockBytes, into, false);
    while (status.code() == Code::kTryAgain) {
      {
        const ReadWaits::Guard guard(&waits);
        status = volume().Read(first * kBlockBytes, into, true);
      }
      if (status.code() != Code::kTryAgain) break;
      CHECK(waits.any());
      bool ready = false;
      waits.WhenDone([&ready] { ready = true; });
      if (ready) continue;
      ++waited;
      backend->Answer();
      CHECK(ready);
    }
    return status.ok() && into == Data(first, count);
  }

  SimEnv env{1};
  std::shared_ptr<HeldBackend> backend = std::make_shared<HeldBackend>(env);
  uint64_t waited = 0;   // reads that found nothing on its way that had come

 private:
  const size_t cache_bytes_;
  ResourceSpec spec_{{}, ResourceKind::kVolume, {}, 0, "far"};
  std::unique_ptr<Store> store_;
};

}  // namespace

TEST("a reader that goes on has two windows ahead, which double while it does; what is read elsewhere has none") {
  SequentialReaders readers(64 * kMiB);
  CHECK(Read(readers, 1000, 1000) == 0);
  uint64_t asked = 0, next = 1001;
  for (; next < 1001 + Blocks(64 * kMiB); ++next) {
    asked = std::max(asked, next);
    const SequentialReaders::Blocks ahead = readers.Note(1, next, next);
    if (ahead.count == 0) continue;
    // Nothing is asked for twice, and nothing is left out.
    CHECK(next == 1001 || ahead.first == asked);
    CHECK(ahead.first + ahead.count <= next + 1 + 2 * Blocks(4 * kMiB));
    asked = ahead.first + ahead.count;
    readers.Asked(1, asked);
  }
  CHECK(asked >= next + Blocks(4 * kMiB));
  // The same read told again, and the one before it, are no news.
  CHECK(Read(readers, next - 1, next - 1) == 0 && Read(readers, next - 9, next - 9) == 0);
  uint64_t at = 1;
  for (int i = 0; i < 1000; ++i) {
    at = at * 6364136223846793005ull + 1442695040888963407ull;
    CHECK(Read(readers, (at >> 20) % (1ull << 40), (at >> 20) % (1ull << 40), 2) == 0);
  }
}

TEST("what is not asked for is told again") {
  SequentialReaders readers(64 * kMiB);
  (void)readers.Note(1, 0, 15);
  const SequentialReaders::Blocks ahead = readers.Note(1, 16, 31);
  CHECK(ahead.first == 32 && ahead.count == 64);
  const SequentialReaders::Blocks again = readers.Note(1, 16, 31);
  CHECK(again.first == 32 && again.count == 64);
  readers.Asked(1, 96);
  CHECK(readers.Note(1, 16, 31).count == 0);
}

TEST("requests that overtake each other are one reader's, and many readers share what is ahead") {
  SequentialReaders readers(64 * kMiB);
  uint64_t alone = 0;
  (void)Read(readers, 0, 15);
  for (uint64_t at : {32u, 16u, 64u, 48u, 96u, 80u, 128u, 112u}) alone += Read(readers, at, at + 15);
  CHECK(alone >= 2 * Blocks(4 * kMiB));
  constexpr uint64_t kSteps = 200, kVolumes = 30;
  std::array<uint64_t, kVolumes> asked{};
  for (uint64_t step = 0; step < kSteps; ++step) {
    for (uint64_t i = 0; i < kVolumes; ++i) {
      const SequentialReaders::Blocks ahead = readers.Note(2 + i, step, step);
      if (ahead.count == 0) continue;
      asked[i] = ahead.first + ahead.count;
      readers.Asked(2 + i, asked[i]);
    }
  }
  uint64_t shared = 0;
  for (const uint64_t end : asked) {
    CHECK(end > kSteps);
    shared += end - kSteps;
  }
  CHECK(shared <= Blocks(64 * kMiB));
  SequentialReaders none(0);
  CHECK(Read(none, 0, 0) == 0 && Read(none, 1, 1) == 0 && Read(none, 2, 2) == 0);
}

TEST("a guest that reads on finds what it wants come, and its gets are in flight before it asks") {
  FarVolume far;
  far.backend->holds = true;
  size_t flights_max = 0;
  for (uint64_t block = 2; block < FarVolume::kBlocks; ++block) {
    CHECK(far.Guest(block, 1));
    flights_max = std::max(flights_max, far.backend->held.size());
  }
  CHECK(flights_max >= 2);
  // At the beginning it waits for what it asks for; then for windows that were asked for long before.
  CHECK(far.waited <= 16);
  // Every byte once, but for a header's worth here and there.
  CHECK(far.backend->fetched_bytes <= (FarVolume::kBlocks + 8) * (kBlockBytes + kPageBytes));
  CHECK(far.backend->fetches <= 40);
}

TEST("a guest that reads anywhere is given what it asks for and nothing else") {
  FarVolume far;
  uint64_t read = 0;
  for (uint64_t block = 180; block > 40; block -= 20, ++read) CHECK(far.Guest(block, 1));
  CHECK(far.backend->fetches == read && far.backend->fetched_bytes <= read * (kBlockBytes + kPageBytes));
}

TEST("without a cache nothing is read ahead, for it would be lost") {
  FarVolume far(0);
  for (uint64_t block = 2; block < 40; block += 4) CHECK(far.Guest(block, 4));
  CHECK(far.backend->fetched_bytes <= 2 * 40 * (kBlockBytes + kPageBytes));
}

TEST("what is read ahead and fails is no error of what was asked for, and comes when it is asked for") {
  FarVolume far;
  for (uint64_t block = 2; block < 12; ++block) CHECK(far.Guest(block, 1));
  const uint64_t before = far.backend->fetches;
  far.backend->state = Status(Code::kIo, "away");
  // The next are here. They have more asked for, which fails.
  uint64_t block = 12;
  for (uint64_t waited = far.waited; block < 40 && far.backend->fetches == before; ++block) CHECK(far.Guest(block, 1) && far.waited == waited);
  CHECK(far.backend->fetches > before);
  far.backend->state = Status::Ok();
  for (; block < FarVolume::kBlocks; ++block) CHECK(far.Guest(block, 1));
}

TEST("what was read ahead and is rotten reaches nobody") {
  RemotePacksFixture f;
  const auto at = f.PutMany(15);
  f.Ship();
  f.backend->rotten = 1;
  f.store->FetchLater(at);
  while (f.store->usage().fetches_waiting > 0) std::this_thread::yield();
  const uint64_t before = f.backend->fetch_count;
  for (uint32_t n = 0; n < 15; ++n) CHECK(f.Holds(n, at[n]));
  CHECK(before >= 1 && f.backend->fetch_count > before);
}

TEST("what lies in a range on its way is not fetched again") {
  RemotePacksFixture f;
  const auto at = f.PutMany(15);
  f.Ship();
  CHECK(f.Holds(0, at[0]));
  f.backend->held = true;
  // Who reads on is given more, so that the third record is on its way with the second.
  f.store->FetchAhead({&at[1], 1});
  f.store->FetchAhead({&at[2], 1});
  CHECK(f.store->usage().fetches == 2);
  f.backend->held = false;
  CHECK(f.Holds(1, at[1]) && f.Holds(2, at[2]));
  CHECK(f.backend->fetch_count == 2);
}

TEST("what is asked for later leaves half of the room to what is wanted, and is joined when it is wanted") {
  RemotePacksFixture f;
  f.options.remote->fetches_in_flight_max = 4;
  f.Open();
  const auto at = f.PutMany(90);   // six packs
  f.Ship();
  f.backend->held = true;
  const std::vector<Location> later{at[0], at[15], at[30], at[45]};
  f.store->FetchLater(later);
  CHECK(f.store->usage().fetches == 2);
  const std::vector<Location> wanted{at[60], at[45]};
  f.store->FetchAhead(wanted);
  CHECK(f.store->usage().fetches == 4);
  f.backend->held = false;
  for (uint32_t n : {0u, 15u, 30u, 45u, 60u}) CHECK(f.Holds(n, at[n]));
  CHECK(f.backend->fetch_count == 5);
}

int main(int argc, char** argv) { return RunAll(argc, argv); }
