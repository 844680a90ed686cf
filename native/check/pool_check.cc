#include "pool_check.h"

#include <algorithm>
#include <unordered_map>

#include "../map/node_format.h"
#include "pack_survey.h"

namespace skerry {
namespace {

/** Walks trees from their roots, each node once however many roots share it. */
class TreeWalk {
 public:
  TreeWalk(PackSurvey& packs, PoolCheckReport& report) : packs_(packs), report_(report) {}

  void Walk(const CheckedRoot& checked) {
    if (checked.root.id.empty()) return;
    resource_ = checked.id;
    bool whole = false;
    if (checked.root.levels == 0 || checked.root.levels > kNodeLevelMax + 1) {
      packs_.Report(
          {.what = Finding::What::kNode, .resource = resource_, .id = checked.root.id, .detail = "the root has an impossible height"});
    } else {
      whole = Visit(checked.root.id, checked.root.at, static_cast<uint8_t>(checked.root.levels - 1), 0);
    }
    if (!whole) report_.damaged_roots.push_back(checked.id);
  }

  void Finish() {
    Compact();
    report_.blocks_reached = reached_.size();
  }

 private:
  /** False where something that the node reaches is missing or damaged. `first`: the first block it spans. */
  bool Visit(const BlockId& id, const Location& hint, uint8_t level, uint64_t first) {
    const auto seen = seen_.find(id);
    if (seen != seen_.end()) return seen->second;
    const bool whole = VisitNew(id, hint, level, first);
    seen_.emplace(id, whole);
    return whole;
  }

  bool VisitNew(const BlockId& id, const Location& hint, uint8_t level, uint64_t first) {
    Location at;
    Result<std::shared_ptr<const Node>> node = ReadNode(id, hint, at);
    if (node.ok() && (*node)->level != level) node = Status(Code::kCorrupt, "its level is not that of its place");
    if (!node.ok()) {
      Lost(Finding::What::kNode, node.code() == Code::kNotFound, at, id, first, node.status().detail());
      return false;
    }
    ++report_.nodes_reached;
    bool whole = true;
    (*node)->ForEach([&](uint32_t index, const MapSlot& slot) {
      const uint64_t block = first + (uint64_t{index} << (8 * level));
      if (!(level > 0 ? Visit(slot.id, slot.at, static_cast<uint8_t>(level - 1), block) : CheckBlock(slot, block))) whole = false;
    });
    return whole;
  }

  Result<std::shared_ptr<const Node>> ReadNode(const BlockId& id, const Location& hint, Location& at) {
    Result<std::vector<uint8_t>> raw = Status(Code::kNotFound, "no pack holds it");
    at = hint;
    if (hint.known()) raw = packs_.Read(hint, id);
    // A hint may be stale, or the record there rotten: then any other copy serves, as it would a reader of the daemon.
    const std::vector<Location> places = packs_.Places(id);
    for (size_t i = 0; i < places.size() && !raw.ok(); ++i) {
      if (places[i] == hint) continue;
      at = places[i];
      raw = packs_.Read(at, id);
    }
    if (places.empty() && !raw.ok()) {
      at = {};
      raw = Status(Code::kNotFound, "no pack holds it");
    }
    if (!raw.ok()) return raw.status();
    return Node::Decode(*raw, packs_.key(), id);
  }

  bool CheckBlock(const MapSlot& slot, uint64_t block) {
    reached_.push_back(slot.id.prefix());
    if (reached_.size() >= compact_at_) Compact();
    const std::vector<Location> places = packs_.Places(slot.id);
    if (places.empty()) {
      Lost(Finding::What::kBlock, true, {}, slot.id, block, "no pack holds it");
      return false;
    }
    if (!std::ranges::all_of(places, [&](const Location& at) { return packs_.Damaged(at); })) return true;
    const Location& at = slot.at.known() && packs_.Damaged(slot.at) ? slot.at : places.front();
    Lost(Finding::What::kBlock, false, at, slot.id, block, "pages of it fail their sums");
    return false;
  }

  void Lost(Finding::What what, bool missing, const Location& at, const BlockId& id, uint64_t block, const std::string& why) {
    packs_.Report({what, missing, at.pack, at.offset, resource_, block * kBlockBytes, id, why});
  }

  /** Nodes that differ mostly share their blocks, so what they use is many times what there is. */
  void Compact() {
    std::sort(reached_.begin(), reached_.end());
    reached_.erase(std::unique(reached_.begin(), reached_.end()), reached_.end());
    compact_at_ = std::max<size_t>(kCompactMin, reached_.size() * 2);
  }

  static constexpr size_t kCompactMin = 1 << 16;
  PackSurvey& packs_;
  PoolCheckReport& report_;
  uint64_t resource_ = 0;
  std::vector<uint64_t> reached_;   // beginnings of ids, a keyed hash: no two blocks of a pool share one
  size_t compact_at_ = kCompactMin;
  std::unordered_map<BlockId, bool, BlockIdHash> seen_;
};

}  // namespace

Result<PoolCheckReport> CheckPool(Env& env, const PoolCheckOptions& options) {
  if (options.domain_key.size() != 32) return Status(Code::kInvalid, "a domain key has 32 bytes");
  PoolCheckReport report;
  PackSurvey packs(env, options, report);
  if (Status status = packs.Run(); !status.ok()) return status;
  TreeWalk walk(packs, report);
  for (const CheckedRoot& root : options.roots) walk.Walk(root);
  walk.Finish();
  return report;
}

}  // namespace skerry
