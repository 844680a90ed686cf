"""What is asked of each server, as options of fio's nbd engine, and what Skerry promises against which peer."""

WORKLOADS = {
    # name: (fio options, unit, on a fresh clone?)
    "read-4k-q32": (dict(rw="randread", bs="4k", iodepth=32), "iops", False),
    "read-4k-q1": (dict(rw="randread", bs="4k", iodepth=1), "iops", False),
    "write-4k-q32": (dict(rw="randwrite", bs="4k", iodepth=32), "iops", False),
    "write-4k-flush-each": (dict(rw="randwrite", bs="4k", iodepth=1, fsync=1), "iops", False),
    "write-4k-q32-flush-32": (dict(rw="randwrite", bs="4k", iodepth=32, fsync=32), "iops", False),
    "clone-first-4k-q1": (dict(rw="randwrite", bs="4k", iodepth=1), "iops", True),
    "clone-first-4k-q16": (dict(rw="randwrite", bs="4k", iodepth=16), "iops", True),
    "write-1m-q8": (dict(rw="write", bs="1m", iodepth=8), "mbps", False),
    "read-1m-q8": (dict(rw="read", bs="1m", iodepth=8), "mbps", False),
}

# (workload, peer, least ratio)
TARGETS = [
    ("read-4k-q32", "nbdkit-file", 0.9),
    ("read-4k-q32", "qemu-qcow2", 2.0),
    ("write-4k-q32", "nbdkit-file", 1.1),
    ("write-4k-flush-each", "nbdkit-file", 1.0),
    ("clone-first-4k-q1", "qemu-qcow2", 3.0),
    ("clone-first-4k-q16", "qemu-qcow2", 5.0),
    ("write-1m-q8", "qemu-qcow2", 1.0),
    ("read-1m-q8", "qemu-qcow2", 1.5),
]
