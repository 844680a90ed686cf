// Reading and block status: the looking half of LiveVolume.
#include <algorithm>
#include <cstring>

#include "live_volume.h"

namespace skerry {
namespace {

constexpr size_t kReadChunkPages = 256;
constexpr int kStaleRetriesMax = 4;

bool MayBeStale(const Status& status) { return status.code() == Code::kNotFound || status.code() == Code::kCorrupt; }

}  // namespace

Status LiveVolume::Read(uint64_t offset, Bytes into, bool may_block) {
  while (!into.empty()) {
    const uint64_t chunk_end = (offset / kPageBytes + kReadChunkPages) * kPageBytes;
    const size_t length = std::min<uint64_t>(into.size(), chunk_end - offset);
    // What was looked up may have been destaged and its journal or pack recycled before it was read: look again.
    Status status = Status::Ok();
    for (int attempt = 0; attempt < kStaleRetriesMax; ++attempt) {
      status = ReadOnce(offset, into.first(length), may_block);
      if (!MayBeStale(status)) break;
      if (!may_block) return Status(Code::kTryAgain, "to be read again with time");
      const Status refreshed = pool()->packs->RefreshIndex();
      // Rot is rot also while the backend is away.
      if (refreshed.ok()) continue;
      if (status.code() != Code::kCorrupt || refreshed.code() == Code::kTryAgain) return refreshed;
      break;
    }
    if (status.code() == Code::kCorrupt) pool()->rot.Tell(spec_.id, offset, status.detail(), status.detail().starts_with(kJournalRot));
    if (!status.ok()) return status;
    offset += length;
    into = into.subspan(length);
  }
  return Status::Ok();
}

Status LiveVolume::ReadOnce(uint64_t offset, Bytes into, bool may_block) {
  const uint64_t end = offset + into.size();
  alignas(64) uint8_t edge[kPageBytes];
  if (offset % kPageBytes != 0 || into.size() < kPageBytes) {
    const uint64_t in_page = offset % kPageBytes;
    const size_t part = std::min<uint64_t>(kPageBytes - in_page, into.size());
    if (Status status = ReadPagesOnce(offset / kPageBytes, {edge, kPageBytes}, may_block); !status.ok()) return status;
    std::memcpy(into.data(), edge + in_page, part);
    offset += part;
    into = into.subspan(part);
  }
  const size_t whole = into.size() / kPageBytes * kPageBytes;
  if (whole > 0) {
    if (Status status = ReadPagesOnce(offset / kPageBytes, into.first(whole), may_block); !status.ok()) return status;
  }
  if (whole < into.size()) {
    if (Status status = ReadPagesOnce(end / kPageBytes, {edge, kPageBytes}, may_block); !status.ok()) return status;
    std::memcpy(into.data() + whole, edge, into.size() - whole);
  }
  return Status::Ok();
}

Status LiveVolume::ReadPagesOnce(PageIndex first, Bytes into, bool may_block) {
  thread_local std::vector<PageSource> sources;
  const size_t count = into.size() / kPageBytes;
  sources.clear();
  sources.resize(count);
  std::shared_ptr<const Stack> stack;
  {
    Lock lock(mutex_);
    if (!active_->empty()) {
      for (size_t i = 0; i < count; ++i) AskLayer(*active_, first + i, sources[i]);
    }
    stack = stack_;
  }
  for (const auto& layer : stack->layers) {
    if (layer->empty()) continue;
    for (size_t i = 0; i < count; ++i) {
      if (!sources[i].done) AskLayer(*layer, first + i, sources[i]);
    }
  }
  const ReadContext context{journal_, *stack->pool};
  const auto in_map = [](const PageSource& source) { return !source.done; };
  if (!stack->pool->readers || std::ranges::none_of(sources, in_map)) return FetchPages(context, stack->root, first, sources, into, may_block);
  SequentialReaders& readers = *stack->pool->readers;
  const SequentialReaders::Blocks ahead = readers.Note(spec_.id, first / kPagesPerBlock, (first + count - 1) / kPagesPerBlock);
  if (ahead.count == 0) return FetchPages(context, stack->root, first, sources, into, may_block);
  // The map may have to be read for it.
  if (!may_block) return {Code::kTryAgain, {}};
  // What is wanted now goes first.
  Status status = FetchPages(context, stack->root, first, sources, into, may_block);
  const uint64_t end = std::min(ahead.first + ahead.count, (size() + kBlockBytes - 1) / kBlockBytes);
  const bool asked = ahead.first >= end || AskAhead(context, stack->root, ahead.first, static_cast<uint32_t>(end - ahead.first));
  if (asked) readers.Asked(spec_.id, ahead.first + ahead.count);
  return status;
}

namespace {

struct Run {
  uint64_t pages = 0;      // 0: nothing known here
  bool hole = false, zero = false;
};

/** What one layer says of the pages from `page` on; narrows `pages_max` to where it still says nothing. */
Run RunIn(const Generation& generation, PageIndex page, uint64_t& pages_max) {
  if (const uint64_t below = generation.RunBelow(page, pages_max); below > 0) {
    pages_max = below;
    return {};
  }
  bool hole = false;
  if (const uint64_t zero = generation.RunZero(page, pages_max, &hole); zero > 0) return {zero, hole, true};
  uint64_t pages = 0;
  while (pages < pages_max && pages < kReadChunkPages) {
    const PageState state = generation.Lookup(page + pages);
    const bool zero = state.kind == PageState::Kind::kWhole && state.base.place.kind() == Place::Kind::kZero;
    if (state.kind == PageState::Kind::kBelow || zero) break;
    ++pages;
  }
  if (pages == 0) return {1, false, true};  // a zero slot by itself
  return {pages, false, false};
}

void Append(std::vector<Extent>& extents, uint64_t from, uint64_t to, const Run& run) {
  if (!extents.empty() && extents.back().hole == run.hole && extents.back().zero == run.zero) {
    extents.back().length = to - extents.back().offset;
  } else {
    extents.push_back({from, to - from, run.hole, run.zero});
  }
}

}  // namespace

Result<std::vector<Extent>> LiveVolume::BlockStatus(uint64_t offset, uint64_t length, size_t extents_max, bool may_block) {
  std::vector<Extent> extents;
  const uint64_t end = offset + length;
  std::shared_ptr<const Stack> stack;
  for (uint64_t at = offset; at < end;) {
    const PageIndex page = at / kPageBytes;
    uint64_t pages_max = (end + kPageBytes - 1) / kPageBytes - page;
    Run run;
    {
      Lock lock(mutex_);
      run = RunIn(*active_, page, pages_max);
      stack = stack_;
    }
    for (size_t i = 0; run.pages == 0 && i < stack->layers.size(); ++i) run = RunIn(*stack->layers[i], page, pages_max);
    if (run.pages == 0) {
      bool hole = true;
      const uint64_t last_block = (page + pages_max - 1) / kPagesPerBlock;
      Result<uint64_t> blocks = stack->pool->tree->Run(stack->root, page / kPagesPerBlock, last_block - page / kPagesPerBlock + 1, &hole, may_block);
      if (!blocks.ok()) return blocks.status();
      const PageIndex to = (page / kPagesPerBlock + std::max<uint64_t>(*blocks, 1)) * kPagesPerBlock;
      run = {std::min<uint64_t>(to - page, pages_max), hole, hole};
    }
    const uint64_t to = std::min<uint64_t>((page + std::min(run.pages, pages_max)) * kPageBytes, end);
    if (extents.size() == extents_max && !(extents.back().hole == run.hole && extents.back().zero == run.zero)) break;
    Append(extents, at, to, run);
    at = to;
  }
  return extents;
}

}  // namespace skerry
