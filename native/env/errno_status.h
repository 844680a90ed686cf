#pragma once
// What the system's error numbers mean to the engine: one table, used by every file of the real Env.
#include <string>

#include "status.h"

namespace skerry {

/** `doing` is a verb phrase ("write 4096 bytes at 8192 of"); the detail reads "cannot DOING PATH: TEXT OF ERROR". */
Status ErrnoStatus(const std::string& doing, const std::string& path, int error);

}  // namespace skerry
