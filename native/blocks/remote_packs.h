#pragma once
// What a store of packs has besides files where its packs rest on a backend: who ships, who fetches, who looks which packs
// there are, and the footers of those that are not on this host.
#include "footer_copies.h"
#include "pack_listing.h"
#include "pack_shipper.h"
#include "record_fetcher.h"

namespace skerry {

struct RemotePacks {
  std::shared_ptr<RecordFetcher> fetcher;
  std::shared_ptr<PackShipper> shipper;
  std::shared_ptr<PackListing> listing;
  std::unique_ptr<FooterCopies> footers;
};

}  // namespace skerry
