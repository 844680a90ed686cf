#!/usr/bin/env python3
"""A client that gets the NBD protocol wrong in every way it can think of: nbd_noise.py SOCKET EXPORT SEED SECONDS

Each connection is made of a seeded random sequence: flags, options with right and wrong lengths, names that are none, odd
orders, then requests, some of them sound, some cut off at a random byte, some after garbage. Several are open side by side.
It never reads what it wrote back: that is for a client that behaves. EXPORT is the only export it may change, the read-only
EXPORT@golden and the exports that are not there it asks for too. Ends with one line of JSON: what was sent, and how
connections ended. The same seed sends the same, whatever the server answers.
"""
import json
import random
import selectors
import socket
import struct
import sys
import time

OPTION_MAGIC = 0x49484156454F5054
REQUEST_MAGIC = 0x25609513
EXPORT_NAME, ABORT, LIST, PEEK, STARTTLS, INFO, GO, STRUCTURED, LIST_META, SET_META, EXTENDED = range(1, 12)
READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS = range(8)
OPEN_MAX = 24
EXPORT_BYTES = 8 << 20
STALL_SECONDS = 2.0


class Author:
    """What one connection says, decided before it is opened."""

    def __init__(self, dice, export):
        self.dice = dice
        self.exports = [export] * 6 + [export + "@golden", "none", "", "x" * 57, "y" * 5000, export + "@none"]

    def chance(self, percent):
        return self.dice.randrange(100) < percent

    def name(self):
        if self.chance(8):
            return self.dice.randbytes(self.dice.choice([1, 3, 40, 300]))
        return self.dice.choice(self.exports).encode()

    def number(self, bits):
        """Edges more often than what lies between."""
        pick = self.dice.randrange(6)
        if pick == 0:
            return 0
        if pick == 1:
            return (1 << bits) - 1
        if pick == 2:
            return 1 << self.dice.randrange(bits)
        return self.dice.getrandbits(self.dice.randrange(1, bits + 1))

    def option(self, number, data, length=None):
        magic = self.dice.getrandbits(64) if self.chance(1) else OPTION_MAGIC
        return struct.pack(">QII", magic, number, (len(data) if length is None else length) & 0xFFFFFFFF) + data

    def info_data(self, name):
        infos = [self.dice.choice([0, 1, 2, 3, 77]) for _ in range(self.dice.randrange(4))]
        count = self.number(16) if self.chance(10) else len(infos)
        said = self.number(32) if self.chance(8) else len(name)
        return struct.pack(">I", said) + name + struct.pack(">H", count) + b"".join(struct.pack(">H", one) for one in infos)

    def meta_data(self):
        name = self.name()
        queries = [self.query() for _ in range(self.dice.randrange(4))]
        count = self.number(32) if self.chance(10) else len(queries)
        data = struct.pack(">I", len(name)) + name + struct.pack(">I", count)
        for query in queries:
            data += struct.pack(">I", self.number(32) if self.chance(5) else len(query)) + query
        return data

    def query(self):
        known = ["base:allocation", "base:", "skerry:changed:golden", "skerry:", "qemu:dirty-bitmap:x", "", "base:allocation\0"]
        return self.dice.randbytes(9) if self.chance(8) else self.dice.choice(known).encode()

    def handshake(self):
        flags = self.number(32) if self.chance(8) else self.dice.choice([1, 3, 3, 3])
        said = struct.pack(">I", flags)
        for _ in range(self.dice.randrange(8)):
            number = self.dice.choice([ABORT, LIST, PEEK, STARTTLS, INFO, INFO, STRUCTURED, STRUCTURED, LIST_META, SET_META, SET_META, EXTENDED])
            if number == ABORT and not self.chance(10):
                number = STRUCTURED
            if self.chance(4):
                number = self.number(32)
            data = self.option_data(number)
            length = None
            if self.chance(4):
                length = self.dice.choice([self.number(32), len(data) + 1, max(0, len(data) - 1), 65536, 65537])
            said += self.option(number, data, length)
        last = self.dice.choice([GO, GO, GO, EXPORT_NAME])
        return said + self.option(last, self.name() if last == EXPORT_NAME else self.info_data(self.name()))

    def option_data(self, number):
        if self.chance(8):
            return self.dice.randbytes(self.dice.choice([1, 7, 100, 3000]))
        if number in (INFO, GO):
            return self.info_data(self.name())
        if number in (LIST_META, SET_META):
            return self.meta_data()
        return b""

    def request(self):
        kind = self.dice.choice([READ] * 5 + [WRITE] * 5 + [FLUSH, TRIM, CACHE, ZEROES, ZEROES, STATUS, STATUS])
        if self.chance(2):
            kind = self.number(16)
        flags = self.number(16) if self.chance(10) else self.dice.choice([0, 0, 0, 1, 2, 4, 8, 16])
        length = self.dice.choice([0, 1, 512, 4096, 4097, 65535, 65536, 100_000, 1 << 20])
        offset = self.dice.randrange(EXPORT_BYTES)
        if self.chance(50):
            offset -= offset % 4096
        if self.chance(6):
            offset = self.number(64)
        if self.chance(3):
            length = self.number(32)
        if kind == FLUSH and not self.chance(5):
            offset = length = 0
        magic = self.number(32) if self.chance(1) else REQUEST_MAGIC
        header = struct.pack(">IHHQQI", magic, flags, kind, self.dice.getrandbits(64), offset, length)
        if kind != WRITE:
            return header
        # More than is allowed is announced and never sent whole.
        return header + self.dice.randbytes(1) * min(length, 2 << 20)

    def connection(self):
        if self.chance(4):
            return self.dice.randbytes(self.dice.randrange(1, 4000))
        said = self.handshake()
        for _ in range(self.dice.choice([0, 1, 3, 10, 40])):
            said += self.request()
        if self.chance(3):
            said += self.dice.randbytes(self.dice.randrange(1, 200))
        if self.chance(30):
            said += struct.pack(">IHHQQI", REQUEST_MAGIC, 0, DISC, 0, 0, 0)
        if self.chance(40):
            said = said[: self.dice.randrange(len(said) + 1)]
        return said


class Noise:
    """One connection: sends in pieces of its own sizes, reads what comes or lets it lie, ends in one of several ways."""

    def __init__(self, path, author):
        dice = author.dice
        self.rest = memoryview(author.connection())
        self.pieces = [dice.choice([1, 3, 16, 28, 100, 4096, 1 << 20]) for _ in range(8)]
        self.reads = not author.chance(15)
        self.ending = dice.choice(["close", "half", "wait", "reset"])
        self.sent = self.received = self.turn = 0
        self.last = time.monotonic()
        self.half_closed = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.socket.setblocking(False)

    def step(self, readable, writable):
        """How it ended, or None."""
        if readable and self.reads:
            data = self.socket.recv(1 << 16)
            if not data:
                return "server"
            self.received += len(data)
            self.last = time.monotonic()
        if writable and self.rest:
            piece = self.pieces[self.turn % len(self.pieces)]
            sent = self.socket.send(self.rest[:piece])
            self.turn += 1
            self.sent += sent
            self.rest = self.rest[sent:]
            self.last = time.monotonic()
        if self.rest:
            return "stalled" if time.monotonic() - self.last > STALL_SECONDS else None
        if self.ending == "half" and not self.half_closed:
            self.socket.shutdown(socket.SHUT_WR)
            self.half_closed = True
            return None
        if self.ending in ("close", "reset"):
            return "client"
        return "client" if time.monotonic() - self.last > STALL_SECONDS / 10 else None


def main():
    path, export, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    dice = random.Random(seed)
    endings = {}
    totals = {"connections": 0, "sentBytes": 0, "receivedBytes": 0}
    until = time.monotonic() + seconds
    selector = selectors.DefaultSelector()
    live = {}
    while live or time.monotonic() < until:
        while len(live) < OPEN_MAX and time.monotonic() < until:
            noise = Noise(path, Author(random.Random(dice.getrandbits(64)), export))
            selector.register(noise.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            live[noise.socket] = noise
            totals["connections"] += 1
        ready = {key.fileobj: events for key, events in selector.select(0.05)}
        busy = False
        for noise in list(live.values()):
            events = ready.get(noise.socket, 0)
            before = noise.sent + noise.received
            try:
                ending = noise.step(events & selectors.EVENT_READ, events & selectors.EVENT_WRITE)
            except (BrokenPipeError, ConnectionResetError):
                ending = "server"
            busy = busy or noise.sent + noise.received != before
            if ending is None:
                continue
            endings[ending] = endings.get(ending, 0) + 1
            totals["sentBytes"] += noise.sent
            totals["receivedBytes"] += noise.received
            selector.unregister(noise.socket)
            noise.socket.close()
            del live[noise.socket]
        if not busy:
            time.sleep(0.005)
    print(json.dumps({**totals, "endings": endings}))


main()
