#include "sim_image.h"

#include <algorithm>
#include <cstring>

#include "sim_random.h"

namespace skerry {

uint64_t SimDigest(ConstBytes bytes, uint64_t seed) {
  uint64_t digest = SplitMix(seed ^ bytes.size());
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    digest = SplitMix(digest ^ word);
  }
  for (; at < bytes.size(); ++at) digest = SplitMix(digest ^ bytes[at]);
  return digest;
}

SimImage::Page& SimImage::Own(uint64_t index) {
  std::shared_ptr<Page>& page = pages_[index];
  if (page == nullptr) {
    page = std::make_shared<Page>();
    page->fill(0);
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void SimImage::Resize(uint64_t bytes) {
  if (bytes < size_) {
    std::erase_if(pages_, [&](const auto& entry) { return entry.first * kPageBytes >= bytes; });
    const uint64_t tail = bytes % kPageBytes;
    if (tail != 0 && pages_.contains(bytes / kPageBytes)) {
      Page& page = Own(bytes / kPageBytes);
      std::fill(page.begin() + static_cast<ptrdiff_t>(tail), page.end(), uint8_t{0});
    }
  }
  size_ = bytes;
}

void SimImage::Write(ConstBytes data, uint64_t offset) {
  if (offset >= size_) return;
  data = data.first(std::min<uint64_t>(data.size(), size_ - offset));
  while (!data.empty()) {
    const uint64_t index = offset / kPageBytes;
    const size_t start = offset % kPageBytes;
    const size_t length = std::min(data.size(), kPageBytes - start);
    const ConstBytes part = data.first(length);
    const bool zero = std::all_of(part.begin(), part.end(), [](uint8_t byte) { return byte == 0; });
    if (zero && length == kPageBytes) {
      pages_.erase(index);
    } else if (!zero || pages_.contains(index)) {
      std::memcpy(Own(index).data() + start, part.data(), length);
    }
    data = data.subspan(length);
    offset += length;
  }
}

size_t SimImage::Read(Bytes into, uint64_t offset) const {
  if (offset >= size_) return 0;
  into = into.first(std::min<uint64_t>(into.size(), size_ - offset));
  const size_t total = into.size();
  while (!into.empty()) {
    const size_t start = offset % kPageBytes;
    const size_t length = std::min(into.size(), kPageBytes - start);
    const auto found = pages_.find(offset / kPageBytes);
    if (found == pages_.end()) {
      std::memset(into.data(), 0, length);
    } else {
      std::memcpy(into.data(), found->second->data() + start, length);
    }
    into = into.subspan(length);
    offset += length;
  }
  return total;
}

void SimImage::Flip(uint64_t offset, unsigned bit) {
  if (offset >= size_) return;
  Own(offset / kPageBytes)[offset % kPageBytes] ^= static_cast<uint8_t>(1u << (bit % 8));
}

uint64_t SimImage::Digest() const {
  uint64_t digest = SplitMix(size_);
  for (const auto& [index, page] : pages_) {
    // A page of zeroes that is stored must digest like one that is not; and addition, because the table has no order.
    if (std::all_of(page->begin(), page->end(), [](uint8_t byte) { return byte == 0; })) continue;
    digest += SimDigest(*page, index);
  }
  return digest;
}

}  // namespace skerry
