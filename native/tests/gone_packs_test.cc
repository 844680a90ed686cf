// The list of packs that are gone: what stands in it, that nothing damaged is believed, and what a crash leaves of it.
#include "../blocks/gone_packs.h"
#include "../simulation/sim_env.h"
#include "golden.h"

using namespace skerry;

namespace {

const std::string kDirectory = "/gone-test";

}  // namespace

TEST("the list of packs that are gone is whole or not taken, and has the form it always had") {
  const GoneList list{7, {{1, 1}, {3, 7}, {4000000000u, 4294967295u}}};
  std::vector<uint8_t> bytes = EncodeGonePacks(5, list);
  const Result<GoneList> back = DecodeGonePacks(bytes, 5);
  CHECK(back.ok() && *back == list);
  CHECK(bytes.size() == 40 + 3 * 8);
  golden::Compare("gone_packs_v2", {{"gone", bytes}});
  CHECK(DecodeGonePacks(bytes, 6).code() == Code::kCorrupt);
  for (size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] ^= 1;
    CHECK(DecodeGonePacks(bytes, 5).code() == Code::kCorrupt);
    bytes[at] ^= 1;
  }
  bytes.pop_back();
  CHECK(DecodeGonePacks(bytes, 5).code() == Code::kCorrupt);
  for (size_t size : {0u, 31u, 32u, 39u}) CHECK(DecodeGonePacks(ConstBytes(bytes).first(size), 5).code() == Code::kCorrupt);
  // Whole, and not in order, or without a number: nobody wrote that.
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {1, {{3, 7}, {8, 8}}}), 5).code() == Code::kCorrupt);
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {1, {{7, 3}}}), 5).code() == Code::kCorrupt);
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {1, {{0, 3}}}), 5).code() == Code::kCorrupt);
  CHECK(DecodeGonePacks(EncodeGonePacks(5, {0, {{1, 3}}}), 5).code() == Code::kCorrupt);
}

TEST("a list from before there were numbers is read, and is the first") {
  std::vector<uint8_t> bytes = golden::Read("gone_packs_v1").front().bytes;
  const Result<GoneList> list = DecodeGonePacks(bytes, 5);
  CHECK(list.ok() && *list == (GoneList{1, {{1, 1}, {3, 7}, {4000000000u, 4294967295u}}}));
  for (size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] ^= 1;
    CHECK(DecodeGonePacks(bytes, 5).code() == Code::kCorrupt);
    bytes[at] ^= 1;
  }
}

TEST("packs join what is gone in any order, and the next life knows them") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory(kDirectory));
  GonePacks gone(env, kDirectory, 5);
  CHECK_OK(gone.Load());
  CHECK(gone.newest() == 0 && !gone.Contains(1) && gone.number() == 0 && gone.standing().bytes.empty());
  CHECK_OK(gone.Begin({}));
  for (const std::set<uint32_t>& packs : {std::set<uint32_t>{5, 9}, {7}, {6, 8, 3}, {5, 4, 20}}) {
    CHECK_OK(gone.Add(packs));
    CHECK_OK(env.SyncDirectory(kDirectory));
    gone.Stand();
  }
  env.HostCrash();
  GonePacks again(env, kDirectory, 5);
  CHECK_OK(again.Load());
  for (const GonePacks* list : {&gone, &again}) {
    for (uint32_t pack = 0; pack < 25; ++pack) CHECK(list->Contains(pack) == ((pack >= 3 && pack <= 9) || pack == 20));
    CHECK(list->newest() == 20 && list->number() == 5);
  }
  CHECK(again.standing().bytes == gone.standing().bytes);
  GonePacks another(env, kDirectory, 6);
  CHECK(another.Load().code() == Code::kCorrupt && !another.Contains(5));
}

TEST("a host that has no list begins with what the host before it had put in the pool") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory(kDirectory));
  GonePacks gone(env, kDirectory, 5);
  CHECK(gone.Begin(EncodeGonePacks(6, {9, {{3, 7}}})).code() == Code::kCorrupt && gone.number() == 0);
  CHECK_OK(gone.Begin(EncodeGonePacks(5, {9, {{3, 7}}})));
  env.HostCrash();
  GonePacks again(env, kDirectory, 5);
  CHECK_OK(again.Load());
  CHECK(again.number() == 1 && again.Stands(3) && again.Stands(7) && !again.Contains(8));
}

TEST("what cannot be written is not gone; what may have been written is, and stands only once it is durable") {
  SimEnv env(1);
  CHECK_OK(env.MakeDirectory(kDirectory));
  GonePacks gone(env, kDirectory, 5);
  CHECK_OK(gone.Begin({}));
  CHECK_OK(gone.Add({1}));
  CHECK(gone.Contains(1) && !gone.Stands(1) && gone.number() == 1);
  CHECK_OK(env.SyncDirectory(kDirectory));
  gone.Stand();
  CHECK(gone.Stands(1) && gone.number() == 2);
  env.FailWrites("gone.new");
  CHECK(!gone.Add({2}).ok() && gone.Contains(1) && !gone.Contains(2));
  env.ClearFaults();
  env.FailDataSync("gone.new");
  CHECK(!gone.Add({3}).ok() && !gone.Contains(3) && gone.number() == 2);
  env.ClearFaults();
  // Without the directory's sync a crash may leave either list, and never a part of one. What is found has its number for good.
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimEnv torn(seed);
    CHECK_OK(torn.MakeDirectory(kDirectory));
    GonePacks first(torn, kDirectory, 5);
    CHECK_OK(first.Begin({}));
    CHECK_OK(first.Add({1}));
    torn.HostCrash();
    GonePacks next(torn, kDirectory, 5);
    CHECK_OK(next.Load());
    CHECK(next.number() == (next.Contains(1) ? 2 : 1));
    torn.HostCrash();
    GonePacks last(torn, kDirectory, 5);
    CHECK_OK(last.Load());
    CHECK(last.standing().bytes == next.standing().bytes);
  }
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
