#include "destage.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

namespace skerry {
namespace {

constexpr int kStaleRetriesMax = 3;
constexpr size_t kBatchBlocks = 16;
constexpr uint64_t kSpanBytesMax = 128 << 10;        // of the journal, read in one piece for one block
constexpr uint64_t kSpanPageBytesMax = 8 << 10;      // of it for each page that is wanted

/** Blocks that need a look: those with slots, and those a range of zeroes covers only in part. Whole ones become cuts. */
void Collect(const DestageGroup& group, uint64_t blocks_total, std::vector<BlockIndex>& touched, std::vector<MapCut>& cuts) {
  for (const FrozenGeneration& frozen : group.generations) {
    const std::vector<BlockIndex> blocks = frozen.generation->Blocks();
    touched.insert(touched.end(), blocks.begin(), blocks.end());
    for (const Generation::ZeroRange& range : frozen.generation->ZeroRanges()) {
      const PageIndex end = range.start + range.count;
      const BlockIndex first = (range.start + kPagesPerBlock - 1) / kPagesPerBlock, last = end / kPagesPerBlock;
      if (range.start % kPagesPerBlock != 0) touched.push_back(range.start / kPagesPerBlock);
      if (end % kPagesPerBlock != 0 && end / kPagesPerBlock < blocks_total) touched.push_back(end / kPagesPerBlock);
      if (first < last) cuts.push_back({first, last - first});
    }
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
}

/** The block's record where all sixteen pages are the cells of one record in order: it needs no copy and no hash. */
std::optional<Location> WholeRecord(const std::vector<PageSource>& sources) {
  const PageSlot& head = sources[0].base;
  for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
    const PageSource& source = sources[i];
    if (!source.done || !source.pieces.empty() || source.base.place.kind() != Place::Kind::kPack) return std::nullopt;
    if (source.base.place.pack() != head.place.pack() || source.base.place.cell() != head.place.cell() + i * kCellBytes) return std::nullopt;
  }
  return Location{head.place.pack(), head.place.cell() - uint32_t{sizeof(PackRecordHeader)}, 0};
}

/** Memory for one batch: its blocks, and a stretch of the journal. */
struct BatchMemory {
  AlignedBuffer blocks{kBatchBlocks * kBlockBytes};
  std::vector<uint8_t> span = std::vector<uint8_t>(kSpanBytesMax);
};

/** Memory of ended batches, for those that follow: fresh memory is dear. */
class Memories {
 public:
  std::unique_ptr<BatchMemory> Take() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return std::make_unique<BatchMemory>();
    std::unique_ptr<BatchMemory> memory = std::move(spare_.back());
    spare_.pop_back();
    return memory;
  }
  void Give(std::unique_ptr<BatchMemory> memory) {
    const std::lock_guard lock(mutex_);
    spare_.push_back(std::move(memory));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<BatchMemory>> spare_;
};

/** Blocks that go to the pool together, so that they lie together and cost few writes. */
class Batch {
 public:
  Batch(Journal& journal, Pool& pool, const DestageGroup& group, BatchMemory& memory)
      : journal_(journal), pool_(pool), group_(group), memory_(memory) {}

  /** Fills the slots of the changes, at most kBatchBlocks. */
  Status Run(std::span<MapChange> changes) {
    for (MapChange& change : changes) {
      if (Status status = Add(change); !status.ok()) return status;
    }
    if (Status status = pool_.packs->PutAll(puts_, true); !status.ok()) return status;
    for (size_t i = 0; i < puts_.size(); ++i) owners_[i]->slot = {puts_[i].id, puts_[i].at};
    return Status::Ok();
  }
  uint64_t bytes() const { return puts_.size() * kBlockBytes; }

 private:
  Status Add(MapChange& change) {
    const PageIndex first = change.block * kPagesPerBlock;
    std::vector<PageSource> sources(kPagesPerBlock);
    for (auto it = group_.generations.rbegin(); it != group_.generations.rend(); ++it) {
      for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
        if (!sources[i].done) AskLayer(*it->generation, first + i, sources[i]);
      }
    }
    if (const std::optional<Location> whole = WholeRecord(sources)) {
      Location at;
      Result<BlockId> id = pool_.packs->IdAt(*whole, &at);
      if (id.ok() && id->prefix() == sources[0].base.check) {
        change.slot = {*id, at};
        return Status::Ok();
      }
    }
    const Bytes block = memory_.blocks.bytes().subspan(puts_.size() * kBlockBytes, kBlockBytes);
    const ReadContext context{journal_, pool_, true, ReadSpan(sources)};
    Status status = Status::Ok();
    for (int attempt = 0; attempt < kStaleRetriesMax; ++attempt) {
      status = FetchPages(context, group_.base->root, first, sources, block, true);
      if (status.ok()) break;
    }
    if (!status.ok() || IsZero(block)) return status;
    puts_.push_back({RecordKind::kBlock, pool_.key->BlockIdOf(block), block, {}, false});
    owners_.push_back(&change);
    return Status::Ok();
  }

  /** Pages that were written one after the other lie close together in the journal: one read has them all. */
  JournalSpan ReadSpan(const std::vector<PageSource>& sources) {
    Lsn start = ~Lsn{0}, end = 0;
    size_t pages = 0;
    for (const PageSource& source : sources) {
      if (!source.done || source.base.place.kind() != Place::Kind::kJournal) continue;
      start = std::min(start, source.base.place.lsn());
      end = std::max(end, source.base.place.lsn() + kPageBytes);
      ++pages;
    }
    if (pages < 2 || end - start > kSpanBytesMax || end - start > pages * kSpanPageBytesMax) return {};
    const Bytes bytes(memory_.span.data(), end - start);
    // Where it fails, each page is read by itself and tells.
    if (!journal_.ReadOnce(start, bytes).ok()) return {};
    return {start, bytes};
  }

  Journal& journal_;
  Pool& pool_;
  const DestageGroup& group_;
  BatchMemory& memory_;
  std::vector<PackPut> puts_;
  std::vector<MapChange*> owners_;
};

/** Fills the slots of all changes, batches side by side; the first failure ends it. */
Status DestageBlocks(Journal& journal, Pool& pool, const DestageGroup& group, std::span<MapChange> changes, uint64_t& bytes) {
  const size_t parts = (changes.size() + kBatchBlocks - 1) / kBatchBlocks;
  Memories memories;
  std::mutex mutex;
  Status first;
  std::atomic<bool> failed{false};
  const auto part = [&](size_t number) {
    if (failed.load(std::memory_order_relaxed)) return;
    std::unique_ptr<BatchMemory> memory = memories.Take();
    Batch batch(journal, pool, group, *memory);
    const size_t at = number * kBatchBlocks;
    Status status = batch.Run(changes.subspan(at, std::min(kBatchBlocks, changes.size() - at)));
    memories.Give(std::move(memory));
    const std::lock_guard lock(mutex);
    bytes += batch.bytes();
    if (status.ok() || failed.exchange(true)) return;
    first = std::move(status);
  };
  if (pool.background != nullptr) {
    pool.background->Run(parts, part);
  } else {
    for (size_t number = 0; number < parts; ++number) part(number);
  }
  return first;
}

}  // namespace

Result<DestageResult> Destage(Journal& journal, Pool& pool, const DestageGroup& group, uint64_t size_bytes) {
  const uint64_t blocks_total = (size_bytes + kBlockBytes - 1) / kBlockBytes;
  std::vector<BlockIndex> touched;
  std::vector<MapCut> cuts;
  Collect(group, blocks_total, touched, cuts);
  // What a volume that shrank held past its end is cut by the trim that shrinking is.
  touched.erase(std::lower_bound(touched.begin(), touched.end(), blocks_total), touched.end());
  DestageResult result;
  std::vector<MapChange> changes;
  changes.reserve(touched.size());
  for (BlockIndex block : touched) changes.push_back({block, {}});
  if (Status status = DestageBlocks(journal, pool, group, changes, result.bytes); !status.ok()) return status;
  // A map never gets lower: one that was higher stays so.
  const uint8_t levels = std::max(LevelsFor(blocks_total), group.base->root.levels);
  Result<TreeRoot> root = pool.tree->Update(group.base->root, levels, cuts, changes);
  if (!root.ok()) return root.status();
  result.root = *root;
  result.blocks = touched.size();
  return result;
}

}  // namespace skerry
