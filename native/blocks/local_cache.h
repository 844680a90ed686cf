#pragma once
// The second tier under the block cache: records of packs that are not on this host, on its disk. It outlives the process; losing
// it loses time alone. A ring of segments: records are appended to the newest, and the oldest goes when there is no more room;
// what was read there since, or is held in memory still, is written again first, so one pass over a large disk pushes out what
// nobody asks for. Whoever writes is one thread, never a guest's. What cannot be proven whole is not there.
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "block_cache.h"
#include "local_cache_format.h"
#include "record_cipher.h"

namespace skerry {

struct LocalCacheOptions {
  std::string directory;
  uint64_t bytes_max = 0;                            // of its files; 0: there is no such cache
  uint32_t segment_bytes = 0;                        // 0: what suits bytes_max
  uint64_t offered_bytes_max = 8u << 20;             // of memory: records that wait to be written; more are passed over
  /** Told once, from any thread, when the disk fails or is full and the cache ends. */
  std::function<void(const std::string&)> on_failure{};
};

/** Thread-safe, but for Load and WriteSome: one caller at a time, which is the thread where Start made one. */
class LocalCache {
 public:
  /** `memory`: the tier above, asked what it holds. */
  LocalCache(Env& env, LocalCacheOptions options, std::shared_ptr<const BlockCache> memory);
  ~LocalCache();
  LocalCache(const LocalCache&) = delete;
  LocalCache& operator=(const LocalCache&) = delete;

  /** The number by which this process knows a pool, in RecordKey; the same for the same pool at every call. `cipher`: of the pool. */
  uint32_t NumberOf(const PoolUuid& pool, const std::optional<RecordCipher>& cipher = {});

  /** A thread of its own loads, then writes. Until it has loaded, readers wait. */
  void Start();
  /** Writes what was offered, and joins the thread. Idempotent. */
  void Stop();
  /** Finds what earlier lives left. */
  void Load();
  /** Writes some of what was offered, gives up what there is no room for. True where there is more to write. */
  bool WriteSome();

  /** Waits for the disk. nullptr where it is not there, or not whole: then it is forgotten. */
  std::shared_ptr<const RecordImage> Read(const RecordKey& key);
  /** Whether a Read would look at the disk for it; has it brought into the page cache meanwhile. */
  bool Prepare(const RecordKey& key);
  /** A record as it came from the backend. It may be passed over, and what fails its own sums is. */
  void Offer(const RecordKey& key, std::shared_ptr<const RecordImage> record);
  /** Forgets what proved wrong. */
  void Drop(const RecordKey& key);
  /** Forgets what these packs held: nobody will ask for it. Segments that hold nothing else go. */
  void DropPacks(uint32_t pool, const std::set<uint32_t>& packs);

  struct Usage {
    uint64_t bytes = 0, records = 0, hits = 0, misses = 0, written_bytes = 0, evicted = 0, kept = 0, passed_over = 0, damaged = 0;
    bool failed = false;
  };
  Usage usage() const;
  uint64_t bytes_max() const { return options_.bytes_max; }

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Entry {
    uint32_t segment = 0, at = 0, bytes = 0;
    bool used = false;       // since it was written
  };
  struct Segment {
    std::shared_ptr<File> file;
    uint64_t bytes = 0;      // of the file
    std::vector<RecordKey> keys;   // of all that was written to it
    size_t live = 0;         // records that are found there
  };
  using Segments = std::map<uint32_t, Segment>;   // by number: oldest first
  using Index = std::unordered_map<RecordKey, Entry, RecordKeyHash>;
  using Records = std::unordered_map<RecordKey, std::shared_ptr<const RecordImage>, RecordKeyHash>;
  /** What is laid out for one write at the end of the newest segment. */
  struct Group {
    std::vector<uint8_t> bytes;
    std::vector<std::pair<RecordKey, CacheTableEntry>> records;
  };

  // local_cache.cc
  void Run();
  void Fail(const Status& status);
  bool Off() const;
  std::string PathOf(uint32_t segment) const;
  CacheTableEntry TableEntryLocked(const RecordKey& key, const Entry& entry) const;
  std::shared_ptr<const RecordImage> ReadEntry(const RecordKey& key, const Entry& entry, File& file, const CacheTableEntry& expected);
  void ForgetLocked(Index::iterator at);
  uint32_t NumberOfLocked(const PoolUuid& pool);
  std::optional<RecordCipher> CipherOf(uint32_t pool) const;

  // local_cache_load.cc
  Status LoadSegments();
  Status LeaveNothing();
  Result<std::vector<uint32_t>> SegmentsThere() const;
  Status LoadSegment(uint32_t number, bool newest);
  Result<std::optional<std::vector<CacheTableEntry>>> ReadTable(File& file, uint32_t number, uint64_t bytes);
  Result<std::vector<CacheTableEntry>> ScanRecords(File& file, uint32_t number, uint64_t bytes);
  void Adopt(uint32_t number, std::shared_ptr<File> file, uint64_t bytes, const std::vector<CacheTableEntry>& entries);

  // local_cache_write.cc
  std::vector<RecordKey> TakeOffered();
  Status Write(const RecordKey& key, const RecordImage& record);
  Status Append(const RecordKey& key, ConstBytes record);
  Status WriteGroup();
  bool Fits(uint32_t record_bytes) const;
  Status BeginSegment();
  Status SealCurrent();
  Status FitIn();
  Result<uint64_t> Allowed() const;
  Status Evict(uint32_t number);
  void RemoveSegment(uint32_t number);
  void Clear();

  Env& env_;
  const LocalCacheOptions options_;
  const uint32_t segment_bytes_;
  const size_t records_max_;
  const std::shared_ptr<const BlockCache> memory_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PoolUuid> pools_;        // a pool's number is its place, from 1 on
  std::map<uint32_t, RecordCipher> ciphers_;   // by pool: what is kept stays encrypted, but must be whole
  Index index_;
  Segments segments_;                  // changed by the writer alone
  Records offered_;                    // until they are found in the index
  std::deque<RecordKey> order_;        // of offered_; what was dropped meanwhile is passed by
  uint64_t offered_bytes_ = 0;
  bool loading_ = false, stops_ = false, off_ = false;
  Usage usage_;

  // Of the writer.
  uint32_t next_segment_ = 1;
  uint64_t allowed_bytes_ = 0;         // as the disk was when it was last looked at; 0: too full for any of it
  std::optional<uint32_t> current_;    // takes records
  Group group_;
  std::thread thread_;
};

}  // namespace skerry
