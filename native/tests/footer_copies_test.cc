// Copies of footers: what stands in them, and that nothing damaged is believed.
#include "../blocks/cell.h"
#include "../blocks/footer_copies.h"
#include "check.h"

using namespace skerry;

namespace {

constexpr uint32_t kBlock = 16 * kPageBytes;

}  // namespace

TEST("the copy of a footer is whole or not taken, and has the form it always had") {
  PackFooter footer;
  footer.file_bytes = 1000000;
  for (uint32_t n = 0; n < 2; ++n) {
    PackFooterEntry entry{};
    entry.id[0] = static_cast<uint8_t>(n + 1);
    entry.offset = 512 + n * 66048;
    entry.raw_bytes = kBlock;
    entry.stored_bytes = RecordStoredBytes(kBlock);
    entry.kind = RecordKind::kBlock;
    entry.algorithm = HashAlgorithm::kHmacSha256;
    footer.entries.push_back(entry);
  }
  std::vector<uint8_t> bytes = EncodeFooterCopy(7, 3, footer);
  const Result<PackFooter> back = DecodeFooterCopy(bytes, 7);
  CHECK(back.ok() && back->file_bytes == 1000000 && back->entries.size() == 2 && back->At(66560)->id[0] == 2 && back->At(1024) == nullptr);
  CHECK(bytes.size() == 64 + 2 * 48 + 64);
  CHECK(SumOf(bytes.data(), bytes.size(), 0) == 0x16b0a7320ca07d5ull);
  CHECK(DecodeFooterCopy(bytes, 8).code() == Code::kCorrupt);
  for (size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] ^= 1;
    CHECK(DecodeFooterCopy(bytes, 7).code() == Code::kCorrupt);
    bytes[at] ^= 1;
  }
  bytes.pop_back();
  CHECK(DecodeFooterCopy(bytes, 7).code() == Code::kCorrupt);
}

int main(int argc, char** argv) { return skerry::check::RunAll(argc, argv); }
