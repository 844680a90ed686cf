#include "pack_listing.h"

#include <algorithm>

#include "cell.h"

namespace skerry {
namespace {

constexpr size_t kFootersInFlightMax = 8;
/** Holds the footer of most packs whole. */
constexpr uint64_t kTailBytes = 64u << 10;

}  // namespace

std::shared_ptr<Errand> PackListing::Refresh() {
  std::shared_ptr<Errand> mine;
  {
    std::lock_guard lock(mutex_);
    if (running_) {
      if (!next_) next_ = std::make_shared<Errand>();
      return next_;
    }
    running_ = mine = std::make_shared<Errand>();
  }
  Begin();
  return mine;
}

// What is listed may be on its way to be removed, as only the hosts before this one knew.
void PackListing::Begin() {
  const std::shared_ptr<Errand> known = gone_->Known();
  known->Then([self = shared_from_this(), known] {
    // Of no record is it known that it is damaged.
    known->status().ok() ? self->List() : self->End({Code::kIo, known->status().detail()});
  });
}

void PackListing::List() {
  backend_->List([self = shared_from_this()](Result<std::vector<PackBackend::Chunk>> listed) {
    if (!listed.ok()) return self->End(listed.status());
    {
      std::lock_guard lock(self->owner_mutex_);
      if (!self->owner_.known) return self->End({Code::kClosed, "the pool is closed"});
      std::erase_if(*listed, [&](const PackBackend::Chunk& chunk) { return self->owner_.known(chunk.pack); });
    }
    const std::shared_ptr<Errand> learnt = self->Learn(std::move(*listed));
    learnt->Then([self, learnt] { self->End(learnt->status()); });
  });
}

void PackListing::End(const Status& status) {
  complete_.store(status.ok());
  std::shared_ptr<Errand> ended;
  bool again;
  {
    std::lock_guard lock(mutex_);
    ended = std::move(running_);
    running_ = std::move(next_);
    next_.reset();
    again = running_ != nullptr;
  }
  if (again) Begin();
  ended->Finish(status);
}

std::shared_ptr<Errand> PackListing::Learn(std::vector<PackBackend::Chunk> packs) {
  auto lesson = std::make_shared<Lesson>();
  lesson->packs.assign(packs.begin(), packs.end());
  Next(lesson);
  return lesson->done;
}

void PackListing::Next(const std::shared_ptr<Lesson>& lesson) {
  while (true) {
    PackBackend::Chunk pack;
    {
      std::lock_guard lock(lesson->mutex);
      if (lesson->packs.empty() && lesson->in_flight == 0) break;
      if (lesson->packs.empty() || lesson->in_flight >= kFootersInFlightMax) return;
      pack = lesson->packs.front();
      lesson->packs.pop_front();
      ++lesson->in_flight;
    }
    ReadTail(lesson, pack, kTailBytes);
  }
  lesson->done->Finish(lesson->failure);
}

void PackListing::ReadTail(const std::shared_ptr<Lesson>& lesson, PackBackend::Chunk pack, uint64_t bytes) {
  bytes = std::min(bytes, pack.bytes);
  const auto took = [self = shared_from_this(), lesson, pack, bytes](Result<FetchedBytes> tail) {
    if (!tail.ok()) return self->Took(lesson, tail.status());
    const Result<uint64_t> footer_bytes = FooterBytesAt(*tail, pack.pack);
    if (!footer_bytes.ok()) return self->Took(lesson, footer_bytes.status());
    if (*footer_bytes > tail->size() && tail->size() == bytes && *footer_bytes <= pack.bytes) return self->ReadTail(lesson, pack, *footer_bytes);
    if (*footer_bytes > tail->size()) return self->Took(lesson, {Code::kCorrupt, "pack " + std::to_string(pack.pack) + " is shorter than its footer says"});
    const ConstBytes footer = ConstBytes(*tail).last(*footer_bytes);
    const Result<std::vector<PackFooterEntry>> entries = DecodeFooter(footer, pack.pack, pack.bytes - *footer_bytes);
    if (entries.ok()) {
      std::lock_guard lock(self->owner_mutex_);
      if (self->owner_.learn) self->owner_.learn(pack.pack, pack.bytes, *entries);
    }
    self->Took(lesson, entries.status());
  };
  backend_->Fetch(pack.pack, pack.bytes - bytes, static_cast<uint32_t>(bytes), took);
}

void PackListing::Took(const std::shared_ptr<Lesson>& lesson, const Status& status) {
  {
    std::lock_guard lock(lesson->mutex);
    --lesson->in_flight;
    // All others would be answered so, each within the call of the one before.
    if (status.code() == Code::kClosed) lesson->packs.clear();
    if (!status.ok() && lesson->failure.ok()) lesson->failure = status;
  }
  Next(lesson);
}

void PackListing::Close() {
  std::lock_guard lock(owner_mutex_);
  owner_ = {};
}

}  // namespace skerry
