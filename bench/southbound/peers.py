"""What is measured against each other on one backend: Skerry with a pool there, and who serves a disk from there otherwise. All
speak NBD to the same client."""
import glob
import json
import os
import shutil
import subprocess
import time

from servers import Server, Skerry, must


class OnBackend:
    """`backend` is where it keeps its disk."""
    backend = None

    def cold(self):
        """From here on nothing that was read before is in the server's own memory or on its disk."""
        self.stop()
        self.process = self.spawn(self.argv(self.path("sock"), self.path("disk")), self.path("sock"))

    def fetched(self):
        """Bytes that it got from the backend since it began; None where it does not tell."""
        return None

    def settled(self):
        """Returns once all that was written has been handed to the backend, as far as the server can be asked."""

    def discard(self):
        """Stops it for good, and removes what it has outside its directory."""
        self.stop()


class SkerryOnPool(OnBackend, Skerry):
    note = "default settings; deduplication and all sums on"

    def start(self):
        self.serve()
        words = [word for pair in self.backend.settings(self.name).items() for word in ("--set", "%s=%s" % pair)]
        self.cli("pool", "create", "far", "--driver", self.backend.driver, *words)
        self.make_volume()
        self.uri = self.cli("volume", "uri", "bench").strip()

    def make_volume(self):
        self.cli("volume", "create", "bench", "--size", str(self.size), "--pool", "far")

    def stop(self):
        if self.process and self.process.poll() is None:
            pid = self.pid
            self.process.terminate()
            self.process.wait(120)
            while os.path.exists("/proc/%d" % pid):
                time.sleep(0.05)

    def cold(self):
        self.stop()
        data = self.path("data")
        shutil.rmtree(os.path.join(data, "cache"), ignore_errors=True)
        # What is only a copy; the footers stay, as they would where room for copies ran out.
        for kept in glob.glob(os.path.join(data, "engine", "pools", "*", "packs", "*.kept")):
            os.unlink(kept)
        self.serve()

    def fetched(self):
        return self.metric("skerry_pool_fetched_bytes_total")

    def settled(self):
        self.cli("snapshot", "create", "bench@settled")
        while self.metric("skerry_overlay_pages") or self.metric("skerry_pool_staged_bytes"):
            time.sleep(0.2)
        self.cli("snapshot", "delete", "bench@settled")

    def discard(self):
        self.stop()
        home = self.path("data") + "/home"
        if os.path.exists(home):
            with open(home) as f:
                ring = "/dev/shm/skerry-" + json.loads(f.readline())["ring"]
            if os.path.exists(ring):
                os.unlink(ring)


class SkerryDurableInPool(SkerryOnPool):
    name, note = "skerry-pool", "durability pool: a flush waits for the backend"

    def make_volume(self):
        try:
            self.cli("volume", "create", "bench", "--size", str(self.size), "--pool", "far", "--durability", "pool")
        except subprocess.CalledProcessError:
            raise RuntimeError("this version has no durability `pool` yet")


class Librbd(OnBackend, Server):
    name, note = "librbd", "qemu-nbd over librbd, its cache on (writeback)"
    clones = 0

    def rbd(self, *words):
        values = self.backend.values
        return must("rbd", "-c", values["CEPH_CONF"], "-p", values["CEPH_POOL"], *words)

    def image(self, name):
        values = self.backend.values
        return "rbd:%s/%s:conf=%s:id=admin:keyring=%s" % (values["CEPH_POOL"], name, values["CEPH_CONF"], values["CEPH_KEYRING"])

    def create(self, disk):
        self.rbd("create", "--size", "%dM" % (self.size >> 20), "bench")

    def argv(self, sock, disk, image="bench"):
        return ["qemu-nbd", "-f", "raw", "-t", "-e", "16", "--cache=writeback", "--discard=unmap", "-k", sock, self.image(image)]

    def precondition_done(self):
        self.rbd("snap", "create", "bench@base")
        self.rbd("snap", "protect", "bench@base")

    def fresh_clone(self):
        Librbd.clones += 1
        name, sock = "clone%d" % Librbd.clones, self.path("clone.sock")
        self.rbd("clone", "bench@base", self.backend.values["CEPH_POOL"] + "/" + name)
        process = self.spawn(self.argv(sock, None, name), sock)

        def end():
            process.terminate()
            process.wait(60)
        return "nbd+unix:///?socket=" + sock, process.pid, end


class S3Backer(OnBackend, Server):
    name, note, block = "s3backer", "s3backer's file through qemu-nbd; its default blocks of 4 KiB and caches", "4k"
    mounted = None

    def mount(self):
        values, place = self.backend.values, self.path("mount")
        os.makedirs(place, exist_ok=True)
        with open(self.path("log"), "ab") as log:
            self.mounted = subprocess.Popen(
                ["s3backer", "-f", "--accessId=" + values["S3_ACCESS_KEY"], "--accessKey=" + values["S3_SECRET_KEY"],
                 "--baseURL=" + values["S3_ENDPOINT"] + "/", "--blockSize=" + self.block, "--size=%dM" % (self.size >> 20), "--prefix=" + self.name,
                 "--listBlocks", "--force", "-o", "big_writes", self.backend.bucket, place], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(1200):
            if os.path.exists(os.path.join(place, "file")):
                return
            if self.mounted.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("s3backer does not mount")

    def create(self, disk):
        self.mount()

    def argv(self, sock, disk):
        return ["qemu-nbd", "-f", "raw", "-t", "-e", "16", "--cache=writeback", "--aio=threads", "-k", sock, self.path("mount") + "/file"]

    @property
    def pid(self):
        return self.mounted.pid

    def cold(self):
        self.stop()
        self.mount()
        self.process = self.spawn(self.argv(self.path("sock"), None), self.path("sock"))

    def stop(self):
        super().stop()
        if self.mounted and self.mounted.poll() is None:
            must("umount", self.path("mount"))
            self.mounted.wait(300)


class S3BackerLarge(S3Backer):
    name, note, block = "s3backer-64k", "the same with blocks of 64 KiB", "64k"


class Qcow(OnBackend, Server):
    """qcow2 by qemu's own driver for the backend."""
    clones = 0

    def url(self, name):
        raise NotImplementedError

    def create(self, disk):
        must("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", self.url("disk"), str(self.size), stderr=subprocess.DEVNULL)

    def argv(self, sock, disk, name="disk"):
        return ["qemu-nbd", "-f", "qcow2", "-t", "-e", "16", "--cache=writeback", "--discard=unmap", "-k", sock, self.url(name)]

    def precondition_done(self):
        # The base of clones is a copy: the live image goes on being written.
        self.stop()
        must("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", self.url("disk"), self.url("base"), stderr=subprocess.DEVNULL)
        self.process = self.spawn(self.argv(self.path("sock"), None), self.path("sock"))

    def fresh_clone(self):
        Qcow.clones += 1
        name, sock = "clone%d" % Qcow.clones, self.path("clone.sock")
        must("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=64k", "-F", "qcow2", "-b", self.url("base"), self.url(name), stderr=subprocess.DEVNULL)
        process = self.spawn(self.argv(sock, None, name), sock)

        def end():
            process.terminate()
            process.wait(60)
        return "nbd+unix:///?socket=" + sock, process.pid, end


class QcowOnNfs(Qcow):
    name, note = "qemu-qcow2", "qcow2 through qemu's NFS driver, cache=writeback"

    def url(self, name):
        return "nfs://127.0.0.1/export/%s.qcow2" % name


class QcowOnGluster(Qcow):
    name, note = "qemu-qcow2", "qcow2 through qemu's Gluster driver, cache=writeback"

    def url(self, name):
        values = self.backend.values
        return "gluster+tcp://%s:%s/%s/%s.qcow2" % (values["GLUSTER_HOST"], values["GLUSTER_PORT"], values["GLUSTER_VOLUME"], name)
