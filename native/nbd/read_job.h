#pragma once
// A READ or BLOCK_STATUS with a buffer of its own: tried at once on the socket thread and, where a device would have to
// be waited for, run again by the blocking pool. Where a backend would have to be waited for it gives that thread back, and
// goes on from the piece it was at once all that it lacked has come. The reply is built whole, ready to be sent.
#include <memory>
#include <optional>
#include <vector>

#include "../blocks/errand.h"
#include "buffer_budget.h"
#include "job.h"

namespace skerry::nbd {

inline constexpr uint32_t kSparseReadBytesMin = 64u << 10;  // shorter reads are answered in one piece, holes and all
inline constexpr size_t kReadChunksMax = 64;
inline constexpr uint32_t kReadPieceBytes = 1u << 20;       // what is read in one go, and held meanwhile where it came from a backend
inline constexpr size_t kStatusExtentsMax = 4096;
inline constexpr size_t kStatusBufferBytes = kStatusExtentsMax * 8;

/** The metadata contexts of a connection. */
struct StatusContexts {
  std::optional<uint32_t> base_id;   // of base:allocation
  std::vector<ChangedContext> changed;
  size_t count() const { return changed.size() + (base_id ? 1 : 0); }
};

class ReadJob : public Job {
 public:
  /** `buffer` holds at least BufferBytes(request). */
  ReadJob(const Request& request, std::shared_ptr<Volume> volume, bool structured, std::shared_ptr<const StatusContexts> contexts, Buffer buffer,
          uint64_t started_nanos)
      : Job(request, std::move(volume), started_nanos), structured_(structured), contexts_(std::move(contexts)), buffer_(std::move(buffer)) {}

  static size_t BufferBytes(const Request& request, const StatusContexts& contexts) {
    return request.type == kCmdBlockStatus ? contexts.count() * (kStatusBufferBytes + kChunkHeaderBytes + 4) : request.length;
  }

  /**
   * False where it would have had to wait: run it again with `may_block`, and if that was so, once Await has called.
   * Otherwise the outcome stands below.
   */
  bool Run(bool may_block);
  bool Work() override { return Run(true); }
  void Await(std::function<void()> again) override { waits_.WhenDone(std::move(again)); }

  /** 0, or the protocol's error value. With an empty reply the caller answers with the error alone. */
  uint32_t error() const { return error_; }
  ConstBytes reply() const { return reply_; }
  Buffer& buffer() { return buffer_; }

 private:
  struct Piece {
    uint64_t offset;
    uint32_t length;
    bool hole;
  };
  bool RunRead(bool may_block);
  bool RunSparse(bool may_block);
  bool RunStatus(bool may_block);
  struct StateRun {
    uint64_t length;
    uint32_t state;
  };
  Result<std::vector<StateRun>> AllocationRuns(bool may_block) const;
  Result<std::vector<StateRun>> ChangedRuns(Changes& changes, bool may_block) const;
  /** A chunk of block status at `at`, of `runs` with equal neighbours merged; where it ends. */
  uint8_t* StatusChunk(uint8_t* at, bool done, uint32_t context, const std::vector<StateRun>& runs) const;
  /** Reads into `into` from `*done` bytes on. kTryAgain: it is to be run again. */
  Status ReadOn(uint64_t offset, Bytes into, size_t* done, bool may_block);
  /** The read gave up its thread, or was not given one. */
  bool Again(const Status& status, bool may_block) const { return status.code() == Code::kTryAgain && (!may_block || waits_.any()); }
  /** The request cut into runs of holes and data; one data piece where that is not worth it. False: would block. */
  bool Plan(bool may_block);
  bool Fail(const Status& status);

  bool structured_;
  std::shared_ptr<const StatusContexts> contexts_;
  Buffer buffer_;
  ReadWaits waits_;
  std::vector<Piece> pieces_;    // of a sparse read, planned once
  size_t piece_ = 0;             // the one it is at
  uint8_t* at_ = nullptr;        // where that one's reply goes
  size_t done_ = 0;              // bytes of it that are read
  ConstBytes reply_;
  uint32_t error_ = 0;
};

}  // namespace skerry::nbd
