#include "sim_names.h"

namespace skerry {

std::string SimNames::Clean(const std::string& path) {
  std::string clean;
  for (const char c : path) {
    if (c == '/' && !clean.empty() && clean.back() == '/') continue;
    clean.push_back(c);
  }
  if (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  return clean;
}

std::string SimNames::ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void SimNames::MakeDirectory(const std::string& path) {
  for (std::string at = path; !IsDirectory(at); at = ParentOf(at)) directories_.insert(at);
}

SimNames::Inode SimNames::Find(const std::string& path) const {
  const auto found = current_.find(path);
  return found == current_.end() ? nullptr : found->second;
}

void SimNames::Apply(const Operation& operation, std::map<std::string, Inode>& names) {
  switch (operation.kind) {
    case Kind::kCreate:
      names[operation.path] = operation.inode;
      return;
    case Kind::kRename: {
      auto node = names.extract(operation.path);
      if (!node.empty()) names[operation.to] = std::move(node.mapped());
      return;
    }
    case Kind::kRemove:
      names.erase(operation.path);
      return;
  }
}

void SimNames::Create(const std::string& path, Inode inode) {
  pending_.push_back({Kind::kCreate, path, {}, std::move(inode)});
  Apply(pending_.back(), current_);
}

void SimNames::Rename(const std::string& from, const std::string& to) {
  if (from == to) return;
  if (const Inode replaced = Find(to)) replaced->Unlink();
  pending_.push_back({Kind::kRename, from, to});
  Apply(pending_.back(), current_);
}

void SimNames::Remove(const std::string& path) {
  if (const Inode removed = Find(path)) removed->Unlink();
  pending_.push_back({Kind::kRemove, path});
  Apply(pending_.back(), current_);
}

void SimNames::Settle(size_t count, std::set<std::string> keys, std::string (*key_of)(const std::string& path)) {
  std::vector<bool> taken(pending_.size(), false);
  for (size_t i = count; i-- > 0;) {
    const Operation& operation = pending_[i];
    const bool renames = operation.kind == Kind::kRename;
    taken[i] = keys.contains(key_of(operation.path)) || (renames && keys.contains(key_of(operation.to)));
    if (!taken[i]) continue;
    keys.insert(key_of(operation.path));
    if (renames) keys.insert(key_of(operation.to));
  }
  std::vector<Operation> left;
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (taken[i]) {
      Apply(pending_[i], durable_);
    } else {
      left.push_back(std::move(pending_[i]));
    }
  }
  pending_ = std::move(left);
}

void SimNames::SyncDirectory(const std::string& path) { Settle(pending_.size(), {path}, &SimNames::ParentOf); }

void SimNames::SyncCreation(const SimInode* inode) {
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (pending_[i].kind != Kind::kCreate || pending_[i].inode.get() != inode) continue;
    return Settle(i + 1, {pending_[i].path}, [](const std::string& name) { return name; });
  }
}

void SimNames::Crash(SimSurvival survival, SimRandom& random) {
  size_t kept = random.Below(pending_.size() + 1);
  if (survival == SimSurvival::kAll) kept = pending_.size();
  if (survival == SimSurvival::kNone) kept = 0;
  for (size_t i = 0; i < kept; ++i) Apply(pending_[i], durable_);
  pending_.clear();
  current_ = durable_;
  for (const auto& [path, inode] : current_) inode->Crash(survival, random);
}

void SimNames::CrashBy(const SimKeeps& keeps) {
  for (const Operation& operation : pending_) {
    if (!keeps()) break;
    Apply(operation, durable_);
  }
  pending_.clear();
  current_ = durable_;
  for (const auto& [path, inode] : current_) inode->CrashBy(keeps);
}

SimNames SimNames::Copy(const std::shared_ptr<SimSpace>& space) const {
  SimNames copy;
  std::map<const SimInode*, Inode> copies;   // a file may stand under several names at once, and must go on being one
  const auto copy_of = [&](const Inode& inode) {
    if (inode == nullptr) return inode;
    Inode& made = copies[inode.get()];
    if (made == nullptr) made = inode->Copy(space);
    return made;
  };
  copy.directories_ = directories_;
  for (const auto& [path, inode] : current_) copy.current_.emplace(path, copy_of(inode));
  for (const auto& [path, inode] : durable_) copy.durable_.emplace(path, copy_of(inode));
  for (const Operation& operation : pending_) copy.pending_.push_back({operation.kind, operation.path, operation.to, copy_of(operation.inode)});
  return copy;
}

void SimNames::ForEachIn(const std::string& directory,
                         const std::function<void(const std::string& name, const SimInode&)>& visit) const {
  const std::string prefix = directory == "." ? "" : directory == "/" ? "/" : directory + "/";
  for (auto at = current_.lower_bound(prefix); at != current_.end() && at->first.starts_with(prefix); ++at) {
    if (ParentOf(at->first) == directory) visit(at->first.substr(prefix.size()), *at->second);
  }
}

uint64_t SimNames::Digest() const {
  uint64_t digest = SplitMix(pending_.size());
  const auto add_text = [&](const std::string& text) {
    digest = SimDigest({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, digest);
  };
  for (const std::string& directory : directories_) add_text(directory);
  for (const auto* names : {&current_, &durable_}) {
    for (const auto& [path, inode] : *names) {
      add_text(path);
      digest = SplitMix(digest ^ inode->Digest());
    }
  }
  for (const Operation& operation : pending_) {
    digest = SplitMix(digest ^ static_cast<uint64_t>(operation.kind));
    add_text(operation.path);
    add_text(operation.to);
  }
  return digest;
}

}  // namespace skerry
