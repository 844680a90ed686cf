#include "addon_access.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "addon_values.h"
#include "volume/changes.h"

namespace skerry::addon {
namespace {

constexpr size_t kExtentsMax = 256;
constexpr uint64_t kAccessBytesMax = 4u << 20;
/** On JavaScript's own thread: more would hold up all others for longer than another thread takes to answer. */
constexpr uint64_t kNowBytesMax = 64u << 10;

Result<std::shared_ptr<LiveVolume>> Known(Engine& engine, ResourceId id) {
  std::shared_ptr<LiveVolume> volume = engine.store().Find(id);
  if (!volume) return Status(Code::kNotFound, "no resource " + std::to_string(id));
  return volume;
}

Status CheckRange(const LiveVolume& volume, uint64_t offset, uint64_t length) {
  if (offset <= volume.size() && length <= volume.size() - offset) return Status::Ok();
  return Status(Code::kInvalid, "a range past the end of a resource of " + std::to_string(volume.size()) + " bytes");
}

Status Read(Engine& engine, const ReadOrder& order, bool may_block) {
  const Result<std::shared_ptr<LiveVolume>> volume = Known(engine, order.resource);
  if (!volume.ok()) return volume.status();
  if (order.into.size() > kAccessBytesMax) return Status(Code::kInvalid, "too much to read at once");
  if (Status status = CheckRange(**volume, order.offset, order.into.size()); !status.ok()) return status;
  return (*volume)->Read(order.offset, order.into, may_block);
}

Status Write(Engine& engine, const WriteOrder& order) {
  const Result<std::shared_ptr<LiveVolume>> volume = Known(engine, order.resource);
  if (!volume.ok()) return volume.status();
  const ConstBytes data = order.data;
  if (data.size() > kAccessBytesMax) return Status(Code::kInvalid, "too much to write at once");
  if (Status status = CheckRange(**volume, order.offset, data.empty() ? order.zero_bytes : data.size()); !status.ok()) return status;
  const Result<WriteOutcome> wrote = data.empty() ? (*volume)->Zero(order.offset, order.zero_bytes, true) : (*volume)->Write(order.offset, data);
  if (wrote.code() == Code::kTryAgain) engine.WhenAdmitted(order.resource, [] {});  // wakes flusher and destager
  return wrote.status();
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

Napi::Uint8Array ArrayToFill(const Napi::Value& given) {
  if (given.IsTypedArray()) return given.As<Napi::Uint8Array>();
  // One byte too many, where there are, is refused like what they would hold.
  const uint64_t bytes = std::min(static_cast<uint64_t>(given.ToNumber().DoubleValue()), kAccessBytesMax + 1);
  return Napi::Buffer<uint8_t>::New(given.Env(), bytes);
}

Napi::Value Settled(Napi::Env env, const Status& status, const Napi::Value& value) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  status.ok() ? deferred.Resolve(value) : deferred.Reject(ToError(env, status).Value());
  return deferred.Promise();
}

WriteOrder ToWriteOrder(const Napi::CallbackInfo& info) {
  WriteOrder order{static_cast<ResourceId>(info[0].ToNumber().DoubleValue()), static_cast<uint64_t>(info[1].ToNumber().DoubleValue()), {}, 0};
  if (info[2].IsTypedArray()) {
    const auto data = info[2].As<Napi::Uint8Array>();
    order.data = ConstBytes(data.Data(), data.ByteLength());
  } else {
    order.zero_bytes = static_cast<uint64_t>(info[2].ToNumber().DoubleValue());
  }
  return order;
}

std::optional<Status> ReadNow(Engine& engine, const ReadOrder& order) {
  if (order.into.size() > kNowBytesMax) return std::nullopt;
  Status status = Read(engine, order, false);
  if (status.code() == Code::kTryAgain) return std::nullopt;
  return status;
}

std::optional<Status> WriteNow(Engine& engine, const WriteOrder& order) {
  // What holds a whole block is hashed and put in a pack; the rest goes to the journal's memory.
  if (order.data.empty() || order.data.size() > kNowBytesMax || LiveVolume::HoldsBlocks(order.offset, order.data.size())) return std::nullopt;
  const Status status = Write(engine, order);
  // A flush follows soon: a flusher that is woken for the first record alone would write and sync twice.
  if (status.ok()) engine.KickLater();
  return status;
}

Work ReadWork(Engine& engine, const ReadOrder& order, Finish finish) {
  return [&engine, order, finish = std::move(finish)]() -> Result<Finish> {
    if (Status status = Read(engine, order, true); !status.ok()) return status;
    return finish;
  };
}

Work WriteWork(Engine& engine, const WriteOrder& order) {
  return [&engine, order]() -> Result<Finish> {
    if (Status status = Write(engine, order); !status.ok()) return status;
    engine.Kick();
    return Finish();
  };
}

}  // namespace skerry::addon
