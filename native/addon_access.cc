#include "addon_access.h"

#include <memory>
#include <string>

#include "addon_values.h"
#include "volume/changes.h"

namespace skerry::addon {
namespace {

constexpr size_t kExtentsMax = 256;

Result<std::shared_ptr<LiveVolume>> Known(Engine& engine, ResourceId id) {
  std::shared_ptr<LiveVolume> volume = engine.store().Find(id);
  if (!volume) return Status(Code::kNotFound, "no resource " + std::to_string(id));
  return volume;
}

Status CheckRange(const LiveVolume& volume, uint64_t offset, uint64_t length) {
  if (offset <= volume.size() && length <= volume.size() - offset) return Status::Ok();
  return Status(Code::kInvalid, "a range past the end of a resource of " + std::to_string(volume.size()) + " bytes");
}

}  // namespace

Work ChangesWork(Engine& engine, ResourceId from, ResourceId to, uint64_t offset, size_t ranges_max) {
  return [&engine, from, to, offset, ranges_max]() -> Result<Finish> {
    Result<std::shared_ptr<LiveVolume>> old = Known(engine, from), now = Known(engine, to);
    if (!old.ok()) return old.status();
    if (!now.ok()) return now.status();
    VolumeChanges changes(*old, *now);
    auto ranges = std::make_shared<std::vector<ChangedExtent>>();
    const uint64_t size = (*now)->size();
    uint64_t at = offset;
    while (at < size && ranges->size() < ranges_max) {
      Result<std::vector<ChangedExtent>> extents = changes.Extents(at, size - at, kExtentsMax, true);
      if (!extents.ok()) return extents.status();
      for (const ChangedExtent& extent : *extents) {
        if (ranges->size() == ranges_max) break;
        at = extent.offset + extent.length;
        if (!extent.changed) continue;
        ChangedExtent* last = ranges->empty() ? nullptr : &ranges->back();
        if (last != nullptr && last->offset + last->length == extent.offset && last->zero == extent.zero) {
          last->length += extent.length;
        } else {
          ranges->push_back(extent);
        }
      }
    }
    return Finish([ranges, at](Napi::Env env) -> Napi::Value {
      Napi::Array list = Napi::Array::New(env, ranges->size());
      for (size_t i = 0; i < ranges->size(); ++i) {
        Napi::Object range = Napi::Object::New(env);
        range.Set("offset", static_cast<double>((*ranges)[i].offset));
        range.Set("length", static_cast<double>((*ranges)[i].length));
        range.Set("zero", (*ranges)[i].zero);
        list.Set(static_cast<uint32_t>(i), range);
      }
      Napi::Object answer = Napi::Object::New(env);
      answer.Set("ranges", list);
      answer.Set("next", static_cast<double>(at));
      return answer;
    });
  };
}

Work AllocatedWork(Engine& engine, ResourceId resource) {
  return [&engine, resource]() -> Result<Finish> {
    Result<std::shared_ptr<LiveVolume>> volume = Known(engine, resource);
    if (!volume.ok()) return volume.status();
    uint64_t allocated = 0;
    const uint64_t size = (*volume)->size();  // it may be resized meanwhile
    for (uint64_t at = 0; at < size;) {
      Result<std::vector<Extent>> extents = (*volume)->BlockStatus(at, size - at, 1024, true);
      if (!extents.ok()) return extents.status();
      for (const Extent& extent : *extents) {
        if (!extent.zero) allocated += extent.length;
        at = extent.offset + extent.length;
      }
    }
    return Finish([allocated](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(allocated)); });
  };
}

Work AddPoolWork(Engine& engine, PoolOptions options) {
  return [&engine, options = std::move(options)]() -> Result<Finish> {
    auto report = std::make_shared<StoreReport>();
    if (Status status = engine.AddPool(options, report->packs); !status.ok()) return status;
    return Finish([report](Napi::Env env) -> Napi::Value { return FromReport(env, *report); });
  };
}

Work RemovePoolWork(Engine& engine, std::string name) {
  return [&engine, name = std::move(name)]() -> Result<Finish> {
    if (Status status = engine.RemovePool(name); !status.ok()) return status;
    return Finish();
  };
}

Work ReadWork(Engine& engine, ResourceId resource, uint64_t offset, uint64_t length) {
  return [&engine, resource, offset, length]() -> Result<Finish> {
    Result<std::shared_ptr<LiveVolume>> volume = Known(engine, resource);
    if (!volume.ok()) return volume.status();
    if (length > kAccessBytesMax) return Status(Code::kInvalid, "too much to read at once");
    if (Status status = CheckRange(**volume, offset, length); !status.ok()) return status;
    auto bytes = std::make_shared<std::vector<uint8_t>>(length);
    if (Status status = (*volume)->Read(offset, *bytes, true); !status.ok()) return status;
    return Finish([bytes](Napi::Env env) -> Napi::Value { return Napi::Buffer<uint8_t>::Copy(env, bytes->data(), bytes->size()); });
  };
}

Work WriteWork(Engine& engine, const Napi::CallbackInfo& info) {
  const auto resource = static_cast<ResourceId>(info[0].ToNumber().DoubleValue());
  const auto offset = static_cast<uint64_t>(info[1].ToNumber().DoubleValue());
  std::vector<uint8_t> data;
  if (info[2].IsTypedArray()) {
    const Napi::Uint8Array given = info[2].As<Napi::Uint8Array>();
    data.assign(given.Data(), given.Data() + given.ByteLength());
  }
  const uint64_t zero_bytes = info[2].IsNumber() ? static_cast<uint64_t>(info[2].ToNumber().DoubleValue()) : 0;
  auto held = std::make_shared<std::vector<uint8_t>>(std::move(data));
  return [&engine, resource, offset, held, zero_bytes]() -> Result<Finish> {
    Result<std::shared_ptr<LiveVolume>> volume = Known(engine, resource);
    if (!volume.ok()) return volume.status();
    if (held->size() > kAccessBytesMax) return Status(Code::kInvalid, "too much to write at once");
    if (Status status = CheckRange(**volume, offset, held->empty() ? zero_bytes : held->size()); !status.ok()) return status;
    Result<WriteOutcome> wrote = held->empty() ? (*volume)->Zero(offset, zero_bytes, true) : (*volume)->Write(offset, *held);
    if (wrote.code() == Code::kTryAgain) engine.WhenAdmitted(resource, [] {});  // wakes flusher and destager
    if (!wrote.ok()) return wrote.status();
    engine.Kick();
    return Finish([](Napi::Env env) -> Napi::Value { return env.Undefined(); });
  };
}

}  // namespace skerry::addon
