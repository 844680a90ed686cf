// A volume of a cluster as this process is connected to it, and what is open in it. Each of these may be let go of on any
// thread: what the library then has to do blocks, and is done on the threads of the connection.
#pragma once
#include <glusterfs/api/glfs.h>
#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "../../native/operation.h"
#include "workers.h"

namespace skerry_gluster {

// As many calls that block are under way at once; reads, writes and syncs need a thread only while they begin.
inline constexpr size_t kThreadsMax = 8;
// Of one answer of a directory.
inline constexpr size_t kEntriesMax = 1024;

struct Address {
  std::vector<std::string> hosts;
  int port;
  std::string volume;
};

class Connection {
 public:
  explicit Connection(std::shared_ptr<skerry_driver::Completions> completions)
      : completions_(std::move(completions)), workers_(kThreadsMax) {}
  // The library takes some ten seconds to let go.
  ~Connection() {
    if (fs_ != nullptr) workers_.Do([fs = fs_] { glfs_fini(fs); });
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Blocks, once. An errno, or 0.
  [[nodiscard]] int Connect(const Address& address);

  glfs_t* fs() const { return fs_; }
  Workers& workers() { return workers_; }
  const std::shared_ptr<skerry_driver::Completions>& completions() const { return completions_; }

 private:
  std::shared_ptr<skerry_driver::Completions> completions_;
  glfs_t* fs_ = nullptr;
  Workers workers_;
};

// The library calls nobody back for what is under way on a descriptor that is being closed: operations share this one.
class OpenFile {
 public:
  OpenFile(std::shared_ptr<Connection> connection, glfs_fd_t* descriptor)
      : connection_(std::move(connection)), descriptor_(descriptor) {}
  ~OpenFile() {
    connection_->workers().Do([connection = connection_, descriptor = descriptor_] { glfs_close(descriptor); });
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  Connection& connection() { return *connection_; }
  glfs_fd_t* descriptor() { return descriptor_; }

 private:
  std::shared_ptr<Connection> connection_;
  glfs_fd_t* descriptor_;
};

struct Entry {
  std::string name;
  struct stat info;
};

class OpenDirectory {
 public:
  OpenDirectory(std::shared_ptr<Connection> connection, glfs_fd_t* descriptor)
      : connection_(std::move(connection)), descriptor_(descriptor) {}
  ~OpenDirectory() {
    connection_->workers().Do([connection = connection_, descriptor = descriptor_] { glfs_closedir(descriptor); });
  }
  OpenDirectory(const OpenDirectory&) = delete;
  OpenDirectory& operator=(const OpenDirectory&) = delete;

  // The next ones; none at the end. One call at a time. An errno, or 0.
  [[nodiscard]] int Read(std::vector<Entry>& into);

  Connection& connection() { return *connection_; }

 private:
  std::shared_ptr<Connection> connection_;
  glfs_fd_t* descriptor_;
};

}  // namespace skerry_gluster
