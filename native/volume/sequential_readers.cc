#include "sequential_readers.h"

#include <algorithm>

#include "../overlay/generation.h"

namespace skerry {
namespace {

constexpr uint64_t kWindowBytesMin = 256u << 10, kWindowBytesMax = 4u << 20;
/** Requests of one reader overtake each other: one that is so many requests further on still goes on where the others are. */
constexpr uint64_t kOvertakenMax = 8;
/** And so are those that come late, by blocks. */
constexpr uint64_t kLateBlocksMax = 256;
/** A reader that was not heard of while so many others read does not count. */
constexpr uint64_t kIdleReads = 1024;

}  // namespace

/** Where each of several readers may have its window. */
uint64_t SequentialReaders::WindowMax() const {
  const auto reads = [this](const Reader& reader) { return reader.window > 0 && reader.used + kIdleReads > clock_; };
  const auto readers = static_cast<uint64_t>(std::ranges::count_if(readers_, reads));
  return std::max<uint64_t>(std::min(windows_bytes_max_ / std::max<uint64_t>(readers, 1), kWindowBytesMax) / kBlockBytes, 1);
}

uint64_t SequentialReaders::Window(const Reader& reader) const { return std::min(reader.window, WindowMax()); }
/** That of what is asked for next. */
uint64_t SequentialReaders::Grown(const Reader& reader) const { return std::min(2 * reader.window, WindowMax()); }

SequentialReaders::Reader* SequentialReaders::Find(uint64_t volume, uint64_t first, uint64_t reach) {
  for (Reader& reader : readers_) {
    if (reader.volume != volume || reader.next == 0) continue;
    if (first + kLateBlocksMax >= reader.next && first <= std::max(reader.next + reach, reader.asked)) return &reader;
  }
  return nullptr;
}

SequentialReaders::Blocks SequentialReaders::Note(uint64_t volume, uint64_t first, uint64_t last) {
  if (windows_bytes_max_ < kWindowBytesMin) return {};
  const uint64_t count = last - first + 1;
  std::lock_guard lock(mutex_);
  Reader* const reader = Find(volume, first, kOvertakenMax * count);
  ++clock_;
  if (reader == nullptr) {
    *std::ranges::min_element(readers_, {}, &Reader::used) = {volume, last + 1, 0, 0, clock_};
    return {};
  }
  reader->used = clock_;
  const bool goes_on = last >= reader->next;
  reader->next = std::max(reader->next, last + 1);
  // The same again, or what came before it, is no second read of a reader.
  if (reader->window == 0 && goes_on) reader->window = std::max(kWindowBytesMin / kBlockBytes, 2 * count) / 2;
  if (reader->window == 0 || reader->asked > reader->next + Window(*reader)) return {};
  const uint64_t from = std::max(reader->asked, reader->next);
  return {from, reader->next + 2 * Grown(*reader) - from};
}

void SequentialReaders::Asked(uint64_t volume, uint64_t end) {
  std::lock_guard lock(mutex_);
  for (Reader& reader : readers_) {
    if (reader.volume != volume || reader.window == 0 || end <= reader.asked || end > reader.next + 2 * Grown(reader)) continue;
    reader.asked = end;
    reader.window = Grown(reader);
    return;
  }
}

}  // namespace skerry
