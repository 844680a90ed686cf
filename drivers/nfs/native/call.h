// One remote procedure call: how it is sent, and what is kept of its answer.
#pragma once
#include <napi.h>
#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "../../native/operation.h"

namespace skerry_nfs {

class Call : public skerry_driver::Operation {
 public:
  using Operation::Operation;

  // Both on the thread of the connection. Hands the call to the library; not 0 where it would not take it.
  virtual int Send(rpc_context* rpc, rpc_cb answered, void* context) = 0;
  // Keeps what the answer says, which is gone afterwards. An errno.
  virtual int Take(void* answer) = 0;
};

// The library's own table has wrong answers (a quota that is used up is ERANGE there).
inline int ErrnoOf(nfsstat3 status) {
  switch (status) {
    case NFS3ERR_NAMETOOLONG: return ENAMETOOLONG;
    case NFS3ERR_NOTEMPTY: return ENOTEMPTY;
    case NFS3ERR_DQUOT: return EDQUOT;
    case NFS3ERR_STALE:
    case NFS3ERR_BADHANDLE: return ESTALE;
    case NFS3ERR_NOTSUPP: return EOPNOTSUPP;
    case NFS3ERR_BADTYPE: return EINVAL;
    case NFS3ERR_JUKEBOX: return EAGAIN;
    default: break;
  }
  // The others below are errno numbers, those above are of the protocol alone.
  const int number = static_cast<int>(status);
  return number < NFS3ERR_NAMETOOLONG ? number : EIO;
}

// What the server calls a file or directory by; opaque.
using Handle = std::string;

inline Handle HandleOf(const Napi::Value& value) {
  const auto buffer = value.As<Napi::Buffer<char>>();
  return Handle(buffer.Data(), buffer.Length());
}

inline Handle HandleOf(const nfs_fh3& handle) { return Handle(handle.data.data_val, handle.data.data_len); }

inline nfs_fh3 Borrow(Handle& handle) {
  nfs_fh3 borrowed{};
  borrowed.data.data_len = static_cast<u_int>(handle.size());
  borrowed.data.data_val = handle.data();
  return borrowed;
}

// Null where the server did not tell, which it may.
inline Napi::Value ToJs(Napi::Env env, const Handle& handle) {
  if (handle.empty()) return env.Null();
  return Napi::Buffer<char>::Copy(env, handle.data(), handle.size());
}

struct Attributes {
  bool known = false;
  ftype3 type = NF3REG;
  uint64_t bytes = 0;
  uint32_t modified_seconds = 0;

  Attributes() = default;
  explicit Attributes(const fattr3& from)
      : known(true), type(from.type), bytes(from.size), modified_seconds(from.mtime.seconds) {}
  explicit Attributes(const post_op_attr& from) {
    if (from.attributes_follow) *this = Attributes(from.post_op_attr_u.attributes);
  }

  // Null where the server did not tell, which it may.
  Napi::Value ToJs(Napi::Env env) const {
    if (!known) return env.Null();
    Napi::Object made = Napi::Object::New(env);
    made.Set("kind", Napi::String::New(env, type == NF3REG ? "file" : type == NF3DIR ? "directory" : "other"));
    made.Set("bytes", Napi::Number::New(env, static_cast<double>(bytes)));
    made.Set("modifiedSeconds", Napi::Number::New(env, modified_seconds));
    return made;
  }
};

}  // namespace skerry_nfs
