#!/usr/bin/env python3
"""How much memory the daemon takes through a long run of random writes: fio writes 4 KiB blocks over NBD, 32 in flight,
every second the kernel is asked what is resident (ring, V8 and buffers included). Exit status 1 where that was ever more than
the ceiling. The disk must have room for what is written."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIELDS = ("VmRSS", "RssAnon", "RssShmem", "RssFile")
MIB = 1 << 20


def resident(pid):
    """MiB by field, as the kernel counts them."""
    with open("/proc/%d/status" % pid) as f:
        status = f.read()
    return {field: int(re.search(field + r":\s+(\d+)", status).group(1)) >> 10 for field in FIELDS + ("VmHWM",)}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--set-gib", type=int, default=1, help="of the volume, written over and over (default 1)")
    options.add_argument("--write-gib", type=int, default=20, help="to write in all (default 20)")
    options.add_argument("--ceiling-mib", type=int, default=1024, help="what the daemon may take (default 1024)")
    options.add_argument("--directory", help="where to work (default: a temporary one)")
    given = options.parse_args()
    directory = tempfile.mkdtemp(prefix="skerry-memory-", dir=given.directory)
    node = os.path.join(ROOT, "node_modules", ".bin", "node")
    skerry = [node, os.path.join(ROOT, "dist", "src", "cli", "main.js"), "--data", os.path.join(directory, "data")]
    with open(os.path.join(directory, "log"), "w") as log:
        daemon = subprocess.Popen(skerry + ["serve", "--http-port", "0", "--s3-listen", "none"], stdout=subprocess.PIPE, stderr=log, text=True)
    highest = dict.fromkeys(FIELDS, 0)
    try:
        json.loads(daemon.stdout.readline())
        subprocess.run(skerry + ["volume", "create", "v", "--size", "%dG" % given.set_gib], check=True, stdout=subprocess.DEVNULL)
        uri = subprocess.run(skerry + ["volume", "uri", "v"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        began = time.monotonic()
        fio = subprocess.Popen(
            ["fio", "--output-format=json", "--output=fio.json", "--ioengine=nbd", "--thread", "--uri=" + uri, "--name=write", "--rw=randwrite", "--bs=4k",
             "--iodepth=32", "--size=%dg" % given.set_gib, "--io_size=%dg" % given.write_gib, "--norandommap", "--refill_buffers"],
            cwd=directory)
        while fio.poll() is None:
            time.sleep(1)
            now = resident(daemon.pid)
            highest = {field: max(highest[field], now[field]) for field in FIELDS}
        seconds = time.monotonic() - began
        peak = resident(daemon.pid)["VmHWM"]
        if fio.returncode != 0 or daemon.poll() is not None:
            sys.exit("the run failed: fio ended with %s, the daemon %s" % (fio.returncode, "is gone" if daemon.poll() is not None else "lives"))
        with open(os.path.join(directory, "fio.json")) as f:
            said = f.read()  # the engine says a line of its own first
            written = json.loads(said[said.index("{"):])["jobs"][0]["write"]["io_bytes"]
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(directory, ignore_errors=True)
    print("%.1f GiB written over a set of %d GiB in %.0f s; highest resident %d MiB of %d (anonymous %d, shared %d, files %d)" % (
        written / MIB / 1024, given.set_gib, seconds, peak, given.ceiling_mib, highest["RssAnon"], highest["RssShmem"], highest["RssFile"]))
    sys.exit(0 if peak <= given.ceiling_mib else 1)


main()
