#pragma once
// Records as they stand in packs, for tests of what keeps them elsewhere.
#include <cstring>
#include <memory>

#include "../blocks/block_cache.h"
#include "../blocks/cell.h"

namespace skerry::check {

/** Of `pages` pages with content of their own for each `n`, whole where it says it is. */
inline std::shared_ptr<const RecordImage> RecordAt(const RecordKey& key, uint8_t n, uint32_t pages = 16) {
  std::vector<uint8_t> raw(size_t{pages} * kPageBytes);
  for (size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<uint8_t>(n * 16 + i / kPageBytes + i % 8 * 32);
  const auto raw_bytes = static_cast<uint32_t>(raw.size());
  RecordImage record(RecordStoredBytes(raw_bytes));
  PackRecordHeader header{};
  header.magic = kPackRecordMagic;
  header.version = kPackVersion;
  header.kind = RecordKind::kBlock;
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.raw_bytes = raw_bytes;
  header.stored_bytes = static_cast<uint32_t>(record.size());
  header.pack = key.pack;
  BlockId id;
  id.bytes.fill(n);
  std::memcpy(header.id, id.bytes.data(), sizeof(header.id));
  FillCells(record, id, raw);
  FillHeader(record, header, key.offset);
  return std::make_shared<const RecordImage>(std::move(record));
}

}  // namespace skerry::check
