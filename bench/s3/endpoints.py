"""Who serves S3 on this host's disk: Skerry with a local pool, and radosgw over a Ceph of one OSD. Each has one bucket, and one key for it."""
import json
import os

from backends import S3, osd_written
from peers import SkerryOnPool
from servers import ROOT, Skerry, cpu_seconds, must

HERE = os.path.dirname(os.path.abspath(__file__))
BUCKET = S3.bucket
# Of an object that is put only to be made a volume: one block, always the same.
MARKER_BYTES, SETTLING_SEED = 64 << 10, 1 << 20


def load(job):
    """A run of the client. @returns what it prints"""
    return json.loads(must(os.path.join(ROOT, "node_modules/.bin/node"), os.path.join(HERE, "load.mjs"), json.dumps(job)))


def job_of(endpoint, access_key, secret_key):
    """What load.mjs has to know of a server."""
    return dict(endpoint=endpoint, region="us-east-1", bucket=BUCKET, accessKey=access_key, secretKey=secret_key)


class SkerryS3(Skerry):
    name, note, s3_listen = "skerry", "default settings, a local pool; deduplication and all sums on", "127.0.0.1:0"
    settlings = 0

    def start(self):
        self.serve()
        self.cli("account", "create", "bench")
        key = json.loads(self.cli("key", "create", "bench", "--json"))
        self.job = job_of("http://" + self.listeners["s3"], key["accessKey"], key["secretKey"])
        must(os.path.join(ROOT, "node_modules/.bin/node"), os.path.join(ROOT, "bench/southbound/make_bucket.mjs"), self.job["endpoint"], BUCKET,
             self.job["accessKey"], self.job["secretKey"])

    def settled(self):
        """Returns once what was put is in blocks: to make a volume of an object has all destaged that lies where it does."""
        SkerryS3.settlings += 1
        name = "settled-%d" % SkerryS3.settlings
        load(dict(self.job, verb="put", prefix=name, seed=SETTLING_SEED, bytes=MARKER_BYTES, connections=1, processes=1, objectsMax=1, seconds=0))
        self.cli("volume", "create", name, "--from", "s3://%s/%s/0/0" % (BUCKET, name))
        self.cli("volume", "delete", name)

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def stored(self):
        """Bytes in the pool."""
        return self.metric("skerry_pool_stored_bytes")

    stop = SkerryOnPool.stop
    discard = SkerryOnPool.discard


class Radosgw:
    name = "radosgw"
    note = "over Ceph: one monitor, one OSD (BlueStore in a file), no replicas; tcp_nodelay=1"

    def __init__(self, directory, _size):
        self.service = S3(directory)

    def start(self):
        self.service.start()
        values = self.service.values
        self.job = job_of(values["S3_ENDPOINT"], values["S3_ACCESS_KEY"], values["S3_SECRET_KEY"])
        osd = self.service.service("env", "ceph", values["RGW_CEPH_DIR"])["PID_osd0"]
        self.pids = [int(values["PID_rgw"]), int(osd)]

    def settled(self):
        """What it puts off it does within a moment, and does not tell of."""

    def cpu_seconds(self):
        """Of the gateway and its OSD."""
        return sum(cpu_seconds(pid) for pid in self.pids)

    def stored(self):
        """Bytes that the gateway sent to the OSD to be written."""
        return osd_written(self.service.values["RGW_CEPH_DIR"])

    def discard(self):
        self.service.stop()


SERVERS = {server.name: server for server in (SkerryS3, Radosgw)}
