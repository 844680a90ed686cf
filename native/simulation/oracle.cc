#include "oracle.h"

#include <algorithm>
#include <utility>

#include "sim_image.h"

namespace skerry::simulation {

bool Losses::Any(ConstBytes content) {
  for (size_t at = 0; at < content.size(); at += kPageBytes) {
    if (std::ranges::equal(content.subspan(at, kPageBytes), Marker())) return true;
  }
  return false;
}

ConstBytes Losses::Marker() {
  static const std::vector<uint8_t> marker(kPageBytes, 0xee);
  return marker;
}

namespace {

uint64_t DigestOf(const PageBytes& content) {
  static const std::vector<uint8_t> zeroes(kPageBytes);
  return SimDigest(content ? *content : zeroes, 0);
}

}  // namespace

void Losses::Add(size_t page, const PageBytes& content) { lost_.emplace(page, DigestOf(content)); }

bool Losses::Holds(size_t page, const PageBytes& content) const { return !lost_.empty() && lost_.contains({page, DigestOf(content)}); }

void Image::Write(uint64_t offset, ConstBytes data) {
  while (!data.empty()) {
    const size_t page = offset / kPageBytes, in_page = offset % kPageBytes;
    const size_t part = std::min<size_t>(kPageBytes - in_page, data.size());
    auto bytes = pages[page] ? std::make_shared<std::vector<uint8_t>>(*pages[page]) : std::make_shared<std::vector<uint8_t>>(kPageBytes);
    std::memcpy(bytes->data() + in_page, data.data(), part);
    pages[page] = std::move(bytes);
    offset += part;
    data = data.subspan(part);
  }
}

void Image::Clear(uint64_t offset, uint64_t length) {
  static const std::vector<uint8_t> zeroes(kPageBytes);
  while (length > 0) {
    const size_t in_page = offset % kPageBytes;
    const size_t part = std::min<uint64_t>(kPageBytes - in_page, length);
    if (part == kPageBytes) {
      pages[offset / kPageBytes] = nullptr;
    } else {
      Write(offset, ConstBytes(zeroes).first(part));
    }
    offset += part;
    length -= part;
  }
}

bool Image::PageEquals(size_t page, ConstBytes bytes, const Losses& losses) const {
  if (losses.IsBlurred(page)) return true;
  if (std::ranges::equal(bytes, Losses::Marker()) && losses.Holds(page, page < pages.size() ? pages[page] : nullptr)) return true;
  if (page < pages.size() && pages[page]) return std::memcmp(pages[page]->data(), bytes.data(), kPageBytes) == 0;
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

std::optional<size_t> Image::Differs(ConstBytes content, const Losses& losses) const {
  if (content.size() != bytes()) return pages.size();
  for (size_t page = 0; page < pages.size(); ++page) {
    if (!PageEquals(page, content.subspan(page * kPageBytes, kPageBytes), losses)) return page;
  }
  return std::nullopt;
}

Image Image::Of(ConstBytes content) {
  Image image = Zero(content.size());
  image.Write(0, content);
  return image;
}

void History::Acknowledge(uint64_t sequence) {
  states_.push_back({sequence, std::move(*in_flight_)});
  in_flight_.reset();
}

void History::Reset(uint64_t sequence, Image image) {
  states_.clear();
  states_.push_back({sequence, std::move(image)});
  in_flight_.reset();
  flushed_ = recovered_ = sequence;
}

void History::GoBack(uint64_t sequence, Image image) {
  while (!states_.empty() && states_.back().sequence >= sequence) states_.pop_back();
  states_.push_back({sequence, std::move(image)});
  in_flight_.reset();
  flushed_ = sequence;
}

void History::Lose(size_t page, Losses& losses) const {
  for (const State& state : states_) {
    if (page < state.image.pages.size()) losses.Add(page, state.image.pages[page]);
  }
}

History::Around History::At(uint64_t sequence) const {
  if (sequence < states_.front().sequence) return {nullptr, nullptr};   // from before the last recovery: no longer known
  if (sequence <= recovered_) sequence = states_.front().sequence;
  // The state whose records end at or just before `sequence`; what lies between it and the next may be there by half.
  size_t at = 0;
  while (at + 1 < states_.size() && states_[at + 1].sequence <= sequence) ++at;
  const Image* next = at + 1 < states_.size() ? &states_[at + 1].image : in_flight_ ? &*in_flight_ : nullptr;
  if (states_[at].sequence == sequence) next = nullptr;
  const Image* held = &states_[at].image;
  if (next != nullptr && next == (in_flight_ ? &*in_flight_ : nullptr) && in_flight_whole_) held = std::exchange(next, nullptr);
  return {held, next};
}

std::string History::CheckAt(uint64_t sequence, ConstBytes content, const Losses& losses) const {
  const auto [held, next] = At(sequence);
  if (held == nullptr) return {};
  if (content.size() != held->bytes() && (next == nullptr || content.size() != next->bytes())) {
    return "it has " + std::to_string(content.size()) + " bytes at " + std::to_string(sequence) + ", not " + std::to_string(held->bytes());
  }
  for (size_t page = 0; page < content.size() / kPageBytes; ++page) {
    const ConstBytes bytes = content.subspan(page * kPageBytes, kPageBytes);
    if (held->PageEquals(page, bytes, losses)) continue;
    if (next != nullptr && next->PageEquals(page, bytes, losses)) continue;
    const bool zero = page >= held->pages.size() || !held->pages[page];
    return "page " + std::to_string(page) + " (first byte " + std::to_string(bytes[0]) + ", expected " +
           std::to_string(zero ? 0 : (*held->pages[page])[0]) + ") is not what the writes up to " + std::to_string(sequence) + " left there";
  }
  return {};
}

std::string History::Recover(uint64_t sequence, uint64_t lowest, uint64_t taken, ConstBytes content, Losses& losses) {
  if (sequence < lowest) return "came back at write " + std::to_string(sequence) + ", but " + std::to_string(lowest) + " was promised";
  if (std::string wrong = CheckAt(sequence, content, losses); !wrong.empty()) return wrong;
  Image image = Image::Of(content);
  const auto [held, next] = At(sequence);
  for (size_t page = 0; held != nullptr && page < image.pages.size(); ++page) {
    const ConstBytes bytes = content.subspan(page * kPageBytes, kPageBytes);
    if (!std::ranges::equal(bytes, Losses::Marker())) continue;
    const Image& lost = page < held->pages.size() && held->PageEquals(page, bytes, losses) ? *held : *next;
    image.pages[page] = lost.pages[page];
    if (next != nullptr && (page >= held->pages.size() || page >= next->pages.size() || held->pages[page] != next->pages[page])) losses.Blur(page);
  }
  if (keeps_all_) {
    GoBack(sequence, std::move(image));
    return {};
  }
  Reset(sequence, std::move(image));
  recovered_ = taken;
  return {};
}

}  // namespace skerry::simulation
