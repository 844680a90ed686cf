"""From samples to Markdown: medians, and medians of ratios within one round."""
import statistics

from report import median, show
from workloads import WORKLOADS

ROWS = list(WORKLOADS) + ["cold-read"]
PATTERNS = {"bytes-uniform": "4k writes anywhere", "bytes-hot-spot": "95 % of 4k writes in 5 % of the space"}

# (backend, workload, who, peer, least ratio); the peer `driver` is what its raw ranged gets give.
TARGETS = [("rados", "write-4k-q32", "skerry", "librbd", 5.0), ("rados", "write-4k-flush-each", "skerry-pool", "librbd", 1.0)]
TARGETS += [("s3", "write-4k-q32", "skerry", peer, 10.0) for peer in ("s3backer", "s3backer-64k")]
TARGETS += [(backend, "cold-read", "skerry", "driver", 0.8) for backend in ("rados", "s3", "nfs", "gluster")]


def ratios(samples, workload, server, peer):
    value = {(s["server"], s["round"]): s["rate"] for s in samples if s["workload"] == workload}
    return [v / value[peer, r] for (name, r), v in sorted(value.items()) if name == server and value.get((peer, r))]


def settled_rate(one):
    """The rate of a sample where the time counts, too, until all of it is at the backend."""
    return one["rate"] * one["seconds"] / (one["seconds"] + one["settled_seconds"])


def of(samples, workload, server, what):
    return show(median([what(s) for s in samples if s["workload"] == workload and s["server"] == server]))


def table(head, rows):
    return ["| %s |" % " | ".join(head), "|---|" + "---:|" * (len(head) - 1)] + ["| %s |" % " | ".join(row) for row in rows] + [""]


def rates(samples, servers):
    rows = [[workload] + [of(samples, workload, server, lambda s: s["rate"]) for server in servers] for workload in ROWS]
    others = [peer for peer in servers if not peer.startswith("skerry") and peer != "driver"]
    for row, workload in zip(rows, ROWS):
        for peer in others:
            found = ratios(samples, workload, "skerry", peer)
            row.append("%.2f (%.2f to %.2f)" % (statistics.median(found), min(found), max(found)) if found else "-")
    return table(["workload"] + servers + ["skerry / " + peer for peer in others], rows)


def settling(samples, servers):
    mine = [server for server in servers if server.startswith("skerry")]
    rows = [[workload] + [of([s for s in samples if "settled_seconds" in s], workload, server, settled_rate) for server in mine] for workload in WORKLOADS
            if any("settled_seconds" in s for s in samples if s["workload"] == workload)]
    return table(["workload"] + mine, rows)


def latency(samples, servers):
    servers = [server for server in servers if server != "driver"]
    rows = [[workload] + [" / ".join(of(samples, workload, server, lambda s, p=p: s[p]) for p in ("p50", "p99")) for server in servers] for workload in WORKLOADS]
    return table(["workload"] + servers, rows)


def targets(samples):
    rows = []
    for backend, workload, who, peer, least in TARGETS:
        found = ratios([s for s in samples if s["backend"] == backend], workload, who, peer)
        if found:
            middle = statistics.median(found)
            rows.append([backend, workload, who, peer, "%.1f" % least, "%.2f" % middle, "%.2f" % min(found), "%.2f" % max(found), "yes" if middle >= least else "**no**"])
    return table(["backend", "workload", "who", "peer", "target", "median", "lowest", "highest", "met"], rows)


def report(result):
    meta, samples = result["meta"], result["samples"]
    lines = ["# Backends side by side", "",
             "%s, %s, %d CPUs, kernel %s. Volume %d MiB, working set %d MiB, %g s a sample, %d rounds, interleaved." % (
                 meta["date"], meta["cpu"], meta["cpus"], meta["kernel"], meta["size"] >> 20, meta["working_set"] >> 20, meta["seconds"], meta["rounds"]),
             "", "## Targets: median of the ratios of each round, and their spread", ""] + targets(samples)
    for backend, note in result["backends"].items():
        here = [s for s in samples if s["backend"] == backend]
        servers = list(dict.fromkeys(s["server"] for s in here if s["server"] != "driver")) + ["driver"]
        servers.sort(key=lambda name: (not name.startswith("skerry"), name == "driver"))
        lines += ["## %s" % backend, "", "%s." % note, ""]
        lines += ["- **%s**: %s" % (name.split(" ")[1], said) for name, said in result["servers"].items() if name.split(" ")[0] == backend]
        lines += ["- **driver**: ranged gets of 4 MiB by the driver, 8 in flight, with nothing above it", ""]
        lines += ["Operations a second (4k) or MB a second (1m, cold-read), medians; ratios within rounds:", ""] + rates(here, servers)
        lines += ["The same, where the time counts, too, until all that was written is at the backend:", ""] + settling(here, servers)
        lines += ["Latency p50 / p99, microseconds:", ""] + latency(here, servers)
        lines += ["Bytes that the backend was given for each byte that was written:", ""]
        lines += table(["pattern"] + servers[:-1], [[said] + [of(here, name, server, lambda s: s["rate"]) for server in servers[:-1]] for name, said in PATTERNS.items()])
    if result["errors"]:
        lines += ["## Errors", ""] + ["- %s" % error for error in result["errors"]]
    return "\n".join(lines) + "\n"
