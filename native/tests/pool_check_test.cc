// A check of packs finds what is wrong with them, and changes nothing.
#include "../check/journal_survey.h"
#include "../check/pool_check.h"
#include "../env/shadow_env.h"
#include "../map/tree.h"
#include "pack_fixture.h"

using namespace skerry;
using namespace skerry::pack_fixture;

namespace {

/** A tree of one level over `blocks` of the store. */
TreeRoot PutTree(Fixture& f, const std::vector<std::pair<uint32_t, Location>>& blocks) {
  std::vector<MapChange> changes;
  for (const auto& [n, at] : blocks) changes.push_back({n, {f.IdOf(n), at}});
  Result<TreeRoot> root = Tree(*f.store, f.key, 1 << 20).Update({}, 1, {}, changes);
  CHECK_OK(root.status());
  return *root;
}

struct Pool {
  Fixture f;
  std::vector<Location> at;
  TreeRoot root, other;   // `other`: of a clone, where a test makes one

  Pool() {
    std::vector<std::pair<uint32_t, Location>> blocks;
    for (uint32_t n = 0; n < 4; ++n) blocks.emplace_back(n, at.emplace_back(f.Put(n)));
    root = PutTree(f, blocks);
    Close();
  }
  /** Seals nothing: as a process that died. */
  void Close() {
    CHECK_OK(f.store->Sync());
    f.store.reset();
  }
  /** What was open is sealed by the next start. */
  void Seal() {
    f.Open();
    CHECK_OK(f.store->Checkpoint(true));
    f.store.reset();
  }
  std::string OnlyPack() {
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(f.options.directory)) {
      if (std::filesystem::file_size(entry.path()) > 4096) found = entry.path().string();
    }
    return found;
  }
  PoolCheckReport Check(Content content = Content::kSums) {
    PoolCheckOptions options;
    options.directory = f.options.directory;
    options.checkpoint = f.options.checkpoint;
    options.domain = f.options.domain;
    options.domain_key.assign(32, 42);
    options.roots = {{7, root}};
    if (!other.id.empty()) options.roots.push_back({8, other});
    options.content = content;
    Result<PoolCheckReport> report = CheckPool(*MakePosixEnv(), options);
    CHECK_OK(report.status());
    return *report;
  }
};

bool Has(const PoolCheckReport& report, Finding::What what) {
  for (const Finding& finding : report.findings) {
    if (finding.what == what) return true;
  }
  return false;
}

}  // namespace

TEST("packs that are whole have no findings, open or sealed, however much is read") {
  for (const bool sealed : {false, true}) {
    Pool pool;
    if (sealed) pool.Seal();
    for (const Content content : {Content::kNone, Content::kSums, Content::kHashes}) {
      const PoolCheckReport report = pool.Check(content);
      CHECK(report.findings_total == 0 && report.damaged_roots.empty());
      CHECK(report.blocks == 4 && report.nodes == 1 && report.nodes_reached == 1 && report.blocks_reached == 4);
      CHECK(report.records_read == (content == Content::kNone ? 0u : 5u));
    }
  }
}

TEST("a block that two maps use is reached once") {
  Pool pool;
  pool.f.Open();
  pool.other = PutTree(pool.f, {{0, pool.at[0]}, {1, pool.at[1]}});
  pool.Close();
  const PoolCheckReport report = pool.Check();
  CHECK(report.findings_total == 0 && report.nodes_reached == 2);
  CHECK(report.blocks == 4 && report.blocks_reached == 4);
}

TEST("a page that fails its sum is found where content is read, with whose it is") {
  Pool pool;
  pool.Seal();
  pool.f.Flip(pool.OnlyPack(), CellOffset(pool.at[2], 3) + 50);
  CHECK(pool.Check(Content::kNone).findings_total == 0);
  const PoolCheckReport report = pool.Check();
  CHECK(Has(report, Finding::What::kRecord) && Has(report, Finding::What::kBlock));
  CHECK(report.damaged_roots == std::vector<uint64_t>{7});
  for (const Finding& finding : report.findings) {
    if (finding.what != Finding::What::kBlock) continue;
    CHECK(finding.resource == 7 && finding.volume_offset == 2 * kBlockBytes && !finding.missing);
  }
}

TEST("a damaged record of which another pack has a whole copy costs nobody anything") {
  Pool pool;
  pool.Seal();
  pool.f.Flip(pool.OnlyPack(), CellOffset(pool.at[2], 3) + 50);
  pool.f.Open();
  CHECK(!pool.f.Holds(2, pool.at[2]));
  CHECK(!(pool.f.Put(2) == pool.at[2]));
  pool.Close();
  const PoolCheckReport report = pool.Check();
  CHECK(Has(report, Finding::What::kRecord) && !Has(report, Finding::What::kBlock) && report.damaged_roots.empty());
}

TEST("a record header that fails is found, and so is a map node that does") {
  Pool pool;
  pool.Seal();
  pool.f.Flip(pool.OnlyPack(), pool.at[0].offset + 40);
  CHECK(Has(pool.Check(), Finding::What::kRecord));
  Pool other;
  other.Seal();
  other.f.Flip(other.OnlyPack(), other.root.at.offset + 200);
  const PoolCheckReport report = other.Check(Content::kNone);
  CHECK(Has(report, Finding::What::kNode) && report.damaged_roots.size() == 1);
}

TEST("a footer that fails is found, and what it listed is found by scanning") {
  Pool pool;
  pool.Seal();
  const std::string path = pool.OnlyPack();
  pool.f.Flip(path, std::filesystem::file_size(path) - 70);
  const PoolCheckReport report = pool.Check();
  CHECK(Has(report, Finding::What::kFooter) && report.damaged_roots.empty());
  CHECK(report.blocks == 4 && report.blocks_reached == 4);
}

TEST("a pack that is gone is told by what reached into it") {
  Pool pool;
  pool.Seal();
  std::filesystem::remove(pool.OnlyPack());
  const PoolCheckReport report = pool.Check();
  CHECK(report.damaged_roots.size() == 1 && !report.findings.empty());
  bool missing = false;
  for (const Finding& finding : report.findings) missing = missing || (finding.what == Finding::What::kNode && finding.missing);
  CHECK(missing);
}

TEST("content under another id has sums that hold, and is found by its hash alone") {
  Pool pool;
  pool.f.Open();
  // A writer with a bug: the bytes of 9 under the id of 8.
  Result<Location> at = pool.f.store->Put(RecordKind::kBlock, pool.f.IdOf(8), Fixture::Block(9), nullptr);
  CHECK_OK(at.status());
  pool.Close();
  CHECK(pool.Check(Content::kSums).findings_total == 0);
  CHECK(pool.Check(Content::kHashes).findings_total == 1);
}

TEST("in a shadow nothing that is written, renamed or removed happens") {
  Fixture f;
  const std::string path = f.root + "/kept";
  const auto real = MakePosixEnv();
  const std::vector<uint8_t> content(4096, 7), other(4096, 9);
  {
    Result<std::unique_ptr<File>> file = real->Open(path, {.write = true, .create = true});
    CHECK_OK(file.status());
    CHECK_OK((*file)->Write(content, 0));
  }
  const auto shadow = MakeShadowEnv(*real);
  Result<std::unique_ptr<File>> file = shadow->Open(path, {.write = true});
  CHECK_OK(file.status());
  CHECK_OK((*file)->Write(other, 0));
  CHECK_OK((*file)->Truncate(0));
  CHECK_OK(shadow->Rename(path, path + "-moved"));
  CHECK_OK(shadow->Remove(path));
  CHECK_OK(shadow->Open(f.root + "/new", {.write = true, .create = true}).status());
  CHECK(!std::filesystem::exists(f.root + "/new") && !std::filesystem::exists(path + "-moved"));
  std::vector<uint8_t> got(4096);
  Result<std::unique_ptr<File>> again = real->Open(path, {});
  CHECK_OK(again.status());
  CHECK((*again)->Read(got, 0).ok() && got == content);
  Result<JournalSurvey> none = SurveyJournal(*real, f.root + "/journal", {});
  CHECK_OK(none.status());
  CHECK(!none->present && !std::filesystem::exists(f.root + "/journal"));
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
