#!/usr/bin/env python3
"""Writes stamped blocks over NBD until the server dies, and knows afterwards what must be there.

stamper.py URI SIZE SEED, driven over standard input and output, a line each way:
  run      -> writes until the connection breaks; prints "broken ACKED FLUSHED"
  check    -> reconnects; every block must hold a stamp at least as new as its last acknowledged one
  check-flushed -> the same for the last flushed one (after a power loss); prints "ok" or "BAD ..."
  look URI -> the same of a snapshot or clone that was made at some moment of the last run: at least as new as when that began
  at URI   -> the volume is there from now on; prints "ok"
A stamp fills its block: (slot, generation) repeated, so a torn or misplaced block shows.
"""
import random
import struct
import sys
import nbd

CONNECTIONS = 4
DEPTH = 8


def stamp(slot, generation, length):
    return struct.pack("<QQ", slot, generation) * (length // 16)


def completed(handle):
    """Commands that have ended, each to be retired before the next is asked for. libnbd calls it an error to ask where none are left."""
    while True:
        try:
            cookie = handle.aio_peek_command_completed()
        except nbd.Error:
            return
        if cookie <= 0:
            return
        yield cookie


class Stamper:
    def __init__(self, uri, size, seed):
        self.uri, self.random = uri, random.Random(seed)
        # Slots of different sizes: sub-page, page, and whole blocks that bypass the journal's payload.
        self.slots, at = [], 0
        lengths = [512, 4096, 4096, 12288, 65536, 131072]
        while True:
            length = lengths[len(self.slots) % len(lengths)]
            if length >= 65536:
                at = (at + 65535) // 65536 * 65536
            if at + length > size:
                break
            self.slots.append((at, length))
            at += length
        self.sent = [0] * len(self.slots)
        self.acked = [0] * len(self.slots)
        self.flushed = [0] * len(self.slots)
        self.began = [0] * len(self.slots)

    def connect(self, uri=None):
        handle = nbd.NBD()
        handle.connect_uri(uri or self.uri)
        return handle

    def run(self):
        self.began = list(self.acked)
        try:
            handles = [self.connect() for _ in range(CONNECTIONS)]
        except nbd.Error:
            return 0, 0   # killed before anything was promised
        acked = flushed = 0
        busy = set()
        broken = False
        buffers = {}
        while not broken:
            for handle in handles:
                try:
                    while handle.aio_in_flight() < DEPTH:
                        slot = self.random.randrange(len(self.slots))
                        if slot in busy:
                            continue
                        self.sent[slot] += 1
                        offset, length = self.slots[slot]
                        data = nbd.Buffer.from_bytearray(bytearray(stamp(slot, self.sent[slot], length)))
                        busy.add(slot)
                        cookie = handle.aio_pwrite(data, offset)
                        buffers[(id(handle), cookie)] = (slot, self.sent[slot], data)
                    handle.poll(0)
                    for cookie in completed(handle):
                        handle.aio_command_completed(cookie)
                        slot, generation, _ = buffers.pop((id(handle), cookie))
                        self.acked[slot] = generation
                        busy.discard(slot)
                        acked += 1
                    if self.random.randrange(400) == 0:
                        covered = list(self.acked)
                        self.settle(handle, buffers, busy)
                        handle.flush()
                        self.flushed = [max(a, b) for a, b in zip(self.flushed, covered)]
                        flushed += 1
                except nbd.Error:
                    broken = True
                    break
        return acked + sum(self.last_words(handle, buffers) for handle in handles), flushed

    def last_words(self, handle, buffers):
        """Answers that came before the connection broke: nothing is more at risk than what they acknowledged last."""
        acked = 0
        while handle.aio_in_flight() > 0:
            try:
                handle.poll(-1)
            except nbd.Error:
                break
        for cookie in completed(handle):
            slot, generation, _ = buffers.pop((id(handle), cookie), (None, 0, None))
            try:
                handle.aio_command_completed(cookie)
            except nbd.Error:
                continue  # ended with the connection, not by an answer
            if slot is not None:
                self.acked[slot] = generation
                acked += 1
        return acked

    def settle(self, handle, buffers, busy):
        """Collects this connection's completions: a synchronous flush must not swallow them."""
        while handle.aio_in_flight() > 0:
            handle.poll(-1)
            for cookie in completed(handle):
                handle.aio_command_completed(cookie)
                slot, generation, _ = buffers.pop((id(handle), cookie))
                self.acked[slot] = generation
                busy.discard(slot)

    def check(self, promised):
        bad, found = self.compare(promised, self.uri)
        if not bad:
            # What is there now is where the next round begins.
            self.acked = found
            self.flushed = list(found)
        return bad or "ok"

    def look(self, uri):
        return self.compare(self.began, uri)[0] or "ok"

    def compare(self, promised, uri):
        """What is bad, or nothing, and the generation that is known to be in each slot."""
        handle = self.connect(uri)
        known = list(promised)
        for slot, (offset, length) in enumerate(self.slots):
            data = bytes(handle.pread(length, offset))
            generation = 0
            if data != bytes(length):
                owner, generation = struct.unpack("<QQ", data[:16])
                if owner != slot:
                    return "BAD slot %d at %d holds slot %d" % (slot, offset, owner), known
                if data != stamp(slot, generation, length):
                    # Pages of a write in flight may be there by part; of a finished one, never.
                    bad = self.mixed(slot, data, length, promised[slot])
                    if bad:
                        return bad, known
                    generation = max(promised[slot], generation)
            if generation < promised[slot] or generation > self.sent[slot]:
                return "BAD slot %d at %d holds generation %d, promised %d, sent %d" % (slot, offset, generation, promised[slot], self.sent[slot]), known
            known[slot] = max(generation, promised[slot]) if data == stamp(slot, generation, length) or generation == 0 else promised[slot]
        handle.shutdown()
        return "", known

    def mixed(self, slot, data, length, promised):
        for at in range(0, length, 512):
            owner, generation = struct.unpack("<QQ", data[at:at + 16])
            piece = data[at:at + min(512, length - at)]
            if piece == bytes(len(piece)):
                owner, generation = slot, 0
            elif piece != struct.pack("<QQ", owner, generation) * (len(piece) // 16):
                return "BAD slot %d is torn inside a sector" % slot
            if owner != slot or generation < promised or generation > self.sent[slot]:
                return "BAD slot %d piece %d holds slot %d generation %d, promised %d" % (slot, at, owner, generation, promised)
        return ""


def main():
    stamper = Stamper(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "run":
            print("broken %d %d" % stamper.run(), flush=True)
        elif word == "check":
            print(stamper.check(stamper.acked), flush=True)
        elif word == "check-flushed":
            print(stamper.check(stamper.flushed), flush=True)
        elif word == "look":
            print(stamper.look(rest[0]), flush=True)
        elif word == "at":
            stamper.uri = rest[0]
            print("ok", flush=True)
        else:
            break


main()
