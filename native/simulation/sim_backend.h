#pragma once
// A backend that outlives every crash of the host: chunks in memory, each whole or absent. Fetches and lists are answered
// at once, ships when the world says so; some of these fail, with or without having arrived, a few arrive once more later,
// and a crash forgets who asked. A removal that nobody heard of may come to pass in a later life, of a later host too, and so may a list of
// what is gone. In bad weather it throttles for a while, and bodies come short.
#include <map>
#include <memory>

#include "../blocks/pack_backend.h"
#include "../env/env.h"
#include "sim_random.h"

namespace skerry::simulation {

class SimBackend : public PackBackend {
 public:
  SimBackend(Env& env, uint64_t seed) : env_(env), dice_(seed) {}

  void Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) override;
  void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) override;
  void Remove(uint32_t pack, std::function<void(Status)> done) override;
  void List(std::function<void(Result<std::vector<Chunk>>)> done) override;

  void OpenGone(std::function<void(Result<FetchedBytes>)> done) override;
  void KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) override;

  /** Lets some of the ships under way arrive, and tells their outcome. */
  void Deliver();
  /** The host has died: what was under way may have arrived, and nobody waits for it. */
  void Forget();
  /** Of the last host that kept one. */
  Result<FetchedBytes> LastGone() const;
  bool Has(uint32_t pack) const { return chunks_.contains(pack); }
  /** A bit of a chunk flips, drawn by `draw`; which is told, and flipping it again heals it. 0: there is no chunk. */
  struct Bit {
    uint32_t pack = 0;
    size_t at = 0;
    uint8_t mask = 0;
  };
  Bit Rot(const std::function<uint64_t(uint64_t sides)>& draw);
  void Flip(const Bit& bit) { chunks_.at(bit.pack)[bit.at] ^= bit.mask; }
  size_t packs() const { return chunks_.size(); }
  /** Whether a list is answered. */
  void SetListFaults(bool on) { list_faults_ = on; }
  /** Bad weather: whether fetches may fail, or come short, and all is refused for a while now and then. */
  void SetWeather(bool bad) { bad_weather_ = bad; }
  bool weather_is_bad() const { return bad_weather_; }
  uint64_t refusals() const { return refusals_; }
  /** What must never happen and did: a pack, or a list of what is gone, put with other bytes than before. */
  const std::string& wrong() const { return wrong_; }

 private:
  struct Underway {
    uint32_t pack;
    std::vector<uint8_t> bytes;
    std::function<void(Status)> done;
  };
  /** A list of what is gone, by the host that keeps it, counted from 1, and its number. */
  using GoneKey = std::pair<uint64_t, uint64_t>;
  using GoneLists = std::map<GoneKey, std::vector<uint8_t>>;
  void Arrive(const Underway& ship);
  void ArriveGone(const GoneKey& key, const std::vector<uint8_t>& list);
  /** Of the lists that nobody waits for. */
  void ArriveSomeGone(uint64_t one_of);
  /** Of those that are on their way. */
  void RemoveSome(uint64_t one_of);
  /** True where it asks for patience now. */
  bool Throttles();

  Env& env_;
  SimRandom dice_;
  std::map<uint32_t, std::vector<uint8_t>> chunks_;
  std::vector<Underway> underway_;
  std::vector<Underway> again_;   // have arrived, and will once more: somebody on the way sends twice
  std::vector<uint32_t> removals_;   // on their way, and nobody waits for them
  uint64_t host_ = 0;                // that has the pool
  GoneLists gone_, late_gone_;       // that are there; that will be, and nobody waits for them
  bool list_faults_ = false, bad_weather_ = false;
  uint64_t throttled_ = 0;        // requests to be refused yet
  uint64_t refusals_ = 0;
  std::string wrong_;
};

/** The pool to a host that only looks, while it is another's. */
class SimVisitor : public PackBackend {
 public:
  explicit SimVisitor(std::shared_ptr<SimBackend> backend) : backend_(std::move(backend)) {}
  void Ship(uint32_t, const std::string&, uint64_t, std::function<void(Status)> done) override { done(Refused()); }
  void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) override {
    backend_->Fetch(pack, offset, bytes, std::move(done));
  }
  void Remove(uint32_t, std::function<void(Status)> done) override { done(Refused()); }
  void List(std::function<void(Result<std::vector<Chunk>>)> done) override { backend_->List(std::move(done)); }
  void OpenGone(std::function<void(Result<FetchedBytes>)> done) override { done(backend_->LastGone()); }
  void KeepGone(uint64_t, std::vector<uint8_t>, std::function<void(Status)> done) override { done(Status::Ok()); }

 private:
  static Status Refused() { return {Code::kIo, "it is another's"}; }
  const std::shared_ptr<SimBackend> backend_;
};

}  // namespace skerry::simulation
