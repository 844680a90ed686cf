#pragma once
// Whole files in and out of an environment: what tests that look at bytes at rest share.
#include <string>
#include <vector>

#include "../env/env.h"
#include "check.h"

namespace skerry {

inline std::vector<uint8_t> LoadFile(Env& env, const std::string& path) {
  Result<std::unique_ptr<File>> file = env.Open(path, {});
  CHECK_OK(file.status());
  Result<uint64_t> size = (*file)->Size();
  CHECK_OK(size.status());
  std::vector<uint8_t> bytes(*size);
  CHECK((*file)->Read(bytes, 0).ok());
  return bytes;
}

/** Durably, over what was there. */
inline void StoreFile(Env& env, const std::string& path, ConstBytes bytes) {
  const std::string directory = path.substr(0, path.find_last_of('/'));
  CHECK_OK(env.MakeDirectory(directory));
  Result<std::unique_ptr<File>> file = env.Open(path, {.write = true, .create = true});
  CHECK_OK(file.status());
  CHECK_OK((*file)->Truncate(bytes.size()));
  CHECK_OK((*file)->Write(bytes, 0));
  CHECK_OK((*file)->DataSync());
  CHECK_OK(env.SyncDirectory(directory));
}

}  // namespace skerry
