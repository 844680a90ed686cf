#include "server.h"

#include "reactor.h"

namespace skerry {

void NbdBackend::WhenFlushed(Volume& volume, Lsn target, std::function<void(Status)> done) {
  // What is in the pool is read from there by a start whose journal may lack it: no sync of this host's disk is waited for, nor asked for.
  if (volume.flushes_to_pool()) return volume.WhenInPool(target, std::move(done));
  WhenDurable(target, std::move(done));
}

namespace nbd {

inline constexpr uint64_t kBufferBytesMin = 48u << 20;  // three quarters of it must hold the largest request and some more

class Server final : public NbdServer {
 public:
  Server(const NbdOptions& options, NbdBackend& backend, NbdEvents& events) : context_(options, backend, events) {}
  ~Server() override { Stop(); }

  Status StartThreads() {
    for (unsigned i = 0; i < context_.options.threads; ++i) {
      auto mailbox = Mailbox::Make();
      if (!mailbox.ok()) return mailbox.status();
      context_.mailboxes.push_back(std::move(mailbox.value()));
    }
    for (unsigned i = 0; i < context_.options.threads; ++i) reactors_.push_back(std::make_unique<Reactor>(context_, i));
    for (const auto& reactor : reactors_) {
      if (Status status = reactor->Start(); !status.ok()) return status;
    }
    return Status::Ok();
  }

  Result<std::string> ListenUnix(const std::string& path) override { return Listen([&] { return ListenOnUnix(path); }); }
  Result<std::string> ListenTcp(const std::string& host, uint16_t port) override {
    return Listen([&] { return ListenOnTcp(host, port); });
  }

  void UseTls(std::shared_ptr<const TlsContext> context) override {
    const std::lock_guard lock(tls_mutex_);
    tls_ = std::move(context);
  }

  void Reply(ConnectionId connection, HandshakeReply reply) override {
    const unsigned index = Reactor::IndexOf(connection);
    if (index >= context_.mailboxes.size()) return;
    Attachment attachment;
    if (reply.next == HandshakeReply::Next::kTransmit && reply.transmit.volume != nullptr) {
      attachment = Attachment(context_.attachments, reply.transmit.volume->id());
    }
    std::shared_ptr<const TlsContext> tls;
    if (reply.next == HandshakeReply::Next::kSecure) {
      const std::lock_guard lock(tls_mutex_);
      tls = tls_;
    }
    context_.mailboxes[index]->Post(
        std::make_unique<Answer>(Answer{connection, std::move(reply), std::move(attachment), std::move(tls)}));
  }

  unsigned Attached(ResourceId resource) const override { return context_.attachments->Count(resource); }
  std::vector<ResourceActivity> Activities() const override { return context_.attachments->Activities(); }

  void Disconnect(ResourceId resource) override {
    for (const auto& mailbox : context_.mailboxes) mailbox->Post(EndResource{resource});
  }

  void Stop() override {
    const std::lock_guard lock(stop_mutex_);
    if (stopped_) return;
    stopped_ = true;
    for (const auto& mailbox : context_.mailboxes) mailbox->Post(StopServing{});
    for (const auto& reactor : reactors_) reactor->Join();
    context_.blocking.Stop();
    for (const auto& mailbox : context_.mailboxes) mailbox->Close();
  }

  NbdCounters counters() const override {
    NbdCounters sum;
    for (const auto& reactor : reactors_) reactor->latency().AddTo(sum);
    sum.connections = context_.connections.load();
    sum.connections_total = context_.connections_total.load();
    sum.buffer_bytes = context_.receive_budget->used() + context_.data_budget->used();
    return sum;
  }

 private:
  template <typename Open>
  Result<std::string> Listen(Open open) {
    const std::lock_guard lock(stop_mutex_);
    if (stopped_) return Status(Code::kClosed, "the server has stopped");
    Result<Listener> listener = open();
    if (!listener.ok()) return listener.status();
    std::string name = listener->name;
    context_.mailboxes[0]->Post(AddListener{std::move(listener.value())});
    return name;
  }

  ServerContext context_;
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
  std::mutex tls_mutex_;
  std::shared_ptr<const TlsContext> tls_;
};

}  // namespace nbd

Result<std::unique_ptr<NbdServer>> NbdServer::Start(const NbdOptions& options, NbdBackend& backend, NbdEvents& events) {
  if (options.threads == 0 || options.threads > nbd::kReactorsMax || options.blocking_threads == 0) {
    return Status(Code::kInvalid, "the NBD server wants 1 to " + std::to_string(nbd::kReactorsMax) +
                                      " socket threads and at least 1 blocking thread");
  }
  const uint64_t least = nbd::kBufferBytesMin + (uint64_t{options.threads} << 20);
  if (options.buffer_bytes_max < least) {
    return Status(Code::kInvalid,
                  "the NBD server wants at least " + std::to_string(least) + " bytes for buffers, to hold its largest request");
  }
  auto server = std::make_unique<nbd::Server>(options, backend, events);
  if (Status status = server->StartThreads(); !status.ok()) return status;
  return std::unique_ptr<NbdServer>(std::move(server));
}

}  // namespace skerry
