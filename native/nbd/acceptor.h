#pragma once
// Accepts for the whole server, on one reactor, and deals connections out to all. Out of descriptors, it stops asking for
// a while instead of spinning.
#include <functional>
#include <vector>

#include "mailbox.h"

namespace skerry::nbd {

inline constexpr uint64_t kAcceptPauseNanos = 200ull * 1000 * 1000;

/** A live socket file is kInvalid, and so is a path that is too long or names something else. */
Result<Listener> ListenOnUnix(const std::string& path);
Result<Listener> ListenOnTcp(const std::string& host, uint16_t port);

class Acceptor {
 public:
  static constexpr uint64_t kTag = uint64_t{1} << 63;  // of poll events; the listener's index in the low bits
  /** `deal` is given every accepted socket; false says that there are too many, and the socket is closed. */
  explicit Acceptor(std::function<bool(Adopt)> deal) : deal_(std::move(deal)) {}
  ~Acceptor() { Close(); }
  void Add(int poll, Listener listener);
  void OnReady(uint64_t tag, uint64_t now);
  void OnTick(uint64_t now);
  bool paused() const { return paused_until_ != 0; }
  /** Closes listeners and removes their socket files. */
  void Close();

 private:
  void Listen(bool wanted);
  std::function<bool(Adopt)> deal_;
  int poll_ = -1;
  std::vector<Listener> listeners_;
  uint64_t paused_until_ = 0;
};

}  // namespace skerry::nbd
