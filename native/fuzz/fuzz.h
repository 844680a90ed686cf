#pragma once
// What every fuzz target shares. A target is one file NAME_fuzz.cc: Run() gets an input, WriteSeeds() the inputs to begin
// with, made of golden files.
//
// Sums guard every format, and a mutator never guesses one. So the first byte of an input is its Repairs: which sums are made
// right before the decoder sees the bytes. With none of them the decoder must refuse; with them the code behind the sum is
// reached, which Reach counts and .ci/fuzz.mjs demands of the committed corpus.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../env/env.h"

namespace skerry::fuzz {

/** Ends the run as a crash does, so that the input is kept. */
[[noreturn]] inline void Fail(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}
#define HOLDS(condition)                                                    \
  do {                                                                      \
    if (!(condition)) ::skerry::fuzz::Fail(__FILE__, __LINE__, #condition); \
  } while (0)

/** A place that inputs must get to. Namespace scope only: the program says at its end how often each was. */
class Reach {
 public:
  explicit Reach(const char* what) : what_(what), next_(first_) { first_ = this; }
  void operator()() { ++count_; }
  static void PrintAll();

 private:
  static inline Reach* first_ = nullptr;
  const char* const what_;
  Reach* const next_;
  uint64_t count_ = 0;
};

/** Takes an input apart from its front; zeroes where it has ended. */
class Input {
 public:
  explicit Input(ConstBytes bytes) : rest_(bytes) {}
  template <typename T>
  T Take() {
    T value{};
    const ConstBytes from = TakeBytes(sizeof(T));
    if (!from.empty()) std::memcpy(&value, from.data(), from.size());
    return value;
  }
  /** Fewer at the end. */
  ConstBytes TakeBytes(size_t bytes) {
    const ConstBytes taken = rest_.first(bytes < rest_.size() ? bytes : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  ConstBytes rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  ConstBytes rest_;
};

inline std::vector<uint8_t> Copy(ConstBytes bytes) { return {bytes.begin(), bytes.end()}; }

/** A structure at `at` of `bytes`, which may lie anywhere; it is copied in and out, since formats are copied as they stand. */
template <typename T>
bool Load(ConstBytes bytes, size_t at, T& into) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return false;
  std::memcpy(static_cast<void*>(&into), bytes.data() + at, sizeof(T));
  return true;
}
template <typename T>
void Store(Bytes bytes, size_t at, const T& from) {
  std::memcpy(bytes.data() + at, &from, sizeof(T));
}

/** An input, put together from the same pieces that Run takes it apart into. */
class Seed {
 public:
  template <typename T>
  Seed& Add(const T& value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof(T));
    return *this;
  }
  Seed& AddBytes(ConstBytes more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  void Write(const std::string& directory, const std::string& name) const;

 private:
  std::vector<uint8_t> bytes_;
};

// Of the target.
void Run(ConstBytes input);
void WriteSeeds(const std::string& directory);

}  // namespace skerry::fuzz
