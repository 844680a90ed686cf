// What drivers/gluster calls of libgfapi, as promises. Each call is made on a thread of the connection, never on that of
// JavaScript: even one that only begins something may block while the volume is being changed.
#include <napi.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connection.h"
#include "transfers.h"

namespace skerry_gluster {
namespace {

using skerry_driver::Completions;
using skerry_driver::Operation;

template <typename Value>
using Convert = Napi::Value (*)(Napi::Env, Value&);

template <typename Value>
class Call final : public Operation {
 public:
  Call(Napi::Env env, Connection& connection, Convert<Value> convert)
      : Operation(env, connection.completions()), convert_(convert) {}

  Value value{};

 private:
  Napi::Value Result(Napi::Env env) override { return convert_(env, value); }

  Convert<Value> convert_;
};

// `work` blocks: it fills the value in and gives an errno, or 0.
template <typename Value, typename Work>
Napi::Value Blocking(Napi::Env env, Connection& connection, Work work, Convert<Value> convert) {
  auto call = std::make_unique<Call<Value>>(env, connection, convert);
  const Napi::Promise promise = call->promise();
  connection.workers().Do([call = std::move(call), work = std::move(work)]() mutable {
    const int error = work(call->value);
    Operation::End(std::move(call), error);
  });
  return promise;
}

struct Nothing {};
Napi::Value ToUndefined(Napi::Env env, Nothing&) { return env.Undefined(); }

// `status` as the library's calls give it.
int ErrnoOf(int status) { return status == 0 ? 0 : errno; }

// Of one environment.
struct Module {
  Napi::FunctionReference volume;
  Napi::FunctionReference file;
  Napi::FunctionReference directory;
  std::shared_ptr<Transfers> transfers = std::make_shared<Transfers>();
};

// A read, write or sync: it needs its thread only to begin. Holds the descriptor and the buffer until the library is done.
class Transfer final : public Operation {
 public:
  Transfer(Napi::Env env, std::shared_ptr<OpenFile> file)
      : Operation(env, file->connection().completions()),
        file_(std::move(file)),
        transfers_(env.GetInstanceData<Module>()->transfers) {}

  // `begin` hands itself to the library, with OnEnd as the callback.
  template <typename Begin>
  static Napi::Value Start(std::unique_ptr<Transfer> transfer, Begin begin) {
    const Napi::Promise promise = transfer->promise();
    Workers& workers = transfer->file_->connection().workers();
    workers.Do([transfer = std::move(transfer), begin = std::move(begin)]() mutable {
      if (!transfer->transfers_->Begin()) {
        End(std::move(transfer), ECANCELED);
        return;
      }
      glfs_fd_t* descriptor = transfer->file_->descriptor();
      Transfer* raw = transfer.release();
      // Once it has begun it may have ended.
      if (begin(descriptor, static_cast<void*>(raw)) != 0) Finish(std::unique_ptr<Transfer>(raw), errno);
    });
    return promise;
  }

  static void OnEnd(glfs_fd_t*, ssize_t result, struct glfs_stat*, struct glfs_stat*, void* data) {
    std::unique_ptr<Transfer> transfer(static_cast<Transfer*>(data));
    const int error = result < 0 ? errno : 0;
    transfer->bytes_ = result;
    Finish(std::move(transfer), error);
  }

 private:
  static void Finish(std::unique_ptr<Transfer> transfer, int error) {
    const std::shared_ptr<Transfers> transfers = transfer->transfers_;
    End(std::move(transfer), error);
    transfers->End();
  }

  Napi::Value Result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(bytes_)); }

  std::shared_ptr<OpenFile> file_;
  const std::shared_ptr<Transfers> transfers_;
  ssize_t bytes_ = 0;
};

class File final : public Napi::ObjectWrap<File> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "File",
                       {InstanceMethod<&File::Read>("read"), InstanceMethod<&File::Write>("write"),
                        InstanceMethod<&File::Sync>("sync"), InstanceMethod<&File::Close>("close")});
  }
  explicit File(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  void Hold(std::shared_ptr<OpenFile> file) { file_ = std::move(file); }

 private:
  // read(into, offset): bytes read
  Napi::Value Read(const Napi::CallbackInfo& info) {
    return Move(info, [](glfs_fd_t* file, uint8_t* at, size_t bytes, off_t offset, void* data) {
      return glfs_pread_async(file, at, bytes, offset, 0, Transfer::OnEnd, data);
    });
  }

  // write(from, offset): bytes written
  Napi::Value Write(const Napi::CallbackInfo& info) {
    return Move(info, [](glfs_fd_t* file, uint8_t* at, size_t bytes, off_t offset, void* data) {
      return glfs_pwrite_async(file, at, static_cast<int>(bytes), offset, 0, Transfer::OnEnd, data);
    });
  }

  template <typename Begin>
  Napi::Value Move(const Napi::CallbackInfo& info, Begin begin) {
    auto buffer = info[0].As<Napi::Uint8Array>();
    auto transfer = std::make_unique<Transfer>(info.Env(), file_);
    transfer->Pin(buffer);
    const off_t offset = info[1].As<Napi::Number>().Int64Value();
    return Transfer::Start(std::move(transfer),
                           [begin, at = buffer.Data(), bytes = buffer.ByteLength(), offset](glfs_fd_t* file, void* data) {
                             return begin(file, at, bytes, offset, data);
                           });
  }

  Napi::Value Sync(const Napi::CallbackInfo& info) {
    return Transfer::Start(std::make_unique<Transfer>(info.Env(), file_),
                           [](glfs_fd_t* file, void* data) { return glfs_fsync_async(file, Transfer::OnEnd, data); });
  }

  // It is closed once all that is under way has ended.
  void Close(const Napi::CallbackInfo&) { file_.reset(); }

  std::shared_ptr<OpenFile> file_;
};

Napi::Value ToEntries(Napi::Env env, std::vector<Entry>& entries) {
  Napi::Array made = Napi::Array::New(env, entries.size());
  for (uint32_t index = 0; index < entries.size(); ++index) {
    const Entry& entry = entries[index];
    Napi::Object one = Napi::Object::New(env);
    one.Set("name", entry.name);
    one.Set("isFile", S_ISREG(entry.info.st_mode));
    one.Set("isDirectory", S_ISDIR(entry.info.st_mode));
    one.Set("bytes", static_cast<double>(entry.info.st_size));
    one.Set("changedSeconds", static_cast<double>(entry.info.st_ctime));
    made.Set(index, one);
  }
  return made;
}

class Directory final : public Napi::ObjectWrap<Directory> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Directory", {InstanceMethod<&Directory::Read>("read"), InstanceMethod<&Directory::Close>("close")});
  }
  explicit Directory(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  void Hold(std::shared_ptr<OpenDirectory> directory) { directory_ = std::move(directory); }

 private:
  // read(): the next entries, none at the end
  Napi::Value Read(const Napi::CallbackInfo& info) {
    return Blocking<std::vector<Entry>>(
        info.Env(), directory_->connection(),
        [directory = directory_](std::vector<Entry>& entries) { return directory->Read(entries); }, ToEntries);
  }
  void Close(const Napi::CallbackInfo&) { directory_.reset(); }

  std::shared_ptr<OpenDirectory> directory_;
};

// Empty where the environment is ending.
template <typename Wrap, typename Held>
Napi::Value Wrapped(const Napi::FunctionReference& constructor, Held held) {
  const Napi::Object made = constructor.New({});
  Wrap* wrap = made.IsEmpty() ? nullptr : Wrap::Unwrap(made);
  if (wrap != nullptr) wrap->Hold(std::move(held));
  return made;
}
Napi::Value ToFile(Napi::Env env, std::shared_ptr<OpenFile>& file) {
  return Wrapped<File>(env.GetInstanceData<Module>()->file, std::move(file));
}
Napi::Value ToDirectory(Napi::Env env, std::shared_ptr<OpenDirectory>& directory) {
  return Wrapped<Directory>(env.GetInstanceData<Module>()->directory, std::move(directory));
}

std::string TextOf(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }

class Volume final : public Napi::ObjectWrap<Volume> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Volume",
                       {InstanceMethod<&Volume::Open>("open"), InstanceMethod<&Volume::Create>("create"),
                        InstanceMethod<&Volume::Rename>("rename"), InstanceMethod<&Volume::Unlink>("unlink"),
                        InstanceMethod<&Volume::MakeDirectory>("makeDirectory"), InstanceMethod<&Volume::Stat>("stat"),
                        InstanceMethod<&Volume::OpenDirectory>("openDirectory"), InstanceMethod<&Volume::Reach>("reach"),
                        InstanceMethod<&Volume::Release>("release")});
  }
  explicit Volume(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  void Hold(std::shared_ptr<Connection> connection) { connection_ = std::move(connection); }

 private:
  using Descriptor = std::shared_ptr<OpenFile>;

  static int Hold(const std::shared_ptr<Connection>& connection, glfs_fd_t* descriptor, Descriptor& file) {
    if (descriptor == nullptr) return errno;
    file = std::make_shared<OpenFile>(connection, descriptor);
    return 0;
  }

  // open(path, toSync): a sync needs a descriptor that the server has open, which one that only reads may not be
  Napi::Value Open(const Napi::CallbackInfo& info) {
    const int flags = info[1].As<Napi::Boolean>().Value() ? O_RDWR : O_RDONLY;
    return Blocking<Descriptor>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0]), flags](Descriptor& file) {
          return Hold(connection, glfs_open(connection->fs(), path.c_str(), flags), file);
        },
        ToFile);
  }

  Napi::Value Create(const Napi::CallbackInfo& info) {
    return Blocking<Descriptor>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0])](Descriptor& file) {
          return Hold(connection, glfs_creat(connection->fs(), path.c_str(), O_RDWR | O_EXCL, 0600), file);
        },
        ToFile);
  }

  Napi::Value Rename(const Napi::CallbackInfo& info) {
    return Blocking<Nothing>(
        info.Env(), *connection_,
        [connection = connection_, from = TextOf(info[0]), to = TextOf(info[1])](Nothing&) {
          return ErrnoOf(glfs_rename(connection->fs(), from.c_str(), to.c_str()));
        },
        ToUndefined);
  }

  Napi::Value Unlink(const Napi::CallbackInfo& info) {
    return Blocking<Nothing>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0])](Nothing&) {
          return ErrnoOf(glfs_unlink(connection->fs(), path.c_str()));
        },
        ToUndefined);
  }

  Napi::Value MakeDirectory(const Napi::CallbackInfo& info) {
    return Blocking<Nothing>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0])](Nothing&) {
          return ErrnoOf(glfs_mkdir(connection->fs(), path.c_str(), 0700));
        },
        ToUndefined);
  }

  // stat(path): as an entry of one directory
  Napi::Value Stat(const Napi::CallbackInfo& info) {
    return Blocking<std::vector<Entry>>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0])](std::vector<Entry>& entries) {
          Entry& entry = entries.emplace_back();
          return ErrnoOf(glfs_lstat(connection->fs(), path.c_str(), &entry.info));
        },
        ToEntries);
  }

  Napi::Value OpenDirectory(const Napi::CallbackInfo& info) {
    using Handle = std::shared_ptr<skerry_gluster::OpenDirectory>;
    return Blocking<Handle>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0])](Handle& directory) {
          glfs_fd_t* descriptor = glfs_opendir(connection->fs(), path.c_str());
          if (descriptor == nullptr) return errno;
          directory = std::make_shared<skerry_gluster::OpenDirectory>(connection, descriptor);
          return 0;
        },
        ToDirectory);
  }

  // reach(path): fails unless every part of a distributed volume is there. Where one is away, its files merely look absent to
  // every call but this: a directory is removed from all parts or from none, so its removal is refused with ENOTCONN. `path`
  // has a directory in it, so that it is refused in any case.
  Napi::Value Reach(const Napi::CallbackInfo& info) {
    return Blocking<Nothing>(
        info.Env(), *connection_,
        [connection = connection_, path = TextOf(info[0])](Nothing&) {
          if (glfs_rmdir(connection->fs(), path.c_str()) == 0) return ENOENT;
          return errno == ENOTEMPTY || errno == EEXIST ? 0 : errno;
        },
        ToUndefined);
  }

  // The connection ends once all that is under way has ended.
  void Release(const Napi::CallbackInfo&) { connection_.reset(); }

  std::shared_ptr<Connection> connection_;
};

Napi::Value ToVolume(Napi::Env env, std::shared_ptr<Connection>& connection) {
  return Wrapped<Volume>(env.GetInstanceData<Module>()->volume, std::move(connection));
}

// connect(port, volume, ...hosts): a Volume
Napi::Value Connect(const Napi::CallbackInfo& info) {
  Address address{{}, info[0].As<Napi::Number>().Int32Value(), TextOf(info[1])};
  for (size_t index = 2; index < info.Length(); ++index) address.hosts.push_back(TextOf(info[index]));
  auto connection = std::make_shared<Connection>(std::make_shared<Completions>(info.Env(), "skerry gluster"));
  return Blocking<std::shared_ptr<Connection>>(
      info.Env(), *connection,
      [connection, address = std::move(address)](std::shared_ptr<Connection>& connected) {
        connected = connection;
        return connection->Connect(address);
      },
      ToVolume);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto module = std::make_unique<Module>();
  module->volume = Napi::Persistent(Volume::Define(env));
  module->file = Napi::Persistent(File::Define(env));
  module->directory = Napi::Persistent(Directory::Define(env));
  // Hooks run last first: the environment's own, which lets go of the instance data, was there before this one.
  napi_add_env_cleanup_hook(env, [](void* transfers) { static_cast<Transfers*>(transfers)->EndEnvironment(); },
                            module->transfers.get());
  env.SetInstanceData(module.release());
  exports.Set("connect", Napi::Function::New(env, Connect));
  return exports;
}

}  // namespace
}  // namespace skerry_gluster

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) { return skerry_gluster::Init(env, exports); }
NODE_API_MODULE(gluster_bindings, InitModule)
