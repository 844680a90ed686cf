// The calls that block: to connect, to open a pool, to list, to shut down.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster.h"

namespace skerry_rados {

// Names looked at by one call, whether they have the prefix or not: what a listing holds in memory.
inline constexpr size_t listing_names_max = 1000;

class Configure final : public BlockingCall {
 public:
  using Options = std::vector<std::pair<std::string, std::string>>;
  // `options` are set after the file was read, so that they win.
  Configure(Napi::Env env, const Cluster& cluster, std::string path, Options options)
      : BlockingCall(env, cluster.completions()), path_(std::move(path)), options_(std::move(options)) {}
  int Run(Cluster& cluster) override {
    int error = rados_conf_read_file(cluster.handle(), path_.c_str());
    for (size_t i = 0; i < options_.size() && error >= 0; ++i)
      error = rados_conf_set(cluster.handle(), options_[i].first.c_str(), options_[i].second.c_str());
    return error;
  }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  const std::string path_;
  const Options options_;
};

class Connect final : public BlockingCall {
 public:
  Connect(Napi::Env env, const Cluster& cluster) : BlockingCall(env, cluster.completions()) {}
  int Run(Cluster& cluster) override { return rados_connect(cluster.handle()); }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }
};

class OpenPool final : public BlockingCall {
 public:
  OpenPool(Napi::Env env, const Cluster& cluster, std::string pool, std::string name_space)
      : BlockingCall(env, cluster.completions()), pool_(std::move(pool)), name_space_(std::move(name_space)) {}
  int Run(Cluster& cluster) override { return cluster.OpenPool(pool_, name_space_); }

 protected:
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  const std::string pool_;
  const std::string name_space_;
};

// Resolves with the next names of a listing, perhaps none; with null where it has come to its end.
class NextNames final : public BlockingCall {
 public:
  NextNames(Napi::Env env, const Cluster& cluster, uint32_t listing) : BlockingCall(env, cluster.completions()), listing_(listing) {}
  int Run(Cluster& cluster) override;

 protected:
  Napi::Value Result(Napi::Env env) override;

 private:
  const uint32_t listing_;
  bool at_end_ = false;
  std::vector<std::string> names_;
};

class Close final : public BlockingCall {
 public:
  Close(Napi::Env env, std::shared_ptr<Cluster> cluster)
      : BlockingCall(env, cluster->completions()), cluster_(std::move(cluster)) {}
  int Run(Cluster& cluster) override {
    cluster.Shutdown();
    return 0;
  }

 protected:
  Napi::Value Result(Napi::Env env) override {
    cluster_->Close();
    return env.Undefined();
  }

 private:
  const std::shared_ptr<Cluster> cluster_;
};

}  // namespace skerry_rados
