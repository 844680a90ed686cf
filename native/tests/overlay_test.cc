// A generation against a plain array: every byte carries the number of the write that put it there.
#include <algorithm>
#include <random>

#include "../overlay/generation.h"
#include "check.h"

using namespace skerry;

namespace {

constexpr uint32_t kBelowTag = 0;
constexpr uint32_t kZeroTag = 1;

PageSlot Written(uint64_t tag) { return {Place::Journal(tag), tag * 7}; }

uint32_t TagOf(const PageSlot& slot) {
  switch (slot.place.kind()) {
    case Place::Kind::kNone: return kBelowTag;
    case Place::Kind::kZero: return kZeroTag;
    default: CHECK(slot.check == slot.place.lsn() * 7); return static_cast<uint32_t>(slot.place.lsn());
  }
}

std::vector<uint32_t> PageTags(const PageState& state) {
  std::vector<uint32_t> tags(kPageBytes, state.kind == PageState::Kind::kBelow ? kBelowTag : TagOf(state.base));
  if (state.kind == PageState::Kind::kWhole) CHECK(state.base.place.kind() != Place::Kind::kNone);
  if (state.kind == PageState::Kind::kPieces) CHECK(!state.pieces.empty());
  for (const PagePiece& piece : state.pieces) {
    std::fill_n(tags.begin() + piece.offset, piece.length, TagOf(piece.slot));
  }
  return tags;
}

/** The same, byte by byte, over few pages spread far apart. */
class Model {
 public:
  static constexpr uint64_t kPages = 96;
  struct Page {
    std::vector<uint32_t> tags = std::vector<uint32_t>(kPageBytes, kBelowTag);
    bool slot = false;
    int range = 0;  // 0 none, 1 zeroes, 2 a hole
  };
  std::vector<Page> pages = std::vector<Page>(kPages);

  void PutPage(PageIndex page, uint32_t tag) {
    std::fill(pages[page].tags.begin(), pages[page].tags.end(), tag);
    pages[page].slot = true;
  }
  void PutPiece(PageIndex page, uint32_t offset, uint32_t length, uint32_t tag) {
    Page& of = pages[page];
    const bool zero_already = tag == kZeroTag && of.range != 0 && !of.slot;
    std::fill_n(of.tags.begin() + offset, length, tag);
    if (!zero_already) of.slot = true;
  }
  void PutZero(uint64_t offset, uint64_t length, bool hole) {
    const uint64_t end = offset + length;
    for (PageIndex page = offset / kPageBytes; page * kPageBytes < end; ++page) {
      const uint64_t from = std::max<uint64_t>(offset, page * kPageBytes) - page * kPageBytes;
      const uint64_t to = std::min<uint64_t>(end, (page + 1) * kPageBytes) - page * kPageBytes;
      if (to - from == kPageBytes) {
        std::fill(pages[page].tags.begin(), pages[page].tags.end(), kZeroTag);
        pages[page].slot = false;
        pages[page].range = hole ? 2 : 1;
      } else {
        PutPiece(page, from, to - from, kZeroTag);
      }
    }
  }
  /** Pages from `page` on without a slot and with this kind of range; beyond the model there is neither. */
  uint64_t Run(PageIndex page, uint64_t pages_max, int range) const {
    PageIndex at = page;
    while (at < kPages && !pages[at].slot && pages[at].range == range) ++at;
    if (at >= kPages && range == 0) return pages_max;
    return std::min(pages_max, at - page);
  }
};

void CheckAgainst(const Generation& generation, const Model& model) {
  uint64_t slots = 0;
  std::vector<BlockIndex> blocks;
  for (PageIndex page = 0; page < Model::kPages; ++page) {
    const Model::Page& want = model.pages[page];
    const PageState state = generation.Lookup(page);
    CHECK(PageTags(state) == want.tags);
    CHECK(state.hole == (want.range == 2 && !want.slot));
    if (state.kind == PageState::Kind::kBelow) CHECK(!want.slot && want.range == 0);
    if (want.slot) {
      ++slots;
      if (blocks.empty() || blocks.back() != page / kPagesPerBlock) blocks.push_back(page / kPagesPerBlock);
    }
    for (const uint64_t pages_max : {uint64_t{0}, uint64_t{1}, uint64_t{5}, uint64_t{40}, uint64_t{1} << 40}) {
      CHECK(generation.RunBelow(page, pages_max) == model.Run(page, pages_max, 0));
      bool hole = false;
      const uint64_t zero = generation.RunZero(page, pages_max, &hole);
      CHECK(zero == (want.range == 0 ? 0 : model.Run(page, pages_max, want.range)));
      if (zero != 0) CHECK(hole == (want.range == 2));
    }
  }
  CHECK(generation.page_count() == slots);
  CHECK(generation.Blocks() == blocks);
  std::vector<int> covered(Model::kPages, 0);
  const auto ranges = generation.ZeroRanges();
  CHECK(ranges.size() == generation.range_count());
  for (size_t i = 0; i < ranges.size(); ++i) {
    CHECK(ranges[i].count > 0);
    if (i > 0) {
      const PageIndex before = ranges[i - 1].start + ranges[i - 1].count;
      CHECK(before < ranges[i].start || (before == ranges[i].start && ranges[i - 1].hole != ranges[i].hole));
    }
    for (uint64_t k = 0; k < ranges[i].count; ++k) covered[ranges[i].start + k] = ranges[i].hole ? 2 : 1;
  }
  for (PageIndex page = 0; page < Model::kPages; ++page) CHECK(covered[page] == model.pages[page].range);
  CHECK(generation.empty() == (slots == 0 && ranges.empty()));
}

}  // namespace

TEST("a generation equals a plain array of bytes through random pages, pieces and zeroes") {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    Generation generation;
    Model model;
    const auto below = [&](uint64_t limit) { return random() % limit; };
    const uint32_t pieces_weight = seed % 3 == 0 ? 8 : 3;
    for (uint32_t tag = 2; tag < 400; ++tag) {
      const uint32_t roll = below(6 + pieces_weight);
      const PageIndex page = below(Model::kPages);
      if (roll < 4) {
        const bool zero = below(10) == 0;
        generation.PutPage(page, zero ? PageSlot{Place::Zero(), 0} : Written(tag));
        model.PutPage(page, zero ? kZeroTag : tag);
      } else if (roll < 6) {
        const uint64_t unit = below(3) == 0 ? 1 : below(2) == 0 ? 512 : kPageBytes;
        const uint64_t total = Model::kPages * kPageBytes;
        const uint64_t offset = below(total) / unit * unit;
        const uint64_t length = std::min<uint64_t>(total - offset, below(3) == 0 ? below(kPageBytes * 40) + 1 : unit * (1 + below(9)));
        const bool hole = below(2) == 0;
        generation.PutZero(offset, length, hole);
        model.PutZero(offset, length, hole);
      } else {
        const PageIndex few = seed % 3 == 0 ? below(4) : page;
        const uint32_t offset = below(kPageBytes);
        const uint32_t length = std::min<uint32_t>(kPageBytes - offset, 1 + below(kPageBytes - 1));
        const bool zero = below(6) == 0;
        if (length == kPageBytes) continue;
        const PageSlot slot = zero ? PageSlot{Place::Zero(), 0} : Written(tag);
        generation.PutPiece(few, {static_cast<uint16_t>(offset), static_cast<uint16_t>(length), slot});
        model.PutPiece(few, offset, length, zero ? kZeroTag : tag);
      }
      if (tag % 25 == 0) CheckAgainst(generation, model);
    }
    CheckAgainst(generation, model);
  }
}

TEST("a write after a range of zeroes stands over it, and a range after a write kills it") {
  Generation generation;
  generation.PutZero(0, 1 << 20, true);
  generation.PutPage(3, Written(9));
  CHECK(generation.Lookup(3).kind == PageState::Kind::kWhole && TagOf(generation.Lookup(3).base) == 9);
  CHECK(!generation.Lookup(3).hole && generation.Lookup(2).hole);
  generation.PutPiece(5, {100, 50, Written(10)});
  CHECK(generation.Lookup(5).kind == PageState::Kind::kPieces);
  CHECK(generation.Lookup(5).base.place.kind() == Place::Kind::kZero);
  generation.PutZero(0, 1 << 20, false);
  CHECK(generation.page_count() == 0 && generation.range_count() == 1);
  CHECK(generation.Lookup(5).kind == PageState::Kind::kWhole && !generation.Lookup(5).hole);
}

TEST("a piece under newer ones is dropped, and a base under pieces that cover the page is not asked for") {
  Generation generation;
  generation.PutPiece(7, {100, 100, Written(2)});
  generation.PutPiece(7, {50, 200, Written(3)});
  CHECK(generation.Lookup(7).pieces.size() == 1);
  CHECK(generation.Lookup(7).base.place.kind() == Place::Kind::kNone);
  for (uint32_t sector = 0; sector < 8; ++sector) generation.PutPiece(7, {static_cast<uint16_t>(sector * 512), 512, Written(4 + sector)});
  CHECK(generation.Lookup(7).pieces.size() == 8);
  CHECK(generation.Lookup(7).base.place.kind() == Place::Kind::kZero);
}

TEST("a page never holds more than two pieces for each of its bytes") {
  Generation generation;
  uint64_t tag = 2;
  size_t most = 0;
  for (uint32_t length = kPageBytes - 1; length > 3500; length -= 3) {
    for (uint32_t offset = 0; offset + length <= kPageBytes; offset += 7) {
      generation.PutPiece(1, {static_cast<uint16_t>(offset), static_cast<uint16_t>(length), Written(tag++)});
      most = std::max(most, generation.Lookup(1).pieces.size());
    }
  }
  CHECK(tag > 8000);
  CHECK(most <= 2 * kPageBytes);
}

TEST("zeroes in parts of a page add up to a zero page") {
  Generation generation;
  generation.PutPage(2, Written(5));
  generation.PutZero(2 * kPageBytes, 2048, true);
  CHECK(generation.Lookup(2).kind == PageState::Kind::kPieces);
  generation.PutZero(2 * kPageBytes + 2048, 2048, true);
  CHECK(generation.Lookup(2).kind == PageState::Kind::kWhole);
  CHECK(generation.Lookup(2).base.place.kind() == Place::Kind::kZero);
}

TEST("random pages cost less than 60 bytes each and are found again; a trim of half the volume kills half") {
  constexpr uint64_t kWrites = 300000;
  constexpr uint64_t kVolumePages = (10ull << 40) / kPageBytes;
  Generation generation;
  std::mt19937_64 random(7);
  std::vector<PageIndex> pages;
  for (uint64_t i = 0; i < kWrites; ++i) {
    pages.push_back(random() % kVolumePages);
    generation.PutPage(pages.back(), Written(i + 2));
  }
  CHECK(generation.bytes() / kWrites < 60);
  std::vector<PageIndex> sorted = pages;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  CHECK(generation.page_count() == sorted.size());
  for (const PageIndex page : pages) CHECK(generation.Lookup(page).kind == PageState::Kind::kWhole);
  for (size_t i = 0; i + 1 < 2000; ++i) {
    CHECK(generation.RunBelow(sorted[i] + 1, kVolumePages) == sorted[i + 1] - sorted[i] - 1);
  }
  CHECK(generation.RunBelow(sorted.back() + 1, 1000000) == 1000000);
  generation.PutZero(0, kVolumePages / 2 * kPageBytes, true);
  const uint64_t alive = sorted.end() - std::lower_bound(sorted.begin(), sorted.end(), kVolumePages / 2);
  CHECK(generation.page_count() == alive);
  for (const PageIndex page : sorted) {
    CHECK(generation.Lookup(page).base.place.kind() == (page < kVolumePages / 2 ? Place::Kind::kZero : Place::Kind::kJournal));
  }
  bool hole = false;
  CHECK(generation.RunZero(0, kVolumePages, &hole) == kVolumePages / 2 && hole);
}

TEST("sequential pages cost less than 21 bytes each, and slots that die are used again") {
  Generation generation;
  for (PageIndex page = 0; page < 200000; ++page) generation.PutPage(page, Written(page + 2));
  CHECK(generation.bytes() / 200000 < 21);
  const uint64_t held = generation.bytes();
  for (int round = 0; round < 5; ++round) {
    generation.PutZero(0, 200000ull * kPageBytes, false);
    CHECK(generation.page_count() == 0);
    for (PageIndex page = 0; page < 200000; ++page) generation.PutPage(page, Written(page + 2));
  }
  CHECK(generation.bytes() < held + held / 4);
}

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
