// Large reads of what is not known to be in the page cache, in as few and as large pieces as it lies in, side by side. They fill
// the cache, but where that is dear: then what was not read several times before is read past it.
#include <algorithm>
#include <numeric>

#include "frames.h"
#include "pack_store_impl.h"

namespace skerry {
namespace {

/** What lies this near to the last run is read with it. */
constexpr uint64_t kGapBytesMax = 2 * kSectorBytes;

uint64_t SectorsDown(uint64_t bytes) { return bytes / kSectorBytes * kSectorBytes; }
uint64_t SectorsUp(uint64_t bytes) { return SectorsDown(bytes + kSectorBytes - 1); }
/** Of the pack's bytes that the run is in: its cells, or all of its record where that is in frames. */
struct Span {
  uint32_t start = 0;
  uint64_t end = 0;
};
Span SpanOf(const CellRun& run) {
  if (!IsFramedCell(run.cell)) return {run.cell, run.cell + uint64_t{run.count} * kCellBytes};
  const std::optional<PageOfRecord> place = PageAt(run.pack, run.cell);
  if (!place) return {};
  return {place->at.offset, uint64_t{place->at.offset} + place->at.stored_bytes};
}

/** One read, of the runs order[first, end). */
struct Stretch {
  size_t first = 0, end = 0;
  uint64_t start = 0, bytes = 0;   // whole sectors of the file
  size_t at = 0;                   // of its bytes in the buffer
};

/** Puts `order` into that of the packs. */
std::vector<Stretch> Gather(std::span<const CellRun> runs, std::span<uint32_t> order) {
  std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
    return std::pair(runs[a].pack, SpanOf(runs[a]).start) < std::pair(runs[b].pack, SpanOf(runs[b]).start);
  });
  std::vector<Stretch> stretches;
  size_t at = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const CellRun& run = runs[order[i]];
    const Span span = SpanOf(run);
    const uint64_t start = SectorsDown(span.start), end = SectorsUp(span.end);
    const bool joins = i > 0 && runs[order[i - 1]].pack == run.pack && start <= stretches.back().start + stretches.back().bytes + kGapBytesMax;
    if (!joins) stretches.push_back({i, i, start, 0, at});
    Stretch& last = stretches.back();
    last.end = i + 1;
    last.bytes = std::max(last.bytes, end - last.start);
    at = last.at + last.bytes;
  }
  return stretches;
}

/** Copies the run's pages from what SpanOf it holds; false where one fails its sum. */
bool TakePages(const CellRun& run, const uint8_t* cells) {
  if (IsFramedCell(run.cell)) {
    const std::optional<PageOfRecord> place = PageAt(run.pack, run.cell);
    return place && CopyFrames({cells, place->at.stored_bytes}, place->at, run.seed - place->page, place->page, run.count, run.into);
  }
  for (uint32_t i = 0; i < run.count; ++i, cells += kCellBytes) {
    uint8_t* page = run.into.data() + size_t{i} * kPageBytes;
    std::memcpy(page, cells, kPageBytes);
    if (!CellHolds(page, kPageBytes, cells + kPageBytes, run.seed + i)) return false;
  }
  return true;
}

/** Memory that each thread keeps for its next large read: fresh memory is dear. */
Bytes Scratch(size_t bytes) {
  thread_local AlignedBuffer buffer(0);
  if (buffer.size() < bytes) buffer = AlignedBuffer(bytes);
  return buffer.bytes();
}

}  // namespace

bool PackStore::Impl::MayBeCached(uint32_t pack, uint32_t offset) const {
  return warm_.Misses(pack, offset) >= (fill_cost_.dear() ? kLargeReadsCached : 1);
}

void PackStore::Impl::ReadCold(std::span<CellRun> runs) {
  std::vector<uint32_t> past, through;
  const unsigned misses_past = fill_cost_.Bypass() ? kLargeReadsCached : 0;
  for (uint32_t i = 0; i < runs.size(); ++i) {
    const CellRun& run = runs[i];
    if (run.count < kLargeReadPages || Elsewhere(run.pack)) continue;
    const Span span = SpanOf(run);
    if (span.end != 0) (warm_.Note(run.pack, span.start) < misses_past ? past : through).push_back(i);
  }
  ReadTogether(runs, past, true);
  ReadTogether(runs, through, false);
}

void PackStore::Impl::ReadTogether(std::span<CellRun> runs, std::span<uint32_t> order, bool past_cache) {
  const std::vector<Stretch> stretches = Gather(runs, order);
  if (stretches.empty()) return;
  const Bytes buffer = Scratch(stretches.back().at + stretches.back().bytes);
  std::vector<FileRead> reads;
  std::vector<std::shared_ptr<File>> files;
  for (const Stretch& stretch : stretches) {
    Result<std::shared_ptr<File>> file = (past_cache ? direct_handles_ : handles_).Get(runs[order[stretch.first]].pack);
    if (!file.ok()) return;
    files.push_back(*file);
    reads.push_back({file->get(), stretch.start, buffer.subspan(stretch.at, stretch.bytes), {}});
  }
  if (past_cache) {
    env_.ReadMany(reads);
  } else {
    Fill(reads);
  }
  for (size_t s = 0; s < stretches.size(); ++s) {
    if (!reads[s].status.ok()) continue;
    for (size_t i = stretches[s].first; i < stretches[s].end; ++i) {
      CellRun& run = runs[order[i]];
      const Span span = SpanOf(run);
      const bool whole = span.end <= reads[s].offset + reads[s].into.size();
      run.done = whole && TakePages(run, reads[s].into.data() + (span.start - stretches[s].start));
    }
  }
}

void PackStore::Impl::Fill(std::span<FileRead> reads) {
  const ThreadUse before = env_.UsedByThread();
  for (const FileRead& read : reads) read.file->ReadAhead(read.offset, read.into.size());
  for (FileRead& read : reads) {
    const Result<size_t> got = read.file->Read(read.into, read.offset);
    read.status = got.ok() ? Status::Ok() : got.status();
    if (got.ok()) read.into = read.into.first(*got);  // the last sector of a pack may be cut short
  }
  fill_cost_.Note(before, env_.UsedByThread());
}

}  // namespace skerry
