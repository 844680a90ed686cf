"""From samples to Markdown: medians, and medians of ratios within one round, so that a slow machine slows both sides."""
import statistics

from report import median, show

SIZES = {"4k": 4096, "1m": 1 << 20, "64m": 64 << 20}
ROWS = ["%s-%s" % (verb, size) for size in SIZES for verb in ("put", "get")]
PEER = "radosgw"

# Skerry's rate, of radosgw's at least.
TARGETS = {"put-4k": 5.0, "get-4k": 3.0, "put-1m": 1.5, "get-1m": 2.0, "put-64m": 1.5, "get-64m": 2.0}
# Of known data: map nodes and roots are stored, and no blocks.
AGAIN_MAX = 0.01


def ratios(samples, row, value=lambda s: s["rate"]):
    of = {(s["server"], s["round"]): value(s) for s in samples if s["row"] == row}
    return [mine / of[PEER, r] for (name, r), mine in sorted(of.items()) if name == "skerry" and of.get((PEER, r))]


def spread(found):
    return ["%.2f" % statistics.median(found), "%.2f" % min(found), "%.2f" % max(found)] if found else ["-"] * 3


def table(head, rows):
    return ["| %s |" % " | ".join(head), "|---|" + "---:|" * (len(head) - 1)] + ["| %s |" % " | ".join(row) for row in rows] + [""]


def targets(samples):
    rows = []
    for row, least in TARGETS.items():
        found = ratios(samples, row)
        if found:
            rows.append([row, "%.1f" % least] + spread(found) + ["yes" if statistics.median(found) >= least else "**no**"])
    return table(["row", "target", "median", "lowest", "highest", "met"], rows)


def again(samples, servers):
    rows = []
    for size in SIZES:
        of = {s["server"]: s["rate"] for s in samples if s["row"] == "again-" + size}
        if of:
            met = "-" if "skerry" not in of else "yes" if of["skerry"] <= AGAIN_MAX else "**no**"
            rows.append([size] + ["%.4f" % of[name] if name in of else "-" for name in servers] + [met])
    return table(["objects of"] + list(servers) + ["skerry: %g at most" % AGAIN_MAX], rows)


def by_server(samples, servers, cell):
    """A row for each kind of sample, and a column for each server."""
    rows = [[row] + [cell([s for s in samples if s["row"] == row and s["server"] == name]) for name in servers] for row in ROWS]
    return table(["row"] + list(servers), [row for row in rows if any(word != "-" for word in row[1:])])


def milliseconds(one):
    return one["cpu_seconds"] * 1000 / one["operations"]


def report(result):
    meta, samples, servers = result["meta"], result["samples"], result["servers"]
    lines = ["# S3 side by side", "",
             "%s, %s, %d CPUs, kernel %s, load %.1f when it began. %d connections, %g s a sample, %d rounds, interleaved, after one that does not count." % (
                 meta["date"], meta["cpu"], meta["cpus"], meta["kernel"], meta["load"], meta["connections"], meta["seconds"], meta["rounds"]), ""]
    lines += ["- **%s**: %s" % (name, note) for name, note in servers.items()]
    lines += ["", "## Targets: median of the ratios of each round, and their spread", ""] + targets(samples)
    lines += ["## Known data, put a second time: bytes stored for each byte", ""] + again(samples, servers)
    lines += ["## Medians: objects a second (4k) or MB a second (1m, 64m)", ""]
    lines += by_server(samples, servers, lambda found: show(median([s["rate"] for s in found])))
    lines += ["## The round before them, which does not count", ""]
    lines += by_server(result["warm_up"], servers, lambda found: show(median([s["rate"] for s in found])))
    lines += ["## The server's processors, milliseconds an object", ""]
    lines += by_server(samples, servers, lambda found: show(median([milliseconds(s) for s in found])))
    lines += ["## Latency p50 / p99, microseconds", ""]
    lines += by_server(samples, servers, lambda found: "%s / %s" % (show(median([s["p50"] for s in found])), show(median([s["p99"] for s in found]))) if found else "-")
    if result["errors"]:
        lines += ["## Errors", ""] + ["- %s" % error for error in result["errors"]]
    return "\n".join(lines) + "\n"
