// What an estimate says of files, against what they then take, over a store in a simulated machine.
#include <algorithm>
#include <random>
#include <set>

#include "../blocks/cell.h"
#include "../engine/estimate.h"
#include "../simulation/sim_env.h"
#include "../volume/store.h"
#include "check.h"
#include "small_store.h"

using namespace skerry;

namespace {

StoreOptions Options() {
  StoreOptions options = check::SmallStore("/estimate", {{.pack_bytes = 8 << 20}});
  options.journal.journal_bytes_max = 64 << 20;
  return options;
}

class World {
 public:
  World() : env_(1) {
    StoreReport report;
    Result<std::unique_ptr<Store>> store = Store::Open(env_, Options(), {}, report);
    CHECK_OK(store.status());
    store_ = std::move(*store);
  }
  Env& env() { return env_; }
  Pool& pool() { return *store_->pools().front(); }
  uint64_t record_bytes() { return pool().packs->RecordBytes(); }
  void MakeFile(const std::string& path, ConstBytes content) {
    Result<std::unique_ptr<File>> file = env_.Open(path, {.write = true, .create = true});
    CHECK_OK(file.status());
    CHECK_OK((*file)->Truncate(content.size()));
    CHECK_OK((*file)->Write(content, 0));
  }
  /** The content in a volume, destaged; bytes of block records that this took. */
  uint64_t Import(ConstBytes content) {
    const uint64_t before = pool().packs->usage().blocks;
    const ResourceId id = next_++;
    const uint64_t size = (content.size() + kPageBytes - 1) / kPageBytes * kPageBytes;
    CHECK_OK(store_->Add({{id, size, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0}));
    for (size_t at = 0; at < content.size(); at += 1 << 20) {
      CHECK_OK(store_->Find(id)->Write(at, content.subspan(at, std::min<size_t>(1 << 20, content.size() - at))).status());
    }
    for (Result<bool> more = store_->WriteStep();; more = store_->WriteStep()) {
      CHECK_OK(more.status());
      if (!*more) break;
    }
    CHECK_OK(store_->SyncStep());
    store_->FreezeAll();
    while (true) {
      Result<std::optional<RootCommit>> commit = store_->DestageStep(pool());
      CHECK_OK(commit.status());
      if (!*commit) break;
      store_->Committed((*commit)->token, true);
    }
    return (pool().packs->usage().blocks - before) * RecordStoredBytes(kBlockBytes);
  }

 private:
  SimEnv env_;
  std::unique_ptr<Store> store_;
  ResourceId next_ = 1;
};

/** `blocks` of content out of few: zeroes, some that repeat, and some of their own. */
std::vector<uint8_t> Content(uint32_t seed, size_t blocks, size_t tail_bytes) {
  std::mt19937 random(seed);
  std::vector<uint8_t> content(blocks * kBlockBytes + tail_bytes);
  for (size_t block = 0; block <= blocks; ++block) {
    const size_t begin = block * kBlockBytes, end = std::min(begin + kBlockBytes, content.size());
    const uint32_t kind = random() % 4;
    if (kind == 0) continue;
    std::mt19937 bytes(kind == 1 ? random() : random() % 10);
    for (size_t at = begin; at < end; ++at) content[at] = static_cast<uint8_t>(bytes());
  }
  return content;
}

Estimate::Totals Whole(Estimate& estimate, const std::string& path) {
  for (uint64_t at = 0;;) {
    Result<Estimate::Step> step = estimate.Read(path, at, [] { return false; });  // one megabyte at a time
    CHECK_OK(step.status());
    at = step->next;
    if (at == step->file_bytes) return estimate.totals();
    CHECK(at % kBlockBytes == 0);
  }
}

}  // namespace

TEST("what an estimate says that files would store is what they then store") {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    World world;
    world.Import(Content(seed + 100, 40, 0));
    const std::vector<uint8_t> one = Content(seed, 70, 5000), two = Content(seed + 1, 30, 0);
    world.MakeFile("/one", one);
    world.MakeFile("/two", two);
    Estimate estimate(world.env(), world.pool());
    Whole(estimate, "/one");
    const Estimate::Totals totals = Whole(estimate, "/two");
    CHECK(totals.exact);
    CHECK(totals.zero_bytes + totals.data_bytes == one.size() + two.size());
    CHECK(totals.known_bytes > 0 && totals.distinct_bytes < totals.data_bytes);
    const uint64_t stored = world.Import(one) + world.Import(two);
    CHECK(totals.stored_bytes == stored);
    // All of it is there now.
    Estimate again(world.env(), world.pool());
    Whole(again, "/one");
    const Estimate::Totals known = Whole(again, "/two");
    CHECK(known.stored_bytes == 0 && known.known_bytes == totals.distinct_bytes && known.distinct_bytes == totals.distinct_bytes);
  }
}

TEST("a file that ends within a block holds no more than was read of it") {
  World world;
  const std::vector<uint8_t> content(3 * kBlockBytes / 2 + 100, 7);
  world.MakeFile("/odd", content);
  Estimate estimate(world.env(), world.pool());
  const Estimate::Totals totals = Whole(estimate, "/odd");
  CHECK(totals.data_bytes == content.size() && totals.zero_bytes == 0);
  CHECK(totals.distinct_bytes == content.size() && totals.stored_bytes == 2 * RecordStoredBytes(kBlockBytes));
  world.MakeFile("/blank", std::vector<uint8_t>(kBlockBytes + 100));
  Estimate other(world.env(), world.pool());
  CHECK(Whole(other, "/blank").zero_bytes == kBlockBytes + 100 && other.totals().data_bytes == 0);
}

TEST("past the blocks that are remembered the numbers are near, and say that they are estimates") {
  World world;
  std::vector<uint8_t> content(4000 * uint64_t{kBlockBytes});
  // Each content in two blocks.
  for (uint32_t block = 0; block < 4000; ++block) {
    const uint32_t mark = block % 2000 + 1;
    std::memcpy(content.data() + block * uint64_t{kBlockBytes}, &mark, sizeof(mark));
  }
  world.Import(ConstBytes(content).first(500 * uint64_t{kBlockBytes}));
  world.MakeFile("/many", content);
  Estimate estimate(world.env(), world.pool(), 1024);
  const Estimate::Totals totals = Whole(estimate, "/many");
  CHECK(!totals.exact);
  CHECK(totals.data_bytes == content.size() && totals.zero_bytes == 0);
  CHECK(totals.distinct_bytes > 1700 * uint64_t{kBlockBytes} && totals.distinct_bytes < 2300 * uint64_t{kBlockBytes});
  CHECK(totals.known_bytes > 400 * uint64_t{kBlockBytes} && totals.known_bytes < 600 * uint64_t{kBlockBytes});
}

TEST("a file that is not there is said so, and an offset within a block refused") {
  World world;
  Estimate estimate(world.env(), world.pool());
  CHECK(estimate.Read("/none", 0, [] { return true; }).code() == Code::kNotFound);
  world.MakeFile("/one", Content(1, 3, 0));
  CHECK(estimate.Read("/one", 100, [] { return true; }).code() == Code::kInvalid);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
