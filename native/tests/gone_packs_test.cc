// The list of packs that are gone: what stands in it, that nothing damaged is believed, and what a crash leaves of it.
#include "../blocks/cell.h"
#include "../blocks/gone_packs.h"
#include "../simulation/sim_env.h"
#include "check.h"

using namespace skerry;

namespace {

const std::string kDirectory = "/gone-test";

}  // namespace

TEST("the list of packs that are gone is whole or not taken, and has the form it always had") {
  const GoneRanges ranges{{1, 1}, {3, 7}, {4000000000u, 4294967295u}};
  std::vector<uint8_t> bytes = EncodeGonePacks(5, ranges);
  const Result<GoneRanges> back = DecodeGonePacks(bytes, 5);
  CHECK(back.ok() && *back == ranges);
  CHECK(bytes.size() == 32 + 3 * 8);
  CHECK(SumOf(bytes.data(), bytes.size(), 0) == 0xf489b0c367561aeull);
  CHECK(DecodeGonePacks(bytes, 6).code() == Code::kCorrupt);
  for (size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] ^= 1;
    CHECK(DecodeGonePacks(bytes, 5).code() == Code::kCorrupt);
    bytes[at] ^= 1;
  }
  bytes.pop_back();
  CHECK(DecodeGonePacks(bytes, 5).code() == Code::kCorrupt);
  CHECK(DecodeGonePacks({}, 5).code() == Code::kCorrupt);
  // Whole, and not in order: nobody wrote that.
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {{3, 7}, {8, 8}}), 5).code() == Code::kCorrupt);
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {{7, 3}}), 5).code() == Code::kCorrupt);
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {{0, 3}}), 5).code() == Code::kCorrupt);
}

TEST("packs join what is gone in any order, and the next life knows them") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory(kDirectory));
  GonePacks gone(env, kDirectory, 5);
  CHECK_OK(gone.Load());
  CHECK(gone.newest() == 0 && !gone.Contains(1));
  CHECK_OK(gone.Add({5, 9}));
  CHECK_OK(gone.Add({7}));
  CHECK_OK(gone.Add({6, 8, 3}));
  CHECK_OK(gone.Add({5, 4, 20}));
  CHECK_OK(env.SyncDirectory(kDirectory));
  env.HostCrash();
  GonePacks again(env, kDirectory, 5);
  CHECK_OK(again.Load());
  for (const GonePacks* list : {&gone, &again}) {
    for (uint32_t pack = 0; pack < 25; ++pack) CHECK(list->Contains(pack) == ((pack >= 3 && pack <= 9) || pack == 20));
    CHECK(list->newest() == 20);
  }
  GonePacks another(env, kDirectory, 6);
  CHECK(another.Load().code() == Code::kCorrupt && !another.Contains(5));
}

TEST("what cannot be written is not gone; what may have been written is") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory(kDirectory));
  GonePacks gone(env, kDirectory, 5);
  CHECK_OK(gone.Add({1}));
  CHECK_OK(env.SyncDirectory(kDirectory));
  env.FailWrites("gone.new");
  CHECK(!gone.Add({2}).ok() && gone.Contains(1) && !gone.Contains(2));
  env.ClearFaults();
  env.FailDataSync("gone.new");
  CHECK(!gone.Add({3}).ok() && !gone.Contains(3));
  env.ClearFaults();
  // Without the directory's sync a crash may leave either list, and never a part of one.
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimEnv torn(seed);
    CHECK_OK(torn.MakeDirectory(kDirectory));
    GonePacks first(torn, kDirectory, 5);
    CHECK_OK(first.Add({1}));
    CHECK_OK(torn.SyncDirectory(kDirectory));
    CHECK_OK(first.Add({2}));
    torn.HostCrash();
    GonePacks next(torn, kDirectory, 5);
    CHECK_OK(next.Load());
    CHECK(next.Contains(1));
  }
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
