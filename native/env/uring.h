#pragma once
// Many reads at once through io_uring: one system call hands over many, and the device sees them together.
#include <memory>

#include "env.h"

struct io_uring_sqe;
struct io_uring_cqe;

namespace skerry {

class Uring {
 public:
  /** Null where the system has none, or forbids it. */
  static std::unique_ptr<Uring> Make(unsigned entries);
  ~Uring();

  /** All of them, files with a descriptor only; each gets its status. */
  void Read(std::span<FileRead> reads);

 private:
  Uring() = default;
  void Submit(FileRead& read, uint64_t number);
  void Reap(std::span<FileRead> reads);
  bool Enter(unsigned wait_for);

  int ring_ = -1;
  unsigned entries_ = 0;
  void* rings_ = nullptr;
  size_t rings_bytes_ = 0;
  io_uring_sqe* submissions_ = nullptr;
  size_t submissions_bytes_ = 0;
  // Shared with the kernel: the heads and tails of both queues.
  unsigned *submit_tail_ = nullptr, *submit_array_ = nullptr, *complete_head_ = nullptr, *complete_tail_ = nullptr;
  unsigned submit_mask_ = 0, complete_mask_ = 0;
  io_uring_cqe* completions_ = nullptr;
  unsigned to_submit_ = 0;   // filled in, not yet taken by the kernel
  unsigned under_way_ = 0;   // filled in, not yet reaped
};

/** The read by itself: for what io_uring left short, and where there is none. */
void ReadAlone(FileRead& read);

}  // namespace skerry
