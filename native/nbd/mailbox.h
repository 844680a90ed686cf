#pragma once
// What other threads tell a reactor. A wake-up is written only while the reactor sleeps, so a burst costs one. A closed
// mailbox drops what comes: completions may arrive long after the server has gone.
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "../env/descriptor.h"
#include "attachments.h"
#include "buffer_budget.h"
#include "job.h"
#include "server.h"

namespace skerry::nbd {

class Mailbox;

/** A socket that accepts. */
struct Listener {
  Descriptor socket;
  std::string name;       // what Listen* returned
  std::string socket_path;  // a unix socket's file, removed at the end
  bool tcp = false;
};

struct AddListener { Listener listener; };
struct Adopt { Descriptor socket; std::string listener; int64_t user; };
struct Answer { ConnectionId connection; HandshakeReply reply; Attachment attachment; std::shared_ptr<const TlsContext> tls; };
struct Durable { ConnectionId connection; uint64_t group; Code code; };
struct Retry { ConnectionId connection; };
struct JobDone { ConnectionId connection; std::unique_ptr<Job> job; };
struct Granted { ConnectionId connection; Buffer buffer; bool receive; };
struct EndResource { ResourceId resource; };
/** End the connections of the resource whose client has gone, then say Fenced to `from`. */
struct Fence { ResourceId resource; std::shared_ptr<Mailbox> from; ConnectionId connection; };
struct Fenced { ConnectionId connection; };
struct StopServing {};

using Message = std::variant<AddListener, Adopt, std::unique_ptr<Answer>, Durable, Retry, JobDone, Granted, EndResource, Fence, Fenced, StopServing>;

class Mailbox {
 public:
  static Result<std::shared_ptr<Mailbox>> Make();
  Mailbox(Descriptor event) : event_(std::move(event)) {}

  /** Any thread. */
  void Post(Message message);
  /** To be polled edge-triggered for reading. */
  int descriptor() const { return event_.get(); }

  // The reactor's side.
  void Take(std::vector<Message>& into);
  /** False where there is something to take; otherwise the next Post wakes the descriptor. */
  bool Sleep();
  void Awake();
  void Close();

 private:
  Descriptor event_;
  std::mutex mutex_;
  std::vector<Message> messages_;
  bool sleeping_ = false;
  bool closed_ = false;
};

}  // namespace skerry::nbd
