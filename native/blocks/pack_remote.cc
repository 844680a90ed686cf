// Packs that rest on a backend: their records come through the cache, by asking; sealed packs go there, and their files
// here become copies. Every page is checked where it is used, wherever it came from.
#include <algorithm>

#include "frames.h"
#include "pack_store_impl.h"

namespace skerry {
namespace {

constexpr uint64_t kRefreshNanosMin = 5'000'000'000;

Status WouldBlock() { return {Code::kTryAgain, {}}; }

std::string Where(uint32_t pack, uint64_t offset) { return "byte " + std::to_string(offset) + " of pack " + PackPath("", pack, true).substr(1); }

/** Pages [first, first + count) of a record, each checked. False where one is missing or fails its sum. */
bool CopyPages(const RecordImage& record, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into, const RecordCipher* cipher) {
  if (at.framed || cipher != nullptr) return CopyFrames(record, at, prefix, first, count, into, cipher);
  const uint64_t seed = prefix + first;
  if (record.size() < sizeof(PackRecordHeader) + size_t{first + count} * kCellBytes) return false;
  const uint8_t* cell = record.data() + sizeof(PackRecordHeader) + size_t{first} * kCellBytes;
  for (uint32_t i = 0; i < count; ++i, cell += kCellBytes) {
    if (!CellHolds(cell, kPageBytes, cell + kPageBytes, seed + i)) return false;
    std::memcpy(into.data() + size_t{i} * kPageBytes, cell, kPageBytes);
  }
  return true;
}

}  // namespace

void PackStore::Impl::OpenRemote() {
  const RemotePackOptions& remote = *options_.remote;
  remote_ = std::make_unique<RemotePacks>();
  FetchLimits fetch;
  fetch.in_flight_max = remote.fetches_in_flight_max;
  remote_->fetcher = std::make_shared<RecordFetcher>(remote.backend, remote.cache, remote.local, remote.pool, fetch);
  remote_->shipper = std::make_shared<PackShipper>(env_, remote.backend, options_.directory,
                                                   ShipLimits{remote.ships_in_flight_max, remote.staged_bytes_max, remote.kept_bytes_max});
  remote_->footers = std::make_unique<FooterCopies>(env_, options_.directory, options_.domain);
  remote_->gone = std::make_shared<GonePacks>(env_, options_.directory, options_.domain);
  remote_->gone_keeper = std::make_shared<GoneKeeper>(remote_->gone, remote.backend);
  remote_->sweeper = std::make_shared<PackSweeper>(env_, remote.backend, remote_->gone_keeper);
  PackListing::Owner owner;
  owner.known = [this](uint32_t pack) {
    std::lock_guard lock(mutex_);
    // Whoever gave it out: this number is taken.
    next_pack_ = std::max(next_pack_, uint64_t{pack} + 1);
    if (!remote_->gone->Contains(pack)) return sealed_.contains(pack);
    if (remote_->gone->Stands(pack)) remote_->sweeper->Add(pack);
    return true;
  };
  owner.learn = [this](uint32_t pack, uint64_t bytes, const std::vector<PackFooterEntry>& entries) { Learn(pack, bytes, entries); };
  remote_->listing = std::make_shared<PackListing>(remote.backend, remote_->gone_keeper, std::move(owner));
}

PackStore::Impl::~Impl() {
  if (!remote_) return;
  remote_->listing->Close();
  remote_->gone_keeper->Close();
  remote_->shipper->OnChange({});
}

void PackStore::Impl::Learn(uint32_t pack, uint64_t bytes, const std::vector<PackFooterEntry>& entries) {
  {
    std::lock_guard lock(mutex_);
    next_pack_ = std::max(next_pack_, uint64_t{pack} + 1);
    if (sealed_.contains(pack) || remote_->gone->Contains(pack)) return;
    Adopt(pack, bytes, entries);
  }
  // Where it cannot be written, it is fetched again at the next start.
  (void)remote_->footers->Keep(pack, {bytes, entries}, false).ok();
}

RecordWish PackStore::Impl::WishOf(uint32_t pack, uint32_t offset, uint32_t bytes, bool again) const {
  std::lock_guard lock(mutex_);
  const auto found = sealed_.find(pack);
  return {pack, offset, bytes, found == sealed_.end() ? 0 : found->second.file_bytes, again};
}

/** The record's bytes as they stand in its pack, unchecked. `again`: those that were had before are wrong. */
Result<std::shared_ptr<const RecordImage>> PackStore::Impl::Record(const Location& at, uint32_t first, uint32_t count, bool may_block, bool again) {
  // A hint may name a pack that a crash took. What the index does not know is looked for by RefreshIndex, not here.
  if (!KnowsPack(at.pack)) return Status(Code::kNotFound, "there is no pack " + PackPath("", at.pack, true).substr(1));
  const RecordKey key = KeyOf(at.pack, at.offset);
  ReadWaits* const waits = ReadWaits::Current();
  std::shared_ptr<RecordFetch> fetch = waits != nullptr ? waits->Find(key) : nullptr;
  if (again) {
    if (fetch && fetch->again) return Status(Code::kCorrupt, "the record at " + Where(at.pack, at.offset) + " fails its sums");
    Forget(key);
    fetch = nullptr;
  } else if (!fetch) {
    if (auto record = options_.remote->cache->Get(key, first, count)) return record;
    if (auto record = may_block ? FromDisk(key) : nullptr) return record;
  }
  if (!fetch) {
    // Whoever may not block comes again on a thread that may, and asks then: what nobody holds, a small cache would lose.
    if (!may_block) return WouldBlock();
    const RecordWish wish = WishOf(at.pack, at.offset, at.stored_bytes, again);
    fetch = remote_->fetcher->Ask({&wish, 1}).front();
    if (waits != nullptr) waits->Add(fetch);
  }
  return Outcome(fetch, may_block);
}

void PackStore::Impl::Keep(const RecordKey& key, const std::shared_ptr<const RecordImage>& record) {
  options_.remote->cache->Put(key, record);
  if (options_.remote->local) options_.remote->local->Offer(key, record);
}

void PackStore::Impl::Forget(const RecordKey& key) {
  options_.remote->cache->Drop(key);
  if (options_.remote->local) options_.remote->local->Drop(key);
}

/** What is in memory from then on. Waits for this host's disk, as a read of a pack that is here does. */
std::shared_ptr<const RecordImage> PackStore::Impl::FromDisk(const RecordKey& key) {
  if (!options_.remote->local) return nullptr;
  std::shared_ptr<const RecordImage> record = options_.remote->local->Read(key);
  if (record) options_.remote->cache->Put(key, record);
  return record;
}

Result<std::shared_ptr<const RecordImage>> PackStore::Impl::Outcome(const std::shared_ptr<RecordFetch>& fetch, bool may_block) {
  if (!fetch->done()) {
    if (!may_block || ReadWaits::Current() != nullptr) return WouldBlock();
    fetch->Wait();
  }
  if (fetch->status().ok()) return fetch->record;
  if (fetch->status().code() != Code::kNotFound || fetch->again) return fetch->status();
  if (!may_block) return WouldBlock();
  return LookAgain(fetch);
}

/** A pack that is not there may be one the backend has not told of yet: it is gone only once a listing begun after this miss has passed. */
Result<std::shared_ptr<const RecordImage>> PackStore::Impl::LookAgain(const std::shared_ptr<RecordFetch>& fetch) {
  if (!KnowsPack(fetch->key.pack)) return fetch->status();   // it was removed meanwhile
  ReadWaits* const waits = ReadWaits::Current();
  std::shared_ptr<Errand> refresh = waits != nullptr ? waits->refresh() : nullptr;
  if (!refresh) {
    refresh = remote_->listing->Refresh();
    if (waits != nullptr) {
      waits->AddRefresh(refresh);
      return WouldBlock();
    }
    refresh->Wait();
  }
  if (!refresh->done()) return WouldBlock();
  if (!refresh->status().ok()) return Status(Code::kIo, fetch->status().detail() + "; looking again failed: " + refresh->status().detail());
  const RecordWish wish = WishOf(fetch->key.pack, fetch->key.offset, fetch->bytes, true);
  const std::shared_ptr<RecordFetch> second = remote_->fetcher->Ask({&wish, 1}).front();
  if (waits != nullptr) waits->Add(second);
  if (!second->done()) {
    if (waits != nullptr) return WouldBlock();
    second->Wait();
  }
  if (!second->status().ok()) return second->status();
  Keep(second->key, second->record);
  return second->record;
}

Status PackStore::Impl::RemoteCells(uint32_t pack, uint32_t cell, uint64_t seed, uint32_t count, Bytes into, bool may_block) {
  const std::optional<PageOfRecord> place = PageAt(pack, cell);
  if (!place) return {Code::kCorrupt, "there can be no page at " + Where(pack, cell)};
  return RemotePages(place->at, seed - place->page, place->page, count, into, may_block);
}

/** `prefix`: of the block's id. What a hint says of a raw record's length is not believed: blocks have one length. */
Status PackStore::Impl::RemotePages(const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into, bool may_block) {
  for (const bool again : {false, true}) {
    const Result<std::shared_ptr<const RecordImage>> record = Record({at.pack, at.offset, at.framed ? at.stored_bytes : 0}, first, count, may_block, again);
    if (!record.ok()) {
      if (again && record.code() == Code::kCorrupt) NotePage(at, first);
      return record.status();
    }
    if (CopyPages(**record, at, prefix, first, count, into, Cipher())) {
      if (again) Keep(KeyOf(at.pack, at.offset), *record);
      return {};
    }
    if (!may_block) return WouldBlock();
  }
  NotePage(at, first);
  return {Code::kCorrupt, "the page at " + Where(at.pack, at.framed ? at.offset : CellOffset(at, first)) + " fails its sum"};
}

Result<std::vector<uint8_t>> PackStore::Impl::RemoteRecord(const Location& at, const BlockId& id, bool may_block, uint64_t* domain) {
  uint32_t failed_cell = 0;
  for (const bool again : {false, true}) {
    const Result<std::shared_ptr<const RecordImage>> record = Record(at, 0, 1, may_block, again);
    if (!record.ok()) {
      if (again && record.code() == Code::kCorrupt) NotePage(at, failed_cell);
      return record.status();
    }
    if (const auto header = ParseHeader(**record, at.pack, at.offset)) {
      if (std::memcmp(header->id, id.bytes.data(), sizeof(header->id)) != 0) {
        return Status(Code::kNotFound, "the record at " + Where(at.pack, at.offset) + " is another");
      }
      if (header->stored_bytes <= (*record)->size()) {
        std::vector<uint8_t> payload(header->raw_bytes);
        failed_cell = CheckCells(**record, *header, payload, Cipher());
        if (failed_cell == CellCount(header->raw_bytes)) {
          if (again) Keep(KeyOf(at.pack, at.offset), *record);
          if (domain != nullptr) *domain = header->domain;
          return payload;
        }
      }
    }
    if (!may_block) return WouldBlock();
  }
  NotePage(at, failed_cell);
  return Status(Code::kCorrupt, "the record at " + Where(at.pack, at.offset) + " fails its sums");
}

Result<PackRecordHeader> PackStore::Impl::RemoteHeader(const Location& at, bool may_block) {
  const Result<std::shared_ptr<const RecordImage>> record = Record(at, 0, 1, may_block, false);
  if (!record.ok()) return record.status();
  if (const auto header = ParseHeader(**record, at.pack, at.offset)) return *header;
  return Status(Code::kCorrupt, "the record header at " + Where(at.pack, at.offset) + " is not whole");
}

/** What the footer says stands there, without asking the backend. */
std::optional<PackFooterEntry> PackStore::Impl::KnownEntry(const Location& at) {
  const std::shared_ptr<const PackFooter> footer = remote_->footers->Find(at.pack);
  const PackFooterEntry* const entry = footer ? footer->At(at.offset) : nullptr;
  return entry != nullptr ? std::optional(*entry) : std::nullopt;
}

std::vector<RecordWish> PackStore::Impl::WishesOf(std::span<const Location> places) {
  ReadWaits* const waits = ReadWaits::Current();
  std::vector<RecordWish> wishes;
  for (const Location& at : places) {
    if (!at.known() || !Elsewhere(at.pack) || !KnowsPack(at.pack)) continue;
    const RecordKey key = KeyOf(at.pack, at.offset);
    if ((waits != nullptr && waits->Find(key)) || options_.remote->cache->Peek(key)) continue;
    if (options_.remote->local && options_.remote->local->Prepare(key)) continue;
    wishes.push_back(WishOf(at.pack, at.offset, at.stored_bytes, false));
    // Of a guest's reads it is known what comes next (volume/sequential_readers.h).
    wishes.back().planned = waits != nullptr;
  }
  return wishes;
}

void PackStore::Impl::FetchAhead(std::span<const Location> places) {
  if (!remote_) return;
  const std::vector<RecordWish> wishes = WishesOf(places);
  if (wishes.empty()) return;
  ReadWaits* const waits = ReadWaits::Current();
  for (auto& fetch : remote_->fetcher->Ask(wishes)) {
    if (waits != nullptr) waits->Add(std::move(fetch));
  }
}

void PackStore::Impl::FetchLater(std::span<const Location> places) {
  if (!remote_) return;
  std::vector<RecordWish> wishes = WishesOf(places);
  for (RecordWish& wish : wishes) wish.planned = true;
  if (!wishes.empty()) remote_->fetcher->AskAhead(wishes);
}

// What is new in the cache has a tenth of it for sure, and what was just read is there too.
uint64_t PackStore::Impl::AheadBytesMax() const { return remote_ ? options_.remote->cache->bytes_max() / 16 : 0; }

Status PackStore::Impl::RefreshIndex() {
  if (!remote_ || remote_->listing->complete()) return {};
  ReadWaits* const waits = ReadWaits::Current();
  if (waits != nullptr && waits->refresh()) return waits->refresh()->done() ? waits->refresh()->status() : WouldBlock();
  const std::shared_ptr<Errand> refresh = remote_->listing->Refresh();
  if (waits != nullptr) {
    waits->AddRefresh(refresh);
    return WouldBlock();
  }
  refresh->Wait();
  return refresh->status();
}

bool PackStore::Impl::KnowsPack(uint32_t pack) const {
  std::lock_guard lock(mutex_);
  return sealed_.contains(pack);
}

uint32_t PackStore::Impl::Mark() const {
  std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(next_pack_ - 1);
}

Result<bool> PackStore::Impl::ShippedUpTo(uint32_t mark) const {
  if (!remote_) return true;
  {
    std::lock_guard lock(mutex_);
    if (!lost_.ok()) return lost_;
  }
  return remote_->shipper->ShippedUpTo(mark);
}

bool PackStore::Impl::OpenUpTo(uint32_t mark) const {
  std::lock_guard lock(mutex_);
  return std::any_of(open_.begin(), open_.end(), [mark](const auto& pack) { return pack->number <= mark; });
}

void PackStore::Impl::OnShipped(std::function<void()> changed) {
  if (remote_) remote_->shipper->OnChange(std::move(changed));
}

Status PackStore::Impl::Upkeep() {
  if (!remote_) return {};
  // A name that is not durable is not shipped.
  if (Status status = failure(); !status.ok()) return status;
  PackShipper& shipper = *remote_->shipper;
  shipper.Begin();
  remote_->sweeper->Begin();
  std::lock_guard one_at_a_time(remote_->files_mutex);
  for (const uint32_t pack : shipper.ToRename()) {
    const Status status = env_.Rename(PackPath(options_.directory, pack, true), KeptPackPath(options_.directory, pack));
    if (!status.ok()) return status;
    shipper.Renamed(pack);
  }
  Status kept;
  for (const auto& [pack, bytes] : shipper.ToDrop()) {
    // One that cannot be dropped keeps no other here.
    if (Status status = Drop(pack, bytes); !status.ok() && kept.ok()) kept = status;
  }
  const uint64_t now = env_.NowNanos();
  if (!remote_->listing->complete() && now >= refresh_nanos_) {
    refresh_nanos_ = now + kRefreshNanosMin;
    (void)remote_->listing->Refresh();
  }
  return kept;
}

// Its footer stays, durably: what it holds is known without the backend, and its number is never given out again. Readers
// that have the file open go on with it; those that come later ask the backend.
Status PackStore::Impl::Drop(uint32_t pack, uint64_t bytes) {
  {
    const Result<std::shared_ptr<File>> file = handles_.Get(pack);
    if (!file.ok()) return file.status();
    Result<std::vector<PackFooterEntry>> entries = ReadFooter(**file, pack);
    if (!entries.ok()) return entries.status();
    if (Status status = remote_->footers->Keep(pack, {bytes, std::move(*entries)}, true); !status.ok()) return status;
  }
  remote_->shipper->Forget(pack);
  const Status removed = env_.Remove(KeptPackPath(options_.directory, pack));
  handles_.Remove(pack);
  direct_handles_.Remove(pack);
  return removed;
}

void PackStore::Impl::AddRemoteUsage(Usage& usage) const {
  const PackShipper::Usage ships = remote_->shipper->usage();
  const RecordFetcher::Usage fetches = remote_->fetcher->usage();
  usage.staged_packs = ships.staged_packs;
  usage.staged_bytes = ships.staged_bytes;
  usage.kept_packs = ships.kept_packs;
  usage.kept_bytes = ships.kept_bytes;
  usage.shipped_packs = ships.shipped_packs;
  usage.shipped_bytes = ships.shipped_bytes;
  usage.ship_failures = ships.failures;
  usage.backend_full = ships.no_space;
  usage.fetches = fetches.fetches;
  usage.fetched_bytes = fetches.fetched_bytes;
  usage.fetch_failures = fetches.failures;
  usage.fetches_waiting = fetches.waiting;
  const PackSweeper::Usage sweeps = remote_->sweeper->usage();
  usage.removals = sweeps.removed;
  usage.removals_waiting = sweeps.waiting;
  usage.removal_failures = sweeps.failures;
}

}  // namespace skerry
