#!/usr/bin/env python3
"""bench/control/run.py [--scales 10,10000,100000] [--rounds 200] [--out FILE]: how long create, clone, snapshot, delete, list
and show take, for small and huge volumes, quiet and while a guest writes, with few and with many resources.

Times are those that the daemon itself gives (server-timing: from the request being read to its answer being ready); what the
caller waited stands beside them. What a durable write costs on this disk is measured in turn with them. Writes FILE.json, FILE.md.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from daemon import Daemon, Failed
from disk import Disk
from report import NEW_FILE, OVERWRITE, report

SIZES = {"1 GiB": 1 << 30, "10 TiB": 10 << 40}
WRITTEN = 256 << 20
SNAPSHOTS_PER_VOLUME = 4


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def fio(uri, *words, **keywords):
    return subprocess.Popen(["fio", "--name=write", "--ioengine=nbd", "--thread", "--uri=" + uri, "--bs=4k", "--rw=randwrite",
                             "--size=%d" % WRITTEN, "--output-format=json"] + list(words), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **keywords)


def until(what, seconds, look):
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise RuntimeError("waited %d s for %s" % (seconds, what))
        time.sleep(0.05)


class Bench:
    def __init__(self, daemon, a):
        self.daemon, self.a, self.samples, self.filled = daemon, a, [], 0
        self.disk = Disk(daemon.home)

    def path(self, kind, name):
        return "/v1/%ss/%s" % (kind, quote(name, safe=""))

    def take(self, verb, size, load, scale, method, path, body=None):
        answer, inside, seen = self.daemon.call(method, path, body)
        self.samples.append(dict(verb=verb, size=size, load=load, scale=scale, inside=inside, seen=seen))
        return answer

    def pending(self, name):
        return self.daemon.call("GET", self.path("snapshot", name))[0]["pending"]

    def data_volumes(self):
        """One of each size, with data in it and a snapshot whose root is in the pool."""
        for size, bytes_ in SIZES.items():
            name = self.name(size)
            self.daemon.call("POST", "/v1/volumes", dict(name=name, sizeBytes=bytes_))
            self.write(name, "--io_size=%d" % (WRITTEN // 4), "--end_fsync=1", "--iodepth=16").communicate()
            self.daemon.call("POST", "/v1/snapshots", dict(name=name + "@base"))
            until("the root of " + name, 120, lambda name=name: not self.pending(name + "@base"))

    def name(self, size):
        return "data-" + size.replace(" ", "").lower()

    def write(self, name, *words):
        return fio(self.daemon.uri(name), *words)

    def grow(self, scale):
        """Until there are about so many resources: half volumes, a quarter snapshots, a quarter clones of snapshots."""
        def family(number):
            name = "fill-%06d" % number
            call = self.daemon.call
            call("POST", "/v1/volumes", dict(name=name, sizeBytes=(10 << 30) + (number << 20)))
            call("POST", "/v1/snapshots", dict(name=name + "@a"))
            call("POST", "/v1/clones", dict(source=name + "@a", name="clone-%06d" % number))
            call("POST", "/v1/volumes", dict(name="more-%06d" % number, sizeBytes=1 << 40))

        wanted = scale // 4
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for done in pool.map(family, range(self.filled, wanted)):
                if done is not None:
                    raise RuntimeError("unexpected")
        made, self.filled = (wanted - self.filled) * 4, max(wanted, self.filled)
        seconds = time.monotonic() - began
        log("%d resources made in %.1f s" % (made, seconds))
        last = "fill-%06d@a" % (self.filled - 1)
        until("the roots of what was made", 1800, lambda: not self.pending(last))
        time.sleep(self.a.rest)
        return dict(scale=scale, made=made, seconds=seconds, settled=time.monotonic() - began)

    def measure(self, scale, size, load):
        volume, writer = self.name(size), None
        if load == "writing":
            writer = self.write(volume, "--time_based", "--runtime=600", "--rate_iops=500", "--iodepth=4", "--norandommap")
            time.sleep(1)
        try:
            for number in range(self.a.rounds):
                tag = "%d-%s-%d" % (scale, load[0], number)
                new, of_volume, of_snapshot = ("%s-%s-%s" % (word, tag, size[-3].lower()) for word in ("new", "cv", "cs"))
                snapshot = "%s@%s" % (volume, tag)
                step = lambda verb, *rest: self.take(verb, size, load, scale, *rest)
                for verb, times in ((OVERWRITE, self.disk.overwrite()), (NEW_FILE, self.disk.new_file())):
                    self.samples.append(dict(verb=verb, size=size, load=load, scale=scale, inside=times, seen=times))
                step("create", "POST", "/v1/volumes", dict(name=new, sizeBytes=SIZES[size]))
                step("snapshot", "POST", "/v1/snapshots", dict(name=snapshot))
                step("clone of a snapshot", "POST", "/v1/clones", dict(source=volume + "@base", name=of_snapshot))
                step("clone of a volume", "POST", "/v1/clones", dict(source=volume, name=of_volume))
                step("show", "GET", self.path("volume", new))
                step("uri", "GET", self.path("volume", new) + "/uri")
                if number % 10 == 0:
                    step("list 10", "GET", "/v1/volumes" + ("?limit=10" if self.a.pages else ""))
                    step("list 100", "GET", "/v1/volumes" + ("?limit=100" if self.a.pages else ""))
                for kind, name in (("volume", new), ("volume", of_volume), ("volume", of_snapshot), ("snapshot", snapshot)):
                    step("delete", "DELETE", self.path(kind, name))
        finally:
            if writer:
                writer.terminate()
                writer.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scales", default="10,10000,100000")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rest", type=float, default=5, help="seconds of rest after resources were made")
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--no-pages", dest="pages", action="store_false", help="for a daemon that lists everything at once")
    parser.add_argument("--out", default="bench-control")
    a = parser.parse_args()
    daemon = Daemon(a.directory)
    result = dict(meta=dict(date=time.strftime("%F %T"), cpus=os.cpu_count(), kernel=os.uname().release, rounds=a.rounds), scales=[], errors=[])
    bench = Bench(daemon, a)
    try:
        result["first_start_seconds"] = daemon.start()
        bench.data_volumes()
        for scale in (int(word) for word in a.scales.split(",")):
            grown = bench.grow(scale)
            for size in SIZES:
                for load in ("quiet", "writing"):
                    try:
                        bench.measure(scale, size, load)
                    except (Failed, OSError) as error:
                        result["errors"].append("%d %s %s: %s" % (scale, size, load, error))
                        log(result["errors"][-1])
                    log(scale, size, load)
            grown["rss"] = daemon.memory()
            time.sleep(a.rest)
            grown["stop_seconds"] = daemon.stop(kill=True)
            grown["start_seconds"] = daemon.start()
            result["scales"].append(grown)
            result["samples"] = bench.samples
            with open(a.out + ".json", "w") as f:
                json.dump(result, f)
            with open(a.out + ".md", "w") as f:
                f.write(report(result))
            log("killed and started again: %.2f s" % grown["start_seconds"])
    except BaseException:
        log(daemon.log()[-3000:])
        raise
    finally:
        daemon.stop(kill=True)
        shutil.rmtree(daemon.home, ignore_errors=True)
    print(report(result))


main()
