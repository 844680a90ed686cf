#include "gone_keeper.h"

#include "../env/mutants.h"

namespace skerry {

bool GoneKeeper::kept() const {
  const uint64_t number = gone_->number();
  return number > 0 && kept_.load() >= number;
}

std::shared_ptr<Errand> GoneKeeper::Known() {
  // Each list was in the pool before the next was written.
  if (gone_->number() > 1 || kept_.load() > 0) {
    auto known = std::make_shared<Errand>();
    known->Finish({});
    return known;
  }
  return Keep();
}

std::shared_ptr<Errand> GoneKeeper::Keep() {
  std::shared_ptr<Errand> mine;
  {
    std::lock_guard lock(mutex_);
    if (running_) return running_;
    running_ = mine = std::make_shared<Errand>();
  }
  kept() ? End({}) : Begin();
  return mine;
}

void GoneKeeper::Begin() {
  if (gone_->number() > 0) return Put();
  backend_->OpenGone([self = shared_from_this()](Result<FetchedBytes> before) {
    if (!before.ok() && before.code() != Code::kNotFound) return self->End(before.status());
    const bool none = !before.ok() || IsMutant(Mutant::kGoneUnread);
    {
      std::lock_guard lock(self->file_mutex_);
      if (self->closed_) return self->End({Code::kClosed, "the pool is closed"});
      // Once in a host's life, on whatever thread the answer comes.
      if (Status begun = self->gone_->Begin(none ? ConstBytes() : ConstBytes(*before)); !begun.ok()) return self->End(begun);
    }
    self->Put();
  });
}

void GoneKeeper::Put() {
  GonePacks::Standing list = gone_->standing();
  const auto put = [self = shared_from_this(), number = list.number](const Status& status) {
    if (status.ok()) self->kept_.store(number);
    self->End(status);
  };
  if (IsMutant(Mutant::kGoneUnpooled)) return put({});
  backend_->KeepGone(list.number, std::move(list.bytes), put);
}

void GoneKeeper::End(const Status& status) {
  std::shared_ptr<Errand> ended;
  {
    std::lock_guard lock(mutex_);
    ended = std::move(running_);
    running_.reset();
  }
  ended->Finish(status);
}

void GoneKeeper::Close() {
  std::lock_guard lock(file_mutex_);
  closed_ = true;
}

}  // namespace skerry
