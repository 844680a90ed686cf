#pragma once
// Footers of packs that are on the backend and not on this host, in small files beside the packs that are: what a pack
// holds is known without asking the backend. Copies of the truth; one that is damaged or absent is fetched again. See
// docs/formats/footer_copy.md.
#include <list>
#include <unordered_map>

#include "pack_footer.h"

namespace skerry {

inline constexpr uint32_t kFooterCopyVersion = 1;
inline constexpr uint32_t kFooterCopyMagic = 0x43464b53;  // "SKFC"

struct FooterCopyHeader {
  uint32_t magic;
  uint32_t version;
  uint64_t pack;
  uint64_t file_bytes;       // of the pack
  uint64_t footer_bytes;     // which follow, as they end the pack
  uint64_t reserved[3];
  uint64_t sum;              // XXH3 of the bytes before, seeded with the pack number
};
static_assert(sizeof(FooterCopyHeader) == 64);

struct PackFooter {
  uint64_t file_bytes = 0;
  std::vector<PackFooterEntry> entries;   // by offset
  /** The record that begins at `offset`, or nullptr. */
  const PackFooterEntry* At(uint32_t offset) const;
};

std::string FooterCopyPath(const std::string& directory, uint32_t pack);
std::vector<uint8_t> EncodeFooterCopy(uint32_t pack, uint64_t domain, const PackFooter& footer);
/** kCorrupt where any of it is damaged. */
Result<PackFooter> DecodeFooterCopy(ConstBytes bytes, uint32_t pack);

/** Thread-safe. */
class FooterCopies {
 public:
  FooterCopies(Env& env, std::string directory, uint64_t domain) : env_(env), directory_(std::move(directory)), domain_(domain) {}

  /** From memory, else from the copy; nullptr where there is none that is whole. */
  std::shared_ptr<const PackFooter> Find(uint32_t pack);
  /** Writes the copy, durably where it says so: then the pack's number is known here for good. */
  Status Keep(uint32_t pack, PackFooter footer, bool durable);
  Status Remove(uint32_t pack);

 private:
  static constexpr size_t kFootersMax = 256;  // in memory, some 12 KiB each
  struct Held {
    uint32_t pack;
    std::shared_ptr<const PackFooter> footer;
  };
  void Hold(uint32_t pack, std::shared_ptr<const PackFooter> footer);

  Env& env_;
  const std::string directory_;
  const uint64_t domain_;
  std::mutex mutex_;
  std::list<Held> held_;  // used last first
  std::unordered_map<uint32_t, std::list<Held>::iterator> at_;
};

}  // namespace skerry
