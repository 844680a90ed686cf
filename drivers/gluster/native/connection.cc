#include "connection.h"

#include <cerrno>

namespace skerry_gluster {

int Connection::Connect(const Address& address) {
  fs_ = glfs_new(address.volume.c_str());
  if (fs_ == nullptr) return ENOMEM;
  for (const std::string& host : address.hosts)
    if (glfs_set_volfile_server(fs_, "tcp", host.c_str(), address.port) != 0) return errno;
  // Without a place of its own the library logs where the whole host's Gluster does, and fails where it may not.
  if (glfs_set_logging(fs_, "/dev/null", 0) != 0) return errno;
  errno = 0;
  if (glfs_init(fs_) == 0) return 0;
  return errno != 0 ? errno : EIO;
}

int OpenDirectory::Read(std::vector<Entry>& into) {
  while (into.size() < kEntriesMax) {
    Entry entry;
    errno = 0;
    const dirent* found = glfs_readdirplus(descriptor_, &entry.info);
    if (found == nullptr) return errno;
    entry.name = found->d_name;
    into.push_back(std::move(entry));
  }
  return 0;
}

}  // namespace skerry_gluster
