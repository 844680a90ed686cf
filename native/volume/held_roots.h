#pragma once
// Roots that no resource has and that somebody works with all the same: what they reach is wanted for as long as they are held.
#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "../map/tree.h"

namespace skerry {

struct Pool;

/** One root that is held, until nobody has this any more. It may outlive the store, and keeps no pool open. */
class HeldRoot;

/** Thread-safe. */
class HeldRoots {
 public:
  std::shared_ptr<const HeldRoot> Hold(const Pool& pool, const TreeRoot& root);
  /** The same for one that somebody holds already; null where nobody does. */
  std::shared_ptr<const HeldRoot> HoldToo(const Pool& pool, const TreeRoot& root);
  /** Whether anything is held in the pool. */
  bool Any(const Pool& pool) const;
  void AddTo(const Pool& pool, std::vector<TreeRoot>& roots) const;

 private:
  friend class HeldRoot;
  struct Entry {
    const Pool* pool;
    TreeRoot root;
  };
  struct State {
    std::mutex mutex;
    std::list<Entry> held;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class HeldRoot {
 public:
  HeldRoot(std::shared_ptr<HeldRoots::State> state, std::list<HeldRoots::Entry>::iterator at) : state_(std::move(state)), at_(at) {}
  HeldRoot(const HeldRoot&) = delete;
  HeldRoot& operator=(const HeldRoot&) = delete;
  ~HeldRoot() {
    std::lock_guard lock(state_->mutex);
    state_->held.erase(at_);
  }

 private:
  const std::shared_ptr<HeldRoots::State> state_;
  const std::list<HeldRoots::Entry>::iterator at_;
};

inline std::shared_ptr<const HeldRoot> HeldRoots::Hold(const Pool& pool, const TreeRoot& root) {
  std::lock_guard lock(state_->mutex);
  return std::make_shared<const HeldRoot>(state_, state_->held.insert(state_->held.end(), {&pool, root}));
}

inline bool HeldRoots::Any(const Pool& pool) const {
  std::lock_guard lock(state_->mutex);
  return std::ranges::any_of(state_->held, [&](const Entry& entry) { return entry.pool == &pool; });
}

inline std::shared_ptr<const HeldRoot> HeldRoots::HoldToo(const Pool& pool, const TreeRoot& root) {
  std::lock_guard lock(state_->mutex);
  const bool held = std::ranges::any_of(state_->held, [&](const Entry& entry) { return entry.pool == &pool && entry.root.id == root.id; });
  return held ? std::make_shared<const HeldRoot>(state_, state_->held.insert(state_->held.end(), {&pool, root})) : nullptr;
}

inline void HeldRoots::AddTo(const Pool& pool, std::vector<TreeRoot>& roots) const {
  std::lock_guard lock(state_->mutex);
  for (const Entry& entry : state_->held) {
    if (entry.pool == &pool) roots.push_back(entry.root);
  }
}

}  // namespace skerry
