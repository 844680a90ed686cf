#pragma once
// Expected failures travel as values: a Status, or a Result that holds a value or a Status. Nothing throws past the seam.
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace skerry {

enum class Code : uint8_t {
  kOk = 0,
  kIo,        // the device or a system call failed
  kNoSpace,   // the disk or a configured limit is full; reads, trims and deletes go on
  kCorrupt,   // bytes at rest do not match their sum
  kNotFound,  // there is no such thing
  kInvalid,   // the caller asked for something that cannot be
  kReadOnly,  // the resource or the engine no longer takes writes
  kTryAgain,  // would block, or there is no room right now: wait for the named event and call again
  kClosed,    // shutting down
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string detail) : code_(code), detail_(std::move(detail)) {}
  static Status Ok() { return {}; }
  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  /** A sentence for a person: what failed, where, and what to do about it if anything can be done. */
  const std::string& detail() const { return detail_; }

 private:
  Code code_ = Code::kOk;
  std::string detail_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}            // NOLINT: a value is a result
  Result(Status status) : state_(std::move(status)) {}     // NOLINT: a failure is a result
  bool ok() const { return std::holds_alternative<T>(state_); }
  T& value() { return std::get<T>(state_); }
  const T& value() const { return std::get<T>(state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Status status() const { return ok() ? Status::Ok() : std::get<Status>(state_); }
  Code code() const { return ok() ? Code::kOk : std::get<Status>(state_).code(); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace skerry
