#pragma once
// What the engine tells JavaScript, as events of one batch.
#include <string>
#include <vector>

#include "addon_mailbox.h"
#include "engine/engine.h"

namespace skerry::addon {

/** Called from engine threads; only posts. Outlives the engine. */
class EventPoster : public EngineListener, public NbdEvents {
 public:
  explicit EventPoster(Mailbox& mailbox) : mailbox_(mailbox) {}

  void OnCommit(const RootCommit& commit) override;
  void OnLog(LogLevel level, const std::string& message) override;
  void OnConnected(ConnectionId connection, const std::string& listener, int64_t user) override;
  void OnMessage(ConnectionId connection, std::vector<uint8_t> bytes) override;
  void OnSecured(ConnectionId connection, const TlsPeer& peer) override;
  void OnClosed(ConnectionId connection, const std::string& why) override;

 private:
  Mailbox& mailbox_;
};

}  // namespace skerry::addon
