"""The samples of one run as Markdown."""

OVERWRITE, NEW_FILE = "disk: 4 KiB overwrite, fdatasync", "disk: new file, fsync, fsync of its directory"
VERBS = [OVERWRITE, NEW_FILE, "create", "snapshot", "clone of a snapshot", "clone of a volume", "delete", "show", "uri", "list 10", "list 100"]


def at(times, share):
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def table(*heads):
    return row(*heads) + row(*["---"] + ["---:"] * (len(heads) - 1))


def report(result):
    samples = result.get("samples", [])
    scales = [grown["scale"] for grown in result["scales"]]

    def inside(verb, **wanted):
        return [s["inside"] for s in samples if s["verb"] == verb and all(s[key] == value for key, value in wanted.items())]

    text = "# Verbs of the control plane\n\n%s, %d CPUs, Linux %s, %d rounds\n\n" % (
        result["meta"]["date"], result["meta"]["cpus"], result["meta"]["kernel"], result["meta"]["rounds"])
    text += "Milliseconds in the daemon. `under 5`: the share that took less than 5 ms. `x`: median over that of the durable 4 KiB overwrites of the same rounds. `seen`: the caller's median.\n\n"
    text += table("verb", "resources", "size", "load", "least", "median", "p90", "p99", "max", "under 5", "x", "seen")
    for verb in VERBS:
        for scale in scales:
            for size in dict.fromkeys(sample["size"] for sample in samples):
                for load in ("quiet", "writing"):
                    where = dict(scale=scale, size=size, load=load)
                    times = inside(verb, **where)
                    if not times:
                        continue
                    seen = [s["seen"] for s in samples if s["verb"] == verb and all(s[key] == value for key, value in where.items())]
                    text += row(verb, scale, size, load, *["%.2f" % at(times, share) for share in (0, 0.5, 0.9, 0.99, 1)],
                                "%.1f %%" % (100 * sum(time < 5 for time in times) / len(times)),
                                "%.1f" % (at(times, 0.5) / at(inside(OVERWRITE, **where), 0.5)), "%.2f" % at(seen, 0.5))
    text += "\nGrowth: medians of all sizes and loads, and in brackets how many times that of the first.\n\n" + table("verb", *scales)
    for verb in VERBS:
        medians = [at(inside(verb, scale=scale), 0.5) for scale in scales]
        text += row(verb, *["%.2f ms (%.1f)" % (median, median / medians[0]) for median in medians])
    text += "\n" + table("resources", "made per second", "settled after, s", "memory, MiB", "ready after kill -9, s")
    for grown in result["scales"]:
        text += row(grown["scale"], "%.0f" % (grown["made"] / max(grown["seconds"], 1e-9)), "%.1f" % grown["settled"],
                    "%.0f" % (grown["rss"] / 2**20), "%.2f" % grown["start_seconds"])
    text += "\nThe first start took %.2f s.\n" % result["first_start_seconds"]
    for error in result["errors"]:
        text += "\nFailed: %s\n" % error
    return text
