"""From samples to a table: medians, and medians of ratios within one round, so that a slow machine slows both sides."""
import statistics

from workloads import TARGETS, WORKLOADS


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def ratios(samples, workload, server, peer):
    value = {(s["server"], s["round"]): s["rate"] for s in samples if s["workload"] == workload}
    return [v / value[peer, r] for (name, r), v in sorted(value.items()) if name == server and value.get((peer, r))]


def show(value, digits=3):
    if value is None:
        return "-"
    return "%.1fk" % (value / 1000) if value >= 10000 else "%.0f" % value if value >= 100 else "%.*g" % (digits, value)


def report(result):
    samples, servers = result["samples"], result["servers"]
    meta = result["meta"]
    lines = ["# NBD servers side by side", "",
             "%s, %s, %d CPUs, kernel %s. Volume %d MiB, working set %d MiB, %g s a sample, %d rounds, interleaved." % (
                 meta["date"], meta["cpu"], meta["cpus"], meta["kernel"], meta["size"] >> 20, meta["working_set"] >> 20, meta["seconds"], meta["rounds"]), ""]
    lines += ["- **%s**: %s" % (name, note) for name, note in servers.items()]
    lines += ["", "## Medians: operations a second (4k) or MB a second (1m)", "",
              "| workload | " + " | ".join(servers) + " |", "|---|" + "---:|" * len(servers)]
    for workload in WORKLOADS:
        cells = [show(median([s["rate"] for s in samples if s["workload"] == workload and s["server"] == name])) for name in servers]
        lines.append("| %s | %s |" % (workload, " | ".join(cells)))
    lines += ["", "## Targets: median of the ratios of each round, and their spread", "",
              "| workload | peer | target | median | lowest | highest | met |", "|---|---|---:|---:|---:|---:|---|"]
    for workload, peer, least in TARGETS:
        found = ratios(samples, workload, "skerry", peer)
        if found:
            middle = statistics.median(found)
            lines.append("| %s | %s | %.1f | %.2f | %.2f | %.2f | %s |" % (
                workload, peer, least, middle, min(found), max(found), "yes" if middle >= least else "**no**"))
    lines += ["", "## Server CPU, microseconds an operation (Skerry: destage apart, after the plus sign)", "",
              "| workload | " + " | ".join(servers) + " |", "|---|" + "---:|" * len(servers)]
    for workload in WORKLOADS:
        cells = []
        for name in servers:
            mine = [s for s in samples if s["workload"] == workload and s["server"] == name and s["operations"]]
            cpu = median([(s["cpu_seconds"] - s["destage_seconds"]) / s["operations"] * 1e6 for s in mine])
            destage = median([s["destage_seconds"] / s["operations"] * 1e6 for s in mine])
            cells.append(show(cpu) + (" + " + show(destage) if destage else ""))
        lines.append("| %s | %s |" % (workload, " | ".join(cells)))
    lines += ["", "## Latency p50 / p99, microseconds", "", "| workload | " + " | ".join(servers) + " |", "|---|" + "---:|" * len(servers)]
    for workload in WORKLOADS:
        cells = []
        for name in servers:
            mine = [s for s in samples if s["workload"] == workload and s["server"] == name]
            cells.append("%s / %s" % (show(median([s["p50"] for s in mine])), show(median([s["p99"] for s in mine]))))
        lines.append("| %s | %s |" % (workload, " | ".join(cells)))
    lines += ["", "Highest resident memory, MiB: " + ", ".join(
        "%s %d" % (name, max([s["rss_high"] for s in samples if s["server"] == name], default=0) >> 20) for name in servers)]
    errors = [s for s in result["errors"]]
    if errors:
        lines += ["", "## Errors", ""] + ["- %s" % e for e in errors]
    return "\n".join(lines) + "\n"
