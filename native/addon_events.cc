#include "addon_events.h"

#include "addon_values.h"

namespace skerry::addon {

void EventPoster::OnCommit(const RootCommit& commit) {
  mailbox_.Post([commit](Napi::Env env, Napi::Array& events) {
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "commit");
    event.Set("commit", FromCommit(env, commit));
    events.Set(events.Length(), event);
  });
}

void EventPoster::OnLog(LogLevel level, const std::string& message) {
  mailbox_.Post([level, message](Napi::Env env, Napi::Array& events) {
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "log");
    event.Set("level", level == LogLevel::kError ? "error" : level == LogLevel::kWarn ? "warn" : "info");
    event.Set("message", message);
    events.Set(events.Length(), event);
  });
}

void EventPoster::OnConnected(ConnectionId connection, const std::string& listener, int64_t user) {
  mailbox_.Post([connection, listener, user](Napi::Env env, Napi::Array& events) {
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "connected");
    event.Set("connection", static_cast<double>(connection));
    event.Set("listener", listener);
    event.Set("user", static_cast<double>(user));
    events.Set(events.Length(), event);
  });
}

void EventPoster::OnMessage(ConnectionId connection, std::vector<uint8_t> bytes) {
  mailbox_.Post([connection, bytes = std::move(bytes)](Napi::Env env, Napi::Array& events) {
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "message");
    event.Set("connection", static_cast<double>(connection));
    event.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size()));
    events.Set(events.Length(), event);
  });
}

void EventPoster::OnSecured(ConnectionId connection, const TlsPeer& peer) {
  mailbox_.Post([connection, peer](Napi::Env env, Napi::Array& events) {
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "secured");
    event.Set("connection", static_cast<double>(connection));
    event.Set("certified", peer.certified);
    event.Set("commonName", peer.common_name);
    Napi::Array names = Napi::Array::New(env);
    for (const std::string& name : peer.dns_names) names.Set(names.Length(), name);
    event.Set("dnsNames", names);
    event.Set("protocol", peer.protocol);
    event.Set("cipher", peer.cipher);
    events.Set(events.Length(), event);
  });
}

void EventPoster::OnClosed(ConnectionId connection, const std::string& why) {
  mailbox_.Post([connection, why](Napi::Env env, Napi::Array& events) {
    Napi::Object event = Napi::Object::New(env);
    event.Set("type", "closed");
    event.Set("connection", static_cast<double>(connection));
    event.Set("why", why);
    events.Set(events.Length(), event);
  });
}

}  // namespace skerry::addon
