#!/usr/bin/env python3
"""An fsx for block devices: random requests over several connections to several volumes, against a byte array of each.

fsx.py SEED, driven over standard input and output, a line each way. `ok ...` is a good answer, `BAD ...` one that shows a fault of the
server; the requests that touched the place go to standard error.
  volume NAME URI SIZE        a volume of zeroes; in place of SIZE a MOMENT: it begins as that was
  drop NAME                   it was deleted
  run NAME ...                requests begin and go on while other lines are answered
  stall NAME ...              ok REQUESTS, answered so far: for telling whether they go on
  settle NAME ...             ok REQUESTS once all are answered and the connections closed; broken REQUESTS where the server died
  dead                        broken REQUESTS once every connection has broken
  check NAME                  all of it is what it must be; of requests that were not answered, each page may be there or not
  check-flushed NAME          the same after a loss of power: what no flush and no FUA covered may be missing
  check-either NAME MOMENT    the same while it is not known whether a rollback took effect; ok rolled, or ok
  resize NAME SIZE            it was resized, with no request in flight
  rollback NAME MOMENT        it was rolled back, with no request in flight
  moment MOMENT NAME          what comes from here on may or may not be in the snapshot or clone that is being taken of NAME
  fixed MOMENT                what comes from here on is not in it
  same URI MOMENT             the snapshot is what the volume was then, and from now on exactly that
  forget MOMENT               the snapshot is gone, or never came to be
  tolerate ERRNO ...          these errors are no fault; what they answer may be there or not. None: every error is a fault
  refused                     ok ERRNO=COUNT,... of those that were tolerated
"""
import collections
import errno
import os
import random
import select
import sys

import nbd

from fsx_volume import BLOCK, REQUEST_BYTES_MAX, ZEROES, Bad, Moment, Request, Volume, explain

CONNECTIONS_MAX = 4
DEPTH = 6
KINDS = {"write": 44, "write-fua": 6, "zero": 7, "zero-no-hole": 5, "zero-fua": 1, "trim": 8, "trim-fua": 1, "read": 19, "flush": 6, "cache": 3}


class Connection:
    def __init__(self, volume, index):
        self.volume, self.index, self.flight, self.dead = volume, index, {}, False
        self.handle = nbd.NBD()
        self.handle.connect_uri(volume.uri)
        if self.handle.get_size() != len(volume.model):
            raise Bad(f"{volume.name} has {self.handle.get_size()} bytes, not {len(volume.model)}")

    def issue(self):
        volume, dice, handle = self.volume, self.volume.random, self.handle
        kind = dice.choices(list(KINDS), KINDS.values())[0]
        if kind == "flush":
            self.flight[handle.aio_flush()] = (kind, None, volume.acknowledged())
            return
        place = volume.place()
        if place is None:
            return
        start, end = place
        verb, fua = kind.split("-")[0], nbd.CMD_FLAG_FUA if kind.endswith("-fua") else 0
        if verb in ("read", "cache"):
            buffer = nbd.Buffer(end - start)
            cookie = handle.aio_pread(buffer, start) if verb == "read" else handle.aio_cache(end - start, start)
            request = Request(volume.next_number(), kind, start, end, None, self.index)
        else:
            buffer = None
            data = volume.content(start, end) if verb == "write" else ZEROES[:end - start]
            request = Request(volume.next_number(), kind, start, end, data, self.index)
            if verb == "write":
                buffer = nbd.Buffer.from_bytearray(bytearray(data))
                cookie = handle.aio_pwrite(buffer, start, flags=fua)
            elif verb == "zero":
                cookie = handle.aio_zero(end - start, start, flags=fua | (nbd.CMD_FLAG_NO_HOLE if kind == "zero-no-hole" else 0))
            else:
                cookie = handle.aio_trim(end - start, start, flags=fua)
            volume.sent(request)
        volume.traced.append(request)
        volume.busy.append(request)
        self.flight[cookie] = (kind, request, buffer)

    def collect(self):
        """Takes the answers that have come; those that never will, once the connection is broken."""
        self.dead = self.dead or bool(self.handle.aio_is_dead() or self.handle.aio_is_closed())
        for cookie in list(self.flight):
            try:
                if not self.handle.aio_command_completed(cookie):
                    continue
            except nbd.Error as error:
                kind, request, _ = self.flight.pop(cookie)
                self.failed(kind, request, error)
                continue
            kind, request, extra = self.flight.pop(cookie)
            self.volume.answered(kind, request, extra)
            self.volume.requests += 1

    def failed(self, kind, request, error):
        name = errno.errorcode.get(error.errnum, str(error))
        if request is not None:
            request.state = "not answered" if self.dead else f"answered {name}"
            if request.data is None:
                self.volume.busy.remove(request)
        if self.dead:
            return
        if name not in self.volume.world.tolerated:
            raise Bad(f"{self.volume.name}: {request or kind} was answered {error}")
        self.volume.world.refused[name] += 1


class World:
    """All volumes, and the lines that drive them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.common = self.random.randbytes(8 * BLOCK + REQUEST_BYTES_MAX + BLOCK)
        self.volumes, self.moments, self.tolerated, self.refused = {}, {}, set(), collections.Counter()
        self.lines, self.rest, self.wait = collections.deque(), b"", None

    # Lines that are answered at once.

    def volume(self, name, uri, base):
        seed = self.random.random()
        if base.isdigit():
            self.volumes[name] = Volume(self, name, uri, bytearray(int(base)), seed)
            return "ok"
        moment = self.moments[base]
        fresh = Volume(self, name, uri, bytearray(moment.base), seed)
        data = fresh.read_all(uri)
        moment.resolve(data, name)
        fresh.settled(data)
        self.volumes[name] = fresh
        return "ok"

    def drop(self, name):
        for connection in self.volumes.pop(name).connections:
            connection.handle.shutdown()
        return "ok"

    def run(self, *names):
        for name in names:
            volume = self.volumes[name]
            volume.connections = [Connection(volume, index) for index in range(volume.random.randrange(2, CONNECTIONS_MAX + 1))]
            volume.running = True
        return "ok"

    def stall(self, *names):
        return f"ok {sum(self.volumes[name].requests for name in names)}"

    def check(self, name):
        volume = self.volumes[name]
        volume.settled(volume.check(volume.model, volume.unanswered))
        return "ok"

    def check_flushed(self, name):
        volume = self.volumes[name]
        volume.settled(volume.check(volume.flushed, volume.since))
        return "ok"

    def check_either(self, name, tag):
        volume, moment = self.volumes[name], self.moments[tag]
        data = volume.read_all(volume.uri)
        rolled = len(data) == len(moment.base) and explain(data, moment.base, moment.maybe) is None
        if not rolled:
            return self.check(name)
        volume.settled(data)
        return "ok rolled"

    def resize(self, name, size):
        volume, size = self.volumes[name], int(size)
        for content in (volume.model, volume.flushed):
            del content[size:]
            content.extend(bytes(size - len(content)))
        volume.since = [part for request in volume.since for part in request.outside(size, max(size, request.end))]
        return "ok"

    def rollback(self, name, tag):
        self.volumes[name].settled(self.moments[tag].base)
        return "ok"

    def moment(self, tag, name):
        self.moments[tag] = Moment(self.volumes[name])
        return "ok"

    def fixed(self, tag):
        moment = self.moments[tag]
        moment.open = False
        # What was acknowledged before the snapshot was asked for is as durable as the snapshot.
        moment.volume.cover(moment.covered)
        return "ok"

    def same(self, uri, tag):
        moment = self.moments[tag]
        moment.resolve(moment.volume.read_all(uri), uri)
        return "ok"

    def forget(self, tag):
        del self.moments[tag]
        return "ok"

    def tolerate(self, *names):
        self.tolerated = set(names)
        return "ok"

    def refused_so_far(self):
        return "ok " + ",".join(f"{name}={count}" for name, count in sorted(self.refused.items()))

    # Lines that are answered later.

    def settle(self, *names):
        volumes = [self.volumes[name] for name in names]
        for volume in volumes:
            volume.running = False
        return lambda: self.ended(volumes) if all(not one.flight for volume in volumes for one in volume.connections) else None

    def dead(self):
        volumes = [volume for volume in self.volumes.values() if volume.connections]
        return lambda: self.ended(volumes) if all(one.dead for volume in volumes for one in volume.connections) else None

    def ended(self, volumes):
        broken = any(one.dead for volume in volumes for one in volume.connections)
        for volume in volumes:
            volume.running = False
            for one in volume.connections:
                if not one.dead:
                    one.handle.shutdown()
            volume.connections = []
        answered = sum(volume.requests for volume in volumes)
        for volume in volumes:
            volume.requests = 0
        return f"{'broken' if broken else 'ok'} {answered}"

    # The loop.

    def answer(self, line):
        verb, *words = line.split()
        verb = "refused_so_far" if verb == "refused" else verb.replace("-", "_")
        return getattr(self, verb)(*words)

    def guarded(self, act):
        try:
            return act()
        except Bad as fault:
            # Nothing goes on after it: what follows would only hide it.
            for volume in self.volumes.values():
                volume.running = False
            return f"BAD {fault}"
        except nbd.Error as error:
            return f"broken {error}"

    def serve(self):
        fault = None
        while True:
            while self.lines and self.wait is None:
                line = self.lines.popleft()
                outcome = fault or self.guarded(lambda: self.answer(line))
                if callable(outcome):
                    self.wait = outcome
                else:
                    print(outcome, flush=True)
            fault = fault or self.guarded(self.requests)
            if self.wait is not None:
                outcome = fault or self.guarded(self.wait)
                if outcome is None:
                    pass
                else:
                    self.wait = None
                    print(outcome, flush=True)
                    continue
            if not self.poll():
                return

    def requests(self):
        for volume in self.volumes.values():
            for connection in volume.connections:
                if connection.dead:
                    continue
                connection.collect()
                while volume.running and not connection.dead and len(connection.flight) < DEPTH:
                    before = len(connection.flight)
                    try:
                        connection.issue()
                    except nbd.Error:
                        connection.collect()
                        break
                    if len(connection.flight) == before:
                        break
                connection.collect()

    def poll(self):
        """Waits for an answer or a line; False at the end of the lines."""
        poller, by_number = select.poll(), {}
        poller.register(0, select.POLLIN)
        for volume in self.volumes.values():
            for connection in volume.connections:
                if connection.dead:
                    continue
                direction = connection.handle.aio_get_direction()
                wanted = (select.POLLIN if direction & nbd.AIO_DIRECTION_READ else 0) | (select.POLLOUT if direction & nbd.AIO_DIRECTION_WRITE else 0)
                number = connection.handle.aio_get_fd()
                by_number[number] = connection
                poller.register(number, wanted)
        for number, events in poller.poll(1000):
            if number == 0:
                more = os.read(0, 65536)
                if not more:
                    return False
                *lines, self.rest = (self.rest + more).split(b"\n")
                self.lines.extend(line.decode() for line in lines)
                continue
            handle = by_number[number].handle
            try:
                if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    handle.aio_notify_read()
                elif events & select.POLLOUT:
                    handle.aio_notify_write()
            except nbd.Error:
                pass  # collect() sees that it is dead
        return True


World(int(sys.argv[1])).serve()
