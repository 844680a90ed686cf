"""What durability costs on a disk: the yardstick that the daemon's times are read against. Taken in turn with what is measured,
for a disk and a machine are rarely the same for long."""
import mmap
import os
import time

PAGES = 1024


class Disk:
    def __init__(self, directory):
        self.home = os.path.join(directory, "disk")
        os.mkdir(self.home)
        self.page = mmap.mmap(-1, 4096)
        self.page.write(b"\1" * 4096)
        path = os.path.join(self.home, "prewritten")
        with open(path, "wb") as f:
            f.write(b"\1" * (PAGES * 4096))
            f.flush()
            os.fsync(f.fileno())
        self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.folder = os.open(self.home, os.O_RDONLY)
        self.number = 0

    def overwrite(self):
        """Milliseconds of 4 KiB written with O_DIRECT where something stood, and fdatasync."""
        self.number += 1
        began = time.perf_counter()
        os.pwrite(self.direct, self.page, 4096 * (self.number % PAGES))
        os.fdatasync(self.direct)
        return (time.perf_counter() - began) * 1000

    def new_file(self):
        """Milliseconds of a new small file, fsync, and fsync of its directory."""
        self.number += 1
        began = time.perf_counter()
        file = os.open(os.path.join(self.home, "new-%d" % self.number), os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(file, b"x" * 200)
        os.fsync(file)
        os.close(file)
        os.fsync(self.folder)
        return (time.perf_counter() - began) * 1000
