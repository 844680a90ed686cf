#!/usr/bin/env python3
"""bench/s3/run.py [--rounds 5] [--seconds 3] [--sizes 4k,1m,64m] [--connections 8] [--processes 2] [--servers a,b] [--out FILE]: Skerry's S3 and radosgw
on the same disk, side by side.

In each round objects of each size are put, and then got in another order; servers take turns, and their order rotates. Every byte that comes back is compared with what was put.
Before the first round comes one like it that is told, and does not count: both servers are warm from then on.
In the end what the first round put is put again under other keys, and told is what that has the pool grow. Writes FILE.json and FILE.md. Wants the
built tree, root, and Debian's ceph and radosgw.
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

# The number of the round that does not count: its keys and its content are like no other round's.
WARM_UP = -1
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(os.path.dirname(HERE), name) for name in ("nbd", "southbound")]
from endpoints import SERVERS, load
from results import SIZES, report


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


class Bench:
    """The servers, and what is asked of them."""

    def __init__(self, a, directory, result):
        self.a, self.directory, self.result = a, directory, result
        self.servers = []
        self.counts = {}    # objects of each connection: by server, size and round

    def start(self):
        for name in self.a.servers.split(","):
            server = SERVERS[name](self.directory, 0)
            self.servers.append(server)
            server.start()
            self.result["servers"][name] = server.note

    def stop(self):
        for server in self.servers:
            server.discard()

    def turn(self, number):
        at = number % len(self.servers)
        return self.servers[at:] + self.servers[:at]

    def load(self, server, verb, size, number, **more):
        """One run of the client: its outcome, and what of processors the server had meanwhile."""
        job = dict(server.job, verb=verb, bytes=SIZES[size], prefix="%s-%d" % (size, number), seed=number * len(SIZES) + list(SIZES).index(size),
                   connections=self.a.connections, processes=self.a.processes, seconds=self.a.seconds,
                   objectsMax=max(1, self.a.sample_bytes // SIZES[size] // self.a.connections))
        before = server.cpu_seconds()
        one = load(dict(job, **more))
        return dict(one, cpu_seconds=server.cpu_seconds() - before)

    def take(self, server, row, number, make):
        """What fails is told, and the rest goes on."""
        try:
            one = make()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            self.result["errors"].append("%s: %s round %d: %s" % (server.name, row, number, error))
            return log(self.result["errors"][-1])
        warms = number == WARM_UP
        self.result["warm_up" if warms else "samples"].append(dict(one, server=server.name, row=row, round=number))
        log("%s %-9s %-8s %s" % ("warm-up" if warms else "round %d" % number, row, server.name, "%.1f" % one["rate"]))

    def round(self, number):
        for size in self.a.sizes:
            for verb in ("put", "get"):
                for server in self.turn(number):
                    self.take(server, "%s-%s" % (verb, size), number, lambda: getattr(self, verb)(server, size, number))

    def put(self, server, size, number):
        one = self.load(server, "put", size, number)
        self.counts[server.name, size, number] = one["counts"]
        # Its own work put off would be done while somebody else is measured.
        began = time.monotonic()
        server.settled()
        return rated(dict(one, settled_seconds=time.monotonic() - began))

    def get(self, server, size, number):
        if (server.name, size, number) not in self.counts:
            raise RuntimeError("nothing was put")
        return rated(self.load(server, "get", size, number, counts=self.counts[server.name, size, number]))

    def again(self):
        """What the first round put, under other keys: how many bytes the server stores for each byte of it."""
        for size in self.a.sizes:
            for server in self.servers:
                if (server.name, size, 0) in self.counts:
                    self.take(server, "again-%s" % size, 0, lambda: self.grown(server, size))

    def grown(self, server, size):
        before = server.stored()
        one = self.load(server, "put", size, 0, prefix="%s-again" % size, counts=self.counts[server.name, size, 0], seconds=3600)
        server.settled()
        return dict(one, rate=(server.stored() - before) / one["bytes"])


def rated(one):
    """Objects a second of small ones, MB a second of others."""
    small = one["bytes"] == one["operations"] * SIZES["4k"]
    return dict(one, rate=one["operations"] / one["seconds"] if small else one["bytes"] / 1e6 / one["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--sample-bytes", type=int, default=1 << 30, help="a sample of puts ends with so many, whatever the time")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2, help="of the client")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--out", default="bench-s3")
    a = parser.parse_args()
    # Told to end it ends as ever: servers are stopped, and what they made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    a.sizes = [size for size in SIZES if size in a.sizes.split(",")]
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(": ")[1].strip() for line in f if line.startswith("model name")), "unknown")
    result = dict(meta=dict(date=time.strftime("%F %T"), cpu=cpu, cpus=os.cpu_count(), kernel=os.uname().release, load=os.getloadavg()[0], seconds=a.seconds,
                            rounds=a.rounds, connections=a.connections), servers={}, warm_up=[], samples=[], errors=[])
    directory = tempfile.mkdtemp(prefix="sk-s3-", dir=a.directory)
    bench = Bench(a, directory, result)
    try:
        bench.start()
        for number in range(WARM_UP, a.rounds):
            bench.round(number)
        bench.again()
    finally:
        bench.stop()
        shutil.rmtree(directory, ignore_errors=True)
        with open(a.out + ".json", "w") as f:
            json.dump(result, f, indent=1)
        with open(a.out + ".md", "w") as f:
            f.write(report(result))
    print(report(result))


main()
