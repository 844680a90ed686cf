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

void SimBackend::Deliver() {
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
}

void SimBackend::Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<std::vector<uint8_t>>)> done) {
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
  done(std::move(body));
}

void SimBackend::List(std::function<void(Result<std::vector<Chunk>>)> done) {
  if (list_faults_ && dice_.Chance(1, 4)) return done(Status(Code::kIo, "away"));
  std::vector<Chunk> listed;
  for (const auto& [pack, bytes] : chunks_) listed.push_back({pack, bytes.size()});
  done(std::move(listed));
}

}  // namespace skerry::simulation
