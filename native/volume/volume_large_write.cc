// Large writes: their whole blocks go to packs at once and only references are journalled, so that nothing is written
// twice, and a flush covers both. Staging takes long and nothing waits for it; publishing is short.
#include <algorithm>
#include <cstring>

#include "live_volume.h"

namespace skerry {
namespace {

constexpr uint32_t kRefBlocksMax = 256;   // places in one kRef record
constexpr size_t kPartBlocks = 8;         // of a large write, hashed and written by one thread

struct Blocks : StagedWrite {
  PutGate::Hold hold;   // until they are published
  std::vector<WrittenBlock> blocks;
};

/** The whole blocks in a range of bytes. */
struct WholeBlocks {
  uint64_t from, to;   // bytes; nothing where from >= to
};

WholeBlocks WholeBlocksOf(uint64_t offset, uint64_t length) {
  return {(offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes, (offset + length) / kBlockBytes * kBlockBytes};
}

/** Finds zeroes, hashes, compresses, and puts what is left in the pool. */
Status PutBlocks(Pool& pool, const Compression& how, ConstBytes data, std::span<WrittenBlock> blocks) {
  std::vector<PackPut> puts;
  std::vector<WrittenBlock*> owners;
  puts.reserve(blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    const ConstBytes block = data.subspan(i * kBlockBytes, kBlockBytes);
    blocks[i].zero = IsZero(block);
    if (blocks[i].zero) continue;
    puts.push_back({RecordKind::kBlock, pool.key->BlockIdOf(block), block, {}, false, 0, how});
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

bool LiveVolume::HoldsBlocks(uint64_t offset, uint64_t length) {
  const WholeBlocks whole = WholeBlocksOf(offset, length);
  return whole.from < whole.to;
}

// Staging takes room before the write is admitted: not where there is none to spare, nor for a write that will be refused.
bool LiveVolume::Stages(uint64_t offset, uint64_t length) const {
  return HoldsBlocks(offset, length) && pool_.room.room() == Room::kThere && !pool_.packs->crowded() && !journal_.failed();
}

Result<std::unique_ptr<StagedWrite>> LiveVolume::Stage(uint64_t offset, ConstBytes data) {
  const WholeBlocks whole = WholeBlocksOf(offset, data.size());
  const ConstBytes bytes = data.subspan(whole.from - offset, whole.to - whole.from);
  auto staged = std::make_unique<Blocks>();
  staged->hold = pool_.packs->gate().Enter();
  std::vector<WrittenBlock>& blocks = staged->blocks;
  blocks.resize(bytes.size() / kBlockBytes);
  std::vector<Status> results((blocks.size() + kPartBlocks - 1) / kPartBlocks);
  const Compression how = compression();
  const auto part = [&](size_t number) {
    const size_t first = number * kPartBlocks, count = std::min(kPartBlocks, blocks.size() - first);
    results[number] = PutBlocks(pool_, how, bytes.subspan(first * kBlockBytes, count * kBlockBytes), std::span(blocks).subspan(first, count));
  };
  if (pool_.parallel != nullptr) {
    pool_.parallel->Run(results.size(), part);
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
  const WholeBlocks whole = WholeBlocksOf(offset, data.size());
  const uint64_t end = offset + data.size();
  Result<Lsn> done(Lsn{0});
  if (offset < whole.from) done = WriteJournalled(offset, data.first(whole.from - offset));
  if (done.ok()) done = PublishBlocks(whole.from, static_cast<const Blocks&>(staged).blocks);
  if (done.ok() && whole.to < end) done = WriteJournalled(whole.to, data.subspan(whole.to - offset));
  if (!done.ok()) return done.status();
  return WriteOutcome{*done};
}

Result<Lsn> LiveVolume::PublishBlocks(uint64_t offset, std::span<const WrittenBlock> blocks) {
  Result<Lsn> done(Lsn{0});
  std::vector<RefPlace> places;
  for (size_t first = 0, end; first < blocks.size() && done.ok(); first = end) {
    const bool zero = blocks[first].zero;
    places.clear();
    for (end = first; end < blocks.size() && blocks[end].zero == zero && (zero || places.size() < kRefBlocksMax); ++end) {
      if (!zero) places.push_back(blocks[end].place);
    }
    const uint64_t at = offset + first * kBlockBytes;
    if (!zero) {
      done = PublishRefs(at, places);
      continue;
    }
    Result<WriteOutcome> outcome = Zero(at, (end - first) * kBlockBytes, false);
    done = outcome.ok() ? Result<Lsn>(outcome->end) : Result<Lsn>(outcome.status());
  }
  return done;
}

Result<Lsn> LiveVolume::PublishRefs(uint64_t offset, std::span<const RefPlace> places) {
  const ConstBytes payload(reinterpret_cast<const uint8_t*>(places.data()), places.size_bytes());
  Lock lock(mutex_);
  if (Status status = CheckEndLocked(offset + places.size() * kBlockBytes); !status.ok()) return status;
  Result<Lsn> end = AppendLocked(RecordType::kRef, offset, places.size() * kBlockBytes, payload);
  if (!end.ok()) return end;
  for (const RefPlace& place : places) pool_.named.Note(place.pack, *end);
  PublishRef(offset, places);
  return end;
}

}  // namespace skerry
