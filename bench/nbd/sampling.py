"""One workload on one server: fio's nbd engine, and what the server's process used meanwhile."""
import json
import os
import random
import subprocess

from servers import cpu_seconds, memory
from workloads import WORKLOADS

DATA = ["--buffer_compress_percentage=50", "--refill_buffers", "--dedupe_percentage=30"]
DEDUPE_SET = ["--dedupe_mode=working_set", "--dedupe_working_set_percentage=10"]


def fio(words, directory, limit):
    done = subprocess.run(["fio", "--output-format=json", "--ioengine=nbd", "--thread"] + words, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=directory, timeout=limit)
    try:
        job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    except ValueError:
        raise RuntimeError("fio: " + (done.stderr or done.stdout)[-300:])
    if done.returncode or job["error"]:
        raise RuntimeError("fio: error %s %s" % (job["error"], done.stderr[-300:]))
    return job


def once_each(path, span):
    """A log that fio replays: one 4 KiB write in each 64 KiB of the span, in random order."""
    if not os.path.exists(path):
        order = list(range(span >> 16))
        draw = random.Random(5)
        draw.shuffle(order)
        with open(path, "w") as f:
            f.write("fio version 2 iolog\nnbd add\nnbd open\n")
            f.writelines("nbd write %d 4096\n" % ((unit << 16) + (draw.randrange(16) << 12)) for unit in order)
            f.write("nbd close\n")
    return path


def sample(server, workload, round_number, a, directory):
    options, unit, fresh = WORKLOADS[workload]
    uri, pid, end = server.uri, server.pid, None
    if fresh:
        clone = server.fresh_clone()
        if clone is None:
            return None
        uri, pid, end = clone
    words = ["--name=" + workload, "--uri=" + uri, "--randseed=%d" % (1000 + 100 * round_number + list(WORKLOADS).index(workload)),
             "--lat_percentiles=1", "--clat_percentiles=0", "--percentile_list=50:99"]
    words += ["--%s=%s" % pair for pair in options.items()]
    if fresh:
        words += ["--read_iolog=" + once_each(os.path.join(directory, "once.log"), a.working_set), "--runtime=%g" % a.seconds] + DATA
    else:
        words += ["--size=%d" % a.working_set, "--time_based", "--norandommap", "--runtime=%g" % a.seconds]
        if "write" in options["rw"]:
            words += DATA + DEDUPE_SET
    os.sync()
    cpu, destage = cpu_seconds(pid), server.destage_seconds()
    try:
        job = fio(words, directory, a.seconds + 120)
        used, moved = cpu_seconds(pid) - cpu, server.destage_seconds() - destage
        rss, high = memory(pid)
    finally:
        if end:
            end()
    side = job["read"] if job["read"]["total_ios"] else job["write"]
    seconds = max(side["runtime"], 1) / 1000
    rate = side["total_ios"] / seconds if unit == "iops" else side["io_bytes"] / 1e6 / seconds
    percentile = side["lat_ns"].get("percentile", {})
    return dict(server=server.name, workload=workload, round=round_number, rate=rate, operations=side["total_ios"], seconds=seconds,
                cpu_seconds=used, destage_seconds=moved, rss=rss, rss_high=high,
                p50=percentile.get("50.000000", 0) / 1000, p99=percentile.get("99.000000", 0) / 1000)
