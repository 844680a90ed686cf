// Large writes: their whole blocks go to packs at once and only references are journalled, so that nothing is written
// twice, and a flush covers both. Staging takes long and nothing waits for it; publishing is short. A volume that is held, on its
// way to another pool, journals the bytes all the same: nothing may name packs of the pool that it is about to leave. So does one that
// flushes to its pool: its log has to hold the bytes, for packs that are open on this host are nothing to another.
#include <algorithm>
#include <cstring>

#include "../env/mutants.h"
#include "live_volume.h"
#include "pool.h"

namespace skerry {
namespace {

constexpr uint32_t kRefBlocksMax = 256;   // places in one kRef record
constexpr size_t kPartBlocks = 8;         // of a large write, hashed and written by one thread
constexpr uint64_t kPieceBytes = 32 << 10;   // of whole blocks that are journalled, in one record
static_assert(kBlockBytes % kPieceBytes == 0);

/** The whole blocks in a range of bytes. */
struct WholeBlocks {
  uint64_t from, to;   // bytes; nothing where from >= to
};

WholeBlocks WholeBlocksOf(uint64_t offset, uint64_t length) {
  return {(offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes, (offset + length) / kBlockBytes * kBlockBytes};
}

/** Finds zeroes, hashes, compresses, and puts what is left in the pool. */
Status PutBlocks(Pool& pool, uint64_t domain, const Compression& how, ConstBytes data, std::span<WrittenBlock> blocks) {
  const DomainKey key = pool.KeyOf(domain);
  std::vector<PackPut> puts;
  std::vector<WrittenBlock*> owners;
  puts.reserve(blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    const ConstBytes block = data.subspan(i * kBlockBytes, kBlockBytes);
    blocks[i].zero = IsZero(block);
    if (blocks[i].zero) continue;
    puts.push_back({RecordKind::kBlock, key.BlockIdOf(block), block, {}, false, 0, how, domain});
    owners.push_back(&blocks[i]);
  }
  if (Status status = pool.packs->PutAll(puts); !status.ok()) return status;
  for (size_t i = 0; i < puts.size(); ++i) {
    RefPlace& place = owners[i]->place;
    std::memcpy(place.id, puts[i].id.bytes.data(), sizeof(place.id));
    place.pack = puts[i].at.pack;
    place.offset = puts[i].at.offset;
    place.length = LengthWord(puts[i].at);
  }
  return Status::Ok();
}

}  // namespace

struct LiveVolume::Blocks : StagedWrite {
  std::shared_ptr<Pool> pool;   // that they were put in; none where they go through the journal
  PutGate::Hold hold{};         // until they are published
  std::vector<WrittenBlock> blocks{};
  mutable uint64_t published = 0;   // bytes of the write: who waited for room goes on, or there might never be enough for all of it
};

bool LiveVolume::HoldsBlocks(uint64_t offset, uint64_t length) {
  const WholeBlocks whole = WholeBlocksOf(offset, length);
  return whole.from < whole.to;
}

// Staging takes room before the write is admitted: not where there is none to spare, nor for a write that will be refused.
bool LiveVolume::Stages(uint64_t offset, uint64_t length) const {
  if (!HoldsBlocks(offset, length) || journal_.failed()) return false;
  Lock lock(mutex_);
  const Pool& pool = *base_->pool;
  // What is journalled whole puts nothing; but what is staged goes on where it had to wait, and it is long.
  return JournalsAllLocked() || (pool.room.room() == Room::kThere && !pool.packs->crowded());
}

Result<std::unique_ptr<StagedWrite>> LiveVolume::Stage(uint64_t offset, ConstBytes data) {
  auto staged = std::make_unique<Blocks>();
  {
    Lock lock(mutex_);
    if (JournalsAllLocked() && !IsMutant(Mutant::kHeldNamesPacks)) return std::unique_ptr<StagedWrite>(std::move(staged));
  }
  const std::shared_ptr<Pool> in = staged->pool = pool();
  const WholeBlocks whole = WholeBlocksOf(offset, data.size());
  const ConstBytes bytes = data.subspan(whole.from - offset, whole.to - whole.from);
  staged->hold = in->packs->gate().Enter();
  std::vector<WrittenBlock>& blocks = staged->blocks;
  blocks.resize(bytes.size() / kBlockBytes);
  std::vector<Status> results((blocks.size() + kPartBlocks - 1) / kPartBlocks);
  const Compression how = CompressionIn(*in);
  const auto part = [&](size_t number) {
    const size_t first = number * kPartBlocks, count = std::min(kPartBlocks, blocks.size() - first);
    results[number] = PutBlocks(*in, spec_.domain, how, bytes.subspan(first * kBlockBytes, count * kBlockBytes), std::span(blocks).subspan(first, count));
  };
  if (in->parallel != nullptr) {
    in->parallel->Run(results.size(), part);
  } else {
    for (size_t number = 0; number < results.size(); ++number) part(number);
  }
  for (const Status& status : results) {
    if (!status.ok()) return status;
  }
  return std::unique_ptr<StagedWrite>(std::move(staged));
}

Result<WriteOutcome> LiveVolume::Publish(uint64_t offset, ConstBytes data, const StagedWrite& staged) {
  {
    Lock lock(mutex_);
    if (Status status = AdmitLocked(data.size()); !status.ok()) return status;
  }
  const auto& blocks = static_cast<const Blocks&>(staged);
  Result<Lsn> done(Lsn{0});
  while (blocks.published < data.size()) {
    uint64_t at = offset + blocks.published;
    done = PublishPart(offset, data, blocks, at);
    if (!done.ok()) return done.status();
    blocks.published = at - offset;
  }
  return WriteOutcome{*done};
}

Result<Lsn> LiveVolume::PublishPart(uint64_t offset, ConstBytes data, const Blocks& staged, uint64_t& at) {
  const WholeBlocks whole = WholeBlocksOf(offset, data.size());
  const uint64_t end = offset + data.size();
  const auto journal = [&](uint64_t to) -> Result<Lsn> {
    Result<Lsn> done = WriteJournalled(at, data.subspan(at - offset, to - at));
    if (done.ok()) at = to;
    return done;
  };
  if (at < whole.from) return journal(whole.from);
  if (at >= whole.to) return journal(end);
  const uint64_t piece_end = at / kPieceBytes * kPieceBytes + kPieceBytes;
  // A block of which some went through the journal goes on there.
  if (!staged.pool || at % kBlockBytes != 0) return journal(piece_end);
  const std::span<const WrittenBlock> blocks = std::span(staged.blocks).subspan((at - whole.from) / kBlockBytes);
  std::vector<RefPlace> places;
  size_t count = 0;
  for (; count < blocks.size() && blocks[count].zero == blocks[0].zero && places.size() < kRefBlocksMax; ++count) {
    if (!blocks[count].zero) places.push_back(blocks[count].place);
  }
  if (blocks[0].zero) {
    const Result<WriteOutcome> zeroed = Zero(at, count * kBlockBytes, false);
    if (!zeroed.ok()) return zeroed.status();
    at += count * kBlockBytes;
    return zeroed->end;
  }
  const Result<std::optional<Lsn>> named = PublishRefs(at, places, staged.pool);
  if (!named.ok()) return named.status();
  if (!*named) return journal(piece_end);
  at += count * kBlockBytes;
  return **named;
}

Result<std::optional<Lsn>> LiveVolume::PublishRefs(uint64_t offset, std::span<const RefPlace> places, const std::shared_ptr<Pool>& pool) {
  const ConstBytes payload(reinterpret_cast<const uint8_t*>(places.data()), places.size_bytes());
  Lock lock(mutex_);
  if ((JournalsAllLocked() && !IsMutant(Mutant::kHeldNamesPacks)) || pool != base_->pool) return std::optional<Lsn>();
  if (Status status = CheckEndLocked(offset + places.size() * kBlockBytes); !status.ok()) return status;
  Result<Lsn> end = AppendLocked(RecordType::kRef, offset, places.size() * kBlockBytes, payload);
  if (!end.ok()) return end.status();
  for (const RefPlace& place : places) pool->named.Note(place.pack, *end);
  PublishRef(offset, places);
  return std::optional<Lsn>(*end);
}

}  // namespace skerry
