#pragma once
// Whoever reaches the backend of a pool that native threads cannot read themselves: JavaScript with the pool's driver, or
// the simulator. Each call completes exactly once and in bounded time, on any thread, perhaps before it returns; those
// under way at the end complete with kClosed.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../env/env.h"

namespace skerry {

/** Bytes that a backend gave, where they came to lie: there they stay until the last copy of this goes, on whatever thread. */
class FetchedBytes {
 public:
  explicit FetchedBytes(std::vector<uint8_t> own) : FetchedBytes(std::make_shared<const std::vector<uint8_t>>(std::move(own))) {}
  FetchedBytes(ConstBytes bytes, std::shared_ptr<const void> holder) : bytes_(bytes), holder_(std::move(holder)) {}
  operator ConstBytes() const { return bytes_; }   // NOLINT: it is read as any other bytes
  size_t size() const { return bytes_.size(); }

 private:
  explicit FetchedBytes(const std::shared_ptr<const std::vector<uint8_t>>& own) : bytes_(*own), holder_(own) {}
  ConstBytes bytes_;
  std::shared_ptr<const void> holder_;
};

class PackBackend {
 public:
  struct Chunk {
    uint32_t pack = 0;
    uint64_t bytes = 0;
  };
  virtual ~PackBackend() = default;
  /** Puts the file's bytes as this pack's chunk. Ok: it is durable there. May be repeated; the bytes of a pack never change. */
  virtual void Ship(uint32_t pack, const std::string& path, uint64_t bytes, std::function<void(Status)> done) = 0;
  /** Fewer bytes only at the end of the pack. kNotFound: there is no such pack. kIo: it was tried for as long as is worth it. */
  virtual void Fetch(uint32_t pack, uint64_t offset, uint32_t bytes, std::function<void(Result<FetchedBytes>)> done) = 0;
  /** Ok: its chunk is gone there, durably, or there was none. After a failure it may go at any time. */
  virtual void Remove(uint32_t pack, std::function<void(Status)> done) = 0;
  /** All packs that the backend holds, in no order. */
  virtual void List(std::function<void(Result<std::vector<Chunk>>)> done) = 0;

  // The list of packs that are gone (gone_keeper.h).
  /**
   * Of a host that has none: from here on the pool is its own, and what it keeps there goes over no list of a host before it. The last list of
   * the last of these that kept one; kNotFound: none did. kCorrupt: it cannot be read.
   */
  virtual void OpenGone(std::function<void(Result<FetchedBytes>)> done) = 0;
  /**
   * Ok: the host's list of this number is durable there, and the pool was this host's own after that. May be repeated; the bytes under a number
   * never change.
   */
  virtual void KeepGone(uint64_t number, std::vector<uint8_t> list, std::function<void(Status)> done) = 0;
};

}  // namespace skerry
