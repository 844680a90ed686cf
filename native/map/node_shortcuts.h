#pragma once
// The nodes of one level used last, by (root, index of the node in its level): one look instead of one a level. A root's
// id is the hash of all below it, so an entry never goes stale; it is only replaced. Direct-mapped, of a fixed size.
// Thread-safe.
#include <memory>
#include <mutex>
#include <vector>

#include "tree.h"

namespace skerry {

class NodeShortcuts {
 public:
  /** `entries`: a power of two, or 0 for none. Each may hold one node of kNodeBytesMax. */
  explicit NodeShortcuts(size_t entries) : entries_(entries) {}

  std::shared_ptr<const Node> Get(const BlockId& root, uint64_t index) {
    if (entries_.empty()) return nullptr;
    Entry& entry = EntryOf(root, index);
    const std::lock_guard lock(entry.mutex);
    return entry.index == index && entry.root == root ? entry.node : nullptr;
  }

  void Put(const BlockId& root, uint64_t index, std::shared_ptr<const Node> node) {
    if (entries_.empty()) return;
    Entry& entry = EntryOf(root, index);
    const std::lock_guard lock(entry.mutex);
    entry.root = root;
    entry.index = index;
    entry.node.swap(node);
  }

 private:
  struct Entry {
    std::mutex mutex;
    BlockId root;
    uint64_t index = 0;
    std::shared_ptr<const Node> node;
  };
  Entry& EntryOf(const BlockId& root, uint64_t index) {
    return entries_[((root.prefix() ^ index) * 0x9e3779b97f4a7c15ull >> 32) & (entries_.size() - 1)];
  }
  std::vector<Entry> entries_;
};

}  // namespace skerry
