#include "errno_status.h"

#include <cerrno>
#include <system_error>

namespace skerry {
namespace {

Code CodeOf(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // the file system's, or the process's, limit for one file
      return Code::kNoSpace;
    case ENOENT:
      return Code::kNotFound;
    case EROFS:
      return Code::kReadOnly;
    case EAGAIN:
      return Code::kTryAgain;
    case EACCES:
    case EPERM:
    case EBADF:
    case EEXIST:
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV:
    case ENXIO:
      return Code::kInvalid;
    default:
      return Code::kIo;
  }
}

}  // namespace

Status ErrnoStatus(const std::string& doing, const std::string& path, int error) {
  return {CodeOf(error), "cannot " + doing + " " + path + ": " + std::generic_category().message(error)};
}

}  // namespace skerry
