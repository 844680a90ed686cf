// The entry points that libFuzzer calls, the same for every target.
#include "fuzz.h"

#include <fstream>

namespace skerry::fuzz {

void Reach::PrintAll() {
  for (const Reach* one = first_; one != nullptr; one = one->next_) {
    std::fprintf(stderr, "reached %llu times: %s\n", static_cast<unsigned long long>(one->count_), one->what_);
  }
}

void Seed::Write(const std::string& directory, const std::string& name) const {
  std::ofstream file(directory + "/" + name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes_.data()), static_cast<std::streamsize>(bytes_.size()));
  HOLDS(file.good());
}

}  // namespace skerry::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* directory = std::getenv("SKERRY_FUZZ_SEEDS")) {
    skerry::fuzz::WriteSeeds(directory);
    std::exit(0);
  }
  std::atexit(skerry::fuzz::Reach::PrintAll);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  skerry::fuzz::Run({data, bytes});
  return 0;
}
