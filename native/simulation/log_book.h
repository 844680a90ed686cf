#pragma once
// What a world's catalog says of the log of one volume, and how that changes from life to life and root to root:
// src/mapper/volume_log.ts.
#include <algorithm>
#include <array>
#include <optional>

#include "../volume/store.h"

namespace skerry::simulation {

/** Log chunks under one fence, and up to which sequence they count. */
struct LogSpan {
  uint64_t fence = 1, from = 1, first = 0, until = ~0ull >> 12;
};

struct LogBook {
  std::array<uint8_t, 16> journal{};
  LogSpan log{};
  std::optional<LogSpan> older{};
  uint64_t promised = 0;   // the last sequence that a flush was answered for

  LogSpan Readable(uint64_t applied) const { return older && applied + 1 < log.from ? *older : log; }

  void NextLife(uint64_t applied, const std::array<uint8_t, 16>& of, uint64_t sequence, uint64_t fence) {
    LogSpan before = Readable(applied);
    before.until = std::min(before.until, sequence);
    older = applied >= sequence ? std::nullopt : std::optional(before);
    log = {fence, sequence + 1, 0, LogSpan{}.until};
    journal = of;
  }

  /** In another pool, whose root holds all up to `applied`, and so all that a flush was answered for. It has nothing of the log yet. */
  void Move(uint64_t applied) {
    older.reset();
    log = {log.fence + 2, applied + 1, 0, LogSpan{}.until};
  }
  /** Its log goes on there after `sequence`. What lies between is in no chunk, and no flush is answered before a root holds it. */
  void Moved(uint64_t applied, uint64_t sequence) {
    if (applied < sequence) older = LogSpan{log.fence - 1, log.from, 0, sequence};
    log.from = sequence + 1;
  }

  void Over(uint64_t applied, const std::optional<LogMark>& mark) {
    if (!mark || mark->fence != log.fence) return;
    if (applied + 1 >= log.from) older.reset();
    log.first = std::max(log.first, mark->number);
  }
};

}  // namespace skerry::simulation
