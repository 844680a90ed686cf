#include "mailbox.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

namespace skerry::nbd {

Result<std::shared_ptr<Mailbox>> Mailbox::Make() {
  Descriptor event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event.open()) return Status(Code::kIo, std::string("cannot make an eventfd: ") + std::strerror(errno));
  return std::make_shared<Mailbox>(std::move(event));
}

// A dropped message dies after the lock is released: what it holds may itself post here.
void Mailbox::Post(Message message) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    messages_.push_back(std::move(message));
    wake = sleeping_;
    sleeping_ = false;
  }
  if (!wake) return;
  const uint64_t one = 1;
  // Cannot fail but for a counter that is full, and then the reader is awake anyway.
  (void)!::write(event_.get(), &one, sizeof(one));
}

void Mailbox::Take(std::vector<Message>& into) {
  const std::lock_guard lock(mutex_);
  into.swap(messages_);
}

bool Mailbox::Sleep() {
  const std::lock_guard lock(mutex_);
  if (!messages_.empty()) return false;
  sleeping_ = true;
  return true;
}

void Mailbox::Awake() {
  const std::lock_guard lock(mutex_);
  sleeping_ = false;
}

void Mailbox::Close() {
  std::vector<Message> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(messages_);
  }
}

}  // namespace skerry::nbd
