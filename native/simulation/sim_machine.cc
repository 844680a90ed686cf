#include "sim_machine.h"

#include <cstdlib>
#include <cstring>

namespace skerry {
namespace {

constexpr uint64_t kBootNanos = 1'000'000'000;            // the clock when the first process starts
constexpr uint64_t kRebootNanos = 20'000'000'000;         // wall time that a host crash costs
constexpr uint64_t kFirstWallNanos = 1'750'000'000'000'000'000;
constexpr uint64_t kOperationNanos = 10'000;
constexpr size_t kBootIdBytes = 16;

}  // namespace

SimMachine::SimMachine(uint64_t seed)
    : space(std::make_shared<SimSpace>()),
      dice(SplitMix(seed)),
      read_dice(SplitMix(seed + 1)),
      entropy(SplitMix(seed + 2)),
      nanos(kBootNanos),
      wall_nanos(kFirstWallNanos) {
  boot_id = NewBootId();
}

SimMachine::SimMachine(const SimMachine& other)
    : space(std::make_shared<SimSpace>(*other.space)),
      names(other.names.Copy(space)),
      dice(other.dice),
      read_dice(other.read_dice),
      entropy(other.entropy),
      boot_id(other.boot_id),
      nanos(other.nanos),
      wall_nanos(other.wall_nanos),
      process(other.process),
      dead(other.dead),
      operations(other.operations),
      sync_faults(other.sync_faults),
      write_faults(other.write_faults),
      read_faults(other.read_faults),
      misdirections(other.misdirections),
      stray(other.stray),
      read_now_miss_percent(other.read_now_miss_percent) {
  for (const auto& [name, region] : other.regions) regions[name] = {region.header_bytes, region.ring_bytes, CopyOf(name, region)};
}

std::string SimMachine::NewBootId() {
  std::string id;
  while (id.size() < kBootIdBytes) id.push_back(static_cast<char>(entropy.Next() & 0xff));
  return id;
}

SimMachine::Admission SimMachine::Admit(uint64_t caller, const char* operation, const std::string& path) {
  if (!Alive(caller)) return Admission::kDead;
  if (before_operation) before_operation(operation, path);
  if (!Alive(caller)) return Admission::kDead;  // the hook ended it
  if (crash_at.has_value() && operations >= *crash_at) {
    Die();
    return Admission::kDying;
  }
  ++operations;
  Advance(kOperationNanos);
  return Admission::kGo;
}

std::optional<SimFault> SimMachine::Take(std::vector<SimFault>& faults, const std::string& path) {
  for (auto fault = faults.begin(); fault != faults.end(); ++fault) {
    if (path.find(fault->part) == std::string::npos) continue;
    const SimFault taken = *fault;
    if (fault->count <= 1) {
      faults.erase(fault);
    } else {
      --fault->count;
    }
    return taken;
  }
  return std::nullopt;
}

void SimMachine::Advance(uint64_t by) {
  nanos += by;
  wall_nanos += by;
}

// The code that runs on after its own death must not reach what the next process will map: it keeps its mapping, and the
// region goes on as a copy taken at the moment of death.
void SimMachine::DetachRegions() {
  for (auto& [name, region] : regions) region.mapping = CopyOf(name, region);
}

std::shared_ptr<RingMapping> SimMachine::CopyOf(const std::string& name, const Region& region) {
  Result<std::unique_ptr<RingMapping>> copy = RingMapping::MapAnonymous(name, region.header_bytes, region.ring_bytes);
  if (!copy.ok()) std::abort();  // the test machine is out of memory
  std::memcpy((*copy)->header().data(), region.mapping->header().data(), region.header_bytes);
  std::memcpy((*copy)->ring(), region.mapping->ring(), region.ring_bytes);
  return std::move(*copy);
}

void SimMachine::Die() {
  if (dead) return;
  dead = true;
  DetachRegions();
}

void SimMachine::EndProcess() {
  Die();
  ++process;
  dead = false;
  crash_at.reset();
}

void SimMachine::CrashHost(bool memory_stays) {
  if (!memory_stays) regions.clear();
  EndProcess();
  constexpr SimSurvival kSurvival[] = {SimSurvival::kAll, SimSurvival::kNone};
  const uint64_t roll = dice.Below(16);
  names.Crash(roll < std::size(kSurvival) ? kSurvival[roll] : SimSurvival::kAny, dice);
  Reboot();
}

void SimMachine::CrashHostBy(const SimKeeps& keeps, bool memory_stays) {
  if (!memory_stays) regions.clear();
  EndProcess();
  names.CrashBy(keeps);
  Reboot();
}

void SimMachine::Reboot() {
  boot_id = NewBootId();
  nanos = kBootNanos;
  wall_nanos += kRebootNanos;
}

uint64_t SimMachine::ContentDigest() {
  uint64_t digest = names.Digest();
  for (auto& [name, region] : regions) {
    digest = SimDigest({reinterpret_cast<const uint8_t*>(name.data()), name.size()}, digest);
    digest = SimDigest(region.mapping->header(), digest);
    digest = SimDigest({region.mapping->ring(), region.ring_bytes}, digest);
  }
  return digest;
}

uint64_t SimMachine::Digest() {
  uint64_t digest = ContentDigest();
  digest = SimDigest({reinterpret_cast<const uint8_t*>(boot_id.data()), boot_id.size()}, digest);
  for (const uint64_t part : {nanos, wall_nanos, operations, space->used_bytes}) digest = SplitMix(digest ^ part);
  return digest;
}

}  // namespace skerry
