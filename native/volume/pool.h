#pragma once
// One pool as the data path sees it: packs, the domain's key, and trees in them.
#include <memory>
#include <string>

#include "../map/tree.h"
#include "parallel.h"

namespace skerry {

struct Pool {
  std::string name;
  std::unique_ptr<PackStore> packs;
  std::unique_ptr<DomainKey> key;
  std::unique_ptr<Tree> tree;
  Parallel* parallel = nullptr;   // null: the parts of a large request are done one after the other
};

}  // namespace skerry
