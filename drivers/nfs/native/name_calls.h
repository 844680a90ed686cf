// Calls that find, make and change names in a directory. All but Lookup and List are on the server's stable storage when
// they are answered (RFC 1813, section 4).
#pragma once
#include <cstring>
#include <vector>

#include "call.h"

namespace skerry_nfs {

// A name in a directory: the first two arguments of each.
class NameCall : public Call {
 public:
  NameCall(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)), directory_(HandleOf(info[0])), name_(info[1].As<Napi::String>()) {}

 protected:
  diropargs3 Where() {
    diropargs3 where{};
    where.dir = Borrow(directory_);
    where.name = name_.data();
    return where;
  }

 private:
  Handle directory_;
  std::string name_;
};

// lookup(directory, name): { handle, attributes }.
class Lookup final : public NameCall {
 public:
  using NameCall::NameCall;

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    LOOKUP3args args{Where()};
    return rpc_nfs3_lookup_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<LOOKUP3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    handle_ = HandleOf(result.LOOKUP3res_u.resok.object);
    attributes_ = Attributes(result.LOOKUP3res_u.resok.obj_attributes);
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override {
    Napi::Object made = Napi::Object::New(env);
    made.Set("handle", ToJs(env, handle_));
    made.Set("attributes", attributes_.ToJs(env));
    return made;
  }

 private:
  Handle handle_;
  Attributes attributes_;
};

// create(directory, name): a new file.
class Create final : public NameCall {
 public:
  using NameCall::NameCall;

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    CREATE3args args{};
    args.where = Where();
    args.how.mode = GUARDED;
    args.how.createhow3_u.g_obj_attributes.mode.set_it = 1;
    args.how.createhow3_u.g_obj_attributes.mode.set_mode3_u.mode = 0600;
    return rpc_nfs3_create_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override { return ErrnoOf(static_cast<CREATE3res*>(answer)->status); }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }
};

// makeDirectory(directory, name)
class MakeDirectory final : public NameCall {
 public:
  using NameCall::NameCall;

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    MKDIR3args args{};
    args.where = Where();
    args.attributes.mode.set_it = 1;
    args.attributes.mode.set_mode3_u.mode = 0700;
    return rpc_nfs3_mkdir_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override { return ErrnoOf(static_cast<MKDIR3res*>(answer)->status); }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }
};

// remove(directory, name): of a file.
class Remove final : public NameCall {
 public:
  using NameCall::NameCall;

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    REMOVE3args args{Where()};
    return rpc_nfs3_remove_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override { return ErrnoOf(static_cast<REMOVE3res*>(answer)->status); }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }
};

// rename(directory, name, toDirectory, toName)
class Rename final : public NameCall {
 public:
  Rename(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : NameCall(info, std::move(completions)),
        to_directory_(HandleOf(info[2])),
        to_name_(info[3].As<Napi::String>()) {}

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    RENAME3args args{};
    args.from = Where();
    args.to.dir = Borrow(to_directory_);
    args.to.name = to_name_.data();
    return rpc_nfs3_rename_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override { return ErrnoOf(static_cast<RENAME3res*>(answer)->status); }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  Handle to_directory_;
  std::string to_name_;
};

// list(directory, cookie, verifier): { entries: { name, attributes }[], cookie, verifier, end }. It begins with zeroes, and goes
// on with what the page before said.
class List final : public Call {
 public:
  List(const Napi::CallbackInfo& info, std::shared_ptr<skerry_driver::Completions> completions)
      : Call(info.Env(), std::move(completions)), directory_(HandleOf(info[0])) {
    bool lossless = false;
    cookie_ = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
    verifier_ = info[2].As<Napi::BigInt>().Uint64Value(&lossless);
  }

  int Send(rpc_context* rpc, rpc_cb answered, void* context) override {
    READDIRPLUS3args args{};
    args.dir = Borrow(directory_);
    args.cookie = cookie_;
    static_assert(sizeof verifier_ == sizeof args.cookieverf);
    std::memcpy(args.cookieverf, &verifier_, sizeof verifier_);
    args.dircount = names_bytes_max;
    args.maxcount = page_bytes_max;
    return rpc_nfs3_readdirplus_async(rpc, answered, &args, context);
  }
  int Take(void* answer) override {
    const auto& result = *static_cast<READDIRPLUS3res*>(answer);
    if (result.status != NFS3_OK) return ErrnoOf(result.status);
    const READDIRPLUS3resok& page = result.READDIRPLUS3res_u.resok;
    std::memcpy(&verifier_, page.cookieverf, sizeof verifier_);
    end_ = page.reply.eof != 0;
    for (const void* next = page.reply.entries; next != nullptr;) {
      // The library lays them wherever four bytes are aligned.
      entryplus3 entry;
      std::memcpy(&entry, next, sizeof entry);
      cookie_ = entry.cookie;
      entries_.emplace_back(entry.name, Attributes(entry.name_attributes));
      next = entry.nextentry;
    }
    // One that is neither the end nor leads on would be asked for for ever.
    return entries_.empty() && !end_ ? EIO : 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override {
    Napi::Array entries = Napi::Array::New(env, entries_.size());
    for (size_t index = 0; index < entries_.size(); ++index) {
      Napi::Object entry = Napi::Object::New(env);
      entry.Set("name", Napi::String::New(env, entries_[index].first));
      entry.Set("attributes", entries_[index].second.ToJs(env));
      entries[static_cast<uint32_t>(index)] = entry;
    }
    Napi::Object made = Napi::Object::New(env);
    made.Set("entries", entries);
    made.Set("cookie", Napi::BigInt::New(env, cookie_));
    made.Set("verifier", Napi::BigInt::New(env, verifier_));
    made.Set("end", Napi::Boolean::New(env, end_));
    return made;
  }

 private:
  static constexpr uint32_t names_bytes_max = 16 << 10;
  static constexpr uint32_t page_bytes_max = 128 << 10;

  Handle directory_;
  uint64_t cookie_ = 0;
  uint64_t verifier_ = 0;
  std::vector<std::pair<std::string, Attributes>> entries_;
  bool end_ = false;
};

}  // namespace skerry_nfs
