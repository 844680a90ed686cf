#pragma once
// What a volume must hold: a plain byte array for each state since the last recovery, pages shared between states.
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "../env/env.h"

namespace skerry::simulation {

using PageBytes = std::shared_ptr<const std::vector<uint8_t>>;

/** What rot has cost: reading such a page at such a place may fail, and must never give other bytes. Null is zeroes. */
class Losses {
 public:
  /** What a page that cannot be read is compared as. */
  static ConstBytes Marker();
  /** Whether a page of it is that. */
  static bool Any(ConstBytes content);
  void Add(size_t page, const PageBytes& content);
  bool Holds(size_t page, const PageBytes& content) const;
  bool empty() const { return lost_.empty(); }
  /** A lost page that a write in flight may have changed before a crash: nobody can tell any more what it would hold. */
  void Blur(size_t page) { blurred_.insert(page); }
  bool IsBlurred(size_t page) const { return blurred_.contains(page); }

 private:
  std::set<size_t> blurred_;
  std::set<std::pair<size_t, uint64_t>> lost_;   // page, digest of what it held
};

/** One image of a volume. A null page is zeroes. */
struct Image {
  std::vector<PageBytes> pages;

  static Image Zero(uint64_t bytes) { return {std::vector<PageBytes>(bytes / kPageBytes)}; }
  void Write(uint64_t offset, ConstBytes data);
  void Clear(uint64_t offset, uint64_t length);
  /** What is cut off is zero when it grows again. */
  void Resize(uint64_t bytes) { pages.resize(bytes / kPageBytes); }
  uint64_t bytes() const { return pages.size() * kPageBytes; }
  /** True where `page` has these bytes, a page past the end being zeroes, or was lost. */
  bool PageEquals(size_t page, ConstBytes bytes, const Losses& losses) const;
  /** First page that differs, if any; the page after the last where the sizes do. */
  std::optional<size_t> Differs(ConstBytes content, const Losses& losses) const;
  static Image Of(ConstBytes content);
};

struct State {
  uint64_t sequence;   // of the volume's last record in it
  Image image;
};

/** A writable volume's history: the last entry is what was last acknowledged. */
class History {
 public:
  explicit History(uint64_t bytes) { states_.push_back({0, Image::Zero(bytes)}); }
  const State& last() const { return states_.back(); }
  uint64_t bytes() const { return states_.back().image.bytes(); }
  /** `whole`: it is one record, so that it is there or not, and never by half. */
  void Begin(Image image, bool whole = false) {
    in_flight_ = std::move(image);
    in_flight_whole_ = whole;
  }
  bool in_flight() const { return in_flight_.has_value(); }
  void Acknowledge(uint64_t sequence);
  /** What was begun was refused, and nothing of it is anywhere. */
  void Abandon() { in_flight_.reset(); }
  /** Nothing older than `sequence` may come back after a host crash from now on. */
  void Flushed(uint64_t sequence) { flushed_ = sequence; }
  uint64_t flushed() const { return flushed_; }
  /**
   * Checks a recovered image that claims to hold all records up to `sequence`; `lowest` is the oldest that may come back.
   * Empty when it is a prefix of the history; else a sentence. On success the history starts again from here, a page that cannot
   * be read from what it would hold; changes to come have sequences above `taken`.
   */
  std::string Recover(uint64_t sequence, uint64_t lowest, uint64_t taken, ConstBytes content, Losses& losses);
  /** The same for a root that claims `sequence`: nothing is forgotten. */
  std::string CheckAt(uint64_t sequence, ConstBytes content, const Losses& losses) const;
  /** Whatever `page` held in any state may be lost. */
  void Lose(size_t page, Losses& losses) const;
  /** From here on a recovery forgets nothing before it: where the host is lost, an older state may come back. */
  void KeepAll() { keeps_all_ = true; }
  /** States below are no longer needed: nothing can come back older than this. */
  void Reset(uint64_t sequence, Image image);

 private:
  /** What was there at `sequence`, and what may be there by half besides; either may be null. */
  struct Around {
    const Image* held;
    const Image* next;
  };
  Around At(uint64_t sequence) const;
  void GoBack(uint64_t sequence, Image image);

  std::vector<State> states_;
  std::optional<Image> in_flight_;
  bool in_flight_whole_ = false;
  bool keeps_all_ = false;
  uint64_t flushed_ = 0;
  uint64_t recovered_ = 0;   // sequences up to here are the first state's: a rewind, which is no change, may have taken one
};

}  // namespace skerry::simulation
