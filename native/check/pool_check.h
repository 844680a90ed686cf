#pragma once
// Whether a pool's packs hold what its roots reach: footers against the records and the index, map nodes with their sums, blocks
// by their presence, page sums, and all content against its ids when asked. Only reads. Memory: sixteen bytes a record
// of the pool (thirty-two while the index is compared), sixteen a block reached, some sixty a map node, and a list of findings with an end.
#include "../map/tree.h"

namespace skerry {

inline constexpr size_t kFindingsMax = 1000;

struct CheckedRoot {
  uint64_t id = 0;             // whose
  TreeRoot root;
};

/** How much of the records is read. Map nodes that a root reaches are, always. */
enum class Content : uint8_t {
  kNone,    // what the footers say is taken for true
  kSums,    // headers and page sums
  kHashes,  // and content against ids
};

struct PoolCheckOptions {
  std::string directory;       // of the packs
  std::string checkpoint;      // of the index; '' where it is not to be compared
  uint64_t domain = 1;         // the pool's own
  std::vector<uint8_t> domain_key;
  std::optional<RecordCipher> cipher{};   // of an encrypted pool
  std::vector<CheckedRoot> roots;
  Content content = Content::kSums;
};

/** One thing that is not as it should be. */
struct Finding {
  enum class What : uint8_t { kPack, kFooter, kIndex, kRecord, kNode, kBlock };
  What what;
  bool missing = false;        // a node or block that no pack holds; else it is there and damaged
  uint32_t pack = 0;           // 0: not known
  uint64_t offset = 0;         // in the pack
  uint64_t resource = 0;       // the first root that reaches it; 0: none was asked
  uint64_t volume_offset = 0;  // of what the node or block is, in the resource
  BlockId id;
  std::string detail;          // a sentence
};

struct PoolCheckReport {
  uint64_t packs = 0, open_packs = 0, blocks = 0, nodes = 0, bytes = 0;   // that the packs hold; bytes of files
  uint64_t records_read = 0;                                              // header and sums
  uint64_t nodes_reached = 0, blocks_reached = 0;                         // each once, however many maps use it
  bool index_compared = false;
  std::vector<Finding> findings;                                          // the first kFindingsMax
  uint64_t findings_total = 0;
  std::vector<uint64_t> damaged_roots;                                    // ids of roots that do not reach all they name
  std::vector<std::string> notes;
};

/** Fails only where the packs cannot be listed: all else is a finding. */
Result<PoolCheckReport> CheckPool(Env& env, const PoolCheckOptions& options);

}  // namespace skerry
