// Differences of trees against a std::map of each, in real packs; and what they cost.
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "../map/tree.h"
#include "check.h"

using namespace skerry;

namespace {

using Content = std::map<BlockIndex, uint64_t>;

MapSlot SlotOf(uint64_t content) {
  MapSlot slot;
  const uint64_t words[4] = {content * 0x9e3779b97f4a7c15ull + 1, content, ~content, 77};
  std::memcpy(slot.id.bytes.data(), words, sizeof(words));
  slot.at = {1, static_cast<uint32_t>(content * 512), 66000};
  return slot;
}

/** Trees in packs of their own, gone with the test. */
class Forest {
 public:
  Forest() : env_(MakePosixEnv()), key_(ConstBytes(kKey)) {
    char pattern[] = "/tmp/skerry-diff-XXXXXX";
    CHECK(::mkdtemp(pattern) != nullptr);
    path_ = pattern;
    CHECK_OK(env_->MakeDirectory(path_ + "/packs"));
    PackStoreOptions options;
    options.directory = path_ + "/packs";
    options.checkpoint = path_ + "/index";
    options.reserve_bytes = 1 << 20;
    PackReport report;
    auto packs = PackStore::Open(*env_, options, report);
    CHECK_OK(packs.status());
    packs_ = std::move(*packs);
    Forget();
  }
  ~Forest() {
    tree_.reset();
    packs_.reset();
    std::filesystem::remove_all(path_);
  }
  /** With an empty cache. */
  void Forget() { tree_ = std::make_unique<Tree>(*packs_, key_, 8 << 20); }
  Tree& tree() { return *tree_; }

  TreeRoot Change(const TreeRoot& root, uint8_t levels, const Content& content) {
    std::vector<MapChange> changes;
    for (const auto& [block, value] : content) changes.push_back({block, value == 0 ? MapSlot{} : SlotOf(value)});
    Result<TreeRoot> changed = tree_->Update(root, levels, {}, changes);
    CHECK_OK(changed.status());
    return *changed;
  }

  /** Every block of [0, blocks) whose slots differ, as DiffRun tells; its runs must cover the range and alternate. */
  std::vector<BlockIndex> Differing(const TreeRoot& before, const TreeRoot& after, uint64_t blocks) {
    std::vector<BlockIndex> found;
    bool last = false;
    for (BlockIndex at = 0; at < blocks;) {
      bool differs = false;
      Result<uint64_t> run = tree_->DiffRun(before, after, at, blocks - at, &differs, true);
      CHECK_OK(run.status());
      CHECK(*run > 0 && *run <= blocks - at);
      CHECK(at == 0 || differs != last);
      last = differs;
      for (uint64_t i = 0; differs && i < *run; ++i) found.push_back(at + i);
      at += *run;
    }
    return found;
  }

 private:
  static constexpr std::array<uint8_t, 32> kKey = {7};
  std::unique_ptr<Env> env_;
  DomainKey key_;
  std::string path_;
  std::unique_ptr<PackStore> packs_;
  std::unique_ptr<Tree> tree_;
};

std::vector<BlockIndex> Expected(const Content& a, const Content& b) {
  const auto at = [](const Content& content, BlockIndex block) {
    const auto found = content.find(block);
    return found == content.end() ? 0 : found->second;
  };
  std::map<BlockIndex, bool> blocks;
  for (const auto* content : {&a, &b}) {
    for (const auto& [block, value] : *content) blocks[block] = at(a, block) != at(b, block);
  }
  std::vector<BlockIndex> differing;
  for (const auto& [block, differs] : blocks) {
    if (differs) differing.push_back(block);
  }
  return differing;
}

}  // namespace

TEST("two trees differ where their blocks do, whatever their heights, and the same way round or not") {
  Forest forest;
  std::mt19937_64 random(11);
  for (int round = 0; round < 60; ++round) {
    const uint8_t low = 1 + random() % 3, high = low + random() % (4 - low);
    const uint64_t low_blocks = 1ull << (8 * low), high_blocks = 1ull << (8 * high);
    Content a, b, grown;
    const auto some = [&](uint64_t blocks) { return random() % 3 == 0 ? random() % std::min<uint64_t>(blocks, 600) : random() % blocks; };
    for (int i = 0; i < 200; ++i) a[some(low_blocks)] = 1 + random() % 5;
    b = a;
    Content changes;
    for (int i = 0; i < 30; ++i) changes[some(high_blocks)] = random() % 4;
    for (const auto& [block, value] : changes) b[block] = value;
    const TreeRoot before = forest.Change({}, low, a), after = forest.Change(before, high, changes);
    CHECK(forest.Differing(before, after, high_blocks) == Expected(a, b));
    CHECK(forest.Differing(after, before, high_blocks) == Expected(a, b));
    CHECK(forest.Differing(before, before, high_blocks).empty());
    CHECK(forest.Differing({}, before, high_blocks) == Expected({}, a));
    CHECK(forest.Differing(before, {}, high_blocks) == Expected({}, a));
  }
}

TEST("trees that only grew in height do not differ") {
  Forest forest;
  const TreeRoot low = forest.Change({}, 1, {{3, 7}, {255, 8}});
  const TreeRoot high = forest.Change(low, 4, {});
  CHECK(high.levels == 4 && !(high.id == low.id));
  CHECK(forest.Differing(low, high, 1ull << 32).empty());
}

TEST("equal subtrees are not read: a change in a large tree costs its path and no more") {
  Forest forest;
  Content many;
  for (uint64_t leaf = 0; leaf < 2000; ++leaf) many[leaf * 256 + leaf % 256] = leaf + 1;
  const TreeRoot before = forest.Change({}, 3, many);
  const TreeRoot after = forest.Change(before, 3, {{1000 * 256, 5}});
  forest.Forget();
  CHECK(forest.Differing(before, after, 1ull << 24) == std::vector<BlockIndex>{1000 * 256});
  // Two paths of three nodes. A node in memory takes less than 32 KiB.
  CHECK(forest.tree().cache_bytes() < 6 * 32768);
}

TEST("a difference that would have to wait for a device says so where it may not") {
  Forest forest;
  const TreeRoot before = forest.Change({}, 2, {{1, 1}}), after = forest.Change(before, 2, {{2, 2}});
  forest.Forget();
  bool differs = false;
  Result<uint64_t> run = forest.tree().DiffRun(before, after, 0, 65536, &differs, false);
  CHECK(run.ok() || run.code() == Code::kTryAgain);
  CHECK_OK(forest.tree().DiffRun(before, after, 0, 65536, &differs, true).status());
  run = forest.tree().DiffRun(before, after, 0, 65536, &differs, false);
  CHECK(run.ok() && *run == 2 && !differs);
}

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
