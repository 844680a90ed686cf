#include "sim_env.h"

#include <algorithm>

#include "../env/uring.h"

#include "sim_file.h"

namespace skerry {
namespace {

using Admission = SimMachine::Admission;

class SimSharedMemory : public SharedMemory {
 public:
  explicit SimSharedMemory(std::shared_ptr<RingMapping> mapping) : mapping_(std::move(mapping)) {}
  Bytes header() override { return mapping_->header(); }
  uint8_t* ring() override { return mapping_->ring(); }
  size_t ring_bytes() const override { return mapping_->ring_bytes(); }

 private:
  const std::shared_ptr<RingMapping> mapping_;
};

}  // namespace

SimEnv::SimEnv(uint64_t seed) : machine_(std::make_shared<SimMachine>(seed)) {}
SimEnv::SimEnv(const SimEnv& other) : machine_(std::make_shared<SimMachine>(*other.machine_)) {}

Status SimEnv::Refuse(Code code, const std::string& doing, const std::string& path, const std::string& why) const {
  return {code, "cannot " + doing + " " + path + ": " + why};
}

void SimEnv::Random(Bytes into) {
  for (uint8_t& byte : into) byte = static_cast<uint8_t>(machine_->entropy.Next() >> 32);
}

Result<std::unique_ptr<File>> SimEnv::Open(const std::string& given, OpenOptions options) {
  const uint64_t process = machine_->process;
  if (!machine_->Alive(process)) return SimMachine::Crashed();
  const std::string path = SimNames::Clean(given);
  SimNames& names = machine_->names;
  if (names.IsDirectory(path)) return Refuse(Code::kInvalid, "open", path, "it is a directory");
  SimNames::Inode inode = names.Find(path);
  if (inode != nullptr && options.create && options.exclusive) return Refuse(Code::kInvalid, "create", path, "it exists");
  if (inode == nullptr) {
    if (!options.create) return Refuse(Code::kNotFound, "open", path, "there is no such file");
    if (!names.IsDirectory(SimNames::ParentOf(path))) return Refuse(Code::kNotFound, "create", path, "there is no such directory");
    const Admission admission = machine_->Admit(process, "create", path);
    if (!machine_->TakesEffect(admission)) return SimMachine::Crashed();
    inode = std::make_shared<SimInode>(machine_->space);
    names.Create(path, inode);
    if (admission == Admission::kDying) return SimMachine::Crashed();
  }
  return std::unique_ptr<File>(std::make_unique<SimFile>(machine_, std::move(inode), path, options));
}

void SimEnv::ReadMany(std::span<FileRead> reads) {
  for (FileRead& read : reads) ReadAlone(read);
}

Status SimEnv::Rename(const std::string& given_from, const std::string& given_to) {
  const uint64_t process = machine_->process;
  if (!machine_->Alive(process)) return SimMachine::Crashed();
  const std::string from = SimNames::Clean(given_from), to = SimNames::Clean(given_to);
  SimNames& names = machine_->names;
  if (names.Find(from) == nullptr) return Refuse(Code::kNotFound, "rename", from, "there is no such file");
  if (!names.IsDirectory(SimNames::ParentOf(to))) {
    return Refuse(Code::kNotFound, "rename " + from + " to", to, "there is no such directory");
  }
  if (names.IsDirectory(to)) return Refuse(Code::kInvalid, "rename " + from + " to", to, "it is a directory");
  const Admission admission = machine_->Admit(process, "rename", from);
  if (!machine_->TakesEffect(admission)) return SimMachine::Crashed();
  names.Rename(from, to);
  return admission == Admission::kDying ? SimMachine::Crashed() : Status();
}

Status SimEnv::Remove(const std::string& given) {
  const uint64_t process = machine_->process;
  if (!machine_->Alive(process)) return SimMachine::Crashed();
  const std::string path = SimNames::Clean(given);
  if (machine_->names.IsDirectory(path)) return Refuse(Code::kInvalid, "remove", path, "it is a directory");
  if (machine_->names.Find(path) == nullptr) return {};
  const Admission admission = machine_->Admit(process, "remove", path);
  if (!machine_->TakesEffect(admission)) return SimMachine::Crashed();
  machine_->names.Remove(path);
  return admission == Admission::kDying ? SimMachine::Crashed() : Status();
}

Status SimEnv::MakeDirectory(const std::string& given) {
  if (!machine_->Alive(machine_->process)) return SimMachine::Crashed();
  const std::string path = SimNames::Clean(given);
  if (path.empty()) return Refuse(Code::kInvalid, "make directory", "''", "it has no name");
  for (std::string at = path; !machine_->names.IsDirectory(at); at = SimNames::ParentOf(at)) {
    if (machine_->names.Find(at) != nullptr) return Refuse(Code::kInvalid, "make directory", path, at + " is a file");
  }
  machine_->names.MakeDirectory(path);
  return {};
}

Status SimEnv::SyncDirectory(const std::string& given) {
  const uint64_t process = machine_->process;
  if (!machine_->Alive(process)) return SimMachine::Crashed();
  const std::string path = SimNames::Clean(given);
  if (!machine_->names.IsDirectory(path)) return Refuse(Code::kNotFound, "sync directory", path, "there is no such directory");
  const Admission admission = machine_->Admit(process, "sync directory", path);
  if (!machine_->TakesEffect(admission)) return SimMachine::Crashed();
  machine_->names.SyncDirectory(path);
  return admission == Admission::kDying ? SimMachine::Crashed() : Status();
}

Result<std::vector<DirectoryEntry>> SimEnv::List(const std::string& given) {
  if (!machine_->Alive(machine_->process)) return SimMachine::Crashed();
  const std::string path = SimNames::Clean(given);
  if (!machine_->names.IsDirectory(path)) return Refuse(Code::kNotFound, "list", path, "there is no such directory");
  std::vector<DirectoryEntry> entries;
  machine_->names.ForEachIn(path, [&](const std::string& name, const SimInode& inode) {
    entries.push_back({name, inode.current().size()});
  });
  return entries;
}

Result<uint64_t> SimEnv::FreeBytes(const std::string& given) {
  if (!machine_->Alive(machine_->process)) return SimMachine::Crashed();
  const std::string path = SimNames::Clean(given);
  if (!machine_->names.IsDirectory(path) && machine_->names.Find(path) == nullptr) {
    return Refuse(Code::kNotFound, "find the free space of", path, "there is no such file or directory");
  }
  return machine_->space->free();
}

Result<std::unique_ptr<SharedMemory>> SimEnv::MapShared(const std::string& name, size_t header_bytes, size_t ring_bytes) {
  if (!machine_->Alive(machine_->process)) return SimMachine::Crashed();
  if (name.empty() || name.find('/') != std::string::npos) {
    return Refuse(Code::kInvalid, "map", name, "it cannot name shared memory");
  }
  SimMachine::Region& region = machine_->regions[name];
  if (region.mapping == nullptr || region.header_bytes != header_bytes || region.ring_bytes != ring_bytes) {
    Result<std::unique_ptr<RingMapping>> mapping = RingMapping::MapAnonymous(name, header_bytes, ring_bytes);
    if (!mapping.ok()) {
      if (region.mapping == nullptr) machine_->regions.erase(name);
      return mapping.status();
    }
    region = {header_bytes, ring_bytes, std::move(*mapping)};
  }
  return std::unique_ptr<SharedMemory>(std::make_unique<SimSharedMemory>(region.mapping));
}

Status SimEnv::RemoveShared(const std::string& name) {
  if (!machine_->Alive(machine_->process)) return SimMachine::Crashed();
  machine_->regions.erase(name);
  return {};
}

void SimEnv::ClearFaults() {
  machine_->sync_faults.clear();
  machine_->write_faults.clear();
  machine_->read_faults.clear();
  machine_->misdirections.clear();
}

bool SimEnv::HealMisdirected() {
  machine_->misdirections.clear();
  if (!machine_->stray) return false;
  const SimStray stray = *std::exchange(machine_->stray, std::nullopt);
  const SimNames::Inode inode = machine_->names.Find(SimNames::Clean(stray.path));
  if (inode == nullptr) return true;
  // What its owner believes durable must be so again, in its place.
  inode->Sync();
  inode->Replace(stray.stood, stray.redirect);
  inode->Replace(stray.data, stray.offset);
  return true;
}

Status SimEnv::FlipBit(const std::string& path, uint64_t offset, unsigned bit) {
  const SimNames::Inode inode = machine_->names.Find(SimNames::Clean(path));
  if (inode == nullptr || offset >= inode->current().size()) {
    return Refuse(Code::kNotFound, "flip a bit of", path, "there is no such byte");
  }
  inode->Flip(offset, bit);
  return {};
}

Result<std::vector<uint8_t>> SimEnv::Misplace(const std::string& path, uint64_t from, uint64_t to, size_t bytes) {
  const SimNames::Inode inode = machine_->names.Find(SimNames::Clean(path));
  if (inode == nullptr || inode->unsynced() || std::max(from, to) + bytes > inode->current().size()) {
    return Refuse(Code::kNotFound, "misplace bytes of", path, "no such bytes are at rest");
  }
  std::vector<uint8_t> stood(bytes), moved(bytes);
  (void)inode->current().Read(stood, to);
  (void)inode->current().Read(moved, from);
  inode->Replace(moved, to);
  return stood;
}

Status SimEnv::Restore(const std::string& path, uint64_t to, ConstBytes bytes) {
  const SimNames::Inode inode = machine_->names.Find(SimNames::Clean(path));
  if (inode == nullptr) return Refuse(Code::kNotFound, "restore bytes of", path, "there is no such file");
  inode->Replace(bytes, to);
  return {};
}

std::vector<std::string> SimEnv::Paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : machine_->names.current()) paths.push_back(path);
  return paths;
}

}  // namespace skerry
