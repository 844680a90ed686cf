"""The backends that are measured: each a real server of its own on this host (test/services), the place of a pool there, and how
many bytes its clients have had it write."""
import json
import os
import threading

import peers
import portmapper
from servers import ROOT, must

SERVICES = os.path.join(ROOT, "test", "services")


class Backend:
    name = script = driver = note = ""
    environment = {}
    peers = ()

    def __init__(self, directory):
        self.directory = os.path.join(directory, self.name)
        os.mkdir(self.directory)
        self.values = {}

    def service(self, verb, script=None, directory=None):
        printed = must("bash", os.path.join(SERVICES, (script or self.script) + ".sh"), verb, directory or self.directory,
                       env={**os.environ, **self.environment})
        return dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)

    def start(self):
        self.values = self.service("up")

    def stop(self):
        self.service("down")

    def settings(self, place):
        """Of a pool in an empty place of that name."""
        raise NotImplementedError

    def written(self):
        """Bytes that clients had written to it, of all since it was made."""
        raise NotImplementedError


def osd_written(directory):
    """What clients sent the one OSD to be written: without replicas, and without what it writes besides."""
    asked = must("ceph", "--admin-daemon", os.path.join(directory, "run", "osd.0.asok"), "perf", "dump", "osd")
    return json.loads(asked)["osd"]["op_in_bytes"]


def process_written(pids):
    """Bytes in calls of write: data, and the few bytes of each answer where those are written so too."""
    total = 0
    for pid in pids:
        with open("/proc/%s/io" % pid) as f:
            total += int(next(line.split()[1] for line in f if line.startswith("wchar")))
    return total


class Rados(Backend):
    name = driver = "rados"
    script = "ceph"
    note = "Ceph: one monitor, one OSD (BlueStore in a file), no replicas"
    environment = dict(CEPH_SIZE="32G")
    peers = (peers.Librbd,)

    def settings(self, place):
        return dict(conf=self.values["CEPH_CONF"], keyring=self.values["CEPH_KEYRING"], user=self.values["CEPH_USER"],
                    pool=self.values["CEPH_POOL"], namespace=place)

    def written(self):
        return osd_written(self.directory)


class S3(Backend):
    name = driver = "s3"
    script = "radosgw"
    note = "radosgw over a Ceph like that"
    environment = dict(CEPH_SIZE="32G")
    peers = (peers.S3Backer, peers.S3BackerLarge)
    bucket = "bench"

    def start(self):
        super().start()
        self.node("make_bucket.mjs", self.values["S3_ENDPOINT"], self.bucket, self.values["S3_ACCESS_KEY"], self.values["S3_SECRET_KEY"])

    def node(self, script, *words):
        return must(os.path.join(ROOT, "node_modules/.bin/node"), os.path.join(ROOT, "bench/southbound", script), *words)

    def settings(self, place):
        return {"endpoint": self.values["S3_ENDPOINT"], "bucket": self.bucket, "prefix": place,
                "access-key": self.values["S3_ACCESS_KEY"], "secret-key": self.values["S3_SECRET_KEY"]}

    def written(self):
        return osd_written(self.values["RGW_CEPH_DIR"])


class Nfs(Backend):
    name = script = driver = "nfs"
    note = "NFS-Ganesha over a directory of this host, version 3"
    peers = (peers.QcowOnNfs,)

    def start(self):
        super().start()
        # Of qemu's driver no port can be told: it asks for them where a portmapper would be.
        ports = {portmapper.NFS: int(self.values["NFS_PORT"]), portmapper.MOUNT: int(self.values["NFS_MOUNT_PORT"])}
        self.mapper = portmapper.listen()
        threading.Thread(target=portmapper.serve, args=(self.mapper, ports), daemon=True).start()

    def stop(self):
        if hasattr(self, "mapper"):
            self.mapper.close()
        super().stop()

    def settings(self, place):
        os.makedirs(os.path.join(self.values["NFS_EXPORT_DIR"], place), exist_ok=True)
        return dict(url=self.values["NFS_URL_V3"].replace("/export/", "/export/" + place))

    def written(self):
        return process_written([self.values["PID_ganesha"]])


class Gluster(Backend):
    name = script = driver = "gluster"
    note = "GlusterFS: one brick, a directory of this host"
    peers = (peers.QcowOnGluster,)

    def settings(self, place):
        return dict(host=self.values["GLUSTER_HOST"], port=self.values["GLUSTER_PORT"], volume=self.values["GLUSTER_VOLUME"], directory="/" + place)

    def written(self):
        return process_written([pid for name, pid in self.values.items() if name.startswith("PID_brick")])


BACKENDS = {backend.name: backend for backend in (Rados, S3, Nfs, Gluster)}
