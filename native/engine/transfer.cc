#include "transfer.h"

#include <algorithm>
#include <chrono>

namespace skerry {
namespace {

constexpr size_t kTransferBytes = 1 << 20;
constexpr size_t kExtentsMax = 256;
constexpr std::chrono::milliseconds kAdmissionWait{2};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Transfer::Transfer(Env& env, Engine& engine, Direction direction, ResourceId resource, std::string path, Done done)
    : env_(env), engine_(engine), direction_(direction), resource_(resource), path_(std::move(path)), done_(std::move(done)),
      thread_([this] { Run(); }) {}

Transfer::~Transfer() {
  Cancel();
  thread_.join();
}

TransferProgress Transfer::progress() const { return {done_bytes_.load(), total_bytes_.load(), data_bytes_.load(), finished_.load()}; }

void Transfer::Run() {
  Status status(Code::kNotFound, "the resource is gone");
  if (const std::shared_ptr<LiveVolume> volume = engine_.store().Find(resource_)) {
    status = direction_ == Direction::kImport ? Import(*volume) : Export(*volume);
  }
  finished_.store(true);
  done_(std::move(status), progress());
}

Status Transfer::WriteAdmitted(LiveVolume& volume, uint64_t offset, ConstBytes data) {
  while (!cancelled_.load()) {
    Result<WriteOutcome> wrote = volume.Write(offset, data);
    if (wrote.ok()) {
      engine_.Kick();
      return Status::Ok();
    }
    if (wrote.code() != Code::kTryAgain) return wrote.status();
    engine_.WhenAdmitted(resource_, [] {});  // wakes flusher and destager; this thread just looks again soon
    std::this_thread::sleep_for(kAdmissionWait);
  }
  return Status(Code::kClosed, "cancelled");
}

Status Transfer::Import(LiveVolume& volume) {
  Result<std::unique_ptr<File>> file = env_.Open(path_, {});
  if (!file.ok()) return file.status();
  Result<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (*size > volume.size()) return Status(Code::kInvalid, path_ + " is larger than what it is imported into");
  total_bytes_.store(*size);
  AlignedBuffer buffer(kTransferBytes);
  for (uint64_t at = 0; at < *size;) {
    Result<DataRange> data = (*file)->NextData(at);
    if (!data.ok()) return data.status();
    // Begin at a block bound, so that blocks keep their place in the pool whatever the file system's own granularity.
    at = std::max(at, data->start / kBlockBytes * kBlockBytes);
    while (at < data->end) {
      if (cancelled_.load()) return Status(Code::kClosed, "cancelled");
      const size_t length = std::min<uint64_t>(kTransferBytes, *size - at);
      Result<size_t> got = (*file)->Read(buffer.bytes().first(length), at);
      if (!got.ok()) return got.status();
      if (*got != length) return Status(Code::kInvalid, path_ + " shrank while it was imported");
      if (!IsZero(buffer.bytes().first(length))) {
        if (Status status = WriteAdmitted(volume, at, buffer.bytes().first(length)); !status.ok()) return status;
        data_bytes_ += length;
      }
      at += length;
      done_bytes_.store(at);
    }
    if (data->start >= *size) break;
  }
  done_bytes_.store(*size);
  return Status::Ok();
}

Status Transfer::Export(LiveVolume& volume) {
  Result<std::unique_ptr<File>> file = env_.Open(path_, {.write = true, .create = true, .exclusive = true});
  if (!file.ok()) return file.status();
  Status status = ExportTo(volume, **file);
  if (status.ok()) status = env_.SyncDirectory(ParentOf(path_));
  if (!status.ok()) {
    // Nothing half made stays behind; that the removal failed too adds nothing to what the caller is told.
    const Status removed = env_.Remove(path_);
    if (!removed.ok()) return Status(status.code(), status.detail() + "; and the partial file stays: " + removed.detail());
  }
  return status;
}

Status Transfer::ExportTo(LiveVolume& volume, File& file) {
  total_bytes_.store(volume.size());
  if (Status status = file.Truncate(volume.size()); !status.ok()) return status;
  AlignedBuffer buffer(kTransferBytes);
  for (uint64_t at = 0; at < volume.size();) {
    Result<std::vector<Extent>> extents = volume.BlockStatus(at, volume.size() - at, kExtentsMax, true);
    if (!extents.ok()) return extents.status();
    for (const Extent& extent : *extents) {
      for (uint64_t done = 0; !extent.zero && done < extent.length; done += kTransferBytes) {
        if (cancelled_.load()) return Status(Code::kClosed, "cancelled");
        const Bytes part = buffer.bytes().first(std::min<uint64_t>(kTransferBytes, extent.length - done));
        if (Status status = volume.Read(extent.offset + done, part, true); !status.ok()) return status;
        if (Status status = file.Write(part, extent.offset + done); !status.ok()) return status;
        data_bytes_ += part.size();
        done_bytes_.store(extent.offset + done + part.size());
      }
      at = extent.offset + extent.length;
      done_bytes_.store(at);
    }
  }
  return file.DataSync();
}

}  // namespace skerry
