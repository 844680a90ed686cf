#pragma once
// A test is a function registered under a sentence. Run all: each line says what held; exit status 1 when one did not.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace skerry::check {

struct Test {
  const char* title;
  void (*run)();
};
inline std::vector<Test>& Tests() { static std::vector<Test> tests; return tests; }
struct Register {
  Register(const char* title, void (*run)()) { Tests().push_back({title, run}); }
};
struct Failure { std::string what; };

#define SK_JOIN2(a, b) a##b
#define SK_JOIN(a, b) SK_JOIN2(a, b)
/** TEST("a sentence") { ... CHECK(condition); } */
#define TEST(title)                                                                     \
  static void SK_JOIN(test_, __LINE__)();                                               \
  static const ::skerry::check::Register SK_JOIN(reg_, __LINE__)(title, SK_JOIN(test_, __LINE__)); \
  static void SK_JOIN(test_, __LINE__)()
#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) throw ::skerry::check::Failure{std::string(__FILE__ ":") + std::to_string(__LINE__) + ": " #condition}; \
  } while (0)
#define CHECK_OK(expression)                                                            \
  do {                                                                                  \
    const auto sk_status_ = (expression);                                               \
    if (!sk_status_.ok()) throw ::skerry::check::Failure{std::string(__FILE__ ":") + std::to_string(__LINE__) + ": " #expression " failed"}; \
  } while (0)

/** main() of a test executable; an argument selects tests whose title contains it. */
inline int RunAll(int argc, char** argv) {
  int passed = 0, failed = 0;
  for (const Test& test : Tests()) {
    if (argc > 1 && std::string(test.title).find(argv[1]) == std::string::npos) continue;
    try {
      test.run();
      ++passed;
      std::printf("ok - %s\n", test.title);
    } catch (const Failure& failure) {
      ++failed;
      std::printf("not ok - %s\n  %s\n", test.title, failure.what.c_str());
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace skerry::check
