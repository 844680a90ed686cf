#include "pack_survey.h"

#include <algorithm>
#include <cstring>
#include <ranges>

#include "../blocks/cell.h"
#include "../blocks/index_checkpoint.h"
#include "../blocks/pack_scan.h"

namespace skerry {
namespace {

constexpr size_t kNameCharacters = 13;   // NNNNNNNN.pack

/** 0 for a name that is no pack's. */
uint32_t NumberOf(const std::string& name) {
  if (name.size() != kNameCharacters || (!name.ends_with(".pack") && !name.ends_with(".open"))) return 0;
  uint32_t number = 0;
  for (size_t i = 0; i < 8; ++i) {
    const char c = name[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return 0;
    number = number << 4 | static_cast<uint32_t>(digit);
  }
  return number;
}

}  // namespace

std::string PackFiles::PathOf(uint32_t pack) const {
  const auto name = names_.find(pack);
  return directory_ + "/" + (name == names_.end() ? std::to_string(pack) : name->second);
}

File* PackFiles::Get(uint32_t pack) {
  const auto open = files_.find(pack);
  if (open != files_.end()) return open->second.get();
  if (!names_.contains(pack)) return nullptr;
  Result<std::unique_ptr<File>> file = env_.Open(PathOf(pack), {});
  if (!file.ok()) return nullptr;
  if (files_.size() >= kFilesMax) files_.erase(files_.begin());
  return files_.emplace(pack, std::move(*file)).first->second.get();
}

PackSurvey::PackSurvey(Env& env, const PoolCheckOptions& options, PoolCheckReport& report)
   
    : env_(env), options_(options), report_(report), key_(ConstBytes(options.domain_key)), files_(env, options.directory) {}

void PackSurvey::Report(Finding finding) {
  ++report_.findings_total;
  if (report_.findings.size() < kFindingsMax) report_.findings.push_back(std::move(finding));
}

Finding PackSurvey::PackFinding(uint32_t pack, const std::string& what) const {
  return {.what = Finding::What::kPack, .pack = pack, .id = {}, .detail = files_.PathOf(pack) + what};
}

Status PackSurvey::Run() {
  Result<std::vector<DirectoryEntry>> listed = env_.List(options_.directory);
  if (listed.code() == Code::kNotFound) return {};
  if (!listed.ok()) return listed.status();
  std::map<uint32_t, uint64_t> sealed, open;
  for (const DirectoryEntry& entry : *listed) {
    const uint32_t pack = NumberOf(entry.name);
    if (pack != 0) (entry.name.ends_with(".pack") ? sealed : open)[pack] = entry.bytes;
  }
  LoadIndex(sealed);
  char name[32];
  for (const auto& [pack, bytes] : sealed) {
    std::snprintf(name, sizeof(name), "%08x.pack", pack);
    files_.Know(pack, name);
    TakeSealed(pack, bytes);
  }
  for (const auto& [pack, bytes] : open) {
    if (sealed.contains(pack)) continue;  // sealed and renamed once it was whole: what is left over says nothing
    std::snprintf(name, sizeof(name), "%08x.open", pack);
    files_.Know(pack, name);
    TakeOpen(pack, bytes);
  }
  // As a start does it: of content that is there twice, the whole copy counts, and of damaged ones the newest.
  for (const auto& [pack, entry] : damaged_entries_ | std::views::reverse) {
    Know(IdOf(entry), PlaceOf(pack, entry));
  }
  damaged_entries_.clear();
  CompareIndex();
  return {};
}

void PackSurvey::Know(const BlockId& id, const Location& at) {
  // Of what the checkpoint covers a start reads no footer: a second copy there is none to it.
  if (checkpoint_ && agreed_.contains(at.pack)) {
    const std::optional<Location> known = checkpoint_->Find(id.prefix());
    if (known && !(*known == at)) return;
  }
  if (!index_.Insert(id.prefix(), at) && others_.size() < kOtherPlacesMax) others_.emplace(id.prefix(), at);
}

std::vector<Location> PackSurvey::Places(const BlockId& id) const {
  std::vector<Location> places;
  if (const std::optional<Location> known = index_.Find(id.prefix())) places.push_back(*known);
  const auto [from, to] = others_.equal_range(id.prefix());
  std::transform(from, to, std::back_inserter(places), [](const auto& other) { return other.second; });
  return places;
}

void PackSurvey::TakeSealed(uint32_t pack, uint64_t bytes) {
  ++report_.packs;
  report_.bytes += bytes;
  File* file = files_.Get(pack);
  if (file == nullptr) {
    Report(PackFinding(pack, " cannot be opened"));
    return;
  }
  std::vector<uint8_t> sector(kPackAlignBytes);
  Result<size_t> got = file->Read(sector, 0);
  if (!got.ok() || *got != sector.size() || !FileHeaderHolds(sector, pack)) {
    Report(PackFinding(pack, " at byte 0: the file header fails its sum"));
  }
  Result<std::vector<PackFooterEntry>> entries = ReadFooter(*file, pack);
  if (entries.ok()) {
    Take(pack, *entries);
    return;
  }
  const std::string why = files_.PathOf(pack) + ": " + entries.status().detail();
  Report({.what = Finding::What::kFooter, .pack = pack, .id = {}, .detail = why});
  TakeOpen(pack, 0);
}

/** Also a sealed pack whose footer is damaged: its records tell for themselves. */
void PackSurvey::TakeOpen(uint32_t pack, uint64_t bytes) {
  if (bytes > 0) ++report_.open_packs;
  report_.bytes += bytes;
  File* file = files_.Get(pack);
  Result<PackScan> scan = file == nullptr ? Result<PackScan>(Status(Code::kIo, "it cannot be opened")) : ScanPack(*file, pack, key_, Cipher());
  if (!scan.ok()) {
    Report(PackFinding(pack, ": " + scan.status().detail()));
    return;
  }
  // Torn by a crash as a rule, and then nothing names it; where a root does, that is told when it is reached.
  if (const size_t bad = scan->damaged.size() + scan->unreadable; bad > 0) {
    report_.notes.push_back(files_.PathOf(pack) + ": " + std::to_string(bad) + " records are torn or damaged");
  }
  for (const PackScan::Damaged& damaged : scan->damaged) scan->entries.push_back(damaged.entry);
  Take(pack, scan->entries);
}

void PackSurvey::Take(uint32_t pack, const std::vector<PackFooterEntry>& entries) {
  for (const PackFooterEntry& entry : entries) {
    ++(entry.kind == RecordKind::kNode ? report_.nodes : report_.blocks);
    const Location at = PlaceOf(pack, entry);
    if ((entry.flags & kEntryDamaged) != 0) {
      damaged_.insert(PackedLocation::Of(at).raw);
      damaged_entries_.emplace_back(pack, entry);
      continue;
    }
    Know(IdOf(entry), at);
    if (!checkpoint_ || !agreed_.contains(pack)) continue;
    const std::optional<Location> known = checkpoint_->Find(IdOf(entry).prefix());
    if (known && *known == at) ++agreed_[pack];
    if (known) continue;
    Report({.what = Finding::What::kIndex, .pack = pack, .offset = entry.offset, .id = IdOf(entry),
            .detail = "the index checkpoint lacks a record that the footer of " + files_.PathOf(pack) + " lists"});
  }
  if (options_.content == Content::kNone) return;
  for (const PackFooterEntry& entry : entries) {
    if ((entry.flags & kEntryDamaged) == 0) CheckContent(pack, entry);
  }
}

void PackSurvey::CheckContent(uint32_t pack, const PackFooterEntry& entry) {
  ++report_.records_read;
  const BlockId id = IdOf(entry);
  const Location at = PlaceOf(pack, entry);
  PackRecordHeader header{};
  Result<std::vector<uint8_t>> raw = Read(at, id, &header);
  Status status = raw.status();
  if (raw.ok() && (header.kind != entry.kind || header.codec != entry.codec || header.raw_bytes != entry.raw_bytes)) {
    status = Status(Code::kCorrupt, "its header is not what the footer says");
  }
  if (status.ok() && options_.content == Content::kHashes) status = CheckIdentity(header, *raw, id);
  if (status.ok()) return;
  damaged_.insert(PackedLocation::Of(at).raw);
  Report({.what = Finding::What::kRecord, .pack = pack, .offset = entry.offset, .id = id,
          .detail = files_.PathOf(pack) + " at byte " + std::to_string(entry.offset) + ": the record of a " +
                    (entry.kind == RecordKind::kNode ? "map node" : "block") + " is damaged (" + status.detail() + ")"});
}

Status PackSurvey::CheckIdentity(const PackRecordHeader& header, ConstBytes raw, const BlockId& id) const {
  if (header.kind == RecordKind::kNode) return Node::Decode(raw, key_, id).status();
  const DomainKey key = key_.ForDomain(header.domain, options_.domain);
  if (!raw.empty() && raw.size() % kPageBytes == 0 && key.BlockIdOf(raw) == id) return {};
  return Status(Code::kCorrupt, "its content does not hash to its id");
}

Result<std::vector<uint8_t>> PackSurvey::Read(const Location& at, const BlockId& id, PackRecordHeader* found) {
  File* file = files_.Get(at.pack);
  if (file == nullptr) return Status(Code::kNotFound, "there is no pack " + std::to_string(at.pack));
  if (at.stored_bytes < sizeof(PackRecordHeader) || at.stored_bytes > RecordStoredBytes(kRecordRawBytesMax)) {
    return Status(Code::kNotFound, "no record has this length");
  }
  std::vector<uint8_t> record(at.stored_bytes);
  Result<size_t> got = file->Read(record, at.offset);
  if (!got.ok()) return got.status();
  if (*got != record.size()) return Status(Code::kCorrupt, "the pack ends within it");
  const auto header = ParseHeader(record, at.pack, at.offset);
  if (!header || header->stored_bytes != at.stored_bytes) return Status(Code::kCorrupt, "its header fails its sum");
  if (std::memcmp(header->id, id.bytes.data(), id.bytes.size()) != 0) return Status(Code::kNotFound, "the record there is another's");
  if (found != nullptr) *found = *header;
  std::vector<uint8_t> raw(header->raw_bytes);
  if (const uint32_t bad = CheckCells(record, *header, raw, Cipher()); bad != CellCount(header->raw_bytes)) {
    return Status(Code::kCorrupt, "page " + std::to_string(bad) + " fails its sum");
  }
  return raw;
}

void PackSurvey::LoadIndex(const std::map<uint32_t, uint64_t>& sealed) {
  if (options_.checkpoint.empty()) return;
  auto index = std::make_unique<LocationIndex>();
  const auto there = [&sealed](uint32_t pack, uint64_t file_bytes) {
    const auto found = sealed.find(pack);
    return found != sealed.end() && found->second == file_bytes;
  };
  Result<CheckpointContent> content = LoadCheckpoint(env_, options_.checkpoint, options_.domain, there, *index);
  if (content.code() == Code::kNotFound) return;
  if (!content.ok()) {
    // A cache: the next start makes it anew from the footers.
    Report({.what = Finding::What::kIndex, .id = {}, .detail = options_.checkpoint + ": " + content.status().detail()});
    return;
  }
  report_.index_compared = true;
  checkpoint_ = std::move(index);
  for (const auto& [pack, known] : content->packs) agreed_[pack] = 0;
}

void PackSurvey::CompareIndex() {
  if (!checkpoint_) return;
  std::map<uint32_t, uint64_t> listed;
  for (size_t shard = 0; shard < LocationIndex::kShards; ++shard) {
    for (const LocationIndex::Entry& entry : checkpoint_->ShardEntries(shard)) ++listed[entry.at.pack()];
  }
  for (const auto& [pack, count] : listed) {
    const auto agreed = agreed_.find(pack);
    if (agreed == agreed_.end() || agreed->second == count) continue;
    Report({.what = Finding::What::kIndex, .pack = pack, .id = {},
            .detail = "the index checkpoint names " + std::to_string(count - agreed->second) + " records of " + files_.PathOf(pack) +
                      " that its footer does not list"});
  }
  checkpoint_.reset();
}

}  // namespace skerry
