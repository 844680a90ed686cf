// The real Env, against the real machine: a scratch directory of the working file system, and /dev/shm.
#include "../env/env.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include "check.h"

namespace skerry {
namespace {

/** A directory that goes with the test. TMPDIR chooses the file system. */
class Scratch {
 public:
  Scratch() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/var/tmp") + "/skerry-env-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw check::Failure{"mkdtemp failed"};
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Region {
 public:
  explicit Region(Env& env) : env_(env), name_("skerry-env-test-" + std::to_string(::getpid())) { (void)env_.RemoveShared(name_); }
  ~Region() { (void)env_.RemoveShared(name_); }
  const std::string& name() const { return name_; }
  std::string path() const { return "/dev/shm/" + name_; }

 private:
  Env& env_;
  const std::string name_;
};

std::vector<uint8_t> Pattern(size_t bytes, uint8_t seed) {
  std::vector<uint8_t> data(bytes);
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<uint8_t>(seed + i * 7 + i / 251);
  return data;
}

std::unique_ptr<File> MustOpen(Env& env, const std::string& path, OpenOptions options) {
  Result<std::unique_ptr<File>> file = env.Open(path, options);
  CHECK_OK(file.status());
  return std::move(*file);
}

constexpr OpenOptions kCreate{.write = true, .create = true};

TEST("what was written is read back, short only at the end of the file") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "a", kCreate);
  const auto data = Pattern(10000, 3);
  CHECK_OK(file->Write(data, 5));
  CHECK_OK(file->DataSync());
  std::vector<uint8_t> back(20000);
  Result<size_t> got = file->Read(back, 0);
  CHECK(got.ok() && *got == 10005);
  CHECK(std::memcmp(back.data() + 5, data.data(), data.size()) == 0);
  CHECK(back[0] == 0 && back[4] == 0);
  got = file->Read(back, 10005);
  CHECK(got.ok() && *got == 0);
  Result<uint64_t> size = file->Size();
  CHECK(size.ok() && *size == 10005);
  CHECK_OK(file->Truncate(7));
  got = file->Read(back, 0);
  CHECK(got.ok() && *got == 7);
}

TEST("a read that may not wait gives what is cached, scattered, and stops at the end") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "a", kCreate);
  const auto data = Pattern(300 * 100, 9);
  CHECK_OK(file->Write(data, 0));
  std::vector<uint8_t> back(data.size() + 50);
  std::vector<Bytes> parts;  // more parts than one system call takes, some of them empty
  for (size_t at = 0; at < back.size(); at += 100) {
    parts.emplace_back(back.data() + at, std::min<size_t>(100, back.size() - at));
    parts.emplace_back(back.data(), size_t{0});
  }
  Result<size_t> got = file->ReadNow(parts, 0);
  CHECK(got.ok() || got.code() == Code::kTryAgain);  // some file systems cannot say
  if (!got.ok()) return;
  CHECK(*got == data.size());
  CHECK(std::memcmp(back.data(), data.data(), data.size()) == 0);
}

TEST("a read that may not wait says so when bytes are not in memory, and never for direct files") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "a", kCreate);
  const auto data = Pattern(1 << 20, 1);
  CHECK_OK(file->Write(data, 0));
  CHECK_OK(file->DataSync());
  const int fd = ::open((scratch / "a").c_str(), O_RDONLY);
  CHECK(fd >= 0 && ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
  ::close(fd);
  std::vector<uint8_t> back(4096);
  const Bytes part(back);
  Result<size_t> got = file->ReadNow({&part, 1}, 512 << 10);
  // A file system of memory alone keeps all it has; any other must not have waited.
  CHECK(got.code() == Code::kTryAgain || got.ok());
  auto direct = MustOpen(*env, scratch / "a", {.direct = true});
  AlignedBuffer buffer(4096);
  const Bytes whole = buffer.bytes();
  CHECK(direct->ReadNow({&whole, 1}, 0).code() == Code::kTryAgain);
}

TEST("direct I/O moves aligned sectors, refuses others, and reads up to an unaligned end") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "a", {.write = true, .create = true, .exclusive = true, .direct = true});
  AlignedBuffer buffer(16384);
  CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % kSectorBytes == 0);
  const auto data = Pattern(16384, 5);
  std::memcpy(buffer.data(), data.data(), data.size());
  CHECK_OK(file->Write(buffer.bytes(), 4096));
  CHECK_OK(file->DataSync());
  CHECK(file->Write(buffer.bytes().first(100), 0).code() == Code::kInvalid);
  CHECK(file->Write(buffer.bytes().first(4096), 512).code() == Code::kInvalid);
  CHECK(file->Write(buffer.bytes().subspan(8, 4096), 0).code() == Code::kInvalid);
  CHECK(file->Read(buffer.bytes().first(100), 0).code() == Code::kInvalid);
  CHECK_OK(file->Truncate(4096 + 5000));
  AlignedBuffer back(16384);
  Result<size_t> got = file->Read(back.bytes(), 4096);
  CHECK(got.ok() && *got == 5000);
  CHECK(std::memcmp(back.data(), data.data(), 5000) == 0);
}

TEST("space is reserved ahead, what cannot be is kNoSpace, and reserving keeps what is there") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "a", kCreate);
  const auto data = Pattern(4096, 2);
  CHECK_OK(file->Write(data, 0));
  CHECK_OK(file->Allocate(1 << 20));
  Result<uint64_t> size = file->Size();
  CHECK(size.ok() && *size == 1 << 20);
  CHECK_OK(file->Allocate(4096));
  size = file->Size();
  CHECK(size.ok() && *size == 1 << 20);
  std::vector<uint8_t> back(4096);
  CHECK(file->Read(back, 0).ok() && back == data);
  Result<uint64_t> free = env->FreeBytes(scratch.path());
  CHECK(free.ok() && *free > 0);
  CHECK(file->Allocate(uint64_t{1} << 60).code() == Code::kNoSpace);
  CHECK(file->Allocate(~uint64_t{0}).code() == Code::kNoSpace);
  CHECK(file->Write(data, ~uint64_t{0} - 10).code() == Code::kInvalid);
}

TEST("a write past the limit of the file's size is kNoSpace, and the detail names the path") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "limited", kCreate);
  struct rlimit before;
  CHECK(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit limited = before;
  limited.rlim_cur = 6000;
  CHECK(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const Status status = file->Write(Pattern(16384, 1), 0);
  CHECK(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old);
  CHECK(status.code() == Code::kNoSpace);
  CHECK(status.detail().find(scratch / "limited") != std::string::npos);
}

TEST("opening tells absent, present, read-only handles and things that are no files apart") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  CHECK(env->Open(scratch / "absent", {}).code() == Code::kNotFound);
  auto file = MustOpen(*env, scratch / "a", kCreate);
  CHECK(env->Open(scratch / "a", {.write = true, .create = true, .exclusive = true}).code() == Code::kInvalid);
  CHECK(env->Open(scratch.path(), {}).code() == Code::kInvalid);
  CHECK(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  CHECK(env->Open(scratch / "fifo", {}).code() == Code::kInvalid);
  auto reader = MustOpen(*env, scratch / "a", {});
  CHECK(reader->Write(Pattern(10, 1), 0).code() == Code::kInvalid);
  struct stat info;
  CHECK(::stat((scratch / "a").c_str(), &info) == 0 && (info.st_mode & 0777) == 0600);
}

TEST("directories are made with their parents; files are listed sorted, renamed and removed") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  const std::string deep = scratch / "x/y/z";
  CHECK_OK(env->MakeDirectory(deep));
  CHECK_OK(env->MakeDirectory(deep + "/"));
  CHECK(env->MakeDirectory("").code() == Code::kInvalid);
  CHECK_OK(MustOpen(*env, deep + "/b", kCreate)->Write(Pattern(7, 0), 0));
  CHECK_OK(MustOpen(*env, deep + "/a", kCreate)->Write(Pattern(5, 0), 0));
  CHECK_OK(env->MakeDirectory(deep + "/sub"));
  CHECK(::symlink("a", (deep + "/link").c_str()) == 0);
  CHECK(env->MakeDirectory(deep + "/a/under").code() == Code::kInvalid);
  Result<std::vector<DirectoryEntry>> entries = env->List(deep);
  CHECK(entries.ok() && entries->size() == 2);
  CHECK((*entries)[0].name == "a" && (*entries)[0].bytes == 5 && (*entries)[1].name == "b");
  CHECK_OK(env->Rename(deep + "/a", deep + "/b"));
  CHECK_OK(env->SyncDirectory(deep));
  entries = env->List(deep);
  CHECK(entries.ok() && entries->size() == 1 && (*entries)[0].bytes == 5);
  CHECK(env->Rename(deep + "/absent", deep + "/c").code() == Code::kNotFound);
  CHECK_OK(env->Remove(deep + "/b"));
  CHECK_OK(env->Remove(deep + "/b"));
  CHECK(env->List(scratch / "absent").code() == Code::kNotFound);
  CHECK(env->SyncDirectory(scratch / "absent").code() == Code::kNotFound);
  CHECK(env->FreeBytes(scratch / "absent").code() == Code::kNotFound);
}

TEST("shared memory is zero at first, wraps, and outlives the mapping") {
  const auto env = MakePosixEnv();
  Region region(*env);
  constexpr size_t kRing = 64 << 10;
  {
    auto memory = env->MapShared(region.name(), 100, kRing);
    CHECK_OK(memory.status());
    CHECK((*memory)->header().size() == 100 && (*memory)->ring_bytes() == kRing);
    CHECK(std::all_of((*memory)->ring(), (*memory)->ring() + 2 * kRing, [](uint8_t b) { return b == 0; }));
    const auto data = Pattern(8192, 4);
    std::memcpy((*memory)->ring() + kRing - 4096, data.data(), data.size());
    CHECK(std::memcmp((*memory)->ring(), data.data() + 4096, 4096) == 0);
    (*memory)->ring()[5] = 77;
    CHECK((*memory)->ring()[kRing + 5] == 77);
    (*memory)->header()[99] = 42;
  }
  {
    auto memory = env->MapShared(region.name(), 100, kRing);
    CHECK_OK(memory.status());
    CHECK((*memory)->ring()[5] == 77 && (*memory)->header()[99] == 42);
    struct stat info;
    CHECK(::stat(region.path().c_str(), &info) == 0 && (info.st_mode & 0777) == 0600);
    CHECK(static_cast<uint64_t>(info.st_blocks) * 512 >= kRing + 4096);
  }
  auto larger = env->MapShared(region.name(), 100, 2 * kRing);
  CHECK_OK(larger.status());
  CHECK((*larger)->ring()[5] == 0 && (*larger)->header()[99] == 0);
  CHECK_OK(env->RemoveShared(region.name()));
  CHECK_OK(env->RemoveShared(region.name()));
}

TEST("shared memory that is mapped is not mapped again, of whatever size, and is as it was") {
  const auto env = MakePosixEnv();
  Region region(*env);
  {
    auto memory = env->MapShared(region.name(), 100, 4096);
    CHECK_OK(memory.status());
    (*memory)->ring()[5] = 77;
    for (const size_t bytes : {4096, 8192}) {
      const Status second = env->MapShared(region.name(), 100, bytes).status();
      CHECK(second.code() == Code::kInvalid && second.detail().find("in use by another process") != std::string::npos);
    }
    CHECK((*memory)->ring()[5] == 77);
  }
  auto after = env->MapShared(region.name(), 100, 4096);
  CHECK_OK(after.status());
  CHECK((*after)->ring()[5] == 77);
}

TEST("shared memory of another owner, open to others, linked or misnamed is refused") {
  const auto env = MakePosixEnv();
  Region region(*env);
  CHECK_OK(env->MapShared(region.name(), 4096, 4096).status());
  CHECK(::chmod(region.path().c_str(), 0644) == 0);
  CHECK(env->MapShared(region.name(), 4096, 4096).code() == Code::kInvalid);
  CHECK(::chmod(region.path().c_str(), 0600) == 0);
  if (::geteuid() == 0) {
    CHECK(::chown(region.path().c_str(), 12345, 0) == 0);
    CHECK(env->MapShared(region.name(), 4096, 4096).code() == Code::kInvalid);
  }
  CHECK_OK(env->RemoveShared(region.name()));
  CHECK(::symlink("/dev/null", region.path().c_str()) == 0);
  CHECK(env->MapShared(region.name(), 4096, 4096).code() == Code::kInvalid);
  for (const char* name : {"", "a/b", "..", ".hidden"}) CHECK(env->MapShared(name, 4096, 4096).code() == Code::kInvalid);
  CHECK(env->MapShared(region.name(), 4096, 5000).code() == Code::kInvalid);
  CHECK(env->MapShared(region.name(), 0, 4096).code() == Code::kInvalid);
}

TEST("a region that memory cannot hold is kNoSpace at once, and leaves nothing behind") {
  const auto env = MakePosixEnv();
  Result<uint64_t> free = env->FreeBytes("/dev/shm");
  CHECK_OK(free.status());
  Region region(*env);
  const size_t too_large = (static_cast<size_t>(*free) / kPageBytes + (64 << 10)) * kPageBytes;
  if (too_large > size_t{1} << 32) return;  // reserving all of a large machine's memory would hurt its other users
  CHECK(env->MapShared(region.name(), 4096, too_large).code() == Code::kNoSpace);
  CHECK(::access(region.path().c_str(), F_OK) != 0);
}

TEST("direct I/O goes straight from ring memory, across its wrap") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  Region region(*env);
  constexpr size_t kRing = 64 << 10;
  auto memory = env->MapShared(region.name(), 4096, kRing);
  CHECK_OK(memory.status());
  const auto data = Pattern(16384, 8);
  uint8_t* place = (*memory)->ring() + kRing - 8192;
  std::memcpy(place, data.data(), data.size());
  auto file = MustOpen(*env, scratch / "a", {.write = true, .create = true, .direct = true});
  CHECK_OK(file->Write({place, data.size()}, 0));
  std::memset(place, 0, data.size());
  Result<size_t> got = file->Read({place, data.size()}, 0);
  CHECK(got.ok() && *got == data.size());
  CHECK(std::memcmp((*memory)->ring(), data.data() + 8192, 8192) == 0);
}

TEST("clocks go forward, random bytes differ, the boot id stays") {
  const auto env = MakePosixEnv();
  const uint64_t first = env->NowNanos();
  CHECK(env->NowNanos() >= first);
  CHECK(env->WallMillis() > 1'700'000'000'000);
  std::vector<uint8_t> a(1000), b(1000);
  env->Random(a);
  env->Random(b);
  CHECK(a != b);
  CHECK(env->BootId().size() == 16);
  CHECK(env->BootId() == MakePosixEnv()->BootId());
  CHECK(env->BootId() != std::string(16, '\0'));
}

TEST("many threads share one file") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  auto file = MustOpen(*env, scratch / "a", kCreate);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint8_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 50; ++i) {
        const auto data = Pattern(4096, static_cast<uint8_t>(t * 50 + i));
        const uint64_t offset = (i * 4 + t) * 4096;
        std::vector<uint8_t> back(4096);
        if (!file->Write(data, offset).ok() || !file->Read(back, offset).ok() || back != data) ++wrong;
        if (i % 10 == 0 && !file->DataSync().ok()) ++wrong;
        file->ReadAhead(offset, 4096);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST("many reads at once each give their bytes, and each failure its own status") {
  const auto env = MakePosixEnv();
  Scratch scratch;
  const auto bytes = Pattern(1000 * 4096, 9);
  CHECK_OK(MustOpen(*env, scratch / "many", kCreate)->Write(bytes, 0));
  const auto direct = MustOpen(*env, scratch / "many", {.direct = true});
  AlignedBuffer memory(1000 * 4096);
  std::vector<FileRead> reads;
  for (size_t i = 0; i < 1000; ++i) reads.push_back({direct.get(), (i * 7 % 1000) * 4096, memory.bytes().subspan(i * 4096, 4096), {}});
  reads[500].offset = 2000 * 4096;   // past the end
  env->ReadMany(reads);
  for (size_t i = 0; i < 1000; ++i) {
    CHECK(reads[i].status.code() == (i == 500 ? Code::kNotFound : Code::kOk));
    if (i != 500) CHECK(std::memcmp(reads[i].into.data(), bytes.data() + reads[i].offset, 4096) == 0);
  }
  env->ReadMany({});
  env->ReadMany(std::span(reads).first(1));
  CHECK_OK(reads[0].status);
}

TEST("an aligned buffer is zeroed, moves, and may be empty") {
  AlignedBuffer a(5000);
  CHECK(a.size() == 5000 && std::all_of(a.data(), a.data() + 5000, [](uint8_t b) { return b == 0; }));
  a.data()[1] = 9;
  AlignedBuffer b(std::move(a));
  CHECK(b.data()[1] == 9 && a.data() == nullptr && a.size() == 0);
  AlignedBuffer c(0);
  CHECK(c.data() == nullptr && c.size() == 0);
  c = std::move(b);
  CHECK(c.size() == 5000 && c.data()[1] == 9 && b.data() == nullptr);
}

}  // namespace
}  // namespace skerry

int main(int c, char** v) { return skerry::check::RunAll(c, v); }
