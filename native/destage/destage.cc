#include "destage.h"

#include <algorithm>
#include <optional>

namespace skerry {
namespace {

constexpr int kStaleRetriesMax = 3;

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

Result<MapSlot> DestageBlock(Journal& journal, Pool& pool, const DestageGroup& group, BlockIndex block, Bytes buffer, uint64_t& bytes) {
  std::vector<PageSource> sources(kPagesPerBlock);
  for (auto it = group.generations.rbegin(); it != group.generations.rend(); ++it) {
    for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
      if (!sources[i].done) AskLayer(*it->generation, block * kPagesPerBlock + i, sources[i]);
    }
  }
  if (const std::optional<Location> whole = WholeRecord(sources)) {
    Location at;
    Result<BlockId> id = pool.packs->IdAt(*whole, &at);
    if (id.ok() && id->prefix() == sources[0].base.check) return MapSlot{*id, at};
  }
  Status status = Status::Ok();
  for (int attempt = 0; attempt < kStaleRetriesMax; ++attempt) {
    status = FetchPages({journal, pool}, group.base->root, block * kPagesPerBlock, sources, buffer, true);
    if (status.ok()) break;
  }
  if (!status.ok()) return status;
  if (IsZero(buffer)) return MapSlot{};
  const BlockId id = pool.key->BlockIdOf(buffer);
  Result<Location> put = pool.packs->Put(RecordKind::kBlock, id, buffer, nullptr, true);
  if (!put.ok()) return put.status();
  bytes += buffer.size();
  return MapSlot{id, *put};
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
  AlignedBuffer buffer(kBlockBytes);
  for (BlockIndex block : touched) {
    Result<MapSlot> slot = DestageBlock(journal, pool, group, block, buffer.bytes(), result.bytes);
    if (!slot.ok()) return slot.status();
    changes.push_back({block, *slot});
  }
  Result<TreeRoot> root = pool.tree->Update(group.base->root, LevelsFor(blocks_total), cuts, changes);
  if (!root.ok()) return root.status();
  result.root = *root;
  result.blocks = touched.size();
  return result;
}

}  // namespace skerry
