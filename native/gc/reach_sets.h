#pragma once
// Who reaches something: sets of members, each kept once and known by a number, so that a note of it takes four bytes
// whatever its size. Trees share their nodes in few patterns, so there are few sets however much they are of.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

namespace skerry {

class ReachSets {
 public:
  using Set = uint32_t;
  static constexpr Set kNobody = 0;

  /** Past `bytes_max` of memory no new set is made: what would need one is said to be reached by `many()`. */
  ReachSets(size_t members, size_t bytes_max);

  size_t members() const { return members_; }
  Set Only(size_t member) const { return static_cast<Set>(1 + member); }
  /** More than one, and nobody knows which. */
  Set many() const { return static_cast<Set>(1 + members_); }
  /** True once something was given to `many()`: sets of one are exact all the same. */
  bool overflowed() const { return overflowed_; }
  /** Sets are numbered below this. */
  size_t count() const { return many() + 1 + compound_count_; }

  Set Join(Set a, Set b);
  /** Ascending; of `many()` nothing. */
  void ForEach(Set set, const std::function<void(size_t)>& visit) const;
  bool Has(Set set, size_t member) const;

 private:
  bool compound(Set set) const { return set > many(); }
  const uint64_t* WordsOf(Set set) const { return words_.data() + (set - many() - 1) * words_each_; }
  void AddTo(std::vector<uint64_t>& words, Set set) const;
  Set Intern(const std::vector<uint64_t>& words);

  const size_t members_, words_each_, bytes_max_;
  std::vector<uint64_t> words_;                      // of the sets of two and more, in a row
  size_t compound_count_ = 0;
  std::unordered_multimap<uint64_t, Set> by_sum_;
  std::unordered_map<uint64_t, Set> joined_;         // lower set in the upper half
  bool overflowed_ = false;
};

}  // namespace skerry
