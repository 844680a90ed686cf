#pragma once
// One pool as the data path sees it: packs, the domain's key, and trees in them.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../map/tree.h"
#include "admission.h"
#include "log_tail.h"
#include "parallel.h"
#include "ref_names.h"
#include "rot_book.h"
#include "sequential_readers.h"

namespace skerry {

struct PoolOptions {
  std::string name = "default";
  PackStoreOptions packs;
  std::vector<uint8_t> domain_key;           // of the pool's own domain, 32 bytes
  Compression compression{};                 // of new blocks of volumes that have no wish of their own
  std::shared_ptr<LogBackend> logs{};        // of volumes whose flushes reach the pool
};

struct Pool {
  std::string name;
  std::unique_ptr<PackStore> packs;
  uint64_t domain = 0;               // the pool's own
  std::unique_ptr<DomainKey> key;    // of that: of nodes, and of blocks that are of no other
  std::unique_ptr<Tree> tree;
  PoolRoom room;
  RefNames named;             // by journalled large writes
  RotBook rot;
  uint64_t file_system = 0;   // that its packs are written to; other pools may share its room
  CompressionSetting compression;
  std::shared_ptr<LogBackend> logs;
  std::atomic<bool> destage_stuck{false};   // the last one failed, or its root was refused: waiting for it is no use
  std::optional<int64_t> stuck_spare_bytes; // that there were when Pace first looked after it failed; under the store's lock
  uint64_t last_destaged = 0;               // the volume; round robin over them, under the store's lock
  Parallel* parallel = nullptr;     // for the parts of a large request; null: they are done one after the other
  Parallel* background = nullptr;   // the same for destage, which must not keep requests from their processor
  const std::shared_ptr<LogBudget> log_budget = std::make_shared<LogBudget>();
  std::unique_ptr<SequentialReaders> readers;   // null where the packs are on this host: its kernel reads ahead

  /** Of blocks of `domain`; 0: of the pool's own. */
  DomainKey KeyOf(uint64_t of) const { return key->ForDomain(of, domain); }
};

}  // namespace skerry
