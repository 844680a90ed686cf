// Preloaded into the daemon by tests: syncs and writes of the files that a control file names fail as those of a broken disk do.
// SKERRY_TEST_FAULTS is the path of the control file. It is read at each call, so a test turns faults on and off while the
// daemon runs. A line is a verb and a part of a path: "sync /journal/" makes every fdatasync and fsync of such a file EIO,
// "write .open" every pwrite. No such file: no faults.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int faulty(const char *verb, int fd) {
  const char *control = getenv("SKERRY_TEST_FAULTS");
  char link[64], path[4096], text[4096];
  if (control == NULL) return 0;
  const int saved = errno;
  const int file = open(control, O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
  if (file >= 0) close(file);
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = bytes <= 0 ? -1 : readlink(link, path, sizeof(path) - 1);
  errno = saved;
  if (length < 0) return 0;
  text[bytes] = '\0';
  path[length] = '\0';
  for (char *next = NULL, *line = strtok_r(text, "\n", &next); line != NULL; line = strtok_r(NULL, "\n", &next)) {
    const size_t verb_length = strlen(verb);
    if (strncmp(line, verb, verb_length) == 0 && line[verb_length] == ' ' && strstr(path, line + verb_length + 1) != NULL) {
      errno = EIO;
      return 1;
    }
  }
  return 0;
}

int fdatasync(int fd) { return faulty("sync", fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return faulty("sync", fd) ? -1 : (int)syscall(SYS_fsync, fd); }

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  return faulty("write", fd) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, offset);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }
