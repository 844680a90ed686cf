// The tail of a volume's journal on its way to the pool: when a flush is answered, what is put, and what a start may go by.
#include <algorithm>

#include "check.h"
#include "golden.h"
#include "log_shelf.h"

using namespace skerry;
using check::LogShelf;

namespace {

constexpr ResourceId kVolume = 7;
constexpr int kAlike = static_cast<int>(Foresight::kAlikeMin);

/** A tail, what it has put, and an entry for each page that is added. */
struct Tail {
  std::shared_ptr<LogShelf> shelf = std::make_shared<LogShelf>();
  std::shared_ptr<LogBudget> budget = std::make_shared<LogBudget>();
  std::shared_ptr<LogTail> tail = std::make_shared<LogTail>(kVolume, 0, budget);
  uint64_t sequence = 0;
  Lsn end = 0;
  int answered = 0, failed = 0;

  /** Puts under way hold the tail, and that the shelf that they are on. */
  ~Tail() { shelf->under_way.clear(); }

  void Add(size_t bytes = kPageBytes) {
    const std::vector<uint8_t> data(bytes, 5);
    tail->Add({RecordType::kWrite, ++sequence, 0, bytes, data}, end += bytes);
  }
  void Flush() {
    tail->WhenLogged(end, [this](const Status& status) { ++(status.ok() ? answered : failed); });
  }
  void Finish(size_t which) {
    const LogShelf::Put put = shelf->under_way.at(which);
    shelf->under_way.erase(shelf->under_way.begin() + static_cast<ptrdiff_t>(which));
    put.done({});
  }
};

}  // namespace

TEST("a flush is answered once its chunk and all before it are in the pool") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  one.Add();
  one.Flush();
  one.Add();
  one.Flush();
  CHECK(one.shelf->under_way.size() == 2);
  one.Finish(1);
  CHECK(one.answered == 0);
  one.Finish(0);
  CHECK(one.answered == 2);
}

TEST("a chunk says which before it were in the pool") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  const auto next = [&one] {
    one.Add();
    one.Flush();
    return one.shelf->under_way.back().chunk.settled;
  };
  CHECK(next() == 0);
  CHECK(next() == 0);
  one.Finish(1);
  CHECK(next() == 0);
  one.Finish(0);
  CHECK(next() == 2);
  one.Finish(0);
  CHECK(next() == 3);
}

TEST("flushes that come while as many puts are under way as may be share the next chunk") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  for (unsigned i = 0; i < LogTail::kPutsInFlightMax + 10; ++i) {
    one.Add();
    one.Flush();
  }
  CHECK(one.shelf->under_way.size() == LogTail::kPutsInFlightMax);
  one.Finish(0);
  CHECK(one.shelf->under_way.size() == LogTail::kPutsInFlightMax);
  const LogChunk& shared = one.shelf->under_way.back().chunk;
  CHECK(shared.last_sequence - shared.first_sequence == 9);
  CHECK(shared.number == LogTail::kPutsInFlightMax);
}

TEST("a client that flushes after so many records again and again finds its chunk on the way, and a wrong guess costs one chunk") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  const auto settle = [&one] {
    while (!one.shelf->under_way.empty()) one.Finish(0);
  };
  for (int i = 0; i < kAlike; ++i) {
    one.Add();
    one.Add();
    CHECK(one.shelf->under_way.empty());
    one.Flush();
    settle();
  }
  // As before: with the second record it goes.
  one.Add();
  CHECK(one.shelf->under_way.empty());
  one.Add();
  CHECK(one.shelf->under_way.size() == 1);
  one.Flush();
  CHECK(one.shelf->under_way.size() == 1 && one.answered == kAlike);
  settle();
  CHECK(one.answered == kAlike + 1);
  // Not as before: a guess, and the rest with the flush.
  for (int i = 0; i < 10; ++i) one.Add();
  CHECK(one.shelf->under_way.size() == 1);
  one.Flush();
  CHECK(one.shelf->under_way.size() == 2);
  CHECK(one.shelf->under_way[1].chunk.last_sequence - one.shelf->under_way[1].chunk.first_sequence == 7);
  one.Finish(0);
  CHECK(one.answered == kAlike + 1);
  settle();
  CHECK(one.answered == kAlike + 2);
  // Nobody flushes any more.
  for (int i = 0; i < 100; ++i) one.Add();
  CHECK(one.shelf->under_way.empty());
}

namespace {

/** Chunks that come of flushes, each after as many records as the next of `before` says, over and over; each settles before the next. */
uint64_t ChunksOf(const std::vector<int>& before, uint64_t flushes) {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  uint64_t chunks = 0;
  for (uint64_t i = 0; i < flushes; ++i) {
    for (int record = 0; record < before[i % before.size()]; ++record) one.Add();
    one.Flush();
    chunks += one.shelf->under_way.size();
    while (!one.shelf->under_way.empty()) one.Finish(0);
  }
  CHECK(static_cast<uint64_t>(one.answered) == flushes);
  return chunks;
}

}  // namespace

TEST("a client that flushes seldom, or now so and now so, makes no more chunks than flushes, but for guesses that become rare") {
  CHECK(ChunksOf({1}, 1000) == 1000);
  CHECK(ChunksOf({32}, 1000) == 1000);
  CHECK(ChunksOf({1, 2}, 1000) == 1000);
  CHECK(ChunksOf({2, 2, 2, 5}, 1000) == 1000);
  // Five alike and one that is not: wrong once, and then never sure enough.
  CHECK(ChunksOf({1, 1, 1, 1, 1, 7}, 1200) == 1201);
  // Thirty alike, of which most find their chunk on the way, are worth the one that does not.
  std::vector<int> thirty(30, 1);
  thirty.push_back(9);
  CHECK(ChunksOf(thirty, 3100) == 3200);
}

TEST("no guess puts anything while a chunk is under way, and a flush with nothing new waits for that") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  const auto flushed = [&one](bool settle) {
    one.Add();
    const size_t before_flush = one.shelf->under_way.size();
    one.Flush();
    if (settle) {
      while (!one.shelf->under_way.empty()) one.Finish(0);
    }
    return before_flush;
  };
  for (int i = 0; i < kAlike; ++i) CHECK(flushed(true) == 0);
  CHECK(flushed(false) == 1);
  // That one is under way: the next waits for its flush, which seals it.
  CHECK(flushed(false) == 1);
  CHECK(one.shelf->under_way.size() == 2);
  const int answered = one.answered;
  one.Flush();
  CHECK(one.shelf->under_way.size() == 2 && one.answered == answered);
  one.Finish(0);
  CHECK(one.answered == answered + 1);
  one.Finish(0);
  CHECK(one.answered == answered + 3);
}

TEST("no flush is answered before a root holds what was there before the log, and what the volume was cloned from is one") {
  Tail one;
  one.sequence = 10;
  one.end = 1000;
  one.tail->SetBased(false);
  one.Flush();
  one.tail->Begin(one.shelf, 3, 10, 1000);
  one.Add();
  one.Flush();
  one.Finish(0);
  CHECK(one.answered == 0);
  one.tail->Rooted(9, {});
  CHECK(one.answered == 0);
  one.tail->Rooted(10, {});
  CHECK(one.answered == 0);
  one.tail->SetBased(true);
  CHECK(one.answered == 2);
}

TEST("a root stands in for what it holds of the log, and its mark is the first chunk that it does not hold whole") {
  Tail one;
  one.tail->Begin(one.shelf, 2, 0, 0);
  CHECK(one.tail->MarkAfter(0)->number == 0);
  one.Add();
  one.Flush();   // chunk 0: 1
  one.Add();
  one.Add();
  one.Flush();   // chunk 1: 2 and 3
  one.Finish(0);
  CHECK(one.answered == 1);
  CHECK(one.tail->MarkAfter(0)->number == 0);
  CHECK(one.tail->MarkAfter(1)->number == 1);
  CHECK(one.tail->MarkAfter(2)->number == 1);
  CHECK(one.tail->MarkAfter(3)->number == 2);
  one.tail->Rooted(3, LogMark{2, 2});
  CHECK(one.answered == 2);
  one.Add();
  one.tail->Rooted(4, LogMark{2, 2});
  one.Add();
  one.Flush();
  CHECK(one.shelf->under_way.back().chunk.number == 2);
  CHECK(one.shelf->under_way.back().chunk.first_sequence == 5);
  CHECK(one.tail->MarkAfter(4)->number == 2 && one.tail->MarkAfter(4)->fence == 2);
}

TEST("a chunk that the catalog still asks for is put, though the root holds all of it: without it the log would seem to end there") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  one.Add();
  const std::optional<LogMark> mark = one.tail->MarkAfter(1);
  CHECK(mark->number == 0);
  one.Flush();   // seals what the root holds as chunk 0
  one.tail->Rooted(1, mark);
  CHECK(one.answered == 0);
  one.Add();
  one.Flush();
  CHECK(one.shelf->under_way.size() == 2);
  one.Finish(1);
  CHECK(one.answered == 0);
  one.Finish(0);
  CHECK(one.answered == 2);
}

TEST("chunks are sealed early, and too much that is not in the pool makes writes wait") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  while (one.shelf->under_way.empty()) one.Add(1 << 20);
  CHECK(one.shelf->under_way[0].chunk.entries->size() >= LogTail::kSealBytes);
  while (!one.tail->IsFull()) one.Add(1 << 20);
  CHECK(one.sequence <= LogTail::kTailsBytesMax >> 20);
  while (!one.shelf->under_way.empty()) one.Finish(0);
  CHECK(!one.tail->IsFull());
  CHECK(one.budget->bytes == 0);
}

TEST("volumes of a pool share what waits for it, and each has a little whatever the others hold") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  while (!one.tail->IsFull()) one.Add(1 << 20);
  Tail other;
  other.tail = std::make_shared<LogTail>(kVolume, 0, one.budget);
  other.tail->Begin(other.shelf, 1, 0, 0);
  CHECK(!other.tail->IsFull());
  while (!other.tail->IsFull()) other.Add();
  CHECK(other.sequence <= LogTail::kShareBytesMin / kPageBytes);
  // Nobody waits for it by a flush, and it is on its way all the same: else it would be full for ever.
  CHECK(other.shelf->under_way.size() == 1);
  other.Finish(0);
  CHECK(!other.tail->IsFull());
  one.tail->Close();
  CHECK(one.budget->bytes == 0);
}

TEST("flushes that took too long fail, and a later one is answered by the same chunk") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  one.Add();
  one.Flush();
  one.tail->GiveUpWaiting({Code::kIo, "away"});
  CHECK(one.failed == 1);
  one.Flush();
  CHECK(one.shelf->under_way.size() == 1);
  one.Finish(0);
  CHECK(one.answered == 1);
  one.tail->Close();
  one.Flush();
  CHECK(one.failed == 2);
}

TEST("a flush that waits as the daemon ends is not answered: its client asks the next daemon") {
  Tail one;
  one.tail->Begin(one.shelf, 1, 0, 0);
  one.Add();
  one.Flush();
  const LogShelf::Put put = one.shelf->under_way.at(0);
  put.done({Code::kClosed, "the engine stops"});
  one.Add();
  one.Flush();
  CHECK(one.answered == 0 && one.failed == 0 && one.shelf->under_way.size() == 1);
}

TEST("entries of each kind have the form they always had") {
  std::vector<uint8_t> data(4097), place(sizeof(RollbackPlace));
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 7 + 1);
  for (size_t i = 0; i < place.size(); ++i) place[i] = static_cast<uint8_t>(200 - i);
  const std::vector<LogEntry> entries = {
      {RecordType::kWrite, 1, 8192, data.size(), data},
      {RecordType::kZero, 2, 65536, 4096},
      {RecordType::kTrim, 3, 0, 1 << 20},
      {RecordType::kBarrier, 4, 99, 0},
      {RecordType::kResize, 5, 0, 1ull << 40},
      {RecordType::kRollback, 6, 99, 0, place},
  };
  std::vector<uint8_t> bytes;
  for (const LogEntry& entry : entries) EncodeLogEntry(kVolume, entry, bytes);
  golden::Compare("log_entries_v1", {{"entries", bytes}});
  const golden::Parts parts = golden::Read("log_entries_v1");
  ConstBytes rest = golden::BytesOf(parts, "entries");
  for (const LogEntry& entry : entries) {
    const Result<LogEntry> read = DecodeLogEntry(kVolume, rest);
    CHECK(read.ok() && read->type == entry.type && read->sequence == entry.sequence && read->offset == entry.offset);
    CHECK(read->length == entry.length && std::ranges::equal(read->payload, entry.payload));
  }
  CHECK(rest.empty());
}

TEST("an entry that was changed, cut or is another volume's is refused") {
  std::vector<uint8_t> bytes;
  const std::vector<uint8_t> data(5000, 3);
  EncodeLogEntry(kVolume, {RecordType::kWrite, 4, 8192, 5000, data}, bytes);
  EncodeLogEntry(kVolume, {RecordType::kTrim, 5, 0, 65536}, bytes);
  ConstBytes rest = bytes;
  const Result<LogEntry> first = DecodeLogEntry(kVolume, rest);
  CHECK(first.ok() && first->sequence == 4 && first->payload.size() == 5000 && std::ranges::equal(first->payload, data));
  const Result<LogEntry> second = DecodeLogEntry(kVolume, rest);
  CHECK(second.ok() && second->type == RecordType::kTrim && second->length == 65536 && rest.empty());
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::vector<uint8_t> damaged = bytes;
    damaged[at] ^= 4;
    ConstBytes left = damaged;
    const bool whole = DecodeLogEntry(kVolume, left).ok() && DecodeLogEntry(kVolume, left).ok();
    // Nothing is written to the padding, and nobody reads it.
    CHECK(!whole || (at >= 5048 && at < 5048 + 8));
  }
  for (size_t cut = 0; cut < bytes.size(); cut += 9) {
    ConstBytes left = ConstBytes(bytes).first(cut);
    CHECK(!DecodeLogEntry(kVolume, left).ok() || !DecodeLogEntry(kVolume, left).ok());
  }
  ConstBytes another = bytes;
  CHECK(DecodeLogEntry(kVolume + 1, another).code() == Code::kCorrupt);
}

int main(int argc, char** argv) { return check::RunAll(argc, argv); }
