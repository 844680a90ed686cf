// Putting records: those the pool knows already are found, the others laid down side by side and written in one piece past
// the page cache, outside every lock; only then do they count.
#include <algorithm>

#include "frames.h"
#include "pack_store_impl.h"

namespace skerry {
namespace {

// A pack whose sync failed while records were written to it is answered with one more pack.
constexpr int kPutAttemptsMax = 2;
constexpr size_t kLostPagesMax = 32;   // that PackPut::lost can name

PackRecordHeader HeaderFor(Env& env, const PackStoreOptions& options, const PackPut& put) {
  PackRecordHeader header{};
  header.magic = kPackRecordMagic;
  header.version = options.cipher ? kEncryptedRecordVersion : kPackVersion;
  header.kind = put.kind;
  header.codec = Codec::kRaw;   // see Shrink
  header.algorithm = HashAlgorithm::kHmacSha256;
  header.key_id = options.key_id;
  header.raw_bytes = static_cast<uint32_t>(put.raw.size());
  header.domain = put.domain == 0 ? options.domain : put.domain;
  header.stored_bytes = options.cipher ? EncryptedStoredBytes(header.raw_bytes) : RecordStoredBytes(header.raw_bytes);
  header.flags = put.lost != 0 ? kRecordLostPages : 0;
  std::memcpy(header.id, put.id.bytes.data(), sizeof(header.id));
  if (options.cipher) env.Random(Bytes(header.salt(), kSaltBytes));
  return header;
}

/** In frames where that was asked for and saves something. Called without any lock: it takes longer than hashing does. */
std::vector<uint8_t> Shrink(const PackPut& put, PackRecordHeader& header) {
  // A lost page must fail for ever and its neighbours must not: only cells say that of one page alone.
  if (!put.compression.on() || put.lost != 0 || put.kind != RecordKind::kBlock) return {};
  std::optional<FramedBlock> block = EncodeFrames(put.compression, put.id, put.raw, SealBytes(header));
  if (!block) return {};
  header.codec = put.compression.codec;
  header.stored_bytes = block->stored_bytes;
  std::copy_n(block->frame_bytes, FrameCount(header), header.frame_bytes);
  return std::move(block->body);
}

uint32_t RoundUp(uint32_t bytes) { return (bytes + kWriteAlignBytes - 1) / kWriteAlignBytes * kWriteAlignBytes; }

Status CheckPut(const PackPut& put, bool encrypted) {
  if (put.kind != RecordKind::kBlock && put.kind != RecordKind::kNode) return {Code::kInvalid, "records of this kind are not written"};
  if (put.id.empty()) return {Code::kInvalid, "a record needs an id"};
  if (put.lost != 0 && (put.kind != RecordKind::kBlock || put.raw.size() > kLostPagesMax * kPageBytes)) {
    return {Code::kInvalid, "only a block of at most " + std::to_string(kLostPagesMax) + " pages is put with lost ones"};
  }
  const uint32_t bytes_max = encrypted ? kFramedRawBytes : kRecordRawBytesMax;
  if (!put.raw.empty() && put.raw.size() <= bytes_max) return {};
  return {Code::kInvalid, "a record holds 1 to " + std::to_string(bytes_max) + " bytes, not " + std::to_string(put.raw.size())};
}

}  // namespace

Status PackStore::Impl::PutAll(std::span<PackPut> puts, bool urgent) {
  std::vector<Fresh> fresh;
  std::vector<std::pair<PackPut*, const PackPut*>> twins;  // of a record that comes earlier in the same call
  fresh.reserve(puts.size());
  bool may_use_reserve = urgent;
  for (PackPut& put : puts) {
    if (Status status = CheckPut(put, options_.cipher.has_value()); !status.ok()) return status;
    bool replace = false;
    Result<bool> known = Known(put, replace);
    if (!known.ok()) return known.status();
    if (*known) continue;
    const auto twin = std::find_if(fresh.begin(), fresh.end(), [&](const Fresh& one) { return one.put->id == put.id; });
    if (twin != fresh.end()) {
      twins.emplace_back(&put, twin->put);
      continue;
    }
    may_use_reserve |= put.kind == RecordKind::kNode;
    fresh.push_back({&put, HeaderFor(env_, options_, put), replace, {}});
    fresh.back().body = Shrink(put, fresh.back().header);
  }
  if (Status status = PutFresh(fresh, may_use_reserve); !status.ok()) return status;
  for (const auto& [put, first] : twins) {
    put->at = first->at;
    put->reused = true;
    dedup_hits_.fetch_add(1, std::memory_order_relaxed);
    dedup_bytes_.fetch_add(put->raw.size(), std::memory_order_relaxed);
  }
  return {};
}

/** True where the index knows a record of this id that holds; `replace` where it knows one that does not. */
Result<bool> PackStore::Impl::Known(PackPut& put, bool& replace) {
  const std::optional<Location> known = index_.Find(put.id.prefix());
  if (!known) return false;
  if (IsCondemned(known->pack)) {
    replace = true;
    return false;
  }
  const Hit hit = CheckHit(*known, put);
  replace = hit == Hit::kBad;
  if (hit != Hit::kSame) return false;
  dedup_hits_.fetch_add(1, std::memory_order_relaxed);
  dedup_bytes_.fetch_add(put.raw.size(), std::memory_order_relaxed);
  put.at = *known;
  put.reused = true;
  return true;
}

PackStore::Impl::Hit PackStore::Impl::CheckHit(const Location& at, const PackPut& put) {
  // New data is never given up for a record that has rotted: it is written again. One with lost pages always counts as such.
  if (put.lost == 0 && IsDamaged(at)) return Hit::kBad;
  if (Elsewhere(at.pack)) {
    // Without a footer at hand it is written again: a write does not wait for a backend.
    const std::optional<PackFooterEntry> entry = KnownEntry(at);
    if (!entry || std::memcmp(entry->id, put.id.bytes.data(), sizeof(entry->id)) != 0 || entry->raw_bytes != put.raw.size()) return Hit::kOther;
    return put.lost != 0 || (entry->flags & kEntryDamaged) != 0 ? Hit::kBad : Hit::kSame;
  }
  const Result<PackRecordHeader> header = ReadHeader(at, true);
  if (!header.ok()) return Hit::kBad;
  const PackRecordHeader& found = header.value();
  const bool same = std::memcmp(found.id, put.id.bytes.data(), sizeof(found.id)) == 0 && found.raw_bytes == put.raw.size();
  if (!same) return Hit::kOther;
  return put.lost == 0 || LacksOnly(at, found, put.lost) ? Hit::kSame : Hit::kBad;
}

/** A crash may have torn the record besides: what was put with lost pages serves again only where all its other pages hold. */
bool PackStore::Impl::LacksOnly(const Location& at, const PackRecordHeader& header, uint32_t lost) {
  std::vector<uint8_t> record(at.stored_bytes);
  if (!ReadDirect(at.pack, at.offset, record).ok()) return false;
  const std::vector<uint32_t> bad = BadCells(record, header, Cipher());
  return std::ranges::all_of(bad, [lost](uint32_t page) { return page < kLostPagesMax && (lost >> page & 1) != 0; });
}

/** Writes them in groups, each of at most kGroupBytesMax unless one record alone is larger. */
Status PackStore::Impl::PutFresh(std::span<Fresh> fresh, bool may_use_reserve) {
  for (size_t first = 0; first < fresh.size();) {
    uint32_t bytes = fresh[first].header.stored_bytes;
    size_t end = first + 1;
    for (; end < fresh.size() && bytes + fresh[end].header.stored_bytes <= kGroupBytesMax; ++end) bytes += fresh[end].header.stored_bytes;
    const std::span<Fresh> group = fresh.subspan(first, end - first);
    Status status = WriteGroup(group, bytes, may_use_reserve);
    // What does not fit together, in a small pack or on a disk that is nearly full, may fit one by one.
    if (group.size() > 1 && (status.code() == Code::kNoSpace || status.code() == Code::kInvalid)) {
      status = {};
      for (size_t i = 0; i < group.size() && status.ok(); ++i) {
        status = WriteGroup(group.subspan(i, 1), group[i].header.stored_bytes, may_use_reserve);
      }
    }
    if (!status.ok()) return status;
    first = end;
  }
  return {};
}

Status PackStore::Impl::WriteGroup(std::span<Fresh> group, uint32_t stored_bytes, bool may_use_reserve) {
  const uint32_t padded_bytes = RoundUp(stored_bytes);
  const auto records = static_cast<uint32_t>(group.size());
  if (uint64_t{kWriteAlignBytes} + padded_bytes + FooterBytes(records) > options_.pack_bytes) {
    return {Code::kInvalid, "a record does not fit in a pack of this size"};
  }
  AlignedBuffer buffer = TakeBuffer(padded_bytes);
  const Bytes bytes = buffer.bytes().first(padded_bytes);
  uint32_t at = 0;
  for (Fresh& one : group) {
    if (!LayDown(one, bytes.subspan(at, one.header.stored_bytes))) {
      GiveBuffer(std::move(buffer));
      return {Code::kIo, "a record cannot be encrypted: OpenSSL fails"};
    }
    at += one.header.stored_bytes;
  }
  std::memset(bytes.data() + at, 0, padded_bytes - at);
  Status status(Code::kIo, "packs cannot be made durable");
  for (int attempt = 0; attempt < kPutAttemptsMax; ++attempt) {
    Result<Reservation> place = Reserve(padded_bytes, records, may_use_reserve);
    if (!place.ok()) {
      status = place.status();
      break;
    }
    at = 0;
    for (Fresh& one : group) {
      one.header.pack = place->pack->number;
      one.put->at = {place->pack->number, place->offset + at, one.header.stored_bytes, IsInFrames(one.header.kind, one.header.codec, one.header.encrypted())};
      const HeaderProof proof = ProofOf(one.header, one.put->at.offset, options_.key);
      std::ranges::copy(proof, one.header.proof);
      FillHeader(bytes.subspan(at), one.header, one.put->at.offset);
      at += one.header.stored_bytes;
    }
    const Status written = place->pack->direct->Write(bytes, place->offset);
    const bool counts = Count(*place, group, written.ok());
    if (!written.ok() || counts) {
      status = written;
      break;
    }
  }
  GiveBuffer(std::move(buffer));
  if (!status.ok()) return status;
  SealOverdue();
  put_records_.fetch_add(records, std::memory_order_relaxed);
  for (const Fresh& one : group) {
    put_bytes_.fetch_add(one.header.raw_bytes, std::memory_order_relaxed);
    put_record_bytes_.fetch_add(one.header.stored_bytes, std::memory_order_relaxed);
    if (!one.body.empty()) put_framed_records_.fetch_add(1, std::memory_order_relaxed);
    for (uint32_t page = 0; page < CellCount(one.header.raw_bytes) && one.put->lost != 0; ++page) {
      if ((one.put->lost >> page & 1) != 0) NoteDamage(one.put->at.pack, CellOffset(one.put->at, page));
    }
  }
  return {};
}

/** All of a record but its header. False where it is to be encrypted and cannot be: then nothing of it may be written. */
bool PackStore::Impl::LayDown(const Fresh& one, Bytes record) const {
  if (!one.body.empty()) std::ranges::copy(one.body, record.begin() + sizeof(PackRecordHeader));
  if (options_.cipher) return EncryptFrames(one.header, *options_.cipher, one.put->raw, one.put->lost, record);
  if (one.body.empty()) FillCells(record, one.put->id, one.put->raw, one.put->lost);
  return true;
}

AlignedBuffer PackStore::Impl::TakeBuffer(uint32_t bytes) {
  if (bytes > kGroupBytesMax) return AlignedBuffer(bytes);
  {
    std::lock_guard lock(spare_mutex_);
    if (!spare_.empty()) {
      AlignedBuffer buffer = std::move(spare_.back());
      spare_.pop_back();
      return buffer;
    }
  }
  return AlignedBuffer(kGroupBytesMax);
}

void PackStore::Impl::GiveBuffer(AlignedBuffer buffer) {
  if (buffer.size() != kGroupBytesMax) return;
  std::lock_guard lock(spare_mutex_);
  if (spare_.size() < kSpareBuffersMax) spare_.push_back(std::move(buffer));
}

}  // namespace skerry
