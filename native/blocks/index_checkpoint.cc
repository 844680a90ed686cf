#include "index_checkpoint.h"

#include <algorithm>
#include <cstddef>

#include "../env/failpoints.h"
#include "cell.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace skerry {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
static_assert(kChunkBytes % sizeof(LocationIndex::Entry) == 0);

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/** Appends to a file in big pieces and sums what goes by. */
class SummingWriter {
 public:
  explicit SummingWriter(File& file) : file_(file) {
    XXH3_64bits_reset(&state_);
    buffer_.reserve(kChunkBytes);
  }
  Status Add(const void* data, size_t bytes) {
    const auto* from = static_cast<const uint8_t*>(data);
    while (bytes > 0) {
      const size_t step = std::min(bytes, kChunkBytes - buffer_.size());
      buffer_.insert(buffer_.end(), from, from + step);
      from += step;
      bytes -= step;
      if (buffer_.size() < kChunkBytes) break;
      if (Status status = Flush(); !status.ok()) return status;
    }
    return {};
  }
  Status Flush() {
    XXH3_64bits_update(&state_, buffer_.data(), buffer_.size());
    Status status = file_.Write(buffer_, offset_);
    offset_ += buffer_.size();
    buffer_.clear();
    return status;
  }
  /** Of everything flushed. */
  uint64_t sum() const { return XXH3_64bits_digest(&state_); }
  uint64_t offset() const { return offset_; }

 private:
  File& file_;
  XXH3_state_t state_;
  std::vector<uint8_t> buffer_;
  uint64_t offset_ = 0;
};

/** Reads a file from its start in big pieces and sums what goes by. */
class SummingReader {
 public:
  explicit SummingReader(File& file) : file_(file) { XXH3_64bits_reset(&state_); }
  Status Take(Bytes into) {
    Result<size_t> got = file_.Read(into, offset_);
    if (!got.ok()) return got.status();
    if (*got != into.size()) return {Code::kCorrupt, "the index checkpoint is short"};
    XXH3_64bits_update(&state_, into.data(), into.size());
    offset_ += into.size();
    return {};
  }
  uint64_t sum() const { return XXH3_64bits_digest(&state_); }
  uint64_t offset() const { return offset_; }

 private:
  File& file_;
  XXH3_state_t state_;
  uint64_t offset_ = 0;
};

template <typename T>
Bytes BytesOf(T& object) { return {reinterpret_cast<uint8_t*>(&object), sizeof(object)}; }

Status ReadEntries(SummingReader& reader, uint64_t entry_count, const SealedPacks& packs, LocationIndex& index) {
  std::vector<LocationIndex::Entry> entries(std::min<uint64_t>(entry_count, kChunkBytes / sizeof(LocationIndex::Entry)));
  uint32_t covered = 0;  // the last pack that was found in `packs`
  for (uint64_t left = entry_count; left > 0;) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(left, entries.size()));
    const Bytes raw{reinterpret_cast<uint8_t*>(entries.data()), count * sizeof(LocationIndex::Entry)};
    if (Status status = reader.Take(raw); !status.ok()) return status;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t pack = entries[i].at.pack();
      if (pack == 0 || (pack != covered && !packs.contains(pack))) continue;
      covered = pack;
      (void)index.Insert(entries[i].fingerprint, entries[i].at.location());
    }
    left -= count;
  }
  return {};
}

Result<CheckpointContent> Load(File& file, uint64_t domain, const PackIsThere& there, LocationIndex& index) {
  const auto damaged = [](const char* what) { return Status(Code::kCorrupt, std::string("the index checkpoint ") + what); };
  Result<uint64_t> size = file.Size();
  if (!size.ok()) return size.status();
  SummingReader reader(file);
  CheckpointHeader header;
  if (Status status = reader.Take(BytesOf(header)); !status.ok()) return status;
  if (header.magic != kCheckpointMagic || header.sum != SumOf(&header, offsetof(CheckpointHeader, sum), 0)) {
    return damaged("has no valid header");
  }
  if (header.version != kCheckpointVersion) return damaged("is of another version");
  if (header.domain != domain) return damaged("is of another pool");
  constexpr uint64_t kFixedBytes = sizeof(CheckpointHeader) + sizeof(CheckpointTrailer);
  if (*size < kFixedBytes || header.pack_count > (*size - kFixedBytes) / sizeof(CheckpointPack)) return damaged("is short");
  const uint64_t entry_bytes = *size - kFixedBytes - header.pack_count * sizeof(CheckpointPack);
  if (entry_bytes % sizeof(LocationIndex::Entry) != 0) return damaged("has a part of an entry");

  CheckpointContent content;
  content.next_pack = header.next_pack;
  for (uint64_t i = 0; i < header.pack_count; ++i) {
    CheckpointPack pack;
    if (Status status = reader.Take(BytesOf(pack)); !status.ok()) return status;
    if (!there(pack.pack, pack.file_bytes)) continue;
    content.packs[pack.pack] = {pack.file_bytes, pack.blocks, pack.nodes};
  }
  const uint64_t entry_count = entry_bytes / sizeof(LocationIndex::Entry);
  if (Status status = ReadEntries(reader, entry_count, content.packs, index); !status.ok()) return status;
  const uint64_t sum = reader.sum();
  CheckpointTrailer trailer;
  if (Status status = reader.Take(BytesOf(trailer)); !status.ok()) return status;
  if (trailer.entry_count != entry_count || trailer.sum != sum) return damaged("fails its sum");
  return content;
}

Status Write(File& file, uint64_t domain, const CheckpointContent& content, const LocationIndex& index) {
  SummingWriter writer(file);
  CheckpointHeader header{};
  header.magic = kCheckpointMagic;
  header.version = kCheckpointVersion;
  header.domain = domain;
  header.next_pack = content.next_pack;
  header.pack_count = content.packs.size();
  header.sum = SumOf(&header, offsetof(CheckpointHeader, sum), 0);
  if (Status status = writer.Add(&header, sizeof(header)); !status.ok()) return status;
  for (const auto& [number, pack] : content.packs) {
    const CheckpointPack line{number, static_cast<uint32_t>(pack.file_bytes), pack.blocks, pack.nodes};
    if (Status status = writer.Add(&line, sizeof(line)); !status.ok()) return status;
  }
  CheckpointTrailer trailer{};
  for (size_t shard = 0; shard < LocationIndex::kShards; ++shard) {
    for (const LocationIndex::Entry& entry : index.ShardEntries(shard)) {
      if (!content.packs.contains(entry.at.pack())) continue;
      if (Status status = writer.Add(&entry, sizeof(entry)); !status.ok()) return status;
      ++trailer.entry_count;
    }
  }
  if (Status status = writer.Flush(); !status.ok()) return status;
  trailer.sum = writer.sum();
  const uint64_t size = writer.offset() + sizeof(trailer);
  if (Status status = file.Write(BytesOf(trailer), writer.offset()); !status.ok()) return status;
  if (Status status = file.Truncate(size); !status.ok()) return status;  // the file may be left over from a crash
  return file.DataSync();
}

}  // namespace

Result<CheckpointContent> LoadCheckpoint(Env& env, const std::string& path, uint64_t domain, const PackIsThere& there,
                                         LocationIndex& index) {
  Result<std::unique_ptr<File>> file = env.Open(path, {});
  if (!file.ok()) return file.status();
  Result<CheckpointContent> content = Load(**file, domain, there, index);
  if (!content.ok()) index.Clear();
  return content;
}

Status SaveCheckpoint(Env& env, const std::string& path, uint64_t domain, const CheckpointContent& content,
                      const LocationIndex& index) {
  if (Status status = env.MakeDirectory(ParentOf(path)); !status.ok()) return status;
  const std::string fresh = path + ".new";
  OpenOptions options;
  options.write = options.create = true;
  {
    Result<std::unique_ptr<File>> file = env.Open(fresh, options);
    if (!file.ok()) return file.status();
    if (Status status = Write(**file, domain, content, index); !status.ok()) return status;
  }
  Pass(Failpoint::kCheckpointWritten);
  if (Status status = env.Rename(fresh, path); !status.ok()) return status;
  return env.SyncDirectory(ParentOf(path));
}

}  // namespace skerry
