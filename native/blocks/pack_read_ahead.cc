// Asks for all that a large request wants of packs before it waits for the first of it, in as few and as large pieces as it lies
// in. It comes into the page cache, and is read from there as ever.
#include <algorithm>

#include "pack_store_impl.h"

namespace skerry {
namespace {

/** What lies this near to what is asked for is asked for with it. */
constexpr uint64_t kGapBytesMax = 3 * kPageBytes;

/** Of a pack's bytes. */
struct Span {
  uint32_t pack = 0;
  uint64_t start = 0, end = 0;
};

/** Its cells, or all of its record where that is in frames; empty where there can be none. */
Span SpanOf(const CellRun& run) {
  if (!IsFramedCell(run.cell)) return {run.pack, run.cell, run.cell + uint64_t{run.count} * kCellBytes};
  const std::optional<PageOfRecord> place = PageAt(run.pack, run.cell);
  if (!place) return {};
  return {run.pack, place->at.offset, uint64_t{place->at.offset} + place->at.stored_bytes};
}

/** In the order of the packs, what lies together as one. */
void Join(std::vector<Span>& spans) {
  std::ranges::sort(spans, {}, [](const Span& span) { return std::pair(span.pack, span.start); });
  size_t joined = 0;
  for (const Span& span : spans) {
    Span* last = joined > 0 ? &spans[joined - 1] : nullptr;
    if (last != nullptr && last->pack == span.pack && span.start <= last->end + kGapBytesMax) {
      last->end = std::max(last->end, span.end);
    } else {
      spans[joined++] = span;
    }
  }
  spans.resize(joined);
}

}  // namespace

void PackStore::Impl::ReadAhead(std::span<const CellRun> runs) {
  std::vector<Span> spans;
  for (const CellRun& run : runs) {
    if (run.count < kLargeReadPages || Elsewhere(run.pack)) continue;
    const Span span = SpanOf(run);
    if (span.end == 0) continue;
    warm_.Note(run.pack, static_cast<uint32_t>(span.start));
    spans.push_back(span);
  }
  Join(spans);
  for (const Span& span : spans) {
    // What cannot be opened is told by the reads that follow.
    const Result<std::shared_ptr<File>> file = handles_.Get(span.pack);
    if (file.ok()) file.value()->ReadAhead(span.start, span.end - span.start);
  }
}

bool PackStore::Impl::MayBeCached(uint32_t pack, uint32_t offset) const { return warm_.Misses(pack, offset) > 0; }

}  // namespace skerry
