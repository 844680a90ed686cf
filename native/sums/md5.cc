#include "md5.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <vector>

namespace skerry {
namespace {

/** What lanes take before it is looked who has come meanwhile. */
constexpr size_t kBlocksTogetherMax = 1024;
/** For others to come: lanes cost the same however few of them are taken. */
constexpr std::chrono::milliseconds kPatience(2);

}  // namespace

/**
 * Who updates a sum while nobody else does leads: waits a moment for half of those that may come, and takes its own blocks together with theirs, and
 * with those of whoever comes meanwhile, until its own are done. Then another of them leads.
 */
class Md5Gang {
 public:
  static Md5Gang& Shared() {
    static Md5Gang gang;
    return gang;
  }
  void Join() { ++sums_; }
  void Leave() { --sums_; }
  /** Takes all whole blocks of what the sum is updated with. */
  void Take(Md5& sum);
  static void TakeAlone(Md5& sum);

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Member {
    Md5& sum;
    bool done = false, leads = false;
    std::condition_variable told{};
  };
  /** Some blocks of as many as there are lanes for. */
  void TakeSome(Lock& lock);

  size_t Expected() const { return std::min(sums_.load(), Md5LanesHere()) / 2; }

  std::atomic<size_t> sums_{0};   // that there are
  std::mutex mutex_;
  std::condition_variable come_;
  std::deque<Member*> waiting_;
  std::vector<Member*> in_lanes_;   // of who leads
  bool led_ = false;
};

void Md5Gang::Take(Md5& sum) {
  Member member{sum};
  Lock lock(mutex_);
  waiting_.push_back(&member);
  if (led_) {
    if (waiting_.size() >= Expected()) come_.notify_one();
    member.told.wait(lock, [&] { return member.done || member.leads; });
    if (member.done) return;
  } else {
    led_ = true;
    come_.wait_for(lock, kPatience, [&] { return waiting_.size() >= Expected(); });
  }
  while (!member.done) TakeSome(lock);
  if (in_lanes_.empty() && waiting_.empty()) {
    led_ = false;
  } else {
    Member& next = in_lanes_.empty() ? *waiting_.front() : *in_lanes_.front();
    next.leads = true;
    next.told.notify_one();
  }
}

void Md5Gang::TakeSome(Lock& lock) {
  for (; in_lanes_.size() < Md5LanesHere() && !waiting_.empty(); waiting_.pop_front()) in_lanes_.push_back(waiting_.front());
  lock.unlock();
  std::array<Md5State*, kMd5LanesMax> states{};
  std::array<const uint8_t*, kMd5LanesMax> streams{};
  size_t blocks = kBlocksTogetherMax, lanes = 0;
  for (const Member* member : in_lanes_) {
    states[lanes] = &member->sum.state_;
    streams[lanes++] = member->sum.blocks_at_;
    blocks = std::min(blocks, member->sum.blocks_);
  }
  CompressMd5(std::span(states).first(lanes), std::span(streams).first(lanes), blocks);
  std::vector<Member*> done;
  std::erase_if(in_lanes_, [&](Member* member) {
    if (member->sum.Took(blocks)) return false;
    done.push_back(member);
    return true;
  });
  lock.lock();
  for (Member* member : done) {
    member->done = true;
    member->told.notify_one();
  }
}

void Md5Gang::TakeAlone(Md5& sum) {
  size_t blocks = 0;
  do {
    Md5State* const state = &sum.state_;
    blocks = sum.blocks_;
    CompressMd5({&state, 1}, {&sum.blocks_at_, 1}, blocks);
  } while (sum.Took(blocks));
}

Md5::Md5() { Md5Gang::Shared().Join(); }

Md5::~Md5() { Md5Gang::Shared().Leave(); }

void Md5::Update(std::span<const ConstBytes> pieces) {
  for (const ConstBytes piece : pieces) bytes_ += piece.size();
  pieces_ = pieces;
  if (!Took(0)) return;
  if (Md5LanesHere() == 1) {
    Md5Gang::TakeAlone(*this);
  } else {
    Md5Gang::Shared().Take(*this);
  }
}

bool Md5::Took(size_t blocks) {
  blocks_at_ += blocks * kMd5BlockBytes;
  blocks_ -= blocks;
  while (blocks_ == 0) {
    if (piece_.empty()) {
      if (pieces_.empty()) return false;
      piece_ = pieces_.front();
      pieces_ = pieces_.subspan(1);
    } else if (rest_bytes_ > 0 || piece_.size() < kMd5BlockBytes) {
      const size_t part = std::min(kMd5BlockBytes - rest_bytes_, piece_.size());
      std::memcpy(rest_.data() + rest_bytes_, piece_.data(), part);
      piece_ = piece_.subspan(part);
      rest_bytes_ += part;
      if (rest_bytes_ < kMd5BlockBytes) continue;
      rest_bytes_ = 0;
      blocks_at_ = rest_.data();
      blocks_ = 1;
    } else {
      blocks_at_ = piece_.data();
      blocks_ = piece_.size() / kMd5BlockBytes;
      piece_ = piece_.subspan(blocks_ * kMd5BlockBytes);
    }
  }
  return true;
}

std::array<uint8_t, 16> Md5::Finish() {
  const uint64_t bits = bytes_ * 8;
  // One bit, then none up to where the length ends a block.
  std::array<uint8_t, kMd5BlockBytes + sizeof(bits)> padding{0x80};
  const size_t zeroes_end = (2 * kMd5BlockBytes - sizeof(bits) - rest_bytes_) % kMd5BlockBytes;
  const size_t end = (zeroes_end == 0 ? kMd5BlockBytes : zeroes_end) + sizeof(bits);
  std::memcpy(padding.data() + end - sizeof(bits), &bits, sizeof(bits));
  const ConstBytes piece(padding.data(), end);
  pieces_ = {&piece, 1};
  if (Took(0)) Md5Gang::TakeAlone(*this);
  std::array<uint8_t, 16> value;
  std::memcpy(value.data(), state_.data(), value.size());
  return value;
}

}  // namespace skerry
