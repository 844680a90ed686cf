#pragma once
// Who may write how fast. Each volume has a share of the journal and of the overlay's memory; inside its upper half
// the permitted rate falls steadily, so that writers meet a ramp and never a cliff.
#include <algorithm>
#include <atomic>
#include <cstdint>

#include "../overlay/generation.h"

namespace skerry {

struct AdmissionLimits {
  uint64_t journal_bytes_max = 4ull << 30;
  uint64_t overlay_bytes_max = 192ull << 20;
  uint64_t ramp_fastest_bytes_per_second = 2ull << 30;
  uint64_t ramp_slowest_bytes_per_second = 8ull << 20;
};

/** What a block takes in a pack at most, written alone: packs are written in whole sectors. */
inline constexpr uint64_t kBlockRoomBytes = kBlockBytes + kPagesPerBlock * 8 + 2 * kSectorBytes;

/** Whether the pool's disk can take more writes, now that all which waits to be destaged is counted. */
enum class Room : uint8_t {
  kThere,
  kSoon,   // what waits is counted at its worst: once it is destaged, there may be room again
  kNone,
};

/** What one pool can take beyond what waits to be destaged, refreshed by the store; read by each of its volumes on each write. */
class PoolRoom {
 public:
  void Refresh(Room room, uint64_t bytes) {
    bytes_.store(static_cast<int64_t>(std::min(bytes, kAmpleBytes)), std::memory_order_relaxed);
    room_.store(room, std::memory_order_relaxed);
  }
  Room room() const { return room_.load(std::memory_order_relaxed); }

  // Room is taken when a write is admitted, not when it is destaged: between two looks at the disk, which may lie far apart
  // while a sync is slow, no more is acknowledged than can be put away. Counted at its worst, a page costs a whole block.
  Status Take(uint64_t bytes) {
    const Room room = room_.load(std::memory_order_relaxed);
    const int64_t left = bytes_.load(std::memory_order_relaxed);
    if (room == Room::kThere && left >= static_cast<int64_t>(kAmpleBytes)) return Status::Ok();
    const auto worst = static_cast<int64_t>((bytes / kBlockBytes + 1) * kBlockRoomBytes);
    // The last one may take more than was left, or a request larger than that would wait for ever. What goes to packs at once is
    // refused there where it does not fit.
    if (room == Room::kThere && bytes_.fetch_sub(worst, std::memory_order_relaxed) > 0) return Status::Ok();
    return Status(Code::kTryAgain, "the pool's disk is nearly full: what was written is destaged first");
  }

 private:
  /** With so much room the writes between two looks at the disk need not be counted. */
  static constexpr uint64_t kAmpleBytes = 4ull << 30;

  std::atomic<int64_t> bytes_{static_cast<int64_t>(kAmpleBytes)};
  std::atomic<Room> room_{Room::kThere};
};

/** One volume's side: when its next write may be taken. */
struct AdmissionShare {
  uint64_t next_nanos = 0;
  uint64_t parts_max = 0;   // where not 0: it has one part of so many at most, however little others hold
};

/** Daemon-wide fill, refreshed by the store after writes and destages; read by every volume on each write. */
class Admission {
 public:
  Admission(Env& env, AdmissionLimits limits) : env_(env), limits_(limits), journal_bytes_max_(limits.journal_bytes_max) {}

  /**
   * Ok, or kTryAgain when the volume has to wait (nothing is charged), or kNoSpace when its pool has no room for what waits to
   * be destaged. `volume_journal_bytes` and `volume_overlay_bytes` are what the volume holds.
   */
  Status Admit(AdmissionShare& share, PoolRoom& pool, uint64_t bytes, uint64_t volume_journal_bytes, uint64_t volume_overlay_bytes) {
    // First: where the disk is full, waiting for the journal to become free would be waiting for ever.
    if (pool.room() == Room::kNone) return Status(Code::kNoSpace, "the pool's disk is full");
    const uint64_t writers = writers_.load(std::memory_order_relaxed);
    const double fill = std::max(Fill(volume_journal_bytes, volume_overlay_bytes, writers == 0 ? 1 : writers),
                                 Own(volume_journal_bytes, volume_overlay_bytes, share.parts_max));
    if (fill <= kRampBegins) return pool.Take(bytes);
    if (fill >= 1.0) return Status(Code::kTryAgain, "the volume's share of the journal is full");
    // Those held back look again every few milliseconds: so long a burst is let through, or the ramp would be a cliff.
    const uint64_t now = env_.NowNanos();
    if (share.next_nanos > now + kBurstNanos) return Status(Code::kTryAgain, "the volume writes faster than it is destaged");
    const double left = (1.0 - fill) / (1.0 - kRampBegins);
    const double rate = static_cast<double>(limits_.ramp_slowest_bytes_per_second) +
                        static_cast<double>(limits_.ramp_fastest_bytes_per_second) * left * left * left;
    share.next_nanos = std::max(share.next_nanos, now) + static_cast<uint64_t>(static_cast<double>(bytes) * 1e9 / rate);
    return pool.Take(bytes);
  }

  /** What all volumes hold, of how many that hold something, and the journal's size as it is. */
  void Refresh(uint64_t journal_bytes, uint64_t journal_bytes_max, uint64_t overlay_bytes, uint64_t writers) {
    journal_bytes_max_.store(journal_bytes_max, std::memory_order_relaxed);
    journal_bytes_.store(journal_bytes, std::memory_order_relaxed);
    overlay_bytes_.store(overlay_bytes, std::memory_order_relaxed);
    writers_.store(writers, std::memory_order_relaxed);
  }

  const AdmissionLimits& limits() const { return limits_; }

 private:
  static constexpr double kRampBegins = 0.5;
  static constexpr uint64_t kBurstNanos = 5000000;

  /** How full one part of so many is. */
  double Own(uint64_t journal, uint64_t overlay, uint64_t parts) const {
    const double journal_max = static_cast<double>(journal_bytes_max_.load(std::memory_order_relaxed)), overlay_max = static_cast<double>(limits_.overlay_bytes_max);
    return std::max(static_cast<double>(journal) / journal_max, static_cast<double>(overlay) / overlay_max) * static_cast<double>(parts);
  }

  double Fill(uint64_t volume_journal, uint64_t volume_overlay, uint64_t writers) const {
    const double all = Own(journal_bytes_.load(std::memory_order_relaxed), overlay_bytes_.load(std::memory_order_relaxed), 1);
    const double own = Own(volume_journal, volume_overlay, writers);
    // A volume inside its share is held back only by what all hold together, and only near the end.
    return std::max(all >= kAllFullAt ? all : std::min(all, own), all >= 1.0 ? 1.0 : 0.0);
  }

  static constexpr double kAllFullAt = 0.9;

  Env& env_;
  const AdmissionLimits limits_;
  std::atomic<uint64_t> journal_bytes_{0}, overlay_bytes_{0}, writers_{1};
  std::atomic<uint64_t> journal_bytes_max_;
};

}  // namespace skerry
