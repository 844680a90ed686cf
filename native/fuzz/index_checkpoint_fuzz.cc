// The checkpoint of the location index. It is a cache: what is damaged is refused whole and leaves an empty index, what is
// accepted says what its bytes say, and is read again as it was written.
#include <algorithm>
#include <cstddef>
#include <map>

#include "../blocks/cell.h"
#include "../blocks/index_checkpoint.h"
#include "../tests/file_image.h"
#include "../tests/golden.h"
#include "../simulation/sim_env.h"
#include "fuzz.h"

namespace skerry::fuzz {
namespace {

Reach accepted("a checkpoint is accepted"), with_entries("a checkpoint puts entries in the index"), pack_gone("a pack of the checkpoint is gone"),
    refused_behind_sums("a checkpoint is refused although its sums hold"), saved("a checkpoint is written and read again");

enum Repair : uint8_t { kHeader = 1, kTrailer = 2, kCounts = 4 };
constexpr const char* kPath = "/d/index";
constexpr uint64_t kDomain = 5;

void RepairCheckpoint(std::vector<uint8_t>& bytes, uint8_t repairs) {
  constexpr size_t kFixedBytes = sizeof(CheckpointHeader) + sizeof(CheckpointTrailer);
  if (bytes.size() < kFixedBytes) return;
  CheckpointHeader header;
  (void)Load(ConstBytes(bytes), 0, header);
  header.magic = kCheckpointMagic;
  header.version = kCheckpointVersion;
  header.domain = kDomain;
  if ((repairs & kCounts) != 0) {
    bytes.resize(kFixedBytes + (bytes.size() - kFixedBytes) / 16 * 16);
    header.pack_count %= (bytes.size() - kFixedBytes) / sizeof(CheckpointPack) + 1;
  }
  header.sum = SumOf(&header, offsetof(CheckpointHeader, sum), 0);
  if ((repairs & kHeader) != 0) Store(Bytes(bytes), 0, header);
  if ((repairs & kTrailer) == 0) return;
  const size_t body = bytes.size() - sizeof(CheckpointTrailer);
  const uint64_t packs = std::min<uint64_t>(header.pack_count, (bytes.size() - kFixedBytes) / sizeof(CheckpointPack));
  const CheckpointTrailer trailer{(body - sizeof(header) - packs * sizeof(CheckpointPack)) / sizeof(LocationIndex::Entry), SumOf(bytes.data(), body, 0)};
  Store(Bytes(bytes), body, trailer);
}

/** What the bytes say, read by nothing but the format's page: the first place of each fingerprint, in packs that are there. */
std::map<uint64_t, uint64_t> EntriesOf(ConstBytes bytes, const SealedPacks& packs) {
  CheckpointHeader header;
  HOLDS(Load(bytes, 0, header));
  std::map<uint64_t, uint64_t> entries;
  for (size_t at = sizeof(header) + header.pack_count * 16; at + 2 * 16 <= bytes.size(); at += 16) {
    uint64_t fingerprint, place;
    HOLDS(Load(bytes, at, fingerprint) && Load(bytes, at + 8, place));
    // Pack 0 is none.
    if (place >> 32 != 0 && packs.contains(static_cast<uint32_t>(place >> 32))) entries.emplace(fingerprint, place);
  }
  return entries;
}

void CheckIndex(const LocationIndex& index, const std::map<uint64_t, uint64_t>& entries) {
  HOLDS(index.count() == entries.size());
  for (const auto& [fingerprint, place] : entries) {
    const std::optional<Location> at = index.Find(fingerprint);
    HOLDS(at && *at == PackedLocation{place}.location() && PackedLocation::Of(*at).raw == place);
  }
}

/** Some packs are gone, by the dice of the input. */
PackIsThere ThereBy(uint8_t dice) {
  return [dice](uint32_t pack, uint64_t) { return (dice >> pack % 8 & 1) == 0; };
}

Result<CheckpointContent> LoadBytes(ConstBytes bytes, const PackIsThere& there, LocationIndex& index) {
  SimEnv env(1);
  StoreFile(env, kPath, bytes);
  return LoadCheckpoint(env, kPath, kDomain, there, index);
}

}  // namespace

void Run(ConstBytes raw) {
  Input input(raw);
  const auto repairs = input.Take<uint8_t>(), gone = input.Take<uint8_t>();
  const auto flip = input.Take<uint32_t>();
  std::vector<uint8_t> bytes = Copy(input.rest());
  if (repairs != 0) RepairCheckpoint(bytes, repairs);
  LocationIndex index;
  const Result<CheckpointContent> content = LoadBytes(bytes, ThereBy(gone), index);
  if (!content.ok()) {
    HOLDS(content.code() == Code::kCorrupt && index.count() == 0);
    if ((repairs & kTrailer) != 0 && bytes.size() >= sizeof(CheckpointHeader) + sizeof(CheckpointTrailer)) refused_behind_sums();
    return;
  }
  accepted();
  CheckpointHeader header;
  HOLDS(Load(ConstBytes(bytes), 0, header) && content->next_pack == header.next_pack && content->packs.size() <= header.pack_count);
  if (content->packs.size() < header.pack_count) pack_gone();
  const std::map<uint64_t, uint64_t> entries = EntriesOf(bytes, content->packs);
  CheckIndex(index, entries);
  if (!entries.empty()) with_entries();

  SimEnv env(1);
  LocationIndex again;
  HOLDS(SaveCheckpoint(env, kPath, kDomain, *content, index).ok());
  const Result<CheckpointContent> twice = LoadCheckpoint(env, kPath, kDomain, [](uint32_t, uint64_t) { return true; }, again);
  HOLDS(twice.ok() && twice->next_pack == content->next_pack && twice->packs.size() == content->packs.size());
  CheckIndex(again, entries);
  saved();

  bytes[flip / 8 % bytes.size()] ^= static_cast<uint8_t>(1u << flip % 8);
  LocationIndex none;
  HOLDS(LoadBytes(bytes, ThereBy(gone), none).code() == Code::kCorrupt && none.count() == 0);
}

void WriteSeeds(const std::string& directory) {
  for (const char* name : {"pack_v1_proven", "pack_v1_dense", "pack_v1"}) {
    const std::vector<uint8_t> bytes = golden::BytesOf(golden::Read(name), "index");
    for (const uint8_t repairs : {0, 1, 3, 7}) {
      for (const uint8_t gone : {0, 2}) {
        Seed seed;
        seed.Add(repairs).Add(gone).Add(uint32_t{400}).AddBytes(bytes);
        seed.Write(directory, std::string(name) + "_" + std::to_string(repairs) + std::to_string(gone));
      }
    }
  }
}

}  // namespace skerry::fuzz
