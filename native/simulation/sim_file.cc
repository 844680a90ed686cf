#include "sim_file.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace skerry {
namespace {

constexpr uint64_t kFileBytesMax = std::numeric_limits<int64_t>::max();

using Admission = SimMachine::Admission;

}  // namespace

Status SimFile::Check(const char* verb, const void* memory, size_t bytes, uint64_t offset) const {
  const auto refuse = [&](const char* why) {
    const std::string range = std::to_string(bytes) + " bytes at " + std::to_string(offset);
    return Status(Code::kInvalid, std::string("cannot ") + verb + " " + range + " of " + path_ + ": " + why);
  };
  if (offset > kFileBytesMax || bytes > kFileBytesMax - offset) return refuse("no file is that long");
  if (options_.direct && (reinterpret_cast<uintptr_t>(memory) | bytes | offset) % kSectorBytes != 0) {
    return refuse("direct I/O moves whole aligned sectors");
  }
  return {};
}

Status SimFile::CheckWritable(const char* verb) const {
  if (options_.write) return {};
  return {Code::kInvalid, std::string("cannot ") + verb + " " + path_ + ": it was opened for reading"};
}

Result<size_t> SimFile::Read(Bytes into, uint64_t offset) {
  if (!machine_->Alive(process_)) return SimMachine::Crashed();
  if (Status status = Check("read", into.data(), into.size(), offset); !status.ok()) return status;
  if (SimMachine::Take(machine_->read_faults, path_)) return Status(Code::kIo, "cannot read " + path_ + ": injected fault");
  return inode_->current().Read(into, offset);
}

Result<size_t> SimFile::ReadNow(std::span<const Bytes> into, uint64_t offset) {
  if (!machine_->Alive(process_)) return SimMachine::Crashed();
  if (options_.direct || machine_->read_dice.Chance(machine_->read_now_miss_percent, 100)) return Status(Code::kTryAgain, {});
  size_t done = 0;
  for (const Bytes& part : into) {
    const Result<size_t> got = Read(part, offset + done);
    if (!got.ok()) return got;
    done += got.value();
    if (got.value() < part.size()) break;
  }
  return done;
}

Status SimFile::Write(ConstBytes data, uint64_t offset) {
  if (!machine_->Alive(process_)) return SimMachine::Crashed();
  if (Status status = CheckWritable("write"); !status.ok()) return status;
  if (Status status = Check("write", data.data(), data.size(), offset); !status.ok()) return status;
  SimRandom& dice = machine_->dice;
  switch (machine_->Admit(process_, "write", path_)) {
    case Admission::kDead:
      return SimMachine::Crashed();
    case Admission::kDying:
      // In flight at the moment of death: none of it, all of it, or a beginning has been taken over by the system.
      if (dice.Chance(1, 2)) data = data.first(dice.Below(data.size() / kSimTearBytes + 1) * kSimTearBytes);
      if (dice.Chance(1, 2)) inode_->Write(data.first(inode_->Claim(offset, data.size())), offset);
      return SimMachine::Crashed();
    case Admission::kGo:
      break;
  }
  machine_->Advance(data.size());  // one byte a nanosecond
  if (SimMachine::Take(machine_->write_faults, path_)) {
    data = data.first(dice.Below(data.size() / kSimTearBytes + 1) * kSimTearBytes);
    inode_->Write(data.first(inode_->Claim(offset, data.size())), offset);
    return {Code::kIo, "cannot write " + path_ + ": injected fault"};
  }
  if (const auto misdirected = SimMachine::Take(machine_->misdirections, path_)) {
    // The device puts the bytes elsewhere and says it did as told. It knows nothing of sizes, so these are as meant.
    inode_->Resize(std::max(inode_->current().size(), offset + data.size()));
    const uint64_t size = inode_->current().size();
    const uint64_t landed = misdirected->redirect < size ? std::min<uint64_t>(data.size(), size - misdirected->redirect) : 0;
    std::vector<uint8_t> stood(landed);
    (void)inode_->current().Read(stood, misdirected->redirect);
    inode_->Write(data.first(landed), misdirected->redirect);
    machine_->stray = {path_, offset, {data.begin(), data.end()}, misdirected->redirect, std::move(stood)};
    return {};
  }
  const uint64_t room = inode_->Claim(offset, data.size());
  inode_->Write(data.first(room), offset);
  if (room < data.size()) return {Code::kNoSpace, "cannot write " + path_ + ": no space left on the simulated disk"};
  return {};
}

Status SimFile::DataSync() {
  switch (machine_->Admit(process_, "sync", path_)) {
    case Admission::kDead:
      return SimMachine::Crashed();
    case Admission::kDying:
      if (machine_->dice.Chance(1, 2)) inode_->Sync();
      return SimMachine::Crashed();
    case Admission::kGo:
      break;
  }
  constexpr uint64_t kSyncNanos = 80'000;
  machine_->Advance(kSyncNanos);
  if (sync_failed_) return {Code::kIo, "cannot sync " + path_ + ": an earlier sync failed"};
  if (SimMachine::Take(machine_->sync_faults, path_)) {
    sync_failed_ = true;
    inode_->FailSync(machine_->dice);
    return {Code::kIo, "cannot sync " + path_ + ": injected fault"};
  }
  inode_->Sync();
  machine_->names.SyncCreation(inode_.get());
  return {};
}

Status SimFile::Allocate(uint64_t bytes) {
  if (Status status = CheckWritable("allocate"); !status.ok()) return status;
  if (bytes > kFileBytesMax) return {Code::kNoSpace, "cannot allocate " + path_ + ": no file is that long"};
  const Admission admission = machine_->Admit(process_, "allocate", path_);
  if (!machine_->TakesEffect(admission)) return SimMachine::Crashed();
  const bool room = inode_->Reserve(bytes);
  if (room && bytes > inode_->current().size()) inode_->Resize(bytes);
  if (admission == Admission::kDying) return SimMachine::Crashed();
  if (!room) return {Code::kNoSpace, "cannot allocate " + path_ + ": no space left on the simulated disk"};
  return {};
}

Status SimFile::Truncate(uint64_t bytes) {
  if (Status status = CheckWritable("truncate"); !status.ok()) return status;
  if (bytes > kFileBytesMax) return {Code::kNoSpace, "cannot truncate " + path_ + ": no file is that long"};
  const Admission admission = machine_->Admit(process_, "truncate", path_);
  if (!machine_->TakesEffect(admission)) return SimMachine::Crashed();
  inode_->Resize(bytes);
  return admission == Admission::kDying ? SimMachine::Crashed() : Status();
}

Result<uint64_t> SimFile::Size() {
  if (!machine_->Alive(process_)) return SimMachine::Crashed();
  return inode_->current().size();
}

}  // namespace skerry
