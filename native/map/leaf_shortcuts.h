#pragma once
// The leaves used last, by (root, leaf index): one look instead of one a level. A root's id is the hash of all below it,
// so an entry never goes stale; it is only replaced. Direct-mapped, of a fixed size. Thread-safe.
#include <memory>
#include <mutex>
#include <vector>

#include "tree.h"

namespace skerry {

class LeafShortcuts {
 public:
  /** `entries`: a power of two, or 0 for none. Each may hold one node of kNodeBytesMax. */
  explicit LeafShortcuts(size_t entries) : entries_(entries) {}

  std::shared_ptr<const Node> Get(const BlockId& root, uint64_t leaf) {
    if (entries_.empty()) return nullptr;
    Entry& entry = EntryOf(root, leaf);
    const std::lock_guard lock(entry.mutex);
    return entry.leaf == leaf && entry.root == root ? entry.node : nullptr;
  }

  void Put(const BlockId& root, uint64_t leaf, std::shared_ptr<const Node> node) {
    if (entries_.empty()) return;
    Entry& entry = EntryOf(root, leaf);
    const std::lock_guard lock(entry.mutex);
    entry.root = root;
    entry.leaf = leaf;
    entry.node.swap(node);
  }

 private:
  struct Entry {
    std::mutex mutex;
    BlockId root;
    uint64_t leaf = 0;
    std::shared_ptr<const Node> node;
  };
  Entry& EntryOf(const BlockId& root, uint64_t leaf) {
    return entries_[((root.prefix() ^ leaf) * 0x9e3779b97f4a7c15ull >> 32) & (entries_.size() - 1)];
  }
  std::vector<Entry> entries_;
};

}  // namespace skerry
