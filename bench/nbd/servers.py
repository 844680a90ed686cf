"""The servers that are measured: peers from Debian's packages, and Skerry. Each serves one preconditioned volume and
can give a fresh clone of it."""
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TICKS = os.sysconf("SC_CLK_TCK")


def must(*argv, **keywords):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE, **keywords).stdout


def cpu_seconds(pid):
    """User and system time of a process and its reaped children."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:15]) / TICKS


def memory(pid):
    """(resident bytes now, highest so far)."""
    with open("/proc/%d/status" % pid) as f:
        status = dict(line.split(":", 1) for line in f if ":" in line)
    return int(status["VmRSS"].split()[0]) * 1024, int(status["VmHWM"].split()[0]) * 1024


class Server:
    name = note = ""
    clone_of = None       # servers that only stand in for fresh clones

    def __init__(self, directory, size):
        self.directory, self.size, self.process = directory, size, None

    def path(self, name):
        return os.path.join(self.directory, "%s.%s" % (self.name, name))

    def spawn(self, argv, sock):
        if os.path.exists(sock):
            os.unlink(sock)
        with open(self.path("log"), "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(400):
            if process.poll() is not None:
                raise RuntimeError("%s ended with %s: %s" % (self.name, process.returncode, shlex.join(argv)))
            try:
                socket.socket(socket.AF_UNIX).connect(sock)
                return process
            except OSError:
                time.sleep(0.025)
        raise RuntimeError("%s does not listen on %s" % (self.name, sock))

    def start(self):
        sock = self.path("sock")
        self.create(self.path("disk"))
        self.process = self.spawn(self.argv(sock, self.path("disk")), sock)
        self.uri = "nbd+unix:///?socket=" + sock

    @property
    def pid(self):
        return self.process.pid

    def destage_seconds(self):
        return 0.0

    def fresh_clone(self):
        """(uri, pid, end) of a clone of the preconditioned volume that nobody has written to."""
        return None

    def settle(self):
        """Work put off is done before the next sample begins, so that it is charged to nobody else's."""

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


class NbdkitFile(Server):
    name, note = "nbdkit-file", "page cache, flush = fdatasync"

    def create(self, disk):
        with open(disk, "wb") as f:
            f.truncate(self.size)

    def argv(self, sock, disk):
        return ["nbdkit", "-f", "-U", sock, "file", disk]


class QemuQcow2(Server):
    name, note = "qemu-qcow2", "qemu-nbd, clusters of 64 KiB, cache=writeback"
    clones = 0

    def create(self, disk):
        must("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", disk, str(self.size))

    def argv(self, sock, disk):
        return ["qemu-nbd", "-f", "qcow2", "-t", "-e", "16", "--cache=writeback", "--aio=threads", "--discard=unmap", "-k", sock, disk]

    def precondition_done(self):
        # The base of clones is a copy: the live image goes on being written.
        self.stop()
        shutil.copyfile(self.path("disk"), self.path("base"))
        self.process = self.spawn(self.argv(self.path("sock"), self.path("disk")), self.path("sock"))

    def fresh_clone(self):
        QemuQcow2.clones += 1
        disk, sock = self.path("clone%d" % self.clones), self.path("clone.sock")
        must("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", "-F", "qcow2", "-b", self.path("base"), disk)
        process = self.spawn(self.argv(sock, disk), sock)

        def end():
            process.terminate()
            process.wait(30)
            os.unlink(disk)
        return "nbd+unix:///?socket=" + sock, process.pid, end


class Skerry(Server):
    name, note = "skerry", "local pool: deduplication and all sums on"
    s3_listen = "none"
    clones = 0

    def cli(self, *words):
        return must(os.path.join(ROOT, "node_modules/.bin/node"), os.path.join(ROOT, "dist/src/cli/main.js"), "--data", self.path("data"), *words)

    def start(self):
        self.serve()
        self.cli("volume", "create", "bench", "--size", str(self.size))
        self.uri = self.cli("volume", "uri", "bench").strip()

    def serve(self):
        self.__dict__.pop("_pid", None)
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(ROOT, "node_modules/.bin/node"), os.path.join(ROOT, "dist/src/cli/main.js"), "serve", "--data", self.path("data"), "--http-port", "0", "--s3-listen", self.s3_listen],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.listeners = ready["listeners"]
        self.http = self.listeners["http"]

    @property
    def pid(self):
        # node_modules/.bin/node may be a launcher: the server is who holds the socket.
        if not hasattr(self, "_pid"):
            s = socket.socket(socket.AF_UNIX)
            s.connect(os.path.join(self.path("data"), "nbd.sock"))
            self._pid = int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
            s.close()
        return self._pid

    def metric(self, name):
        """Of all its labels together; 0 where there is none of that name."""
        base = self.http if "://" in self.http else "http://" + self.http
        with urllib.request.urlopen(base.rstrip("/") + "/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def destage_seconds(self):
        return self.metric("skerry_destage_cpu_seconds_total")

    def precondition_done(self):
        self.cli("snapshot", "create", "bench@base")

    def fresh_clone(self):
        Skerry.clones += 1
        name = "clone%d" % self.clones
        self.cli("clone", "bench@base", name)
        return self.cli("volume", "uri", name).strip(), self.pid, lambda: self.cli("volume", "delete", name)


SERVERS = {server.name: server for server in (NbdkitFile, QemuQcow2, Skerry)}
