#pragma once
// Guesses that the next flush of a volume follows the record that has just come, from how it came of late.
#include <algorithm>
#include <cstdint>
#include <utility>

namespace skerry {

/**
 * A client that flushes after as many records again and again, few, is taken to go on so. A guess is wrong where more records come before the flush:
 * then as many flushes of one kind as before, and twice, have to be seen before the next. So who flushes seldom, or now so and now so, is guessed wrong
 * once in that many flushes at most. Not thread-safe.
 */
class Foresight {
 public:
  static constexpr uint64_t kRecordsMax = 4;        // before a flush: who gathers more has not waited for the first of them
  static constexpr uint64_t kAlikeMin = 4;          // flushes alike before a guess
  static constexpr uint64_t kAlikeMax = 1024;

  /** A record has come. True: the flush is guessed to be next; once a flush. */
  bool Record() {
    ++records_;
    if (std::exchange(guessed_, false)) {
      wanted_ = std::min(2 * wanted_, kAlikeMax);
      alike_ = 0;
    }
    guessed_ = alike_ >= wanted_ && records_ == usual_;
    return guessed_;
  }

  /** A flush has come. One that nothing new came before says nothing. */
  void Flush() {
    if (records_ == 0) return;
    // What held once is believed a little sooner the next time.
    if (std::exchange(guessed_, false)) wanted_ = std::max(wanted_ - 1, kAlikeMin);
    alike_ = records_ == usual_ && records_ <= kRecordsMax ? alike_ + 1 : 1;
    usual_ = std::exchange(records_, 0);
  }

 private:
  uint64_t records_ = 0;         // since the last flush
  uint64_t usual_ = 0;           // that came before it
  uint64_t alike_ = 0;           // flushes in a row that as many came before
  uint64_t wanted_ = kAlikeMin;  // of these before a guess
  bool guessed_ = false;         // since the last flush
};

}  // namespace skerry
