#pragma once
// Who does the parts of one large request side by side. The engine has threads for it; a simulated world has none.
#include <cstddef>
#include <functional>

namespace skerry {

class Parallel {
 public:
  virtual ~Parallel() = default;
  /** Calls `part` once with each number below `parts`, on this thread and others; returns when all have returned. */
  virtual void Run(size_t parts, const std::function<void(size_t)>& part) = 0;
};

}  // namespace skerry
