#include "addon_handshake.h"

#include <memory>
#include <string>
#include <utility>

#include "addon_values.h"
#include "volume/changes.h"

namespace skerry::addon {
namespace {

bool AddChanged(Engine& engine, const Napi::Object& answer, TransmissionSpec& transmit) {
  if (!answer.Get("changed").IsArray()) return true;
  const Napi::Array list = answer.Get("changed").As<Napi::Array>();
  const std::shared_ptr<LiveVolume> volume = engine.store().Find(Whole(answer, "resource"));
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object one = list.Get(i).As<Napi::Object>();
    const std::shared_ptr<LiveVolume> since = engine.store().Find(Whole(one, "since"));
    if (!since || !volume) return false;
    auto changes = std::make_shared<VolumeChanges>(since, volume);
    transmit.changed.push_back({std::move(changes), static_cast<uint32_t>(Whole(one, "id"))});
  }
  return true;
}

}  // namespace

HandshakeReply ReplyFrom(Engine& engine, const Napi::Object& answer) {
  HandshakeReply reply;
  const Napi::Uint8Array send = answer.Get("send").As<Napi::Uint8Array>();
  reply.send.assign(send.Data(), send.Data() + send.ByteLength());
  const std::string next = Text(answer, "next");
  if (next == "read") {
    reply.next = HandshakeReply::Next::kRead;
    reply.read_bytes = static_cast<uint32_t>(Whole(answer, "readBytes"));
  } else if (next == "secure") {
    reply.next = HandshakeReply::Next::kSecure;
  } else if (next == "transmit") {
    reply.transmit.volume = engine.store().Find(Whole(answer, "resource"));
    if (reply.transmit.volume && AddChanged(engine, answer, reply.transmit)) reply.next = HandshakeReply::Next::kTransmit;
    if (answer.Get("sizeBytes").IsNumber()) reply.transmit.size_bytes = Whole(answer, "sizeBytes");
    reply.transmit.read_only = answer.Get("readOnly").ToBoolean().Value();
    reply.transmit.structured_replies = answer.Get("structuredReplies").ToBoolean().Value();
    reply.transmit.base_allocation = answer.Get("baseAllocation").ToBoolean().Value();
    if (reply.transmit.base_allocation) reply.transmit.base_allocation_id = static_cast<uint32_t>(Whole(answer, "baseAllocationId"));
  }
  return reply;
}

}  // namespace skerry::addon
