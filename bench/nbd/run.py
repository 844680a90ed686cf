#!/usr/bin/env python3
"""bench/nbd/run.py [--rounds 9] [--seconds 3] [--servers a,b] [--workloads x,y] [--out FILE]: measures NBD servers side by side.

The client is fio's nbd engine. Rounds are interleaved and their order rotates; every server gets the same data, which
differs from round to round, or a deduplicating server would be flattered. Writes FILE.json and FILE.md.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from report import report
from sampling import DATA, DEDUPE_SET, fio, sample
from servers import SERVERS
from workloads import WORKLOADS


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def use_memory(path):
    """Fills the page cache with the holes of a file, so that what is measured next gets memory that was in use a moment ago."""
    with open("/proc/meminfo") as f:
        total = int(next(line.split()[1] for line in f if line.startswith("MemTotal"))) << 10
    with open(path, "ab") as f:
        f.truncate(total)
    subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--size", type=int, default=4 << 30)
    parser.add_argument("--working-set", type=int, default=1 << 30)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--memory-in-use", action="store_true", help="fill the page cache before each round, as on a host that has been up for long")
    parser.add_argument("--out", default="bench-nbd")
    a = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="skerry-bench-", dir=a.directory)
    servers = [SERVERS[name](directory, a.size) for name in a.servers.split(",")]
    workloads = [w for w in WORKLOADS if w in a.workloads.split(",")]
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(": ")[1].strip() for line in f if line.startswith("model name")), "unknown")
    result = dict(meta=dict(date=time.strftime("%F %T"), cpu=cpu, cpus=os.cpu_count(), kernel=os.uname().release, size=a.size,
                            working_set=a.working_set, seconds=a.seconds, rounds=a.rounds),
                  servers={s.name: s.note for s in servers}, samples=[], errors=[])

    def save():
        with open(a.out + ".json", "w") as f:
            json.dump(result, f, indent=1)
        with open(a.out + ".md", "w") as f:
            f.write(report(result))

    try:
        for server in servers:
            server.start()
            fio(["--name=fill", "--uri=" + server.uri, "--rw=write", "--bs=64k", "--iodepth=8", "--size=%d" % a.working_set, "--randseed=1",
                 "--end_fsync=1"] + DATA + DEDUPE_SET, directory, 900)
            if hasattr(server, "precondition_done"):
                server.precondition_done()
            log("filled", server.name)
        for number in range(a.rounds):
            if a.memory_in_use:
                use_memory(os.path.join(directory, "holes"))
            for workload in workloads:
                turn = number % len(servers)
                for server in servers[turn:] + servers[:turn]:
                    try:
                        one = sample(server, workload, number, a, directory)
                    except (RuntimeError, subprocess.SubprocessError) as error:
                        result["errors"].append("%s %s round %d: %s" % (server.name, workload, number, error))
                        log(result["errors"][-1])
                        continue
                    if one:
                        result["samples"].append(one)
                        log("round %d %-22s %-12s %10.0f" % (number, workload, server.name, one["rate"]))
            save()
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(report(result))


main()
