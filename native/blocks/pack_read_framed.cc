// Reads of records in frames. The header says where the frames are, so a page takes two reads of the page cache; where the
// device must be waited for, the whole record is read at once: it is at most as long as a raw one.
#include <algorithm>

#include "frames.h"
#include "pack_store_impl.h"

namespace skerry {
namespace {

Status WouldBlock() { return {Code::kTryAgain, {}}; }

/** Of the longest record of a framed block, for a place that does not tell. */
uint32_t RecordBytesOf(const Location& at) { return at.stored_bytes != 0 ? at.stored_bytes : RecordStoredBytes(kFramedRawBytes); }

/** Memory that each thread keeps for its next record. */
Bytes Scratch(size_t bytes) {
  thread_local std::vector<uint8_t> buffer;
  if (buffer.size() < bytes) buffer.resize(bytes);
  return Bytes(buffer).first(bytes);
}

}  // namespace

Status PackStore::Impl::ReadFramed(const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into, bool may_block) {
  if (at.stored_bytes > RecordStoredBytes(kFramesMax * kFrameBytes) || first + count > CellCount(kFramesMax * kFrameBytes)) {
    return {Code::kCorrupt, "no record in frames is as long as one is said to be"};
  }
  if (Elsewhere(at.pack)) return RemotePages(at, prefix, first, count, into, may_block);
  const Result<std::shared_ptr<File>> file = handles_.Get(at.pack);
  if (!file.ok()) return WentAway(file.status(), at.pack) ? RemotePages(at, prefix, first, count, into, may_block) : file.status();
  // As for cells: looking into the page cache makes the kernel fill it.
  if (!may_block && count >= kLargeReadPages && !MayBeCached(at.pack, at.offset)) return WouldBlock();
  if (ReadFramedNow(**file, at, prefix, first, count, into).ok()) return {};
  if (!may_block) return WouldBlock();
  return ReadFramedBlocking(**file, at, prefix, first, count, into);
}

/** What the page cache has; any failure is told by those who may wait. */
Status PackStore::Impl::ReadFramedNow(File& file, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into) {
  uint8_t head[sizeof(PackRecordHeader)];
  const Bytes parts[] = {head};
  Result<size_t> got = file.ReadNow(parts, at.offset);
  if (!got.ok() || *got != sizeof(head)) return WouldBlock();
  const auto header = ParseHeader(head, at.pack, at.offset);
  if (!header || !IsInFrames(header->kind, header->codec, header->encrypted())) return WouldBlock();
  if ((uint64_t{first} + count) * kPageBytes > header->raw_bytes) return WouldBlock();
  const uint32_t frame_pages = FrameBytesOf(*header) / uint32_t{kPageBytes};
  const FramePlace from = FrameAt(*header, first / frame_pages), to = FrameAt(*header, (first + count - 1) / frame_pages);
  const Bytes record = Scratch(to.end());
  std::ranges::copy(head, record.begin());
  const Bytes frames[] = {record.subspan(from.offset)};
  got = file.ReadNow(frames, uint64_t{at.offset} + from.offset);
  if (!got.ok() || *got != frames[0].size()) return WouldBlock();
  return CopyFrames(record, at, prefix, first, count, into, Cipher()) ? Status::Ok() : WouldBlock();
}

Status PackStore::Impl::ReadFramedBlocking(File& file, const Location& at, uint64_t prefix, uint32_t first, uint32_t count, Bytes into) {
  const Bytes record = Scratch(RecordBytesOf(at));
  if (warm_.Note(at.pack, at.offset) > 0 && count < kLargeReadPages) {
    file.ReadAhead(at.offset / kWarmWindowBytes * kWarmWindowBytes, kWarmWindowBytes);
  }
  const Result<size_t> got = file.Read(record, at.offset);
  if (!got.ok()) return got.status();
  if (CopyFrames(record.first(*got), at, prefix, first, count, into, Cipher())) return {};
  // Past the page cache, which may be what is wrong; a place that tells no length may say more than the file has.
  Status again = ReadDirect(at.pack, at.offset, record.first(*got));
  if (again.ok() && CopyFrames(record.first(*got), at, prefix, first, count, into, Cipher())) return {};
  if (OnBackend(at.pack)) return RemotePages(at, prefix, first, count, into, true);
  NotePage(at, first);
  return {Code::kCorrupt, "page " + std::to_string(first) + " of the record at byte " + std::to_string(at.offset) + " of pack " +
                              PackPath("", at.pack, true).substr(1) + " fails its sum" + (again.ok() ? "" : ": " + again.detail())};
}

}  // namespace skerry
