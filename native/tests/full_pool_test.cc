// A pool whose disk has no room: when destage that failed for want of it is worth another attempt, and when writers are let in.
#include "../simulation/sim_env.h"
#include "../volume/store.h"
#include "check.h"
#include "small_store.h"

using namespace skerry;

namespace {

constexpr ResourceId kVolume = 1;

/** A store with one volume, written to before its disk filled up: what it holds cannot be destaged. */
struct Stuck {
  SimEnv env{1};
  std::unique_ptr<Store> store;

  Stuck() {
    StoreReport report;
    const VolumeSpec volume{kVolume, 64 * kBlockBytes, false, false, 0, 1, 0, {}};
    Result<std::unique_ptr<Store>> opened = Store::Open(env, check::SmallStore("/full"), {{volume, ResourceKind::kVolume, {}, 0}}, report);
    CHECK_OK(opened.status());
    store = std::move(*opened);
    CHECK_OK(Write());
    while (*store->WriteStep()) {}
    CHECK_OK(store->Freeze(kVolume));
    env.SetFreeBytes(0);
    CHECK(store->DestageStep(*store->pools().front()).code() == Code::kNoSpace);
    CHECK(!store->Pace());
  }
  Status Write() { return store->Find(kVolume)->Write(0, std::vector<uint8_t>(kPageBytes, 1)).status(); }
};

}  // namespace

TEST("destage that failed on a full disk is worth another attempt once there is more room, once for so much of it") {
  Stuck stuck;
  for (int look = 0; look < 3; ++look) CHECK(!stuck.store->Pace());
  CHECK(!stuck.store->has_room());
  stuck.env.SetFreeBytes(64 << 20);
  CHECK(stuck.store->Pace());
  for (int look = 0; look < 3; ++look) CHECK(!stuck.store->Pace());
  CHECK(stuck.store->has_room());
  CHECK(stuck.store->DestageStep(*stuck.store->pools().front())->has_value());
}

TEST("room that went and came back since the last failure counts as more") {
  Stuck stuck;
  stuck.env.SetFreeBytes(64 << 20);
  CHECK(stuck.store->Pace());
  stuck.env.SetFreeBytes(0);
  CHECK(stuck.store->DestageStep(*stuck.store->pools().front()).code() == Code::kNoSpace);
  CHECK(!stuck.store->Pace());
  stuck.env.SetFreeBytes(64 << 20);
  CHECK(stuck.store->Pace());
}

TEST("writes are refused while a disk is full, and taken again at the first look after it is not") {
  Stuck stuck;
  CHECK(stuck.Write().code() == Code::kNoSpace);
  stuck.env.SetFreeBytes(64 << 20);
  (void)stuck.store->Pace();
  CHECK_OK(stuck.Write());
}

TEST("pools on one disk are not both promised its last room") {
  for (const bool looks : {false, true}) {
    SimEnv env{1};
    const StoreOptions options = check::SmallStore("/full", {{}, {"second"}});
    std::vector<ResourceSpec> specs;
    for (const ResourceId id : {1, 2}) {
      specs.push_back({{id, 1024 * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0, id == 1 ? "default" : "second"});
    }
    StoreReport report;
    Result<std::unique_ptr<Store>> opened = Store::Open(env, options, specs, report);
    CHECK_OK(opened.status());
    Store& store = **opened;
    constexpr uint64_t kFree = 32 << 20;
    env.SetFreeBytes(kFree);
    (void)store.Pace();
    uint64_t taken[2] = {};
    for (uint64_t block = 0; block < 1024; ++block) {
      for (const ResourceId id : {1, 2}) {
        // A page of another block each, so that each costs a whole one at its worst.
        const std::vector<uint8_t> page(kPageBytes, static_cast<uint8_t>(block % 250 + 1));
        taken[id - 1] += store.Find(id)->Write(block * kBlockBytes, page).ok();
      }
      if (looks && block % 8 == 0) (void)store.Pace();
    }
    CHECK(taken[0] > 50 && taken[1] > 50);
    CHECK((taken[0] + taken[1]) * kBlockRoomBytes <= kFree);
  }
}

TEST("where what could not be committed is deleted, others are closed again when the log fills") {
  SimEnv env{1};
  std::vector<ResourceSpec> specs;
  for (const ResourceId id : {1, 2}) specs.push_back({{id, 1024 * kBlockBytes, false, false, 0, 1, 0, {}}, ResourceKind::kVolume, {}, 0});
  StoreReport report;
  Result<std::unique_ptr<Store>> opened = Store::Open(env, check::SmallStore("/full"), specs, report);
  CHECK_OK(opened.status());
  Store& store = **opened;
  Pool& pool = *store.pools().front();
  const std::vector<uint8_t> page(kPageBytes, 1);
  const auto write = [&](ResourceId id, uint64_t at) {
    const Status status = store.Find(id)->Write(at * kPageBytes, page).status();
    while (*store.WriteStep()) {}
    CHECK_OK(store.SyncStep());
    (void)store.journal().PrepareSegment();
    return status;
  };
  CHECK_OK(write(1, 0));
  CHECK_OK(store.Freeze(1));
  const Result<std::optional<RootCommit>> commit = store.DestageStep(pool);
  CHECK(commit.ok() && commit->has_value());
  store.Committed((*commit)->token, false);
  CHECK_OK(store.Drop(1).status());
  bool destaged = false;
  for (uint64_t at = 0; at < 6000 && !destaged; ++at) {
    const Status status = write(2, at % 16384);
    CHECK(status.ok() || status.code() == Code::kTryAgain);
    (void)store.Pace();
    const Result<std::optional<RootCommit>> next = store.DestageStep(pool);
    CHECK_OK(next.status());
    destaged = next->has_value();
  }
  CHECK(destaged);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
