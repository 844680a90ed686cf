#include "sim_backend.h"

#include <utility>

namespace skerry::simulation {

void SimBackend::Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) {
  Result<std::unique_ptr<File>> file = env_.Open(path, {});
  if (!file.ok()) return done(file.status());
  std::vector<uint8_t> content(bytes + 1);
  const Result<size_t> got = (*file)->Read(content, 0);
  if (!got.ok()) return done(got.status());
  if (*got != bytes) return done({Code::kIo, "the file of pack " + std::to_string(pack) + " is not as long as it was sealed"});
  content.resize(bytes);
  underway_.push_back({pack, std::move(content), std::move(done)});
}

void SimBackend::Arrive(const Underway& ship) {
  const auto [at, fresh] = chunks_.emplace(ship.pack, ship.bytes);
  if (!fresh && at->second != ship.bytes && wrong_.empty()) wrong_ = "pack " + std::to_string(ship.pack) + " was put again with other bytes";
}

bool SimBackend::Throttles() {
  if (!bad_weather_) return false;
  constexpr uint64_t kRefusedMax = 12;
  if (throttled_ == 0 && dice_.Chance(1, 200)) throttled_ = 1 + dice_.Below(kRefusedMax);
  if (throttled_ == 0) return false;
  --throttled_;
  ++refusals_;
  return true;
}

void SimBackend::Remove(uint32_t pack, std::function<void(Status)> done) {
  if (Throttles()) return done({Code::kIo, "slow down"});
  if (!dice_.Chance(1, 4)) {
    chunks_.erase(pack);
    return done(Status::Ok());
  }
  const uint64_t fate = dice_.Below(3);
  if (fate == 0) chunks_.erase(pack);
  if (fate == 1) removals_.push_back(pack);
  done({Code::kIo, "the answer got lost"});
}

void SimBackend::RemoveSome(uint64_t one_of) {
  for (const uint32_t pack : std::exchange(removals_, {})) {
    if (dice_.Chance(1, one_of)) {
      chunks_.erase(pack);
    } else {
      removals_.push_back(pack);
    }
  }
}

void SimBackend::OpenGone(std::function<void(Result<FetchedBytes>)> done) {
  if (list_faults_ && dice_.Chance(1, 4)) return done(Status(Code::kIo, "away"));
  ++host_;
  done(LastGone());
}

Result<FetchedBytes> SimBackend::LastGone() const {
  if (gone_.empty()) return Status(Code::kNotFound, "there is no list");
  return FetchedBytes(gone_.rbegin()->second);
}

void SimBackend::ArriveGone(const GoneKey& key, const std::vector<uint8_t>& list) {
  const auto [at, fresh] = gone_.emplace(key, list);
  if (!fresh && at->second != list && wrong_.empty()) wrong_ = "the list of what is gone was put again with other bytes, as number " + std::to_string(key.second);
}

void SimBackend::ArriveSomeGone(uint64_t one_of) {
  std::erase_if(late_gone_, [&](const auto& late) {
    if (!dice_.Chance(1, one_of)) return false;
    ArriveGone(late.first, late.second);
    return true;
  });
}

void SimBackend::KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) {
  if (Throttles()) return done({Code::kIo, "slow down"});
  const GoneKey key{host_, number};
  const uint64_t fate = dice_.Below(8);
  if (fate < 2) late_gone_[key] = list;
  if (fate != 0) ArriveGone(key, list);
  // A new host's start waits for its first.
  if (fate < 3 && (number > 1 || list_faults_)) return done({Code::kIo, "the answer got lost"});
  ArriveGone(key, list);
  std::erase_if(gone_, [&](const auto& other) {
    const bool superseded = other.first.first < host_ || other.first.second + 1 < number;
    return superseded && dice_.Chance(7, 8);
  });
  done(Status::Ok());
}

void SimBackend::Deliver() {
  constexpr uint64_t kRemovedOneOf = 12, kListedOneOf = 12;
  RemoveSome(kRemovedOneOf);
  ArriveSomeGone(kListedOneOf);
  std::vector<Underway> ships;
  for (const Underway& ship : std::exchange(again_, {})) Arrive(ship);
  ships.swap(underway_);
  for (Underway& ship : ships) {
    if (dice_.Chance(1, 3)) {
      underway_.push_back(std::move(ship));
    } else if (Throttles()) {
      ship.done({Code::kIo, "slow down"});
    } else if (dice_.Chance(1, 6)) {
      if (dice_.Chance(1, 2)) Arrive(ship);
      ship.done({Code::kIo, "the answer got lost"});
    } else {
      Arrive(ship);
      if (dice_.Chance(1, 8)) again_.push_back({ship.pack, ship.bytes, {}});
      ship.done(Status::Ok());
    }
  }
}

void SimBackend::Forget() {
  for (const Underway& ship : underway_) {
    if (dice_.Chance(1, 2)) Arrive(ship);
  }
  underway_.clear();
  RemoveSome(4);
  ArriveSomeGone(4);
}

void SimBackend::Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) {
  if (Throttles()) return done(Status(Code::kIo, "slow down"));
  const auto found = chunks_.find(pack);
  if (found == chunks_.end()) return done(Status(Code::kNotFound, "no pack " + std::to_string(pack)));
  const std::vector<uint8_t>& chunk = found->second;
  const size_t from = std::min<uint64_t>(offset, chunk.size()), to = std::min<uint64_t>(offset + bytes, chunk.size());
  std::vector<uint8_t> body(chunk.begin() + static_cast<ptrdiff_t>(from), chunk.begin() + static_cast<ptrdiff_t>(to));
  // A connection that ends early, behind something that does not count.
  if (bad_weather_ && !body.empty() && dice_.Chance(1, 100)) {
    ++refusals_;
    body.resize(dice_.Below(body.size()));
  }
  done(FetchedBytes(std::move(body)));
}

SimBackend::Bit SimBackend::Rot(const std::function<uint64_t(uint64_t sides)>& draw) {
  if (chunks_.empty()) return {};
  const auto chunk = std::next(chunks_.begin(), static_cast<ptrdiff_t>(draw(chunks_.size())));
  const Bit bit{chunk->first, draw(chunk->second.size()), static_cast<uint8_t>(1u << draw(8))};
  Flip(bit);
  return bit;
}

void SimBackend::List(std::function<void(Result<std::vector<Chunk>>)> done) {
  if (list_faults_ && dice_.Chance(1, 4)) return done(Status(Code::kIo, "away"));
  std::vector<Chunk> listed;
  for (const auto& [pack, bytes] : chunks_) listed.push_back({pack, bytes.size()});
  done(std::move(listed));
}

}  // namespace skerry::simulation
