// Opening a store: which packs are there, what they hold, and sealing what a crash left open.
#include <algorithm>

#include "../env/mutants.h"
#include "pack_store_impl.h"

namespace skerry {
namespace {

enum class PackFileKind : uint8_t { kSealed, kOpen, kKept, kFooter };

struct PackName {
  uint32_t number;
  PackFileKind kind;
};

std::optional<PackName> ParseName(const std::string& name) {
  constexpr size_t kDigits = 8;
  static constexpr std::pair<const char*, PackFileKind> kKinds[] = {
      {".pack", PackFileKind::kSealed}, {".open", PackFileKind::kOpen}, {".kept", PackFileKind::kKept}, {".foot", PackFileKind::kFooter}};
  const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& each) {
    return name.size() == kDigits + 5 && name.compare(kDigits, 5, each.first) == 0;
  });
  if (kind == std::end(kKinds)) return std::nullopt;
  uint32_t number = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    const char c = name[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    number = number << 4 | static_cast<uint32_t>(digit);
  }
  if (number == 0) return std::nullopt;
  return PackName{number, kind->second};
}

bool SameEntries(const std::vector<PackFooterEntry>& a, const std::vector<PackFooterEntry>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(PackFooterEntry)) == 0;
}

}  // namespace

Status PackStore::Impl::Recover(PackReport& report) {
  if (Status status = env_.MakeDirectory(options_.directory); !status.ok()) return status;
  Result<std::vector<DirectoryEntry>> entries = env_.List(options_.directory);
  if (!entries.ok()) return entries.status();
  Found found;
  for (const DirectoryEntry& entry : *entries) {
    const auto name = ParseName(entry.name);
    if (!name) continue;
    found.newest = std::max(found.newest, name->number);
    if (name->kind == PackFileKind::kOpen) {
      found.open.push_back(name->number);
    } else if (name->kind == PackFileKind::kFooter) {
      found.footers.insert(name->number);
    } else {
      found.sealed[name->number] = {options_.directory + "/" + entry.name, entry.bytes, name->kind == PackFileKind::kKept};
    }
  }
  const bool nothing_here = found.newest == 0;
  Listed listed;
  if (remote_) {
    if (Status status = LoadGone(); !status.ok()) return status;
    Result<Listed> answer = ListRemote(report);
    if (!answer.ok()) return answer.status();
    listed = std::move(*answer);
  }
  if (listed && !listed->empty()) found.newest = std::max(found.newest, listed->rbegin()->first);
  if (remote_) LeaveGone(found, listed);
  next_pack_ = uint64_t{found.newest} + 1;
  const PackIsThere there = [&](uint32_t pack, uint64_t bytes) {
    if (remote_ && remote_->gone->Contains(pack)) return false;
    if (const auto local = found.sealed.find(pack); local != found.sealed.end()) return local->second.bytes == bytes;
    if (!remote_ || found.footers.contains(pack)) return remote_ != nullptr;
    if (!listed) return true;  // nobody says that it is not
    const auto chunk = listed->find(pack);
    return chunk != listed->end() && chunk->second == bytes;
  };
  Result<CheckpointContent> checkpoint = LoadCheckpoint(env_, options_.checkpoint, options_.domain, there, index_);
  if (checkpoint.ok()) {
    next_pack_ = std::max(next_pack_, checkpoint->next_pack);
    for (const auto& [number, pack] : checkpoint->packs) AddSealed(number, pack);
    report.index_from_checkpoint = true;
  } else if (checkpoint.code() != Code::kNotFound) {
    report.notes.push_back("the index is rebuilt from the packs' footers: " + checkpoint.status().detail());
  }
  // What is gone tells of no pack that is there: its numbers could be given out again.
  if (remote_ && !listed && !checkpoint.ok() && nothing_here) {
    return {Code::kIo, "the backend does not answer, and nothing on this host says what the pool holds: start again when it does"};
  }
  for (const auto& [number, local] : found.sealed) {
    if (sealed_.contains(number)) continue;
    if (Status status = RecoverSealed(number, local.path, local.bytes, report); !status.ok()) return status;
  }
  if (remote_) {
    // What is shipped here keeps its name: a pack that a crash made an open one again would be sealed again, and put again.
    if (Status status = env_.SyncDirectory(options_.directory); !status.ok()) return status;
    RecoverRemote(found, listed, report);
  }
  for (const uint32_t number : found.open) {
    if (found.sealed.contains(number) || sealed_.contains(number)) {
      // A pack takes its final name only once it is durable and whole, and is shipped only under that.
      report.notes.push_back("pack " + PackPath(options_.directory, number, false) + " is left alone: it is there sealed");
      continue;
    }
    if (Status status = RecoverOpen(number, number == found.newest, report); !status.ok()) return status;
  }
  report.packs = sealed_.size();
  report.records = sealed_totals_.blocks + sealed_totals_.nodes;
  // From its first start on, something on this host tells which numbers were given out.
  if (remote_ && checkpoint.code() == Code::kNotFound) return Checkpoint(true);
  return {};
}

Result<PackStore::Impl::Listed> PackStore::Impl::ListRemote(PackReport& report) {
  const std::shared_ptr<Errand> known = remote_->gone_keeper->Known();
  known->Wait();
  if (known->status().code() == Code::kCorrupt) {
    return Status(Code::kCorrupt, known->status().detail() +
                                      ". It names the packs that the host before this one told the backend to remove: without it, a removal that is still on its "
                                      "way could take what is written from now on. Wait until the backend can have none under way any more, remove that chunk, and "
                                      "start again");
  }
  if (!known->status().ok()) {
    report.notes.push_back("the backend does not say which packs it was told to remove, so that nothing it lists is believed yet: " + known->status().detail());
    return Listed();
  }
  struct Answer : Errand {
    std::vector<PackBackend::Chunk> chunks;
  };
  const auto answer = std::make_shared<Answer>();
  options_.remote->backend->List([answer](Result<std::vector<PackBackend::Chunk>> listed) {
    if (listed.ok()) answer->chunks = std::move(*listed);
    answer->Finish(listed.status());
  });
  answer->Wait();
  if (!answer->status().ok()) {
    report.notes.push_back("the backend does not say which packs it holds; what this host knows of them is believed: " + answer->status().detail());
    return Listed();
  }
  std::map<uint32_t, uint64_t> listed;
  for (const PackBackend::Chunk& chunk : answer->chunks) listed.emplace(chunk.pack, chunk.bytes);
  return Listed(std::move(listed));
}

Status PackStore::Impl::LoadGone() {
  const Status status = remote_->gone->Load();
  if (status.ok()) return status;
  return {status.code(), options_.directory + "/gone: " + status.detail() +
                             ". It names the packs that the backend was told to remove: without it, a removal that is still on its way could take what is "
                             "written from now on. Wait until the backend can have none under way any more, remove that file, and start again"};
}

void PackStore::Impl::LeaveGone(Found& found, Listed& listed) {
  const GonePacks& gone = *remote_->gone;
  found.newest = std::max(found.newest, gone.newest());
  std::set<uint32_t> here;
  for (const auto& [pack, local] : found.sealed) here.insert(pack);
  here.insert(found.footers.begin(), found.footers.end());
  for (const uint32_t pack : here) {
    if (!gone.Contains(pack)) continue;
    found.sealed.erase(pack);
    found.footers.erase(pack);
    // What stays is found again at the next start.
    (void)RemoveFiles(pack);
  }
  if (!listed) return;
  std::erase_if(*listed, [&](const auto& chunk) {
    if (!gone.Contains(chunk.first)) return false;
    remote_->sweeper->Add(chunk.first);
    return true;
  });
}

/** Packs without a file here, and which of those with one are copies. */
void PackStore::Impl::RecoverRemote(const Found& found, const Listed& listed, PackReport& report) {
  for (const uint32_t number : found.footers) {
    if (sealed_.contains(number)) continue;
    const std::shared_ptr<const PackFooter> footer = remote_->footers->Find(number);
    if (footer) {
      Adopt(number, footer->file_bytes, footer->entries);
    } else {
      unread_footers_.insert(number);
    }
  }
  std::vector<PackBackend::Chunk> unknown;
  if (listed) {
    for (const auto& [number, bytes] : *listed) {
      if (!sealed_.contains(number)) unknown.push_back({number, bytes});
    }
  }
  const std::shared_ptr<Errand> learnt = remote_->listing->Learn(std::move(unknown));
  learnt->Wait();
  if (!learnt->status().ok()) report.notes.push_back("the footers of some packs could not be read, and are asked for again: " + learnt->status().detail());
  remote_->listing->SetComplete(listed && learnt->status().ok());
  for (const auto& [number, local] : found.sealed) {
    // A chunk of the right size may be one whose put was never answered: only what was renamed after the answer is a copy.
    const auto chunk = listed ? listed->find(number) : std::map<uint32_t, uint64_t>::const_iterator();
    const bool missing = listed && (chunk == listed->end() || chunk->second != local.bytes);
    if (local.kept && !missing) {
      remote_->shipper->Kept(number, local.bytes, local.kept);
    } else {
      remote_->shipper->Staged(number, local.bytes, local.kept);
    }
  }
  if (!listed) return;
  uint64_t missing = 0;
  uint32_t first = 0;
  for (const auto& [number, pack] : sealed_) {
    if (found.sealed.contains(number) || listed->contains(number)) continue;
    if (missing++ == 0) first = number;
  }
  if (missing > 0) {
    report.notes.push_back(std::to_string(missing) + " packs are neither here nor listed by the backend, the first is " + PackPath("", first, true).substr(1));
  }
}

void PackStore::Impl::AddSealed(uint32_t number, const SealedPack& pack) {
  sealed_[number] = pack;
  sealed_totals_.bytes += pack.file_bytes;
  sealed_totals_.blocks += pack.blocks;
  sealed_totals_.nodes += IsMutant(Mutant::kSealedUncounted) ? 0 : pack.nodes;
}

void PackStore::Impl::Adopt(uint32_t number, uint64_t file_bytes, const std::vector<PackFooterEntry>& entries) {
  SealedPack pack;
  pack.file_bytes = file_bytes;
  for (const PackFooterEntry& entry : entries) {
    ++(entry.kind == RecordKind::kNode ? pack.nodes : pack.blocks);
    pack.damaged |= (entry.flags & kEntryDamaged) != 0;
    AdoptEntry(number, entry);
  }
  if (file_bytes == 0) return;  // it could not be sealed: the next start looks again
  AddSealed(number, pack);
  ++sealed_since_checkpoint_;
}

void PackStore::Impl::AdoptEntry(uint32_t pack, const PackFooterEntry& entry) {
  AdoptRecord(IdOf(entry), PlaceOf(pack, entry), (entry.flags & kEntryDamaged) != 0);
}

Status PackStore::Impl::RecoverSealed(uint32_t number, const std::string& path, uint64_t file_bytes, PackReport& report) {
  Result<std::unique_ptr<File>> file = env_.Open(path, {});
  if (!file.ok()) return file.status();
  Result<std::vector<PackFooterEntry>> entries = ReadFooter(**file, number);
  if (entries.ok()) {
    Adopt(number, file_bytes, *entries);
    return {};
  }
  report.notes.push_back(path + ": " + entries.status().detail());
  if (entries.code() != Code::kCorrupt) return {};  // unreadable: what maps name in it is told when it is read
  Result<PackScan> scan = ScanPack(**file, number, options_.key, Cipher());
  if (!scan.ok()) {
    report.notes.push_back(path + ": " + scan.status().detail());
    return {};
  }
  // What is sealed was durable, so this is rot.
  for (const PackScan::Damaged& damaged : scan->damaged) {
    for (const uint32_t page : damaged.bad_cells) NotePage(PlaceOf(number, damaged.entry), page);
    scan->entries.push_back(damaged.entry);
  }
  report.notes.push_back(path + ": " + std::to_string(scan->entries.size()) + " records were found by reading all of it, " +
                         std::to_string(scan->damaged.size()) + " of them damaged");
  Adopt(number, file_bytes, scan->entries);
  return {};
}

Status PackStore::Impl::RecoverOpen(uint32_t number, bool newest, PackReport& report) {
  const std::string path = PackPath(options_.directory, number, false);
  OpenOptions how;
  how.write = true;
  Result<std::unique_ptr<File>> opened = env_.Open(path, how);
  if (!opened.ok()) return opened.status();
  File& file = **opened;
  // After a process crash the newest records are in the page cache alone, and after a failed sync the page cache may hold
  // what the device never got. So: make durable first, then believe only what the device gives back.
  if (Status status = file.DataSync(); !status.ok()) return status;
  Result<PackScan> scan = Status(Code::kIo, {});
  {
    how = {};
    how.direct = true;
    const Result<std::unique_ptr<File>> direct = env_.Open(path, how);
    scan = ScanPack(direct.ok() ? *direct.value() : file, number, options_.key, Cipher());
  }
  if (!scan.ok()) {
    report.notes.push_back(path + " cannot be read and stays unsealed: " + scan.status().detail());
    return {};
  }
  // The newest number stays even when its pack is empty: no other file says that it was given out.
  if (scan->entries.empty() && scan->damaged.empty() && scan->unreadable == 0 && !newest) {
    opened->reset();
    if (Status status = env_.Remove(path); !status.ok()) return status;
    return env_.SyncDirectory(options_.directory);
  }
  if (remote_) remote_->shipper->Opened(number);
  auto& recovered = recovered_[number];
  for (const PackFooterEntry& entry : scan->entries) recovered.emplace(entry.offset, IdOf(entry));
  ++report.recovered_open;
  if (!scan->damaged.empty()) {
    report.notes.push_back(path + ": " + std::to_string(scan->damaged.size()) + " records, the first at byte " +
                           std::to_string(scan->damaged.front().entry.offset) + ", have pages that fail their sums; their other pages can be read");
  }
  if (scan->unreadable > 0) report.notes.push_back(path + ": " + std::to_string(scan->unreadable) + " records are torn and were skipped");
  if (scan->unproven > 0) {
    report.notes.push_back(path + ": " + std::to_string(scan->unproven) + " places look like records and were not written by this store; they were skipped");
  }
  // Torn or rotten cannot be told here: only who named the record knows whether it was ever durable. `recovered_`, which tells
  // what is whole, is without them.
  for (PackScan::Damaged& damaged : scan->damaged) {
    scan->entries.push_back(damaged.entry);
    suspects_.emplace(std::make_pair(number, damaged.entry.offset), Suspect{IdOf(damaged.entry), std::move(damaged.bad_cells)});
  }
  std::sort(scan->entries.begin(), scan->entries.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  if (!scan->header_holds && !scan->entries.empty()) report.notes.push_back(path + ": its file header is damaged; its records are not");

  const Result<uint64_t> bytes = SealOpen(file, number, *scan);
  if (bytes.code() == Code::kNoSpace) {
    // A full disk must not keep a pool from starting.
    report.notes.push_back(path + " stays unsealed: " + bytes.status().detail());
    Adopt(number, 0, scan->entries);
    return {};
  }
  if (!bytes.ok()) return bytes.status();
  Status named = env_.Rename(path, PackPath(options_.directory, number, true));
  if (named.ok()) named = env_.SyncDirectory(options_.directory);
  if (!named.ok()) return named;
  Adopt(number, *bytes, scan->entries);
  if (remote_) remote_->shipper->Staged(number, *bytes, false);
  return {};
}

/** Gives a pack that a crash left open its footer, and makes it durable; how long the file is then. */
Result<uint64_t> PackStore::Impl::SealOpen(File& file, uint32_t number, const PackScan& scan) {
  // One that has it already lacks the name alone. It may have been shipped as it stands, and is never put with other bytes.
  const Result<std::vector<PackFooterEntry>> present = ReadFooter(file, number);
  if (present.ok() && SameEntries(*present, scan.entries)) return file.Size();
  // Behind all that is not zero, not behind the last whole record: what was skipped may be wanted for a look.
  const uint64_t tail = (std::max<uint64_t>(scan.data_end, 1) + kPackAlignBytes - 1) / kPackAlignBytes * kPackAlignBytes;
  const std::vector<uint8_t> footer = EncodeFooter(number, options_.domain, scan.entries);
  // A crash took all of it, or it was made to take a number.
  Status sealed = scan.data_end > 0 ? Status::Ok() : file.Write(EncodeFileHeader(number, options_.domain, options_.key_id, env_.WallMillis()), 0);
  if (sealed.ok()) sealed = file.Write(footer, tail);
  if (sealed.ok()) sealed = file.Truncate(tail + footer.size());
  if (sealed.ok()) sealed = file.DataSync();
  return sealed.ok() ? Result<uint64_t>(tail + footer.size()) : sealed;
}

}  // namespace skerry
