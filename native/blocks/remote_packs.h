#pragma once
// What a store of packs has besides files where its packs rest on a backend: who ships, who fetches, who looks which packs
// there are, who takes packs away, and the footers of those that are not on this host.
#include "footer_copies.h"
#include "gone_keeper.h"
#include "pack_listing.h"
#include "pack_shipper.h"
#include "pack_sweeper.h"
#include "record_fetcher.h"

namespace skerry {

/** Bytes of a pack as the backend has them, for who reads all of it. */
struct RestingWindow {
  uint32_t pack = 0;
  uint64_t offset = 0;
  std::vector<uint8_t> bytes;
  bool Covers(uint32_t of, uint64_t from, uint64_t count) const {
    return of == pack && from >= offset && from + count <= offset + bytes.size();
  }
};
inline constexpr uint32_t kRestingWindowBytes = 4u << 20;

struct RemotePacks {
  std::shared_ptr<RecordFetcher> fetcher;
  std::shared_ptr<PackShipper> shipper;
  std::shared_ptr<PackListing> listing;
  std::shared_ptr<PackSweeper> sweeper;
  std::unique_ptr<FooterCopies> footers;
  std::shared_ptr<GonePacks> gone;
  std::shared_ptr<GoneKeeper> gone_keeper;
  std::mutex resting_mutex;
  RestingWindow resting;    // under resting_mutex
  std::mutex files_mutex;   // held by whoever renames or removes files of packs that the backend has
};

}  // namespace skerry
