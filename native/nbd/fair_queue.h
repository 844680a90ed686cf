#pragma once
// What waits for one server, in lanes: deficit round robin (Shreedhar and Varghese, 1995). Each lane that has something gets a
// quantum in its turn and may spend what it has saved, so that lanes share by cost, however much one of them wants. Inside a lane
// it is first come first served. Costs of one lane's items may differ as they like: what is dear waits for more turns.
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>

namespace skerry::nbd {

/** What a volume may do in one turn, of bytes moved and requests alike. */
inline constexpr int64_t kQuantumBytes = 512 << 10;
/** That a request costs beside the bytes it moves. */
inline constexpr uint32_t kRequestCostBytes = 4096;

/** Not thread-safe. */
template <class Item>
class FairQueue {
 public:
  void Push(uint64_t lane, uint64_t cost, Item item) {
    Lane& into = lanes_[lane];
    if (into.items.empty()) turns_.push_back(lane);
    into.items.push_back({static_cast<int64_t>(cost), std::move(item)});
    ++size_;
  }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }

  /** What Pop takes. Of a queue that is not empty; the same until it is taken, whatever comes meanwhile. */
  const Item& Front() { return Settle().items.front().item; }

  Item Pop() {
    Lane& lane = Settle();
    lane.saved -= lane.items.front().cost;
    Item item = std::move(lane.items.front().item);
    lane.items.pop_front();
    --size_;
    if (!lane.items.empty()) return item;
    // Who wants nothing saves nothing.
    lanes_.erase(turns_.front());
    turns_.pop_front();
    return item;
  }

 private:
  struct Waiting {
    int64_t cost;
    Item item;
  };
  struct Lane {
    int64_t saved = kQuantumBytes;
    std::deque<Waiting> items;
  };

  /** The lane whose turn it is, and which can pay for its first item. */
  Lane& Settle() {
    for (;;) {
      Lane& lane = lanes_.find(turns_.front())->second;
      if (lane.saved >= lane.items.front().cost) return lane;
      lane.saved += kQuantumBytes;
      turns_.push_back(turns_.front());
      turns_.pop_front();
    }
  }

  std::unordered_map<uint64_t, Lane> lanes_;   // that have something
  std::deque<uint64_t> turns_;                 // each of them once
  size_t size_ = 0;
};

}  // namespace skerry::nbd
