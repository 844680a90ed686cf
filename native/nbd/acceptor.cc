#include "acceptor.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace skerry::nbd {

inline constexpr int kListenBacklog = 128;
inline constexpr int kUnixSocketBufferBytes = 4 << 20;  // the kernel lowers it to its own limit
inline constexpr unsigned kAcceptsPerPollMax = 64;

namespace {

Status SystemError(const std::string& what, int error) {
  const Code code = error == EADDRINUSE || error == EACCES || error == ENOENT || error == ENOTDIR ? Code::kInvalid : Code::kIo;
  return {code, what + ": " + std::strerror(error)};
}

/** Removes a socket file that nobody listens on. */
Status ClearSocketFile(const std::string& path, const sockaddr_un& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? Status::Ok() : SystemError("cannot look at " + path, errno);
  }
  if (!S_ISSOCK(found.st_mode)) return {Code::kInvalid, path + " exists and is not a socket; it was left alone"};
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.open()) return SystemError("cannot make a socket", errno);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
    return {Code::kInvalid, path + " is in use: another server answers on it. Stop that, or choose another data directory"};
  }
  if (errno != ECONNREFUSED) return SystemError("cannot tell whether " + path + " is in use", errno);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError("cannot remove the stale socket " + path, errno);
  return Status::Ok();
}

std::string NameOf(const sockaddr_storage& address, const std::string& host) {
  const bool six = address.ss_family == AF_INET6;
  const uint16_t port = ntohs(six ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                  : reinterpret_cast<const sockaddr_in&>(address).sin_port);
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

/** Who connected, as the kernel says. */
int64_t UserOf(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 ? int64_t{peer.uid} : kNoUser;
}

}  // namespace

Result<Listener> ListenOnUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Status(Code::kInvalid, "a unix socket path has 1 to " + std::to_string(sizeof(address.sun_path) - 1) + " bytes; \"" + path +
                                      "\" has " + std::to_string(path.size()) + ": choose a shorter directory");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (Status status = ClearSocketFile(path, address); !status.ok()) return status;
  Listener listener;
  listener.socket = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.socket.open()) return SystemError("cannot make a socket", errno);
  if (::bind(listener.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError("cannot bind " + path, errno);
  }
  listener.socket_path = path;
  listener.name = path;
  // Nobody can connect before listen(), so there is no moment at which the mode is wider.
  if (::chmod(path.c_str(), 0600) != 0 || ::listen(listener.socket.get(), kListenBacklog) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return SystemError("cannot listen on " + path, error);
  }
  return listener;
}

Result<Listener> ListenOnTcp(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string where = host + ":" + std::to_string(port);
  if (const int failed = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found); failed != 0) {
    return Status(Code::kInvalid, "cannot resolve " + where + ": " + ::gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Listener listener;
    listener.tcp = true;
    listener.socket = Descriptor(::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (listener.socket.open()) ::setsockopt(listener.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!listener.socket.open() || ::bind(listener.socket.get(), each->ai_addr, each->ai_addrlen) != 0 ||
        ::listen(listener.socket.get(), kListenBacklog) != 0) {
      error = errno;
      continue;
    }
    sockaddr_storage bound{};
    socklen_t bound_bytes = sizeof(bound);
    if (::getsockname(listener.socket.get(), reinterpret_cast<sockaddr*>(&bound), &bound_bytes) != 0) {
      return SystemError("cannot name " + where, errno);
    }
    listener.name = NameOf(bound, host.empty() ? (bound.ss_family == AF_INET6 ? "::" : "0.0.0.0") : host);
    return listener;
  }
  return SystemError("cannot listen on " + where, error);
}

void Acceptor::Add(int poll, Listener listener) {
  poll_ = poll;
  epoll_event event{};
  event.events = paused() ? 0u : uint32_t{EPOLLIN};
  event.data.u64 = kTag | listeners_.size();
  ::epoll_ctl(poll_, EPOLL_CTL_ADD, listener.socket.get(), &event);
  listeners_.push_back(std::move(listener));
}

void Acceptor::OnReady(uint64_t tag, uint64_t now) {
  const uint64_t index = tag & ~kTag;
  if (index >= listeners_.size()) return;
  const Listener& listener = listeners_[index];
  for (unsigned i = 0; i < kAcceptsPerPollMax; ++i) {
    Descriptor socket(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // The client stays in the backlog. Level-triggered polling would report it again and again.
        paused_until_ = now + kAcceptPauseNanos;
        Listen(false);
      }
      return;
    }
    const int on = 1;
    int64_t user = kNoUser;
    if (listener.tcp) {
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
      const int idle_seconds = 60, interval_seconds = 15, probes = 4;
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof(idle_seconds));
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof(interval_seconds));
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    } else {
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kUnixSocketBufferBytes, sizeof(kUnixSocketBufferBytes));
      user = UserOf(socket.get());
    }
    // Past the limit the client sees its connection closed before a greeting.
    if (!deal_(Adopt{std::move(socket), listener.name, user})) continue;
  }
}

void Acceptor::OnTick(uint64_t now) {
  if (!paused() || now < paused_until_) return;
  paused_until_ = 0;
  Listen(true);
}

void Acceptor::Listen(bool wanted) {
  for (size_t i = 0; i < listeners_.size(); ++i) {
    epoll_event event{};
    event.events = wanted ? uint32_t{EPOLLIN} : 0u;
    event.data.u64 = kTag | i;
    ::epoll_ctl(poll_, EPOLL_CTL_MOD, listeners_[i].socket.get(), &event);
  }
}

void Acceptor::Close() {
  for (const Listener& listener : listeners_) {
    if (!listener.socket_path.empty()) ::unlink(listener.socket_path.c_str());
  }
  listeners_.clear();
  paused_until_ = 0;
}

}  // namespace skerry::nbd
