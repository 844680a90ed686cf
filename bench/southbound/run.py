#!/usr/bin/env python3
"""bench/southbound/run.py [--rounds 5] [--seconds 3] [--backends a,b] [--workloads x,y] [--out FILE]: Skerry with a pool on a backend, and
its natural peer on the same one, side by side.

The rows are those of bench/nbd, then sequential reads of cold data beside what the driver gives with nothing above it, then how many
bytes the backend is given for each byte that a client writes. Rounds are interleaved and their order rotates. Writes FILE.json and FILE.md.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nbd"))
from backends import BACKENDS
from peers import SkerryDurableInPool, SkerryOnPool
from sampling import DATA, DEDUPE_SET, fio, sample
from servers import ROOT, must
from tables import report
from workloads import WORKLOADS

UNIQUE = ["--refill_buffers"]
PATTERNS = {"uniform": [], "hot-spot": ["--random_distribution=zoned:95/5:5/95"]}
GET_BYTES, GETS_IN_FLIGHT = 4 << 20, 8
QUIET_SECONDS = 3


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


class Bench:
    """One backend: its service, the servers on it, and what is asked of them."""

    def __init__(self, backend, a, directory, result):
        self.backend, self.a, self.directory, self.result = backend, a, directory, result
        self.servers = []

    def fail(self, what, error):
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) and error.stderr else error
        self.result["errors"].append("%s: %s: %s" % (self.backend.name, what, str(said).strip()[-300:]))
        log(self.result["errors"][-1])

    def start(self):
        self.backend.start()
        for kind in (SkerryOnPool, SkerryDurableInPool) + self.backend.peers:
            server = kind(self.directory, self.a.size)
            server.backend = self.backend
            try:
                began = time.monotonic()
                server.start()
                self.fill(server)
                if hasattr(server, "precondition_done"):
                    server.precondition_done()
                server.settled()
                self.servers.append(server)
                self.result["servers"]["%s %s" % (self.backend.name, server.name)] = server.note
                log("%s: filled %s in %.0f s" % (self.backend.name, server.name, time.monotonic() - began))
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                self.fail("%s is left out" % server.name, error)
                server.discard()

    def fill(self, server):
        """The working set as bench/nbd has it, and two more of its size, of which no block is like another."""
        common = ["--uri=" + server.uri, "--rw=write", "--bs=64k", "--iodepth=8", "--size=%d" % self.a.working_set, "--end_fsync=1"]
        fio(["--name=fill", "--randseed=1"] + common + DATA + DEDUPE_SET, self.directory, 1800)
        for part in (1, 2):
            fio(["--name=fill", "--randseed=%d" % (part + 1), "--offset=%d" % (part * self.a.working_set)] + common + UNIQUE, self.directory, 1800)

    def stop(self):
        for server in self.servers:
            server.discard()
        self.backend.stop()

    def turn(self, number):
        at = number % len(self.servers)
        return self.servers[at:] + self.servers[:at]

    def take(self, server, workload, number, samples):
        """`samples`: makes one; what fails is told, and the rest goes on."""
        try:
            one = samples()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            return self.fail("%s %s round %d" % (server, workload, number), error)
        if one is not None:
            self.result["samples"].append(dict(one, backend=self.backend.name, server=server, workload=workload, round=number))
            log("%s round %d %-22s %-13s %10.1f" % (self.backend.name, number, workload, server, one["rate"]))

    def round(self, number):
        for workload in self.a.workloads:
            for server in self.turn(number):
                self.take(server.name, workload, number, lambda: self.workload(server, workload, number))
        self.take("driver", "cold-read", number, self.raw)
        for server in self.turn(number):
            self.take(server.name, "cold-read", number, lambda: self.cold(server))

    def workload(self, server, workload, number):
        one = sample(server, workload, number, self.a, self.directory)
        if one is not None and "write" in WORKLOADS[workload][0]["rw"]:
            # Its own work put off would be done while somebody else is measured.
            began = time.monotonic()
            server.settled()
            one["settled_seconds"] = time.monotonic() - began
        return one

    def raw(self):
        settings = ["%s=%s" % pair for pair in self.backend.settings("skerry").items()]
        words = [self.backend.driver, str(self.a.working_set), str(GET_BYTES), str(GETS_IN_FLIGHT)] + settings
        got = json.loads(must(os.path.join(ROOT, "node_modules/.bin/node"), os.path.join(ROOT, "bench/southbound/raw_get.mjs"), *words))
        return dict(rate=got["bytes"] / 1e6 / got["seconds"], seconds=got["seconds"])

    def cold(self, server):
        for _ in range(2):
            server.cold()
            job = fio(["--name=cold", "--uri=" + server.uri, "--rw=read", "--bs=1m", "--iodepth=8", "--offset=%d" % self.a.working_set,
                       "--size=%d" % self.a.working_set], self.directory, 600)
        fetched = server.fetched()
        if fetched is not None and fetched < 0.9 * job["read"]["io_bytes"]:
            raise RuntimeError("not cold: %d bytes were read, and %d fetched" % (job["read"]["io_bytes"], fetched))
        seconds = max(job["read"]["runtime"], 1) / 1000
        return dict(rate=job["read"]["io_bytes"] / 1e6 / seconds, seconds=seconds)

    def amplification(self):
        for pattern, options in PATTERNS.items():
            for server in self.servers:
                self.take(server.name, "bytes-" + pattern, 0, lambda: self.bytes_of(server, options))

    def bytes_of(self, server, options):
        server.settled()
        before = self.quiet()
        job = fio(["--name=bytes", "--uri=" + server.uri, "--rw=randwrite", "--bs=4k", "--iodepth=32", "--norandommap", "--end_fsync=1",
                   "--offset=%d" % (2 * self.a.working_set), "--size=%d" % self.a.working_set, "--io_size=%d" % self.a.working_set]
                  + UNIQUE + options, self.directory, 1800)
        server.settled()
        given = self.quiet() - before
        return dict(rate=given / job["write"]["io_bytes"], given=given, written=job["write"]["io_bytes"])

    def quiet(self):
        """What the backend was given once that has stopped growing."""
        last, since = self.backend.written(), time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(1)
            now = self.backend.written()
            if now != last and now - last > 64 << 10:
                last, since = now, time.monotonic()
        return last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--size", type=int, default=4 << 30)
    parser.add_argument("--working-set", type=int, default=256 << 20)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--out", default="bench-southbound")
    a = parser.parse_args()
    # Told to end it ends as ever: servers are stopped, and what they made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    a.workloads = [w for w in WORKLOADS if w in a.workloads.split(",")]
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(": ")[1].strip() for line in f if line.startswith("model name")), "unknown")
    result = dict(meta=dict(date=time.strftime("%F %T"), cpu=cpu, cpus=os.cpu_count(), kernel=os.uname().release, size=a.size,
                            working_set=a.working_set, seconds=a.seconds, rounds=a.rounds),
                  backends={}, servers={}, samples=[], errors=[])

    def save():
        with open(a.out + ".json", "w") as f:
            json.dump(result, f, indent=1)
        with open(a.out + ".md", "w") as f:
            f.write(report(result))

    for name in a.backends.split(","):
        directory = tempfile.mkdtemp(prefix="skerry-bench-", dir=a.directory)
        bench = Bench(BACKENDS[name](directory), a, directory, result)
        result["backends"][name] = bench.backend.note
        try:
            bench.start()
            for number in range(a.rounds):
                bench.round(number)
                save()
            bench.amplification()
        finally:
            bench.stop()
            shutil.rmtree(directory, ignore_errors=True)
            save()
    print(report(result))


main()
