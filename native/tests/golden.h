#pragma once
// Golden files: the bytes of a format as they were first written, so that a build which writes or reads them in another way
// is noticed. Each holds parts (files, mostly) as text:
//
//   [name bytes]
//   00000000  64 hexadecimal digits
//   *                                 the line above again, up to the next offset
//
// They are never written anew. A layout that changes on purpose is a new version of its format, with a new golden file
// beside the old one, which tells what becomes of old disks.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "check.h"

namespace skerry::golden {

inline constexpr size_t kLineBytes = 32;
inline constexpr const char* kWriteVariable = "SKERRY_WRITE_GOLDEN";

struct Part {
  std::string name;
  std::vector<uint8_t> bytes;
};
using Parts = std::vector<Part>;

/** Beside this header, wherever the source tree is: tests run from its root, where they were compiled. */
inline std::string PathOf(const std::string& name) {
  const std::string here = __FILE__;
  return here.substr(0, here.find_last_of('/') + 1) + "golden/" + name + ".golden";
}

inline std::string Hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

inline std::string TextOf(const Parts& parts) {
  std::string text;
  for (const Part& part : parts) {
    text += "[" + part.name + " " + std::to_string(part.bytes.size()) + "]\n";
    std::string before;
    bool repeating = false;
    for (size_t at = 0; at < part.bytes.size(); at += kLineBytes) {
      const std::string line = Hex(std::span(part.bytes).subspan(at, std::min(kLineBytes, part.bytes.size() - at)));
      if (line == before) {
        if (!repeating) text += "*\n";
        repeating = true;
        continue;
      }
      repeating = false;
      char offset[32];
      std::snprintf(offset, sizeof offset, "%08zx  ", at);
      text += offset + line + "\n";
      before = line;
    }
  }
  return text;
}

/** What TextOf has written. Lines that are neither are a comment. */
inline Parts PartsOf(const std::string& text) {
  Parts parts;
  std::istringstream lines(text);
  bool repeating = false;
  const auto fill = [&](size_t to) {
    std::vector<uint8_t>& bytes = parts.back().bytes;
    while (repeating && bytes.size() < to) bytes.push_back(bytes[bytes.size() - kLineBytes]);
    repeating = false;
  };
  size_t size = 0;
  for (std::string line; std::getline(lines, line);) {
    char name[64];
    unsigned long long number = 0;
    int end = 0;
    if (line == "*" && !parts.empty() && parts.back().bytes.size() >= kLineBytes) {
      repeating = true;
    } else if (std::sscanf(line.c_str(), "[%63[^] ] %llu]", name, &number) == 2) {
      if (!parts.empty()) fill(size);
      parts.push_back({name, {}});
      size = number;
    } else if (!parts.empty() && std::sscanf(line.c_str(), "%8llx  %n", &number, &end) == 1 && end == 10) {
      fill(number);
      for (size_t i = end; i + 1 < line.size(); i += 2) {
        parts.back().bytes.push_back(static_cast<uint8_t>(std::strtoul(line.substr(i, 2).c_str(), nullptr, 16)));
      }
    }
  }
  if (!parts.empty()) fill(size);
  return parts;
}

/** The golden file, as it stands in the source tree. */
inline Parts Read(const std::string& name) {
  std::ifstream file(PathOf(name), std::ios::binary);
  if (!file) {
    throw check::Failure{"there is no golden file " + PathOf(name) + ": run from the root of the source tree, or, for a new format, " +
                         "run this test once with " + kWriteVariable + "=1 in its environment"};
  }
  std::ostringstream text;
  text << file.rdbuf();
  return PartsOf(text.str());
}

inline const std::vector<uint8_t>& BytesOf(const Parts& parts, const std::string& part) {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& one) { return one.name == part; });
  if (found == parts.end()) throw check::Failure{"the golden file has no part " + part};
  return found->bytes;
}

/** Where two parts begin to differ, and what stands there. */
inline std::string Difference(const Part& then, const Part& now) {
  const std::vector<uint8_t>&was = then.bytes, &is = now.bytes;
  const size_t at = std::mismatch(was.begin(), was.end(), is.begin(), is.end()).first - was.begin();
  const auto around = [at](const std::vector<uint8_t>& bytes) {
    if (at >= bytes.size()) return "its end, " + std::to_string(bytes.size()) + " bytes";
    return Hex(std::span(bytes).subspan(at, std::min<size_t>(16, bytes.size() - at)));
  };
  return "part " + then.name + " (today " + now.name + ") differs from byte " + std::to_string(at) + " on: golden " + around(was) +
         ", today " + around(is);
}

/** Says where `today` is not what the golden file holds. With the variable set, an absent golden file is written first. */
inline void Compare(const std::string& name, const Parts& today) {
  const std::string path = PathOf(name);
  if (std::getenv(kWriteVariable) != nullptr && !std::ifstream(path)) {
    std::ofstream(path, std::ios::binary) << TextOf(today);
    std::printf("  wrote %s\n", path.c_str());
  }
  const Parts then = Read(name);
  std::string difference;
  if (then.size() != today.size()) difference = std::to_string(then.size()) + " parts, today " + std::to_string(today.size());
  for (size_t i = 0; difference.empty() && i < then.size(); ++i) {
    if (then[i].name != today[i].name || then[i].bytes != today[i].bytes) difference = Difference(then[i], today[i]);
  }
  if (difference.empty()) return;
  throw check::Failure{path + ": " + difference + ". A layout that changes on purpose gets a new version, and a new golden file beside " +
                       "this one. To see today's bytes whole, move the file away and run this test with " + kWriteVariable +
                       "=1 in its environment: it writes what is absent"};
}

}  // namespace skerry::golden
