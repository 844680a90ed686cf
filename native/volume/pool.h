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
  Parallel* parallel = nullptr;     // for the parts of a large request; null: they are done one after the other
  Parallel* background = nullptr;   // the same for destage, which must not keep requests from their processor
};

}  // namespace skerry
