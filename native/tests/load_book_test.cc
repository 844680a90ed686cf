// Sums and orders of what volumes hold, and the links of those that wait, against plain models of them.
#include "../volume/load_book.h"

#include <algorithm>
#include <map>
#include <random>

#include "../volume/pending_links.h"
#include "check.h"

namespace skerry {

struct Pool {};

namespace {

const Pool pools[2];
bool all(ResourceId) { return true; }

VolumeLoad Loaded(bool active, size_t frozen, Lsn first, uint64_t overlay_bytes, Lsn end) {
  VolumeLoad load;
  load.active = active;
  load.frozen = frozen;
  load.first_lsn = first;
  load.active_overlay_bytes = active ? overlay_bytes : 0;
  load.overlay_bytes = overlay_bytes;
  load.overlay_pages = overlay_bytes / 100;
  load.journal_bytes = overlay_bytes * 3;
  load.blocks_bound = overlay_bytes / 7;
  load.last_end = end;
  return load;
}

TEST("a book of ten thousand changes has the sums and ends of its volumes") {
  std::mt19937_64 draw(7);
  LoadBook book;
  std::map<ResourceId, VolumeLoad> model;
  for (int step = 0; step < 10000; ++step) {
    const ResourceId id = draw() % 40;
    const uint64_t what = draw() % 8;
    if (what == 0) {
      book.Forget(id);
      model.erase(id);
    } else if (what == 1) {
      book.Set(id, VolumeLoad{}, step, &pools[id % 2]);
      model.erase(id);
    } else {
      const bool active = draw() % 2 == 0;
      const size_t frozen = active ? draw() % 3 : 1 + draw() % 3;
      const VolumeLoad load = Loaded(active, frozen, draw() % 1000, draw() % 5000, draw());
      book.Set(id, load, step, &pools[id % 2]);
      model[id] = load;
    }
    uint64_t journal = 0, overlay = 0, pages = 0, generations = 0;
    PoolLoad in_pools[2];
    Lsn lowest = ~0ull, oldest = ~0ull;
    uint64_t largest = 0;
    size_t active = 0;
    for (const auto& [volume, load] : model) {
      CHECK(book.Of(volume) == load);
      journal += load.journal_bytes;
      overlay += load.overlay_bytes;
      pages += load.overlay_pages;
      PoolLoad& in_pool = in_pools[volume % 2];
      in_pool.blocks_bound += load.blocks_bound;
      ++in_pool.holders;
      generations += load.frozen + (load.active ? 1 : 0);
      lowest = std::min(lowest, load.first_lsn);
      if (load.frozen > 0) in_pool.frozen.insert(volume);
      if (!load.active) continue;
      ++active;
      oldest = std::min(oldest, load.first_lsn);
      largest = std::max(largest, load.active_overlay_bytes);
    }
    CHECK(book.journal_bytes() == journal && book.overlay_bytes() == overlay && book.overlay_pages() == pages);
    CHECK(book.generations() == generations && book.holders() == model.size() && book.lowest() == lowest);
    for (size_t i = 0; i < 2; ++i) {
      const PoolLoad& noted = book.In(&pools[i]);
      CHECK(noted.blocks_bound == in_pools[i].blocks_bound && noted.holders == in_pools[i].holders && noted.frozen == in_pools[i].frozen);
    }
    CHECK(book.Active().size() == active && book.OldestActive(all).has_value() == (active > 0) && book.LargestActive(all).has_value() == (active > 0));
    if (active == 0) continue;
    CHECK(model.at(*book.OldestActive(all)).first_lsn == oldest);
    CHECK(model.at(*book.LargestActive(all)).active_overlay_bytes == largest);
    const ResourceId passed_over = *book.OldestActive(all);
    CHECK(book.OldestActive([=](ResourceId id) { return id != passed_over; }).has_value() == (active > 1));
  }
}

TEST("a volume rests from its last record on, not from its last change of another kind") {
  LoadBook book;
  book.Set(1, Loaded(true, 0, 10, 100, 50), 1000, &pools[0]);
  book.Set(2, Loaded(true, 0, 20, 100, 60), 2000, &pools[0]);
  CHECK(book.RestingSince(1000).empty());
  CHECK(book.RestingSince(1001) == std::vector<ResourceId>{1});
  book.Set(1, Loaded(true, 1, 10, 200, 50), 3000, &pools[0]);
  CHECK(book.RestingSince(2001) == (std::vector<ResourceId>{1, 2}));
  book.Set(1, Loaded(true, 1, 10, 200, 70), 4000, &pools[0]);
  CHECK(book.RestingSince(4000) == std::vector<ResourceId>{2});
  book.Set(2, Loaded(false, 1, 20, 100, 60), 5000, &pools[0]);
  CHECK(book.RestingSince(4001) == std::vector<ResourceId>{1});
}

TEST("all that waits is found, each after what it waits for") {
  PendingLinks links;
  links.Link(2, 1);   // snapshots of volume 1
  links.Link(3, 1);
  links.Link(4, 2);   // a clone of 2, a snapshot of that, and a clone of that
  links.Link(5, 4);
  links.Link(6, 5);
  links.Link(8, 7);
  CHECK(links.AllDependents(1) == (std::vector<uint64_t>{2, 3, 4, 5, 6}));
  CHECK(links.Dependents(1) == (std::vector<uint64_t>{2, 3}));
  CHECK(links.Of(6) == 5 && links.Of(1) == 0);
  links.Unlink(2);
  CHECK(links.AllDependents(1) == std::vector<uint64_t>{3});
  CHECK(links.AllDependents(2) == (std::vector<uint64_t>{4, 5, 6}));
  for (const uint64_t id : {3, 4, 5, 6, 8}) links.Unlink(id);
  links.Unlink(99);
  CHECK(links.empty() && links.AllDependents(1).empty());
}

}  // namespace
}  // namespace skerry

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
