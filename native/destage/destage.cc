#include "destage.h"

#include <algorithm>
#include <optional>

namespace skerry {
namespace {

constexpr int kStaleRetriesMax = 3;
constexpr size_t kBatchBlocks = 16;

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

/** Blocks on their way to the pool: put together, so that they lie together and cost few writes. */
class Batch {
 public:
  Batch(Pool& pool, std::vector<MapChange>& changes) : pool_(pool), changes_(changes), memory_(kBatchBlocks * kBlockBytes) {}

  /** Where the next block's bytes go. */
  Bytes room() { return memory_.bytes().subspan(puts_.size() * kBlockBytes, kBlockBytes); }

  /** Takes the block in room(), whose slot changes_[change] is filled once it is put. */
  Status Add(size_t change) {
    const Bytes block = room();
    puts_.push_back({RecordKind::kBlock, pool_.key->BlockIdOf(block), block, {}, false});
    targets_.push_back(change);
    bytes_ += block.size();
    return puts_.size() == kBatchBlocks ? Put() : Status::Ok();
  }

  Status Put() {
    if (Status status = pool_.packs->PutAll(puts_, true); !status.ok()) return status;
    for (size_t i = 0; i < puts_.size(); ++i) changes_[targets_[i]].slot = {puts_[i].id, puts_[i].at};
    puts_.clear();
    targets_.clear();
    return Status::Ok();
  }

  uint64_t bytes() const { return bytes_; }

 private:
  Pool& pool_;
  std::vector<MapChange>& changes_;
  AlignedBuffer memory_;
  std::vector<PackPut> puts_;
  std::vector<size_t> targets_;
  uint64_t bytes_ = 0;
};

Status DestageBlock(Journal& journal, Pool& pool, const DestageGroup& group, MapChange& change, size_t index, Batch& batch) {
  std::vector<PageSource> sources(kPagesPerBlock);
  for (auto it = group.generations.rbegin(); it != group.generations.rend(); ++it) {
    for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
      if (!sources[i].done) AskLayer(*it->generation, change.block * kPagesPerBlock + i, sources[i]);
    }
  }
  if (const std::optional<Location> whole = WholeRecord(sources)) {
    Location at;
    Result<BlockId> id = pool.packs->IdAt(*whole, &at);
    if (id.ok() && id->prefix() == sources[0].base.check) {
      change.slot = {*id, at};
      return Status::Ok();
    }
  }
  Status status = Status::Ok();
  for (int attempt = 0; attempt < kStaleRetriesMax; ++attempt) {
    status = FetchPages({journal, pool}, group.base->root, change.block * kPagesPerBlock, sources, batch.room(), true);
    if (status.ok()) break;
  }
  if (!status.ok()) return status;
  return IsZero(batch.room()) ? Status::Ok() : batch.Add(index);
}

}  // namespace

Result<DestageResult> Destage(Journal& journal, Pool& pool, const DestageGroup& group, uint64_t size_bytes) {
  const uint64_t blocks_total = (size_bytes + kBlockBytes - 1) / kBlockBytes;
  std::vector<BlockIndex> touched;
  std::vector<MapCut> cuts;
  Collect(group, blocks_total, touched, cuts);
  DestageResult result;
  std::vector<MapChange> changes;
  changes.reserve(touched.size());
  for (BlockIndex block : touched) changes.push_back({block, {}});
  Batch batch(pool, changes);
  for (size_t i = 0; i < changes.size(); ++i) {
    if (Status status = DestageBlock(journal, pool, group, changes[i], i, batch); !status.ok()) return status;
  }
  if (Status status = batch.Put(); !status.ok()) return status;
  result.bytes = batch.bytes();
  Result<TreeRoot> root = pool.tree->Update(group.base->root, LevelsFor(blocks_total), cuts, changes);
  if (!root.ok()) return root.status();
  result.root = *root;
  result.blocks = touched.size();
  return result;
}

}  // namespace skerry
