#pragma once
// The simulated disk's names: what every process sees at once, what a host crash would leave, and the operations between
// the two in order. A crash keeps a prefix of these; a sync of a directory or of a new file settles what it must, and
// of the operations before it only those that share a directory (or a name) with it, so that nothing is kept by luck.
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim_inode.h"

namespace skerry {

class SimNames {
 public:
  using Inode = std::shared_ptr<SimInode>;

  /** Without doubled or trailing slashes. */
  static std::string Clean(const std::string& path);
  static std::string ParentOf(const std::string& path);

  bool IsDirectory(const std::string& path) const { return path == "/" || path == "." || directories_.contains(path); }
  /** With its parents, durable at once. */
  void MakeDirectory(const std::string& path);

  /** Null where there is no such file. */
  Inode Find(const std::string& path) const;
  void Create(const std::string& path, Inode inode);
  void Rename(const std::string& from, const std::string& to);
  void Remove(const std::string& path);

  void SyncDirectory(const std::string& path);
  /** The file's own creation becomes durable, as with ext4; a rename since then does not. */
  void SyncCreation(const SimInode* inode);
  void Crash(SimSurvival survival, SimRandom& random);
  /** The same with every choice asked for: of the operations on names a prefix, then each file's changes. */
  void CrashBy(const SimKeeps& keeps);
  /** As they stand, with files of their own on `space`. */
  SimNames Copy(const std::shared_ptr<SimSpace>& space) const;

  const std::map<std::string, Inode>& current() const { return current_; }
  /** Of the files in a directory, in order of name. */
  void ForEachIn(const std::string& directory, const std::function<void(const std::string& name, const SimInode&)>& visit) const;
  uint64_t Digest() const;

 private:
  enum class Kind : uint8_t { kCreate, kRename, kRemove };
  struct Operation {
    Kind kind;
    std::string path;
    std::string to{};  // of a rename
    Inode inode{};     // of a creation
  };
  static void Apply(const Operation& operation, std::map<std::string, Inode>& names);
  /** Applies, of the first `count` operations, each whose keys meet `keys`, which grows (backwards) by those of each taken. */
  void Settle(size_t count, std::set<std::string> keys, std::string (*key_of)(const std::string& path));

  std::set<std::string> directories_;
  std::map<std::string, Inode> current_;
  std::map<std::string, Inode> durable_;
  std::vector<Operation> pending_;
};

}  // namespace skerry
