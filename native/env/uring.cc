#include "uring.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace skerry {
namespace {

unsigned Load(const unsigned* shared) { return std::atomic_ref(*const_cast<unsigned*>(shared)).load(std::memory_order_acquire); }
void Store(unsigned* shared, unsigned value) { std::atomic_ref(*shared).store(value, std::memory_order_release); }

}  // namespace

void ReadAlone(FileRead& read) {
  Result<size_t> got = read.file->Read(read.into, read.offset);
  if (!got.ok()) {
    read.status = got.status();
  } else {
    read.status = *got == read.into.size() ? Status::Ok() : Status(Code::kNotFound, "the file ends before");
  }
}

std::unique_ptr<Uring> Uring::Make(unsigned entries) {
  io_uring_params params{};
  const auto ring = static_cast<int>(::syscall(__NR_io_uring_setup, entries, &params));
  if (ring < 0) return nullptr;
  std::unique_ptr<Uring> made(new Uring());
  made->ring_ = ring;
  if ((params.features & IORING_FEAT_SINGLE_MMAP) == 0) return nullptr;
  made->entries_ = params.sq_entries;
  made->rings_bytes_ = std::max<size_t>(params.sq_off.array + params.sq_entries * sizeof(unsigned),
                                        params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  made->submissions_bytes_ = params.sq_entries * sizeof(io_uring_sqe);
  const auto map = [ring](size_t bytes, off_t what) -> void* {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
    return at == MAP_FAILED ? nullptr : at;
  };
  made->rings_ = map(made->rings_bytes_, IORING_OFF_SQ_RING);
  made->submissions_ = static_cast<io_uring_sqe*>(map(made->submissions_bytes_, IORING_OFF_SQES));
  if (made->rings_ == nullptr || made->submissions_ == nullptr) return nullptr;
  auto* base = static_cast<uint8_t*>(made->rings_);
  const auto number = [base](uint32_t offset) { return reinterpret_cast<unsigned*>(base + offset); };
  made->submit_tail_ = number(params.sq_off.tail);
  made->submit_array_ = number(params.sq_off.array);
  made->submit_mask_ = *number(params.sq_off.ring_mask);
  made->complete_head_ = number(params.cq_off.head);
  made->complete_tail_ = number(params.cq_off.tail);
  made->complete_mask_ = *number(params.cq_off.ring_mask);
  made->completions_ = reinterpret_cast<io_uring_cqe*>(base + params.cq_off.cqes);
  return made;
}

Uring::~Uring() {
  if (rings_ != nullptr) ::munmap(rings_, rings_bytes_);
  if (submissions_ != nullptr) ::munmap(submissions_, submissions_bytes_);
  if (ring_ >= 0) ::close(ring_);
}

void Uring::Read(std::span<FileRead> reads) {
  size_t next = 0;
  while (next < reads.size() || under_way_ > 0) {
    while (next < reads.size() && under_way_ < entries_) {
      Submit(reads[next], next);
      ++next;
    }
    // Half of the queue is left to the device while the other half is reaped and filled again.
    const unsigned wait_for = next < reads.size() ? std::max(1u, under_way_ / 2) : under_way_;
    if (!Enter(wait_for)) {
      // The kernel writes into the buffers of what it has taken, so there is no way on without it; what it refuses to
      // take at all is read one by one.
      under_way_ -= to_submit_;
      next -= to_submit_;
      Store(submit_tail_, *submit_tail_ - to_submit_);
      to_submit_ = 0;
      for (; next < reads.size(); ++next) ReadAlone(reads[next]);
    }
    Reap(reads);
  }
}

void Uring::Submit(FileRead& read, uint64_t number) {
  const unsigned tail = *submit_tail_, index = tail & submit_mask_;
  io_uring_sqe& entry = submissions_[index];
  std::memset(&entry, 0, sizeof(entry));
  entry.opcode = IORING_OP_READ;
  entry.fd = read.file->descriptor();
  entry.addr = reinterpret_cast<uint64_t>(read.into.data());
  entry.len = static_cast<uint32_t>(read.into.size());
  entry.off = read.offset;
  entry.user_data = number;
  submit_array_[index] = index;
  Store(submit_tail_, tail + 1);
  ++to_submit_;
  ++under_way_;
}

/** False where the kernel takes no more of what was filled in, and nothing that it took is left to wait for. */
bool Uring::Enter(unsigned wait_for) {
  for (;;) {
    const long taken = ::syscall(__NR_io_uring_enter, ring_, to_submit_, wait_for, IORING_ENTER_GETEVENTS, nullptr, 0);
    if (taken >= 0) {
      to_submit_ -= static_cast<unsigned>(taken);
      return true;
    }
    if (errno == EINTR) continue;
    if (to_submit_ == 0) continue;
    if (under_way_ == to_submit_) return false;
    // Busy: reap first, and hand over the rest with the next call.
    return true;
  }
}

void Uring::Reap(std::span<FileRead> reads) {
  unsigned head = *complete_head_;
  for (; head != Load(complete_tail_); ++head) {
    const io_uring_cqe& done = completions_[head & complete_mask_];
    FileRead& read = reads[done.user_data];
    --under_way_;
    // An error, or the end of the file: the plain call knows how to go on and what to say.
    if (done.res < 0 || static_cast<size_t>(done.res) != read.into.size()) {
      ReadAlone(read);
    } else {
      read.status = Status::Ok();
    }
  }
  Store(complete_head_, head);
}

}  // namespace skerry
