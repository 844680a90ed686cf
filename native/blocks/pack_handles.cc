#include "pack_handles.h"

#include <cstdio>

namespace skerry {

std::string PackPath(const std::string& directory, uint32_t pack, bool sealed) {
  char name[32];
  std::snprintf(name, sizeof(name), "/%08x.%s", pack, sealed ? "pack" : "open");
  return directory + name;
}

std::string KeptPackPath(const std::string& directory, uint32_t pack) {
  std::string path = PackPath(directory, pack, true);
  return path.replace(path.size() - 4, 4, "kept");
}

Result<std::shared_ptr<File>> PackHandles::Get(uint32_t pack) {
  Set& set = SetOf(pack);
  {
    std::lock_guard lock(set.mutex);
    for (Slot& slot : set.slots) {
      if (slot.pack != pack) continue;
      slot.used = ++set.clock;
      return slot.file;
    }
  }
  Result<std::unique_ptr<File>> opened = OpenFile(pack);
  if (!opened.ok()) return opened.status();
  std::shared_ptr<File> file = std::move(*opened);
  Add(pack, file);
  return file;
}

void PackHandles::Add(uint32_t pack, std::shared_ptr<File> file) {
  Set& set = SetOf(pack);
  std::lock_guard lock(set.mutex);
  Slot* victim = &set.slots[0];
  for (Slot& slot : set.slots) {
    if (slot.pack == pack) return;  // another thread was first
    if (slot.used < victim->used) victim = &slot;
  }
  // The lock is held while the old file closes only if no reader still holds it; closing a file that was only read is quick.
  victim->file = std::move(file);
  victim->pack = pack;
  victim->used = ++set.clock;
}

void PackHandles::Remove(uint32_t pack) {
  Set& set = SetOf(pack);
  std::shared_ptr<File> file;  // closed after the lock
  std::lock_guard lock(set.mutex);
  for (Slot& slot : set.slots) {
    if (slot.pack != pack) continue;
    file = std::move(slot.file);
    slot = {};
  }
}

Result<std::unique_ptr<File>> PackHandles::OpenFile(uint32_t pack) {
  if (pack == 0) return Status(Code::kNotFound, "pack 0 is no pack");
  const OpenOptions options{.direct = direct_};
  // Sealing renames a pack: one that was neither sealed nor open a moment ago may be sealed by now, or even shipped.
  for (const bool sealed : {true, false, true}) {
    Result<std::unique_ptr<File>> file = env_.Open(PackPath(directory_, pack, sealed), options);
    if (file.ok() || file.code() != Code::kNotFound) return file;
  }
  if (Result<std::unique_ptr<File>> file = env_.Open(KeptPackPath(directory_, pack), options); file.ok() || file.code() != Code::kNotFound) return file;
  return Status(Code::kNotFound, "there is no pack " + PackPath(directory_, pack, true));
}

}  // namespace skerry
