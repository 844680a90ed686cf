// The pack store on real files: what is put is found, what is synced is kept, what is torn is skipped, what rots is told.
#include "../blocks/pack.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include "../blocks/cell.h"
#include "../blocks/pack_footer.h"
#include "../blocks/pack_handles.h"
#include "../blocks/pack_store_impl.h"
#include "check.h"

using namespace skerry;

namespace {

/** Faults that a test switches on, in pack files only. */
struct Faults {
  std::atomic<bool> fail_sync{false}, fail_write{false}, block_reads{false};
  std::atomic<uint64_t> allocate_bytes_max{UINT64_MAX};
  std::atomic<uint64_t> free_bytes{UINT64_MAX};  // UINT64_MAX: what the real one says
};

class FaultFile : public File {
 public:
  FaultFile(std::unique_ptr<File> file, Faults& faults) : file_(std::move(file)), faults_(faults) {}
  Result<size_t> Read(Bytes into, uint64_t offset) override { return file_->Read(into, offset); }
  Result<size_t> ReadNow(std::span<const Bytes> into, uint64_t offset) override {
    if (faults_.block_reads) return Status(Code::kTryAgain, {});
    return file_->ReadNow(into, offset);
  }
  Status Write(ConstBytes data, uint64_t offset) override {
    return faults_.fail_write ? Status(Code::kIo, "injected") : file_->Write(data, offset);
  }
  Status DataSync() override { return faults_.fail_sync ? Status(Code::kIo, "injected") : file_->DataSync(); }
  void ReadAhead(uint64_t offset, uint64_t bytes) override { file_->ReadAhead(offset, bytes); }
  Status Allocate(uint64_t bytes) override {
    return bytes > faults_.allocate_bytes_max ? Status(Code::kNoSpace, "injected") : file_->Allocate(bytes);
  }
  Status Truncate(uint64_t bytes) override { return file_->Truncate(bytes); }
  Result<uint64_t> Size() override { return file_->Size(); }

 private:
  std::unique_ptr<File> file_;
  Faults& faults_;
};

class FaultEnv : public Env {
 public:
  Faults faults;
  uint64_t NowNanos() override { return real_->NowNanos(); }
  uint64_t WallMillis() override { return real_->WallMillis(); }
  void Random(Bytes into) override { real_->Random(into); }
  std::string BootId() override { return real_->BootId(); }
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenOptions options) override {
    Result<std::unique_ptr<File>> file = real_->Open(path, options);
    if (!file.ok() || path.find("/packs/") == std::string::npos) return file;
    return std::unique_ptr<File>(std::make_unique<FaultFile>(std::move(*file), faults));
  }
  void ReadMany(std::span<FileRead> reads) override { real_->ReadMany(reads); }
  Status Rename(const std::string& from, const std::string& to) override { return real_->Rename(from, to); }
  Status Remove(const std::string& path) override { return real_->Remove(path); }
  Status MakeDirectory(const std::string& path) override { return real_->MakeDirectory(path); }
  Status SyncDirectory(const std::string& path) override { return real_->SyncDirectory(path); }
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override { return real_->List(path); }
  Result<uint64_t> FreeBytes(const std::string& path) override {
    if (faults.free_bytes != UINT64_MAX) return faults.free_bytes.load();
    return real_->FreeBytes(path);
  }
  Result<std::unique_ptr<SharedMemory>> MapShared(const std::string& name, size_t header, size_t ring) override {
    return real_->MapShared(name, header, ring);
  }
  Status RemoveShared(const std::string& name) override { return real_->RemoveShared(name); }
  std::unique_ptr<Env> real_ = MakePosixEnv();
};

/** A directory, an environment and a store in them, which may die and open again. */
struct Fixture {
  std::string root;
  FaultEnv env;
  PackStoreOptions options;
  PackReport report;
  std::unique_ptr<PackStore> store;
  DomainKey key{std::vector<uint8_t>(32, 42)};

  explicit Fixture(uint32_t pack_bytes = 1 << 20) {
    std::string name = (std::filesystem::temp_directory_path() / "skerry-pack-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw check::Failure{"mkdtemp failed"};
    root = name;
    options.directory = root + "/packs";
    options.checkpoint = root + "/index/checkpoint";
    options.pack_bytes = pack_bytes;
    options.reserve_bytes = 0;
    Open();
  }
  ~Fixture() {
    store.reset();
    std::filesystem::remove_all(root);
  }
  /** Kills the store, as a process dies: nothing is sealed. Opens it again. */
  void Open() {
    store.reset();
    report = {};
    Result<std::unique_ptr<PackStore>> opened = PackStore::Open(env, options, report);
    if (!opened.ok()) throw check::Failure{"open failed: " + opened.status().detail()};
    store = std::move(*opened);
  }
  static std::vector<uint8_t> Block(uint32_t n, size_t bytes = 64 << 10) {
    std::vector<uint8_t> block(bytes);
    for (size_t i = 0; i < bytes; i += 4) {
      const auto word = static_cast<uint32_t>(n * 2654435761u + i * 40503u + 1);
      std::memcpy(block.data() + i, &word, std::min<size_t>(4, bytes - i));
    }
    return block;
  }
  BlockId IdOf(uint32_t n) { return key.BlockIdOf(Block(n)); }
  Location Put(uint32_t n, bool* reused = nullptr) {
    Result<Location> at = store->Put(RecordKind::kBlock, IdOf(n), Block(n), reused);
    if (!at.ok()) throw check::Failure{"put failed: " + at.status().detail()};
    return *at;
  }
  bool Holds(uint32_t n, const Location& at) {
    std::vector<uint8_t> into(64 << 10);
    return store->ReadPages(at, IdOf(n), 0, 16, into, true).ok() && into == Block(n);
  }
  bool Finds(uint32_t n) { return store->Find(IdOf(n)) && Holds(n, *store->Find(IdOf(n))); }
  std::string Path(uint32_t pack, bool sealed) { return PackPath(options.directory, pack, sealed); }
  void Flip(const std::string& path, uint64_t offset) {
    OpenOptions how;
    how.write = true;
    Result<std::unique_ptr<File>> file = MakePosixEnv()->Open(path, how);
    uint8_t byte;
    if (!file.ok() || !(*file)->Read({&byte, 1}, offset).ok()) throw check::Failure{"no byte to flip"};
    byte ^= 1;
    CHECK_OK((*file)->Write({&byte, 1}, offset));
  }
};

}  // namespace

TEST("a record that was put is read back, page by page and whole") {
  Fixture f;
  const Location at = f.Put(1);
  const std::vector<uint8_t> block = f.Block(1);
  CHECK(f.store->Find(f.IdOf(1)) == at);
  std::vector<uint8_t> page(kPageBytes);
  // Records are written past the page cache: the first read waits for the device, and those after it do not.
  CHECK(f.store->ReadRecord(at, f.IdOf(1), true).value() == block);
  for (uint32_t i = 0; i < 16; ++i) {
    CHECK_OK(f.store->ReadCell(at.pack, CellOffset(at, i), CellSeed(f.IdOf(1), i), page, false));
    CHECK(std::equal(page.begin(), page.end(), block.begin() + i * kPageBytes));
  }
  std::vector<uint8_t> pages(3 * kPageBytes);
  CHECK_OK(f.store->ReadPages(at, f.IdOf(1), 5, 3, pages, false));
  CHECK(std::equal(pages.begin(), pages.end(), block.begin() + 5 * kPageBytes));
  CHECK(f.store->ReadRecord(at, f.IdOf(1), false).value() == block);
  CHECK(f.store->ReadRecord({}, f.IdOf(1), false).value() == block);
  CHECK(f.store->ReadRecord({at.pack, at.offset, 0}, f.IdOf(1), false).value() == block);
  Location full;
  CHECK(f.store->IdAt({at.pack, at.offset, 0}, &full).value() == f.IdOf(1));
  CHECK(full == at);
  CHECK(f.store->Verify(at, f.IdOf(1)) && !f.store->Verify(at, f.IdOf(2)));
}

TEST("a node of any length is read back") {
  Fixture f;
  for (const size_t bytes : {1, 511, 4095, 4096, 4097, 10000, 200001}) {
    const std::vector<uint8_t> node = f.Block(9, bytes);
    const BlockId id = f.key.NodeIdOf(node);
    const Result<Location> at = f.store->Put(RecordKind::kNode, id, node, nullptr);
    CHECK(at.ok() && f.store->ReadRecord(at.value(), id, true).value() == node);
    CHECK(f.store->Verify(at.value(), id));
  }
  CHECK(f.store->usage().nodes == 7 && f.store->usage().blocks == 0);
}

TEST("the same block twice is stored once") {
  Fixture f;
  bool reused = true;
  const Location first = f.Put(1, &reused);
  CHECK(!reused);
  CHECK(f.Put(1, &reused) == first && reused);
  CHECK(f.store->usage().put_records == 1 && f.store->usage().dedup_hits == 1 && f.store->usage().dedup_bytes == 64 << 10);
}

TEST("records put together lie together, and each is stored once") {
  Fixture f;
  f.Put(3);
  std::vector<std::vector<uint8_t>> blocks;
  for (const uint32_t n : {1, 2, 3, 1, 4}) blocks.push_back(f.Block(n));
  std::vector<PackPut> puts;
  for (const auto& block : blocks) puts.push_back({RecordKind::kBlock, f.key.BlockIdOf(block), block, {}, false});
  CHECK_OK(f.store->PutAll(puts));
  CHECK(!puts[0].reused && !puts[1].reused && puts[2].reused && puts[3].reused && !puts[4].reused);
  CHECK(puts[3].at == puts[0].at && puts[1].at.offset == puts[0].at.offset + puts[0].at.stored_bytes);
  CHECK(f.store->usage().put_records == 4 && f.store->usage().dedup_hits == 2);
  f.Open();
  for (const uint32_t n : {1, 2, 3, 4}) CHECK(f.Finds(n));
}

TEST("records that fit in no pack together are put one by one") {
  Fixture f(160 << 10);
  std::vector<std::vector<uint8_t>> blocks;
  for (uint32_t n = 0; n < 12; ++n) blocks.push_back(f.Block(n));
  std::vector<PackPut> puts;
  for (const auto& block : blocks) puts.push_back({RecordKind::kBlock, f.key.BlockIdOf(block), block, {}, false});
  CHECK_OK(f.store->PutAll(puts));
  for (uint32_t n = 0; n < 12; ++n) CHECK(f.Holds(n, puts[n].at));
}

TEST("two ids that begin alike are two records") {
  Fixture f;
  BlockId other = f.IdOf(1);
  other.bytes[31] ^= 1;
  const Location first = f.Put(1);
  bool reused = true;
  const Result<Location> second = f.store->Put(RecordKind::kBlock, other, f.Block(2), &reused);
  CHECK(second.ok() && !reused && second.value() != first);
  CHECK(f.store->Find(f.IdOf(1)) == first);
  CHECK(f.store->ReadRecord(second.value(), other, true).value() == f.Block(2));
  CHECK(f.store->ReadRecord(first, other, true).code() == Code::kNotFound);
}

TEST("a cell passes only for its own block and page") {
  Fixture f;
  const Location at = f.Put(1);
  std::vector<uint8_t> page(kPageBytes);
  CHECK(f.store->ReadCell(at.pack, CellOffset(at, 2), CellSeed(f.IdOf(1), 3), page, true).code() == Code::kCorrupt);
  CHECK(f.store->ReadCell(at.pack, CellOffset(at, 3), CellSeed(f.IdOf(2), 3), page, true).code() == Code::kCorrupt);
}

TEST("full packs are sealed by the next sync, and hold what was put") {
  Fixture f;
  std::vector<Location> at(100);
  for (uint32_t n = 0; n < 100; ++n) at[n] = f.Put(n);
  CHECK(at.back().pack > 5 && f.store->unsynced());
  CHECK_OK(f.store->Sync());
  CHECK(!f.store->unsynced());
  CHECK(std::filesystem::exists(f.Path(1, true)) && std::filesystem::exists(f.Path(at.back().pack, false)));
  CHECK(std::filesystem::file_size(f.Path(1, true)) <= f.options.pack_bytes);
  for (uint32_t n = 0; n < 100; ++n) CHECK(f.Holds(n, at[n]));
  CHECK_OK(f.store->Seal());
  f.Open();
  CHECK(f.report.recovered_open == 0 && f.report.records == 100 && f.report.notes.empty());
  for (uint32_t n = 0; n < 100; ++n) CHECK(f.Finds(n) && f.store->Find(f.IdOf(n)) == at[n]);
}

TEST("what was put survives the process without a sync") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 40; ++n) at.push_back(f.Put(n));
  f.Open();
  CHECK(f.report.recovered_open > 0 && f.report.records == 40);
  for (uint32_t n = 0; n < 40; ++n) {
    CHECK(f.store->Find(f.IdOf(n)) == at[n] && f.Holds(n, at[n]) && f.store->Verify(at[n], f.IdOf(n)));
    CHECK(!f.store->Verify(at[n], f.IdOf(n + 1)));
  }
  f.Open();  // recovering twice is recovering once
  CHECK(f.report.recovered_open == 0 && f.report.records == 40 && f.report.notes.empty());
}

TEST("a new process never gives out a pack number again") {
  Fixture f;
  uint32_t last = 0;
  for (uint32_t n = 0; n < 5; ++n) {
    const Location at = f.Put(n);
    CHECK(at.pack > last);
    last = at.pack;
    if (n == 2) CHECK_OK(f.store->Checkpoint(true));
    f.Open();
  }
  // An open pack that holds nothing whole keeps its number, until a later one has it.
  std::filesystem::resize_file(f.Path(last, true), 0);
  std::filesystem::rename(f.Path(last, true), f.Path(last, false));
  f.Open();
  const Location at = f.Put(100);
  CHECK(at.pack == last + 1);
  // A checkpoint remembers numbers whose packs are gone.
  CHECK_OK(f.store->Seal());
  CHECK_OK(f.store->Checkpoint(true));
  f.store.reset();
  std::filesystem::remove(f.Path(at.pack, true));
  f.Open();
  CHECK(f.Put(101).pack == at.pack + 1);
}

TEST("a record of an open pack with a page that fails keeps its other pages, its neighbours, and the word of its damage") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 6; ++n) at.push_back(f.Put(n));
  f.store.reset();
  f.Flip(f.Path(at[1].pack, false), CellOffset(at[1], 7) + 100);  // a cell
  f.Flip(f.Path(at[3].pack, false), at[3].offset + 40);           // a header
  f.Flip(f.Path(at[5].pack, false), CellOffset(at[5], 15) + 10);  // the last one
  f.Open();
  CHECK(f.report.records == 5 && f.report.notes.size() == 1);
  for (uint32_t n = 0; n < 6; ++n) CHECK(f.Finds(n) == (n % 2 == 0) && f.store->Verify(at[n], f.IdOf(n)) == (n % 2 == 0));
  std::vector<uint8_t> page(kPageBytes);
  for (const uint32_t n : {1u, 5u}) {
    const uint32_t bad = n == 1 ? 7 : 15;
    for (uint32_t i = 0; i < 16; ++i) {
      CHECK(f.store->ReadPages(*f.store->Find(f.IdOf(n)), f.IdOf(n), i, 1, page, true).code() == (i == bad ? Code::kCorrupt : Code::kOk));
    }
  }
}

TEST("only what was durable before is counted as rot: a torn record is no alarm") {
  Fixture f;
  std::vector<Location> at;
  for (uint32_t n = 0; n < 3; ++n) at.push_back(f.Put(n));
  f.store.reset();
  for (const uint32_t n : {1u, 2u}) f.Flip(f.Path(at[n].pack, false), CellOffset(at[n], 7) + 100);
  f.Open();
  CHECK(f.store->usage().corrupt_cells == 0);
  CHECK(f.store->RottenPages(at[0], f.IdOf(0)) == 0 && f.store->RottenPages(at[1], f.IdOf(2)) == 0);
  CHECK(f.store->RottenPages(at[1], f.IdOf(1)) == 1 && f.store->usage().corrupt_cells == 1);
  CHECK(f.store->RottenPages(at[1], f.IdOf(1)) == 0 && f.store->usage().corrupt_cells == 1);  // told once
}

TEST("new data is never given up for a record known to be damaged, in this life or a later one") {
  for (const bool checkpoint : {false, true}) {
    Fixture f;
    const Location at = f.Put(1);
    f.Put(2);
    f.store.reset();
    f.Flip(f.Path(at.pack, false), CellOffset(at, 7) + 100);
    for (int life = 0; life < 3; ++life) {
      f.Open();
      if (checkpoint) CHECK_OK(f.store->Checkpoint(true));
      CHECK(f.store->Find(f.IdOf(1)) == at);
    }
    bool reused = true;
    const Location fresh = f.Put(1, &reused);
    CHECK(!reused && fresh.pack != at.pack && f.Finds(1));
    CHECK_OK(f.store->Sync());
    for (int life = 0; life < 3; ++life) {
      f.Open();
      if (checkpoint) CHECK_OK(f.store->Checkpoint(true));
      CHECK(f.store->Find(f.IdOf(1)) == fresh && f.Finds(1));
    }
  }
}

TEST("records in the payload of a record are not taken for records") {
  Fixture f;
  const Location outer_at{1, kWriteAlignBytes, 0};
  // What a guest would write to forge a record: a whole one, made for the very place where it will lie.
  std::vector<uint8_t> outer(64 << 10);
  const uint32_t inner_offset = outer_at.offset + 4 * kPackAlignBytes;
  const BlockId forged_id = f.IdOf(77);
  const std::vector<uint8_t> forged = f.Block(77, 1000);
  std::vector<uint8_t> record(RecordStoredBytes(1000));
  FillCells(record, forged_id, forged);
  PackRecordHeader header{kPackRecordMagic, kPackVersion, RecordKind::kBlock, Codec::kRaw, HashAlgorithm::kHmacSha256, 1, 1000, 1,
                          static_cast<uint32_t>(record.size()), 0, {}, 1, {}, 0};
  std::memcpy(header.id, forged_id.bytes.data(), 32);
  FillHeader(record, header, inner_offset);
  std::copy(record.begin(), record.end(), outer.begin() + (inner_offset - CellOffset(outer_at, 0)));
  CHECK(f.store->Put(RecordKind::kBlock, f.key.BlockIdOf(outer), outer, nullptr).value().offset == outer_at.offset);
  f.store.reset();
  f.Flip(f.Path(1, false), CellOffset(outer_at, 9));  // damaged: its other pages hold, the forged record's among them
  f.Open();
  CHECK(f.report.records == 1 && !f.store->Find(forged_id));
}

TEST("one flipped bit in a sealed pack costs its page and no other") {
  Fixture f;
  const Location at = f.Put(1);
  CHECK_OK(f.store->Seal());
  f.Flip(f.Path(at.pack, true), CellOffset(at, 4) + 1234);
  std::vector<uint8_t> page(kPageBytes);
  for (uint32_t i = 0; i < 16; ++i) {
    CHECK(f.store->ReadPages(at, f.IdOf(1), i, 1, page, true).code() == (i == 4 ? Code::kCorrupt : Code::kOk));
    const Status now = f.store->ReadCell(at.pack, CellOffset(at, i), CellSeed(f.IdOf(1), i), page, false);
    CHECK(now.code() == (i == 4 ? Code::kTryAgain : Code::kOk));
  }
  CHECK(f.store->usage().corrupt_cells == 1);
  CHECK(f.store->ReadRecord(at, f.IdOf(1), true).code() == Code::kCorrupt);
  CHECK(!f.store->Verify(at, f.IdOf(1)));
  // Good bytes that come again are not given up for the rotten ones.
  bool reused = true;
  const Location fresh = f.Put(1, &reused);
  CHECK(!reused && fresh != at && f.Finds(1) && f.store->Find(f.IdOf(1)) == fresh);
}

TEST("a damaged footer is replaced by reading the records") {
  for (const uint64_t from_end : {10, 60, 100}) {
    Fixture f;
    for (uint32_t n = 0; n < 5; ++n) f.Put(n);
    CHECK_OK(f.store->Seal());
    f.store.reset();
    f.Flip(f.Path(1, true), std::filesystem::file_size(f.Path(1, true)) - from_end);
    f.Open();
    CHECK(!f.report.notes.empty() && f.report.records == 5);
    for (uint32_t n = 0; n < 5; ++n) CHECK(f.Finds(n));
  }
}

TEST("a checkpoint spares the footers, and a bad one is ignored") {
  Fixture f;
  for (uint32_t n = 0; n < 40; ++n) f.Put(n);
  CHECK_OK(f.store->Seal());
  CHECK_OK(f.store->Checkpoint(true));
  for (uint32_t n = 40; n < 60; ++n) f.Put(n);
  f.Open();
  CHECK(f.report.index_from_checkpoint && f.report.records == 60);
  for (uint32_t n = 0; n < 60; ++n) CHECK(f.Finds(n));
  for (const uint64_t offset : {0, 8, 70, 300, -1}) {
    const uint64_t size = std::filesystem::file_size(f.options.checkpoint);
    CHECK_OK(f.store->Checkpoint(true));
    f.Flip(f.options.checkpoint, offset == uint64_t(-1) ? size - 1 : offset);
    f.Open();
    CHECK(!f.report.index_from_checkpoint && f.report.notes.size() == 1 && f.report.records == 60);
    for (uint32_t n = 0; n < 60; ++n) CHECK(f.Finds(n));
  }
  CHECK_OK(f.store->Checkpoint(true));
  f.store.reset();
  std::filesystem::remove(f.Path(1, true));
  f.Open();
  CHECK(f.report.index_from_checkpoint && !f.store->Find(f.IdOf(0)) && f.Finds(59));
}

TEST("a failed sync is final: it drops what was not synced, and no later sync hides it") {
  Fixture f;
  const Location kept = f.Put(1);
  CHECK_OK(f.store->Sync());
  const Location lost = f.Put(2);
  f.env.faults.fail_sync = true;
  CHECK(f.store->Sync().code() == Code::kIo);
  f.env.faults.fail_sync = false;
  CHECK(f.store->Find(f.IdOf(1)) == kept && !f.store->Find(f.IdOf(2)));
  bool reused = true;
  const Location again = f.Put(2, &reused);
  CHECK(!reused && again.pack != lost.pack && f.Finds(2));
  CHECK(f.store->Sync().code() == Code::kIo);
  f.Open();
  CHECK(f.Finds(1) && f.Finds(2));
  CHECK_OK(f.store->Sync());
}

TEST("a failed write fails its put and nothing else") {
  Fixture f;
  f.Put(1);
  f.env.faults.fail_write = true;
  CHECK(f.store->Put(RecordKind::kBlock, f.IdOf(2), f.Block(2), nullptr).code() == Code::kIo);
  f.env.faults.fail_write = false;
  CHECK(!f.store->Find(f.IdOf(2)));
  f.Put(3);
  CHECK_OK(f.store->Sync());
  f.Open();
  CHECK(f.Finds(1) && f.Finds(3) && !f.store->Find(f.IdOf(2)));
}

TEST("the reserve is for nodes and urgent records; a full disk refuses blocks and forgives once there is room") {
  Fixture f;
  f.options.reserve_bytes = 64 << 20;
  f.Open();
  f.env.faults.free_bytes = 64 << 20;
  const std::vector<uint8_t> node = f.Block(5, 5000);
  const auto put = [&](uint32_t n, bool urgent) { return f.store->Put(RecordKind::kBlock, f.IdOf(n), f.Block(n), nullptr, urgent).code(); };
  CHECK(put(1, false) == Code::kNoSpace && put(1, true) == Code::kOk);
  f.env.faults.free_bytes = 63 << 20;
  CHECK(f.store->Put(RecordKind::kNode, f.key.NodeIdOf(node), node, nullptr).ok());
  CHECK(put(2, false) == Code::kNoSpace);
  CHECK(put(1, false) == Code::kOk);  // known already
  f.env.faults.free_bytes = 640 << 20;
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  CHECK(put(2, false) == Code::kOk);
  // No room for a whole pack: an urgent record makes a small one, another is refused and leaves no file behind.
  CHECK_OK(f.store->Seal());
  f.env.faults.allocate_bytes_max = 300 << 10;
  CHECK(put(3, false) == Code::kNoSpace);
  CHECK(put(3, true) == Code::kOk && f.Finds(3));
  f.env.faults.allocate_bytes_max = 1;
  CHECK_OK(f.store->Seal());
  CHECK(put(4, true) == Code::kNoSpace);
  f.Open();
  CHECK(f.Finds(1) && f.Finds(2) && f.Finds(3) && !f.store->Find(f.IdOf(4)) && f.report.recovered_open == 0);
}

TEST("a read that would wait says so, and a pack that is gone is not found") {
  Fixture f;
  const Location at = f.Put(1);
  std::vector<uint8_t> page(kPageBytes);
  f.env.faults.block_reads = true;
  CHECK(f.store->ReadPages(at, f.IdOf(1), 0, 1, page, false).code() == Code::kTryAgain);
  CHECK(f.store->ReadRecord(at, f.IdOf(1), false).code() == Code::kTryAgain);
  CHECK(f.Holds(1, at));
  CHECK(f.store->ReadRecord(at, f.IdOf(1), true).value() == f.Block(1));
  CHECK(f.store->ReadCell(999, CellOffset(at, 0), 0, page, true).code() == Code::kNotFound);
  CHECK(f.store->ReadRecord({}, f.IdOf(2), true).code() == Code::kNotFound);
}

TEST("what cannot be a record or a pack size is refused") {
  Fixture f;
  const std::vector<uint8_t> big(kRecordRawBytesMax + 1);
  const auto put = [&](RecordKind kind, const BlockId& id, ConstBytes raw) { return f.store->Put(kind, id, raw, nullptr).code(); };
  CHECK(put(RecordKind::kBlock, f.IdOf(1), big) == Code::kInvalid);
  CHECK(put(RecordKind::kBlock, f.IdOf(1), {}) == Code::kInvalid);
  CHECK(put(RecordKind::kBlock, {}, f.Block(1)) == Code::kInvalid);
  CHECK(put(RecordKind::kPaged, f.IdOf(1), f.Block(1)) == Code::kInvalid);
  CHECK(put(RecordKind::kNode, f.IdOf(1), f.Block(1, 1 << 20)) == Code::kInvalid);
  for (const uint32_t bytes : {0u, 4096u, (1u << 20) + 1, 128u << 20}) {
    PackStoreOptions options = f.options;
    options.pack_bytes = bytes;
    PackReport report;
    CHECK(PackStore::Open(f.env, options, report).code() == Code::kInvalid);
  }
}

TEST("many threads put, read and sync at once, and a sync covers every put before it") {
  Fixture f;
  constexpr uint32_t kThreads = 4, kEach = 60;
  std::vector<Location> at(kThreads * kEach);
  std::vector<std::thread> threads;
  std::atomic<uint32_t> failures{0}, done{0};
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < kEach; ++i) {
        const uint32_t n = t * kEach + i;
        // Every third block is one that all threads put.
        const uint32_t content = i % 3 == 0 ? 100000 + i : n;
        const Result<Location> put = f.store->Put(RecordKind::kBlock, f.IdOf(content), f.Block(content), nullptr);
        if (!put.ok() || !f.Holds(content, put.value())) ++failures;
        if (put.ok()) at[n] = put.value();
        if (i % 16 == 5 && !f.store->Sync().ok()) ++failures;
        if (i % 20 == 7 && !f.store->Checkpoint(i % 40 == 7).ok()) ++failures;
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      (void)f.store->usage();
      if (!f.store->Sync().ok()) ++failures;
      if (!f.store->Seal().ok()) ++failures;
    }
  });
  for (uint32_t t = 0; t < kThreads; ++t) threads[t].join();
  done = 1;
  threads.back().join();
  CHECK(failures == 0);
  CHECK_OK(f.store->Sync());
  f.Open();
  for (uint32_t n = 0; n < at.size(); ++n) CHECK(f.Holds(n % kEach % 3 == 0 ? 100000 + n % kEach : n, at[n]));
}

TEST("a sync that fails among many threads is heard by each that put before it") {
  Fixture f;
  std::atomic<int> heard{0}, unheard{0};
  std::vector<std::thread> threads;
  f.env.faults.fail_sync = true;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 10; ++i) {
        (void)f.store->Put(RecordKind::kBlock, f.IdOf(t * 10 + i), f.Block(t * 10 + i), nullptr).ok();
        ++(f.store->Sync().ok() ? unheard : heard);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(heard == 40 && unheard == 0);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
