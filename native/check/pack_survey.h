#pragma once
// All records of a pool's packs, by what the packs themselves say; the first half of checking a pool.
#include <map>
#include <unordered_set>

#include "../blocks/location_index.h"
#include "../blocks/pack_footer.h"
#include "pool_check.h"

namespace skerry {

/** Open packs of a pool under a check: a few files are kept open. */
class PackFiles {
 public:
  PackFiles(Env& env, std::string directory) : env_(env), directory_(std::move(directory)) {}
  void Know(uint32_t pack, std::string name) { names_[pack] = std::move(name); }
  std::string PathOf(uint32_t pack) const;
  /** nullptr where there is no such pack, or it cannot be opened. */
  File* Get(uint32_t pack);

 private:
  static constexpr size_t kFilesMax = 64;
  Env& env_;
  const std::string directory_;
  std::map<uint32_t, std::string> names_;
  std::map<uint32_t, std::unique_ptr<File>> files_;
};

class PackSurvey {
 public:
  PackSurvey(Env& env, const PoolCheckOptions& options, PoolCheckReport& report);
  Status Run();

  /** The record's payload, header and cells checked against `id`; kNotFound where another's record is there. */
  Result<std::vector<uint8_t>> Read(const Location& at, const BlockId& id, PackRecordHeader* found = nullptr);
  /** Where packs have it, as a start knows it: the first is where the index would lead. */
  std::vector<Location> Places(const BlockId& id) const;
  /** A record that is known to be damaged, by its footer or because it was read. */
  bool Damaged(const Location& at) const { return damaged_.contains(PackedLocation::Of(at).raw); }
  const DomainKey& key() const { return key_; }
  void Report(Finding finding);

 private:
  Finding PackFinding(uint32_t pack, const std::string& what) const;
  void TakeSealed(uint32_t pack, uint64_t bytes);
  void TakeOpen(uint32_t pack, uint64_t bytes);
  void Take(uint32_t pack, const std::vector<PackFooterEntry>& entries);
  /** Header and page sums against the footer, and where asked the content against its id: what fails is reported. */
  void CheckContent(uint32_t pack, const PackFooterEntry& entry);
  Status CheckIdentity(const PackRecordHeader& header, ConstBytes raw, const BlockId& id) const;
  void Know(const BlockId& id, const Location& at);
  void LoadIndex(const std::map<uint32_t, uint64_t>& sealed);
  void CompareIndex();
  const RecordCipher* Cipher() const { return options_.cipher ? &*options_.cipher : nullptr; }

  Env& env_;
  const PoolCheckOptions& options_;
  PoolCheckReport& report_;
  const DomainKey key_;   // of the pool's own domain
  PackFiles files_;
  LocationIndex index_;
  std::multimap<uint64_t, Location> others_;   // places besides, by the id's prefix
  std::unordered_set<uint64_t> damaged_;
  std::vector<std::pair<uint32_t, PackFooterEntry>> damaged_entries_;
  /** The index as it was checkpointed, and how many of each pack's records it and the footers agree on. */
  std::unique_ptr<LocationIndex> checkpoint_;
  std::map<uint32_t, uint64_t> agreed_;
};

}  // namespace skerry
