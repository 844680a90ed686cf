#include "footer_copies.h"

#include <algorithm>
#include <cstddef>

#include "cell.h"
#include "pack_handles.h"

namespace skerry {

const PackFooterEntry* PackFooter::At(uint32_t offset) const {
  const auto found = std::lower_bound(entries.begin(), entries.end(), offset, [](const PackFooterEntry& entry, uint32_t at) { return entry.offset < at; });
  return found != entries.end() && found->offset == offset ? &*found : nullptr;
}

std::string FooterCopyPath(const std::string& directory, uint32_t pack) {
  std::string path = PackPath(directory, pack, true);
  return path.replace(path.size() - 4, 4, "foot");
}

std::vector<uint8_t> EncodeFooterCopy(uint32_t pack, uint64_t domain, const PackFooter& footer) {
  const std::vector<uint8_t> body = EncodeFooter(pack, domain, footer.entries);
  FooterCopyHeader header{};
  header.magic = kFooterCopyMagic;
  header.version = kFooterCopyVersion;
  header.pack = pack;
  header.file_bytes = footer.file_bytes;
  header.footer_bytes = body.size();
  header.sum = SumOf(&header, offsetof(FooterCopyHeader, sum), pack);
  std::vector<uint8_t> bytes(sizeof(header) + body.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + sizeof(header), body.data(), body.size());
  return bytes;
}

Result<PackFooter> DecodeFooterCopy(ConstBytes bytes, uint32_t pack) {
  const auto damaged = [pack] { return Status(Code::kCorrupt, "the copy of the footer of pack " + std::to_string(pack) + " is damaged"); };
  FooterCopyHeader header;
  if (bytes.size() < sizeof(header)) return damaged();
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kFooterCopyMagic || header.version != kFooterCopyVersion || header.pack != pack ||
      header.sum != SumOf(&header, offsetof(FooterCopyHeader, sum), pack) || header.footer_bytes != bytes.size() - sizeof(header) ||
      header.file_bytes < header.footer_bytes) {
    return damaged();
  }
  Result<std::vector<PackFooterEntry>> entries = DecodeFooter(bytes.subspan(sizeof(header)), pack, header.file_bytes - header.footer_bytes);
  if (!entries.ok()) return entries.status();
  return PackFooter{header.file_bytes, std::move(*entries)};
}

std::shared_ptr<const PackFooter> FooterCopies::Find(uint32_t pack) {
  {
    std::lock_guard lock(mutex_);
    if (const auto found = at_.find(pack); found != at_.end()) {
      held_.splice(held_.begin(), held_, found->second);
      return held_.front().footer;
    }
  }
  Result<std::unique_ptr<File>> file = env_.Open(FooterCopyPath(directory_, pack), {});
  if (!file.ok()) return nullptr;
  const Result<uint64_t> size = (*file)->Size();
  if (!size.ok() || *size > kPackBytes) return nullptr;
  std::vector<uint8_t> bytes(*size);
  const Result<size_t> got = (*file)->Read(bytes, 0);
  if (!got.ok() || *got != bytes.size()) return nullptr;
  Result<PackFooter> footer = DecodeFooterCopy(bytes, pack);
  if (!footer.ok()) return nullptr;
  auto shared = std::make_shared<const PackFooter>(std::move(*footer));
  Hold(pack, shared);
  return shared;
}

Status FooterCopies::Keep(uint32_t pack, PackFooter footer, bool durable) {
  std::sort(footer.entries.begin(), footer.entries.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const std::vector<uint8_t> bytes = EncodeFooterCopy(pack, domain_, footer);
  Hold(pack, std::make_shared<const PackFooter>(std::move(footer)));
  const std::string path = FooterCopyPath(directory_, pack), fresh = path + ".new";
  {
    Result<std::unique_ptr<File>> file = env_.Open(fresh, {.write = true, .create = true});
    if (!file.ok()) return file.status();
    if (Status status = (*file)->Write(bytes, 0); !status.ok()) return status;
    if (Status status = (*file)->Truncate(bytes.size()); !status.ok()) return status;  // it may be left over from a crash
    if (durable) {
      if (Status status = (*file)->DataSync(); !status.ok()) return status;
    }
  }
  if (Status status = env_.Rename(fresh, path); !status.ok()) return status;
  return durable ? env_.SyncDirectory(directory_) : Status();
}

Status FooterCopies::Remove(uint32_t pack) {
  {
    std::lock_guard lock(mutex_);
    if (const auto found = at_.find(pack); found != at_.end()) {
      held_.erase(found->second);
      at_.erase(found);
    }
  }
  return env_.Remove(FooterCopyPath(directory_, pack));
}

void FooterCopies::Hold(uint32_t pack, std::shared_ptr<const PackFooter> footer) {
  std::lock_guard lock(mutex_);
  if (const auto found = at_.find(pack); found != at_.end()) {
    found->second->footer = std::move(footer);
    return;
  }
  held_.push_front({pack, std::move(footer)});
  at_[pack] = held_.begin();
  if (held_.size() <= kFootersMax) return;
  at_.erase(held_.back().pack);
  held_.pop_back();
}

}  // namespace skerry
