#pragma once
// Who is about to name records: a large write from before it looks for its blocks until the journal names them, a destage until its
// root is in the catalog. Whoever removes records makes sure that no new name can lead to them, and then waits for those who
// may have found them before.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace skerry {

class PutGate {
  struct State {
    uint64_t Enter() {
      std::lock_guard lock(mutex);
      ++inside[turn];
      return turn;
    }
    void Leave(uint64_t entered) {
      std::lock_guard lock(mutex);
      if (--inside.at(entered) == 0) inside.erase(entered);
    }
    std::mutex mutex;
    uint64_t turn = 0;
    std::map<uint64_t, size_t> inside;   // by turn
  };

 public:
  /** One who is inside, until it is destroyed. */
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept = default;
    Hold& operator=(Hold&& other) noexcept {
      std::swap(gate_, other.gate_);
      std::swap(turn_, other.turn_);
      return *this;
    }
    ~Hold() {
      if (gate_) gate_->Leave(turn_);
    }

   private:
    friend class PutGate;
    Hold(std::shared_ptr<State> gate, uint64_t turn) : gate_(std::move(gate)), turn_(turn) {}
    std::shared_ptr<State> gate_;   // it may outlive the gate
    uint64_t turn_ = 0;
  };

  Hold Enter() { return {state_, state_->Enter()}; }
  /** What to ask Passed with: about all who are inside now. */
  uint64_t Turn() {
    std::lock_guard lock(state_->mutex);
    return state_->turn++;
  }
  /** Everybody who had entered when Turn gave this has left. */
  bool Passed(uint64_t turn) const {
    std::lock_guard lock(state_->mutex);
    return state_->inside.empty() || state_->inside.begin()->first > turn;
  }

 private:
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace skerry
