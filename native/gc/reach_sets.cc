#include "reach_sets.h"

#include <algorithm>
#include <bit>

namespace skerry {
namespace {

constexpr size_t kJoinsKeptMax = 1 << 20;
constexpr size_t kSetOverheadBytes = 64;   // its place in the table

uint64_t SumOf(const uint64_t* words, size_t count) {
  uint64_t sum = 0x9e3779b97f4a7c15ull;
  for (size_t i = 0; i < count; ++i) {
    sum = (sum ^ words[i]) * 0xff51afd7ed558ccdull;
    sum ^= sum >> 32;
  }
  return sum;
}

}  // namespace

ReachSets::ReachSets(size_t members, size_t bytes_max) : members_(members), words_each_((members + 63) / 64), bytes_max_(bytes_max) {}

void ReachSets::AddTo(std::vector<uint64_t>& words, Set set) const {
  if (!compound(set)) {
    words[(set - 1) / 64] |= 1ull << ((set - 1) % 64);
    return;
  }
  const uint64_t* from = WordsOf(set);
  for (size_t i = 0; i < words_each_; ++i) words[i] |= from[i];
}

ReachSets::Set ReachSets::Join(Set a, Set b) {
  if (a > b) std::swap(a, b);
  if (a == b || a == kNobody) return b;
  if (a == many() || b == many()) return many();
  const uint64_t pair = uint64_t{a} << 32 | b;
  if (const auto known = joined_.find(pair); known != joined_.end()) return known->second;
  std::vector<uint64_t> words(words_each_);
  AddTo(words, a);
  AddTo(words, b);
  const Set set = Intern(words);
  if (joined_.size() >= kJoinsKeptMax) joined_.clear();
  joined_.emplace(pair, set);
  return set;
}

ReachSets::Set ReachSets::Intern(const std::vector<uint64_t>& words) {
  const uint64_t sum = SumOf(words.data(), words.size());
  const auto [first, last] = by_sum_.equal_range(sum);
  for (auto at = first; at != last; ++at) {
    if (std::equal(words.begin(), words.end(), WordsOf(at->second))) return at->second;
  }
  if ((compound_count_ + 1) * (words_each_ * sizeof(uint64_t) + kSetOverheadBytes) > bytes_max_) {
    overflowed_ = true;
    return many();
  }
  const Set set = static_cast<Set>(count());
  words_.insert(words_.end(), words.begin(), words.end());
  ++compound_count_;
  by_sum_.emplace(sum, set);
  return set;
}

void ReachSets::ForEach(Set set, const std::function<void(size_t)>& visit) const {
  if (set == kNobody || set == many()) return;
  if (!compound(set)) return visit(set - 1);
  const uint64_t* words = WordsOf(set);
  for (size_t i = 0; i < words_each_; ++i) {
    for (uint64_t left = words[i]; left != 0; left &= left - 1) visit(i * 64 + static_cast<size_t>(std::countr_zero(left)));
  }
}

bool ReachSets::Has(Set set, size_t member) const {
  if (set == kNobody || set == many()) return false;
  if (!compound(set)) return set == Only(member);
  return (WordsOf(set)[member / 64] >> (member % 64) & 1) != 0;
}

}  // namespace skerry
