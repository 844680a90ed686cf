#include "destage.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>

#include "../env/mutants.h"

namespace skerry {
namespace {

constexpr int kStaleRetriesMax = 3;
constexpr size_t kBatchBlocks = 16;
constexpr uint64_t kJournalBytesMax = 2560 << 10;    // read ahead for one batch: 256 pages, each in two sectors, and some
constexpr uint64_t kStretchBytesMax = 256 << 10;     // of the journal, read in one piece
constexpr uint64_t kGapBytesMax = 16 << 10;          // read through rather than around
constexpr uint64_t kLostPageTag = 0x65676170'74736f6c; // "lostpage"

/** Blocks that need a look: those with slots, and those a range of zeroes covers only in part. Whole ones become cuts. */
void Collect(const DestageGroup& group, uint64_t blocks_total, std::vector<BlockIndex>& touched, std::vector<MapCut>& cuts) {
  for (const FrozenGeneration& frozen : group.generations) {
    const std::vector<BlockIndex> blocks = frozen.generation->Blocks();
    touched.insert(touched.end(), blocks.begin(), blocks.end());
    for (const Generation::ZeroRange& range : frozen.generation->ZeroRanges()) {
      const PageIndex end = range.start + range.count;
      const BlockIndex first = (range.start + kPagesPerBlock - 1) / kPagesPerBlock, last = end / kPagesPerBlock;
      const bool edges = !IsMutant(Mutant::kEdgeIgnored);
      if (edges && range.start % kPagesPerBlock != 0) touched.push_back(range.start / kPagesPerBlock);
      if (edges && end % kPagesPerBlock != 0 && end / kPagesPerBlock < blocks_total) touched.push_back(end / kPagesPerBlock);
      if (first < last && !IsMutant(Mutant::kCutIgnored)) cuts.push_back({first, last - first});
    }
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
}

/** The block's record where all sixteen pages are the pages of one record in order: it needs no copy and no hash. */
std::optional<Location> WholeRecord(const std::vector<PageSource>& sources) {
  const PageSlot& head = sources[0].base;
  for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
    const PageSource& source = sources[i];
    if (!source.done || !source.pieces.empty() || source.base.place.kind() != Place::Kind::kPack) return std::nullopt;
    if (source.base.place.pack() != head.place.pack() || source.base.place.cell() != head.place.cell() + i * CellStep(head.place.cell())) return std::nullopt;
  }
  const std::optional<PageOfRecord> first = PageAt(head.place.pack(), head.place.cell());
  return first && first->page == 0 ? std::optional(first->at) : std::nullopt;
}

/** Memory for one batch: its blocks, and what is read of the journal for them. */
struct BatchMemory {
  AlignedBuffer blocks{kBatchBlocks * kBlockBytes};
  AlignedBuffer journal{kJournalBytesMax};
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
      : journal_(journal), pool_(pool), group_(group), memory_(memory), key_(pool.KeyOf(group.domain)) {}

  /** Fills the slots of the changes, at most kBatchBlocks. */
  Status Run(std::span<MapChange> changes) {
    for (MapChange& change : changes) Ask(change);
    if (pool_.packs->remote()) FetchAhead();
    ReadAhead();
    for (Wanted& wanted : wanted_) {
      if (Status status = Make(wanted); !status.ok()) return status;
    }
    if (Status status = pool_.packs->PutAll(puts_, true); !status.ok()) return status;
    for (size_t i = 0; i < puts_.size(); ++i) owners_[i]->slot = {puts_[i].id, puts_[i].at};
    return Status::Ok();
  }
  std::span<const PageIndex> lost() const { return lost_; }
  uint64_t bytes() const { return puts_.size() * kBlockBytes; }

 private:
  /** A block that is to be made of pages from several places. */
  struct Wanted {
    MapChange* change;
    std::vector<PageSource> sources;
  };

  void Ask(MapChange& change) {
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
        return;
      }
    }
    wanted_.push_back({&change, std::move(sources)});
  }

  /** Asks for the old content of blocks that is on a backend, all at once. What cannot be told here is told, and heard, when it is read. */
  void FetchAhead() {
    std::vector<Location> places;
    for (const Wanted& wanted : wanted_) {
      if (std::all_of(wanted.sources.begin(), wanted.sources.end(), [](const PageSource& source) { return source.done; })) continue;
      const Result<MapSlot> slot = pool_.tree->Lookup(group_.base->root, wanted.change->block, true);
      if (slot.ok() && !slot->hole()) places.push_back(slot->at);
    }
    pool_.packs->FetchAhead(places);
  }

  /** Reads what the blocks want of the journal, all at once; places that lie close together in one piece. */
  void ReadAhead() {
    std::vector<std::pair<Lsn, Lsn>> places;   // whole sectors: start, end
    const auto want = [&](const PageSlot& slot, uint64_t bytes) {
      if (slot.place.kind() != Place::Kind::kJournal) return;
      const Lsn start = slot.place.lsn() / kSectorBytes * kSectorBytes;
      places.emplace_back(start, (slot.place.lsn() + bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes);
    };
    for (const Wanted& wanted : wanted_) {
      for (const PageSource& source : wanted.sources) {
        if (source.done) want(source.base, kPageBytes);
        for (const PageSource::Piece& piece : source.pieces) want(piece.piece.slot, piece.piece.length);
      }
    }
    std::sort(places.begin(), places.end());
    uint64_t used = 0;
    for (size_t i = 0, next; i < places.size(); i = next) {
      Lsn end = places[i].second;
      for (next = i + 1; next < places.size() && places[next].first <= end + kGapBytesMax && places[next].second - places[i].first <= kStretchBytesMax; ++next) {
        end = std::max(end, places[next].second);
      }
      const uint64_t bytes = end - places[i].first;
      if (used + bytes > kJournalBytesMax) break;   // the rest is read page by page
      ahead_.push_back({places[i].first, memory_.journal.bytes().subspan(used, bytes), false});
      used += bytes;
    }
    journal_.ReadMany(ahead_);
  }

  Status Make(Wanted& wanted) {
    const Bytes block = memory_.blocks.bytes().subspan(puts_.size() * kBlockBytes, kBlockBytes);
    const ReadContext context{journal_, pool_, ahead_};
    Status status = Status::Ok();
    for (int attempt = 0; attempt < kStaleRetriesMax; ++attempt) {
      status = FetchPages(context, group_.base->root, wanted.change->block * kPagesPerBlock, wanted.sources, block, true);
      if (status.ok()) break;
    }
    uint32_t lost = 0;
    if (status.code() == Code::kCorrupt) {
      const PageIndex first = wanted.change->block * kPagesPerBlock;
      status = FetchWhatHolds(context, group_.base->root, first, wanted.sources, block, lost);
      if (status.ok()) FillLost(first, lost, block);
    }
    if (!status.ok() || IsZero(block)) return status;
    puts_.push_back({RecordKind::kBlock, key_.BlockIdOf(block), block, {}, false, lost, group_.compression, group_.domain});
    owners_.push_back(wanted.change);
    return Status::Ok();
  }

  /**
   * What stands for a lost page belongs to this page of this root alone, so that its block is never that of others; and it is the
   * same when a destage is repeated. It is keyed: nobody can write it.
   */
  void FillLost(PageIndex first, uint32_t lost, Bytes block) {
    for (uint32_t i = 0; i < kPagesPerBlock; ++i) {
      if ((lost >> i & 1) == 0) continue;
      const uint64_t resource = group_.generations.back().generation->resource;
      const uint64_t name[] = {kLostPageTag, resource, group_.lineage, group_.applied_sequence, first + i};
      const BlockId filler = pool_.key->Mac({reinterpret_cast<const uint8_t*>(name), sizeof(name)});
      for (size_t at = 0; at < kPageBytes; at += filler.bytes.size()) {
        std::memcpy(block.data() + i * kPageBytes + at, filler.bytes.data(), filler.bytes.size());
      }
      lost_.push_back(first + i);
    }
  }

  Journal& journal_;
  Pool& pool_;
  const DestageGroup& group_;
  BatchMemory& memory_;
  const DomainKey key_;
  std::vector<Wanted> wanted_;
  std::vector<JournalStretch> ahead_;   // by place
  std::vector<PageIndex> lost_;
  std::vector<PackPut> puts_;
  std::vector<MapChange*> owners_;
};

/** Fills the slots of all changes, batches side by side; the first failure ends it. */
Status DestageBlocks(Journal& journal, Pool& pool, const DestageGroup& group, std::span<MapChange> changes, DestageResult& result) {
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
    result.bytes += batch.bytes();
    result.lost.insert(result.lost.end(), batch.lost().begin(), batch.lost().end());
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
  if (Status status = DestageBlocks(journal, pool, group, changes, result); !status.ok()) return status;
  std::sort(result.lost.begin(), result.lost.end());
  // A map never gets lower: one that was higher stays so.
  const uint8_t levels = std::max(LevelsFor(blocks_total), group.base->root.levels);
  Result<TreeRoot> root = pool.tree->Update(group.base->root, levels, cuts, changes);
  if (!root.ok()) return root.status();
  result.root = *root;
  result.blocks = touched.size();
  return result;
}

}  // namespace skerry
