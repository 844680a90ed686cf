#!/usr/bin/env python3
"""Many NBD clients at once, in one process: nbd_crowd.py SOCKET SECONDS SEED PLAN

PLAN is JSON: {"calm": [EXPORT, ...], "flood": [...], "slow": [...], "half": [...], "vanish": [...]}, a connection for each name.
  calm    writes pages, reads them back and compares, flushes now and then; one request at a time
  flood   keeps as many large writes under way as the server takes
  slow    asks for much and never takes an answer
  half    stops in the middle of a request, or of what it writes, and stays
  vanish  is gone in the middle of what it writes, and comes again
Says "ready" once all are attached, then one line of JSON at the end: of each calm connection how often it went round; what was wrong,
which must be nothing; how many floods, vanishings and bytes there were.
"""
import json
import random
import selectors
import socket
import struct
import sys
import time

OPTION_MAGIC = 0x49484156454F5054
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
GO = 7
READ, WRITE, DISC, FLUSH = 0, 1, 2, 3
PAGE = 4096
EXPORT_BYTES = 4 << 20
FLOOD_BYTES, FLOOD_DEPTH = 256 << 10, 32
SLOW_BYTES, SLOW_REQUESTS = 256 << 10, 200


def request(kind, cookie, offset, length):
    return struct.pack(">IHHQQI", REQUEST_MAGIC, 0, kind, cookie, offset, length)


def receive(sock, count):
    got = b""
    while len(got) < count:
        part = sock.recv(count - len(got))
        if not part:
            raise EOFError("the server closed the connection")
        got += part
    return got


def attach(path, export):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect(path)
    receive(sock, 18)
    name = export.encode()
    data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
    sock.sendall(struct.pack(">I", 3) + struct.pack(">QII", OPTION_MAGIC, GO, len(data)) + data)
    while True:
        _, _, kind, length = struct.unpack(">QIII", receive(sock, 20))
        said = receive(sock, length)
        if kind == 1:
            sock.setblocking(False)
            return sock
        if kind & 0x80000000:
            raise RuntimeError(f"{export}: {said.decode(errors='replace')}")


class Client:
    """Bytes to send and bytes that came, whatever they are; `step` goes on with what has come."""

    reads = True

    def __init__(self, crowd, export, seed):
        self.crowd, self.export, self.dice = crowd, export, random.Random(seed)
        self.out, self.came, self.closing = bytearray(), bytearray(), False
        self.sock = attach(crowd.path, export)
        self.begin()

    def events(self):
        return (selectors.EVENT_READ if self.reads else 0) | (selectors.EVENT_WRITE if self.out else 0)

    def pump(self, mask):
        if mask & selectors.EVENT_WRITE and self.out:
            sent = self.sock.send(self.out[: 1 << 18])
            self.crowd.bytes += sent
            del self.out[:sent]
        if mask & selectors.EVENT_READ and self.reads:
            part = self.sock.recv(1 << 18)
            if not part:
                raise EOFError("the server closed the connection")
            self.came += part
        self.step()

    def begin(self):
        pass

    def step(self):
        pass

    def stop(self):
        """True once there is nothing more to wait for."""
        return True


class Calm(Client):
    def begin(self):
        self.rounds, self.written, self.expect, self.stopping = 0, {}, None, False
        self.next()

    def next(self):
        if self.stopping:
            self.expect = None
            return
        turn = self.rounds % 8
        if turn == 7:
            self.expect = (FLUSH, None)
            self.out += request(FLUSH, self.rounds, 0, 0)
        elif turn % 2 == 1:
            page = self.dice.choice(sorted(self.written)[-64:])
            self.expect = (READ, page)
            self.out += request(READ, self.rounds, page * PAGE, PAGE)
        else:
            page = self.dice.randrange(EXPORT_BYTES // PAGE)
            data = (struct.pack(">QQ", self.rounds, page) + self.export.encode().ljust(16)) * (PAGE // 32)
            self.written[page] = data
            self.expect = (WRITE, page)
            self.out += request(WRITE, self.rounds, page * PAGE, PAGE) + data

    def step(self):
        while self.expect is not None:
            kind, page = self.expect
            want = 16 + (PAGE if kind == READ else 0)
            if len(self.came) < 16:
                return
            magic, error, cookie = struct.unpack(">IIQ", self.came[:16])
            if magic != REPLY_MAGIC or cookie != self.rounds or error != 0:
                self.crowd.wrong.append(f"{self.export}: request {kind} is answered {magic:x} {error} {cookie}")
                self.expect = None
                return
            if len(self.came) < want:
                return
            if kind == READ and self.came[16:want] != self.written[page]:
                self.crowd.wrong.append(f"{self.export}: page {page} is not what was written")
            del self.came[:want]
            self.rounds += 1
            self.next()

    def stop(self):
        self.stopping = True
        return self.expect is None


class Flood(Client):
    def begin(self):
        self.asked = self.answered = 0
        self.body = self.dice.randbytes(FLOOD_BYTES)
        self.stopping = False
        self.step()

    def step(self):
        while len(self.came) >= 16:
            _, error, _ = struct.unpack(">IIQ", self.came[:16])
            del self.came[:16]
            self.answered += 1
            if error != 0:
                self.crowd.wrong.append(f"{self.export}: a write of the flood failed with {error}")
        while not self.stopping and self.asked - self.answered < FLOOD_DEPTH and len(self.out) < 2 * FLOOD_BYTES:
            offset = self.dice.randrange(EXPORT_BYTES // FLOOD_BYTES) * FLOOD_BYTES
            self.out += request(WRITE, self.asked, offset, FLOOD_BYTES) + struct.pack(">Q", self.dice.getrandbits(64)) + self.body[8:]
            self.asked += 1

    def stop(self):
        self.stopping = True
        return self.asked == self.answered


class Slow(Client):
    reads = False

    def begin(self):
        for number in range(SLOW_REQUESTS):
            self.out += request(READ, number, 0, SLOW_BYTES)


class Half(Client):
    reads = False

    def begin(self):
        said = request(WRITE, 1, 0, 1 << 20) + self.dice.randbytes(64) * (1 << 14)
        self.out += said[: self.dice.choice([1, 27, 28, 100, 5000, 300_000, 1_000_000])]


class Vanish(Client):
    reads = False

    def begin(self):
        self.out += (request(WRITE, 1, 0, 1 << 20) + self.dice.randbytes(64) * (1 << 14))[: self.dice.randrange(28, 1 << 20)]

    def step(self):
        self.closing = not self.out


KINDS = {"calm": Calm, "flood": Flood, "slow": Slow, "half": Half, "vanish": Vanish}


class Crowd:
    def __init__(self, path, seed, plan):
        self.path, self.seed, self.wrong, self.bytes, self.vanished = path, seed, [], 0, 0
        self.selector, self.clients = selectors.DefaultSelector(), []
        for kind, exports in plan.items():
            for export in exports:
                self.enter(KINDS[kind], export)

    def enter(self, kind, export):
        self.seed += 1
        client = kind(self, export, self.seed)
        self.clients.append(client)
        self.watch(client)

    def watch(self, client):
        """A client that neither reads nor has anything to say is not looked at."""
        known, wanted = client.sock in self.selector.get_map(), client.events()
        if known and not wanted:
            self.selector.unregister(client.sock)
        elif known:
            if self.selector.get_key(client.sock).events != wanted:
                self.selector.modify(client.sock, wanted, client)
        elif wanted:
            self.selector.register(client.sock, wanted, client)

    def leave(self, client):
        if client.sock in self.selector.get_map():
            self.selector.unregister(client.sock)
        client.sock.close()
        self.clients.remove(client)

    def turn(self, again):
        for key, mask in self.selector.select(0.1):
            client = key.data
            try:
                client.pump(mask)
            except (EOFError, OSError) as why:
                # Only who keeps the protocol may expect to be kept.
                if isinstance(client, (Calm, Flood)):
                    self.wrong.append(f"{client.export}: {why}")
                self.leave(client)
                continue
            if client.closing:
                self.leave(client)
                self.vanished += 1
                if again:
                    self.enter(Vanish, client.export)
            else:
                self.watch(client)

    def run(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn(True)
        late = time.monotonic() + 120
        # Everybody stops; each is asked every time, for they stop where they are.
        while [client for client in self.clients if not client.stop()] and time.monotonic() < late:
            self.turn(False)
        calm = [client for client in self.clients if isinstance(client, Calm)]
        flood = [client for client in self.clients if isinstance(client, Flood)]
        unanswered = [client.export for client in calm + flood if not client.stop()]
        return {
            "rounds": [client.rounds for client in calm],
            "wrong": self.wrong[:20] + [f"{export}: no answer" for export in unanswered[:20]],
            "floods": sum(client.answered for client in flood),
            "vanished": self.vanished,
            "sentBytes": self.bytes,
        }


def main():
    path, seconds, seed, plan = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    crowd = Crowd(path, seed, plan)
    print("ready", flush=True)
    print(json.dumps(crowd.run(seconds)), flush=True)


main()
