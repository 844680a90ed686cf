#pragma once
// What lies under a volume's own generations. A base is a plain root, or, while a snapshot's root is pending, the layers
// that will become that root. A clone of a pending snapshot shares its base: when the one resolves, so has the other.
// A root says nothing without the pool that it is in, so the two are never apart: a volume may change its pool while it is read.
#include <memory>
#include <vector>

#include "../map/tree.h"
#include "../overlay/generation.h"

namespace skerry {

using ResourceId = uint64_t;
using Layers = std::vector<std::shared_ptr<const Generation>>;

struct Pool;

struct Base {
  bool pending = false;
  TreeRoot root;                 // not pending: the content. Pending: what lies under the layers, if `below` is null
  Layers layers;                 // pending: newest first
  std::shared_ptr<Base> below;   // pending: under the layers
  std::shared_ptr<Pool> pool;    // of the root, and of the packs that layers name
};

/** A plain root. */
inline std::shared_ptr<Base> MakeBase(const TreeRoot& root, std::shared_ptr<Pool> pool) {
  auto base = std::make_shared<Base>();
  base->root = root;
  base->pool = std::move(pool);
  return base;
}

/** A base and a volume's own frozen generations, flattened for reading. Immutable. */
struct Stack {
  Layers layers;                 // newest first
  TreeRoot root;
  std::shared_ptr<Pool> pool;
};

/** Appends the base's layers to `stack` and sets its root and pool. */
inline void Flatten(const Base& base, Stack& stack) {
  const Base* at = &base;
  while (at->pending) {
    stack.layers.insert(stack.layers.end(), at->layers.begin(), at->layers.end());
    if (!at->below) break;
    at = at->below.get();
  }
  stack.root = at->root;
  stack.pool = at->pool;
}

}  // namespace skerry
